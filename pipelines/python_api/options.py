"""Options of the functions, named as on the command line, and their errors in the words of Python."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

from pydantic import ValidationError

from headstart.components.core.backbones.table import BACKBONES
from headstart.components.core.recipes.variants import METHODS
from headstart.components.core.util.errors import HeadstartError
from headstart.components.split_dataset.settings import parse_class_counts
from headstart.pipelines.definitions.given_options import (
    CLASS_COUNTS,
    DATA_CHECK_PARAMETERS,
    EVALUATION_PARAMETERS,
    make_parameters,
)
from headstart.pipelines.definitions.option_suggestions import suggest_option
from headstart.pipelines.definitions.parameters import OPTION_NAMES, Parameters
from headstart.pipelines.local.masking import find_secrets, mask_secrets

PathLike: TypeAlias = str | os.PathLike[str]
"""Path on this machine, or an address."""

DataSources: TypeAlias = PathLike | Sequence[PathLike]
"""Labelled images: one source, or several."""


class EvaluationOptions(TypedDict, total=False):
    """Options of data that a model is evaluated on; `headstart evaluate --help` describes each.

    Attributes:
        labels: Source of the classes: 'auto', 'given', 'folders' or 'names'.
        class_level: Folder of a file's path that is its class, from 1; 0: automatic.
        max_bad_fraction: Largest share of unusable files.
        sha256: Expected SHA-256 of each source.
        corrections: CSV file of right classes.
        image_column: Column of manifests and Parquet that names or holds the image.
        label_column: Column of manifests and Parquet that has the class.
        group_column: Column of manifests and Parquet that names the group of an image, such as its patient.
        group_from: Regular expression that takes the group out of an image's path, or 'parent'.
    """

    labels: str
    class_level: int
    max_bad_fraction: float
    sha256: Sequence[str]
    corrections: PathLike
    image_column: str
    label_column: str
    group_column: str
    group_from: str


class DataCheckOptions(EvaluationOptions, total=False):
    """Options of a check of data; `headstart run --help` describes each.

    Attributes:
        max_side: Longest side of an image that is kept, in pixels.
        accept_suggestions: Least confidence from which suggested classes of the corrections are taken unread.
    """

    max_side: int
    accept_suggestions: float


class TrainingOptions(DataCheckOptions, total=False):
    """Options of a training; `headstart run --help` describes each.

    Attributes:
        recipe: Recipe with every hyperparameter: a name, or a file.
        settings: Values of single keys of the recipe, such as {'head.epochs': 5}.
        backbone: Pretrained backbone.
        weights: Weights of the backbone: a file, an address, or 'none'.
        image_size: Side in pixels to which images are resized.
        counts: Images per class for train, validation and test; or a mapping from classes to such numbers.
        fractions: Parts of each class for train, validation and test.
        order: Order in which images are dealt to the splits: 'hash', 'name' or 'given'.
        strict_groups: Whether a ready-made split that divides groups is refused.
        tiny_classes: Treatment of classes of fewer than three images: 'keep' or 'leave_out'.
        folds: Number of cross-validation folds in place of a test set, or 'auto'.
        seed: Random seed for splitting, augmentation and initialisation.
        record_uri: Feature cache that runs share.
        deterministic: Whether weights are identical to the last bit each time.
        checkpoint_uri: Place for the state of each epoch, from which interrupted training resumes.
        false_alarm: Largest share of ordinary new images that may be flagged as unfamiliar.
        champion: Model in use, to compare with.
        publish: Place where models are published.
        level: Largest share of equally good models that the gate may call better.
        min_accuracy: Least accuracy on test images for a publication.
        min_recall: Least recall of each class on test images for a publication.
        max_slice_drop: Largest loss of accuracy against the champion on any slice.
        export: Forms in which the model is published.
        registry_url: Kubeflow Model Registry in which published versions are registered.
    """

    recipe: PathLike
    settings: Mapping[str, Any]
    backbone: str
    weights: PathLike
    image_size: int
    counts: Sequence[int] | Mapping[str, Sequence[int]]
    fractions: Sequence[float]
    order: str
    strict_groups: bool
    tiny_classes: str
    folds: int | str
    seed: int
    record_uri: PathLike
    deterministic: bool
    checkpoint_uri: PathLike
    false_alarm: float
    champion: PathLike
    publish: PathLike
    level: float
    min_accuracy: float
    min_recall: float
    max_slice_drop: float
    export: Sequence[str]
    registry_url: str


def name_option(parameter: str) -> str:
    """Name in Python of a parameter's option."""
    # `set` is a type of Python's.
    return "settings" if parameter == "settings" else OPTION_NAMES[parameter].replace("-", "_")


PARAMETERS = {name_option(name): name for name in OPTION_NAMES if name != CLASS_COUNTS}
"""Parameter of each option, by the option's name in Python."""

_OWN = {
    "train": ("output", "method", "from_scratch", "progress", "notify", "mlflow_tracking_uri", "mlflow_experiment"),
    "evaluate": ("output", "unknown_classes", "progress"),
    "check_data": ("output", "progress"),
}
"""Options of each function that are no parameters."""

_TAKEN = {
    "train": tuple(OPTION_NAMES),
    "evaluate": EVALUATION_PARAMETERS,
    "check_data": DATA_CHECK_PARAMETERS,
}
"""Parameters of each function."""


def list_options(function: str) -> list[str]:
    """Names of all options of a function, such as ``train``."""
    return [*(name_option(each) for each in _TAKEN[function] if each != CLASS_COUNTS), *_OWN[function]]


def read_options(function: str, data: DataSources, options: Mapping[str, Any]) -> Parameters:
    """Makes checked parameters of the options that a function was called with.

    Args:
        function: Name of the function, such as ``train``.
        data: Sources of the data.
        options: Options by name.

    Raises:
        HeadstartError: If there is no such option, or its value is wrong whatever the data are.
    """
    _check_names(function, options)
    given = {PARAMETERS[name]: _to_plain(value) for name, value in options.items()} | {"data": _list_sources(data)}
    if isinstance(given.get("counts"), dict):
        given["counts"] = parse_class_counts(given["counts"])
    try:
        return make_parameters(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = name_option(str(first["loc"][0]))
        raise HeadstartError(f"{name} {given[PARAMETERS[name]]!r}: {_lower_first(first['msg'])}") from None


def describe_call(function: str, arguments: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """The call of a function as a line of Python, without secrets; empty where KFP would substitute something in it.

    Args:
        function: Name of the function.
        arguments: Arguments by name.
        values: Parameters of the run that were made of them.
    """
    shown = mask_secrets(_to_plain(arguments), find_secrets(values))
    call = f"headstart.{function}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
    return "" if "{{" in call or "$(" in call else call


@contextlib.contextmanager
def python_words() -> Iterator[None]:
    """Puts errors that name options of the command line into the words of Python.

    Raises:
        HeadstartError: If there is one in the block.
    """
    try:
        yield
    except HeadstartError as error:
        translated = HeadstartError(in_python_words(str(error)))
        for note in getattr(error, "__notes__", ()):
            translated.add_note(note)
        raise translated from None


def in_python_words(message: str) -> str:
    """A message with the names that options have in Python, such as ``image_size=`` for ``--image-size``."""
    message = re.sub(r"--set ([a-z_]+\.[a-z_.]*[a-z])=?", r"settings={'\1': …}", message)
    message = re.sub(r"\b([a-z_]+\.[a-z_.]*[a-z])=(?=[,.?])", r"'\1'", message)
    message = re.sub(r"--set\b", "settings=", message)
    known = {name for names in _OWN.values() for name in names} | set(PARAMETERS)

    def name(found: re.Match[str]) -> str:
        option, value = found[1].replace("-", "_"), found[2]
        if option not in known:
            return found[0]
        return f"{option}={value[1:]!r}" if value else f"{option}="

    # A word after an option is its value only where it is known as one.
    values = "|".join((*METHODS, *BACKBONES))
    return re.sub(rf"(?<![\w-])--([a-z][a-z0-9-]*)( (?:{values})\b)?", name, message)


def _check_names(function: str, options: Mapping[str, Any]) -> None:
    known = list_options(function)
    for name in options:
        if name not in known:
            flags = ["--set" if each == "settings" else _flag(each) for each in known]
            elsewhere = [f"headstart.{other}" for other in _TAKEN if name in list_options(other)]
            suggestion = suggest_option(_flag(name), flags, {_flag(name): elsewhere} if elsewhere else {})
            raise HeadstartError(f"{function} has no option {name!r}. {suggestion}".strip())


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _list_sources(data: DataSources) -> list[str]:
    if isinstance(data, str | os.PathLike):
        data = [data]
    if not isinstance(data, Sequence) or not data:
        raise HeadstartError(f"data {data!r}: give a folder, an archive, a table or an address, or a list of them")
    return [_to_plain(each) for each in data]


def _to_plain(value: Any) -> Any:
    """A value as JSON has it: paths as text, tuples as lists."""
    match value:
        case os.PathLike():
            return os.fspath(value)
        case Mapping():
            return {name: _to_plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_to_plain(each) for each in value]
    return value


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def to_path(output: PathLike) -> Path:
    """Path of an output folder."""
    return Path(os.fspath(output))
