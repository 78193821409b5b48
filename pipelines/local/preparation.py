"""Runs on this machine made ready: everything that can be refused before any image is read has been checked."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.components.core.recipes.variants import Method
from headstart.components.core.registry.model_files import find_model
from headstart.components.core.util.paths import expand_home
from headstart.components.download_dataset.step import DownloadSettings
from headstart.pipelines.definitions.given_options import DATA_CHECK_PARAMETERS, EVALUATION_PARAMETERS
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.tasks import (
    CHECK_DATA,
    DATA_CHECK_TASKS,
    EVALUATE_IMAGES,
    EVALUATION_TASKS,
    Uses,
    task_names,
)
from headstart.pipelines.local.masking import find_secrets, mask_secrets
from headstart.pipelines.local.output_folder import (
    Products,
    check_output,
    list_data_check_products,
    list_evaluation_products,
    list_products,
)
from headstart.pipelines.local.requirements import check_before_reading
from headstart.pipelines.local.run import RunRequest

DescribeCommand = Callable[[Mapping[str, Any]], str]
"""Function that describes what started a run with these parameters, without secrets, for the report."""


@dataclasses.dataclass(frozen=True)
class PreparedRun:
    """A run that may start.

    Attributes:
        request: The run, its output folder as an absolute path.
        tasks: Names of its tasks, in order.
        replaced: Earlier results that it will replace, in words; empty: there are none.
    """

    request: RunRequest
    tasks: Sequence[str]
    replaced: str


def prepare_training(
    parameters: Parameters, output: Path, method: Method, from_scratch: bool, describe_command: DescribeCommand
) -> PreparedRun:
    """Makes a run of `transfer_learning` ready.

    Args:
        parameters: Parameters with absolute local paths.
        output: Folder that receives the results.
        method: Method that trains the model.
        from_scratch: Whether to train without transfer as well.
        describe_command: Function that describes what started the run.

    Raises:
        HeadstartError: If the output folder cannot be used, weights are not at hand, or a class has fewer files than
            the counts ask for.
    """
    output, products = expand_home(output).absolute(), list_products(from_scratch, method)
    replaced = check_output(output, products, parameters.data)
    check_before_reading(parameters, [parameters.read_recipe()])
    values = parameters.model_dump()
    values["command"] = describe_command(values)
    request = RunRequest(values, from_scratch, output, products, method=method)
    return PreparedRun(request, task_names(from_scratch, Uses.of(values, method)), replaced)


def prepare_evaluation(
    model: str, parameters: Parameters, unknown_classes: str, output: Path, describe_command: DescribeCommand
) -> PreparedRun:
    """Makes an evaluation of a trained model on other images ready.

    Args:
        model: Address of the model, see `download_model`.
        parameters: Parameters with absolute local paths, of which `EVALUATION_PARAMETERS` count.
        unknown_classes: Treatment of images of classes that the model does not know.
        output: Folder that receives the results.
        describe_command: Function that describes what started the run.

    Raises:
        HeadstartError: If there is no model at the address, or the output folder cannot be used.
    """
    address, info = find_model(model)
    values = parameters.model_dump(include=set(EVALUATION_PARAMETERS)) | {
        "model_uri": address,
        "max_side": info.max_side or DownloadSettings.max_side,
        "ranges": {form: list(pair) for form, pair in (info.ranges or {}).items()},
        "unknown_classes": unknown_classes,
    }
    values["command"] = describe_command(values)
    products = list_evaluation_products(mask_secrets(address, find_secrets(values)))
    return _prepare(values, output, products, EVALUATE_IMAGES, EVALUATION_TASKS)


def prepare_data_check(parameters: Parameters, output: Path) -> PreparedRun:
    """Makes a check of labelled images ready, by the first two tasks of a training.

    Args:
        parameters: Parameters with absolute local paths, of which `DATA_CHECK_PARAMETERS` count.
        output: Folder that receives the results.

    Raises:
        HeadstartError: If the output folder cannot be used.
    """
    values = parameters.model_dump(include=set(DATA_CHECK_PARAMETERS))
    products = list_data_check_products(mask_secrets(parameters.data, find_secrets(values)))
    return _prepare(values, output, products, CHECK_DATA, DATA_CHECK_TASKS)


def _prepare(
    values: dict[str, Any], output: Path, products: Products, pipeline: str, tasks: Sequence[str]
) -> PreparedRun:
    output = expand_home(output).absolute()
    replaced = check_output(output, products, values["data"])
    return PreparedRun(RunRequest(values, False, output, products, pipeline), tasks, replaced)
