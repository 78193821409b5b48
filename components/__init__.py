"""Components for Kubeflow Pipelines, one folder each, and what they share."""
