"""`headstart.evaluate`."""

import functools
import os
from typing import Unpack

from headstart.components.select_test_images.settings import REFUSE
from headstart.pipelines.definitions.given_options import check_unknown_classes
from headstart.pipelines.local.preparation import prepare_evaluation
from headstart.pipelines.python_api.options import (
    DataSources,
    EvaluationOptions,
    PathLike,
    describe_call,
    python_words,
    read_options,
    to_path,
)
from headstart.pipelines.python_api.results import EvaluationResult
from headstart.pipelines.python_api.running import run_prepared


def evaluate(
    model: PathLike,
    data: DataSources,
    *,
    output: PathLike = "evaluated",
    unknown_classes: str = REFUSE,
    progress: bool = True,
    **options: Unpack[EvaluationOptions],
) -> EvaluationResult:
    """Evaluates a trained model on labelled images that it has not seen, as `headstart evaluate` does.

    Images that it was trained or tuned on are left out. Its own temperature and thresholds are applied; nothing is
    fitted to these images.

    Args:
        model: Model or result of a training, output folder of a run, folder of a model, published version, or place
            where models are published: a path, or an `http(s)://`, `gs://` or `s3://` address.
        data: Labelled images, or a list of several sources, see `train`.
        output: Folder that receives the report and the figures.
        unknown_classes: Treatment of images of classes that the model does not know: ``refuse`` or ``leave_out``.
        progress: Whether to show the progress.
        options: Further options of `headstart evaluate`, see `EvaluationOptions`.

    Returns:
        Figures, predictions and reports.

    Raises:
        HeadstartError: If an option is wrong, the model or the data cannot be used, or a step failed.
        KeyboardInterrupt: If it was interrupted.
    """
    with python_words():
        check_unknown_classes(unknown_classes)
        parameters = read_options("evaluate", data, dict(options)).resolve_data_paths()
        own = {"unknown_classes": unknown_classes} if unknown_classes != REFUSE else {}
        describe = functools.partial(describe_call, "evaluate", {"model": model, "data": data, **own, **options})
        prepared = prepare_evaluation(os.fspath(model), parameters, unknown_classes, to_path(output), describe)
        run_prepared(prepared, progress)
        return EvaluationResult(prepared.request.output)
