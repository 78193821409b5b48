"""Names of what lies in the folder of a published version, beside what the registry knows of."""

import importlib.util
from collections.abc import Sequence

from headstart.components.core.util.errors import HeadstartError, raise_unknown_name

SAVED_MODELS = "saved_model"
"""The folder that TensorFlow Serving and KServe are pointed to."""

SAVED_MODEL = f"{SAVED_MODELS}/1"
LABELS = "labels.txt"
CARD = "model_card.md"
CARD_JSON = "model_card.json"

SAVED_MODEL_ALONE = "saved_model"
LITERT, LITERT_INT8, ONNX = "litert", "litert_int8", "onnx"
FORMS = (SAVED_MODEL_ALONE, LITERT, LITERT_INT8, ONNX)
"""Forms that a model can be published in; the first there is always."""

_NEEDED = {
    LITERT: ["ai_edge_litert"],
    LITERT_INT8: ["ai_edge_litert"],
    ONNX: ["onnxruntime", "tf2onnx"],
}


def check_forms(names: Sequence[str]) -> None:
    """Refuses a name that is no form's.

    Raises:
        HeadstartError: One is not; the message lists those there are.
    """
    for name in names:
        if name not in FORMS:
            raise_unknown_name("export", name, list(FORMS))


def check_installed(names: Sequence[str]) -> None:
    """Refuses a form that cannot be made for want of its packages; none of them is imported.

    Raises:
        HeadstartError: One is unknown, or its packages are not installed here.
    """
    check_forms(names)
    for name in names:
        missing = [package for package in _NEEDED.get(name, []) if not importlib.util.find_spec(package)]
        if missing:
            raise HeadstartError(
                f"export {name!r} needs {', '.join(missing)}, not installed here: pip install 'headstart[export]'"
            )
