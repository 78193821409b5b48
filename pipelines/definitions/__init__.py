"""The pipelines, their parameters, cluster profiles and placement."""
