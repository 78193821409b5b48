"""Values that a user gives for options, on the command line or in Python, made into checked parameters of a run."""

from collections.abc import Mapping
from typing import Any

from headstart.components.core.recipes.variants import FINE_TUNED, HEAD, METHODS, Method
from headstart.components.core.util.errors import HeadstartError, raise_unknown_name
from headstart.components.select_test_images.settings import UNKNOWN_CLASSES
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.variant_options import DETERMINISTIC

CLASS_COUNTS = "class_counts"
"""Parameter that the option of `counts` sets where it has numbers for each class."""

EVALUATION_PARAMETERS = (
    *("data", "labels", "class_level", "max_bad_fraction", "sha256", "corrections", "image_column", "label_column"),
    *("group_column", "group_from"),
)
"""Parameters of an evaluation of a trained model on other images."""

DATA_CHECK_PARAMETERS = (*EVALUATION_PARAMETERS, "max_side", "accept_suggestions")
"""Parameters of a check of the data."""


def make_parameters(given: Mapping[str, Any]) -> Parameters:
    """Makes checked parameters.

    Args:
        given: Values by the names of the parameters; None: the default. `counts` may be a mapping from classes to
            numbers, and False of `deterministic` overrides the recipe.

    Raises:
        HeadstartError: If a value is wrong whatever the data are.
        pydantic.ValidationError: If a value is of the wrong type.
    """
    values = {name: value for name, value in given.items() if value is not None}
    if isinstance(counts := values.get("counts"), dict):
        values |= {"counts": [], CLASS_COUNTS: counts}
    if values.get(DETERMINISTIC) is False:
        # False of KFP's parameter leaves the choice to the recipe.
        values["settings"] = {**values.get("settings", {}), DETERMINISTIC: False}
    parameters = Parameters(**values).embed_recipe()
    parameters.check()
    return parameters


def check_method(method: str, parameters: Parameters | None = None, from_scratch: bool = False) -> Method:
    """Checks the method by which a run trains its model.

    Args:
        method: Value of `--method`.
        parameters: Parameters of the run; None: they are not known yet.
        from_scratch: Whether to train without transfer as well.

    Raises:
        HeadstartError: If there is no such method, the head alone is trained with settings of fine-tuning, or a
            cross-validated run trains without transfer as well.
    """
    if from_scratch and parameters and parameters.folds != Parameters().folds:
        raise HeadstartError(
            f"--folds {parameters.folds} cross-validates one model; leave --from-scratch out, or use headstart "
            f"compare --folds {parameters.folds}"
        )
    if method not in (HEAD, FINE_TUNED) and method in METHODS:
        raise HeadstartError(
            f"--method {method}: a run trains a head on a backbone; train that as well with --from-scratch, or use "
            f"headstart compare --methods {method},{FINE_TUNED}"
        )
    if method not in (HEAD, FINE_TUNED):
        raise_unknown_name("method", method, [HEAD, FINE_TUNED])
    unused = [key for key in (parameters.settings if parameters else {}) if key.split(".")[0] == "fine_tuning"]
    if method == HEAD and unused:
        raise HeadstartError(
            f"--method {HEAD} trains the head alone and has no use for --set {', '.join(unused)}; leave one of the "
            "two out"
        )
    return HEAD if method == HEAD else FINE_TUNED


def check_unknown_classes(treatment: str) -> None:
    """Checks the treatment of images of classes that a model does not know.

    Raises:
        HeadstartError: If there is no such treatment.
    """
    if treatment not in UNKNOWN_CLASSES:
        raise_unknown_name("treatment of unknown classes", treatment, list(UNKNOWN_CLASSES))
