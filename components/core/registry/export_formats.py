"""Formats that a model is published in, and the files of a published version that belong to them."""

import importlib.util
from collections.abc import Sequence

from headstart.components.core.util.errors import HeadstartError, raise_unknown_name

SAVED_MODELS = "saved_model"
"""Folder that TensorFlow Serving and KServe are given."""

SAVED_MODEL = f"{SAVED_MODELS}/1"
LABELS = "labels.txt"
CARD = "model_card.md"
CARD_JSON = "model_card.json"

SAVED_MODEL_ALONE = "saved_model"
LITERT, LITERT_INT8, ONNX = "litert", "litert_int8", "onnx"
EXPORT_FORMATS = (SAVED_MODEL_ALONE, LITERT, LITERT_INT8, ONNX)
"""Formats that a model can be published in; the first one is always made."""

_NEEDED = {
    LITERT: ["ai_edge_litert"],
    LITERT_INT8: ["ai_edge_litert"],
    ONNX: ["onnxruntime", "tf2onnx"],
}


def check_formats(names: Sequence[str]) -> None:
    """Refuses unknown formats.

    Raises:
        HeadstartError: If a name is unknown; the message lists the known ones.
    """
    for name in names:
        if name not in EXPORT_FORMATS:
            raise_unknown_name("export", name, list(EXPORT_FORMATS))


def check_packages(names: Sequence[str]) -> None:
    """Refuses formats whose packages are not installed; no package is imported.

    Raises:
        HeadstartError: If a format is unknown, or a package is not installed here.
    """
    check_formats(names)
    for name in names:
        missing = [package for package in _NEEDED.get(name, []) if not importlib.util.find_spec(package)]
        if missing:
            raise HeadstartError(
                f"export {name!r} needs {', '.join(missing)}, not installed here: pip install 'headstart[export]'"
            )
