"""Names of what lies in the folder of a published version, beside what the registry knows of."""

from collections.abc import Iterable

from headstart.components.core.errors import unknown_name

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


def check_forms(names: Iterable[str]) -> None:
    """Refuses a name that is no form's.

    Raises:
        HeadstartError: One is not; the message lists those there are.
    """
    for name in names:
        if name not in FORMS:
            unknown_name("export", name, list(FORMS))
