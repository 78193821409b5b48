"""Names of what lies in the folder of a published version, beside what the registry knows of."""

SAVED_MODELS = "saved_model"
"""The folder that TensorFlow Serving and KServe are pointed to."""

SAVED_MODEL = f"{SAVED_MODELS}/1"
LABELS = "labels.txt"
CARD = "model_card.md"
CARD_JSON = "model_card.json"
