"""Running on Kubeflow Pipelines: submitting, following, schedules."""
