"""Names of what lies in the folder of a published version, beside what the registry knows of."""

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
