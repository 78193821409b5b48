"""Names of what lies in an evaluation's folder, beside the predictions."""

METRICS = "metrics.json"
MODELS = "models.json"
PICTURES = "pictures.parquet"
FORMAT = "headstart-metrics/2"
