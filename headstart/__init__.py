"""Headstart turns a small folder of labelled images into a classifier you can trust.

`headstart.components` and `headstart.pipelines` lie beside this folder, in `components/` and `pipelines/`.

The functions and types for notebooks and scripts are imported when they are first used: `import headstart` itself
takes milliseconds, and changes nothing in the process.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headstart.components.core.util.errors import HeadstartError
    from headstart.pipelines.python_api.data_check import DataCheck, check_data
    from headstart.pipelines.python_api.evaluation import evaluate
    from headstart.pipelines.python_api.model import Model, Prediction, Predictions, load
    from headstart.pipelines.python_api.options import DataCheckOptions, EvaluationOptions, TrainingOptions
    from headstart.pipelines.python_api.results import Estimate, EvaluationResult, TrainingResult
    from headstart.pipelines.python_api.training import train
    from headstart.pipelines.sample.folder import draw_sample

__version__ = "0.1.0"
"""Version of the package, which is also the tag of its container images; everything else reads it from here."""

__all__ = [
    "DataCheck",
    "DataCheckOptions",
    "Estimate",
    "EvaluationOptions",
    "EvaluationResult",
    "HeadstartError",
    "Model",
    "Prediction",
    "Predictions",
    "TrainingOptions",
    "TrainingResult",
    "check_data",
    "draw_sample",
    "evaluate",
    "load",
    "train",
]

_API = "headstart.pipelines.python_api."
_MODULES = {
    "HeadstartError": "headstart.components.core.util.errors",
    **dict.fromkeys(("DataCheck", "check_data"), f"{_API}data_check"),
    "evaluate": f"{_API}evaluation",
    **dict.fromkeys(("Model", "Prediction", "Predictions", "load"), f"{_API}model"),
    **dict.fromkeys(("DataCheckOptions", "EvaluationOptions", "TrainingOptions"), f"{_API}options"),
    **dict.fromkeys(("Estimate", "EvaluationResult", "TrainingResult"), f"{_API}results"),
    "train": f"{_API}training",
    "draw_sample": "headstart.pipelines.sample.folder",
}


def __getattr__(name: str) -> Any:
    """Imports a name of the API on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Names of the module, those that are not yet imported as well."""
    return sorted({*globals(), *__all__})
