"""Components for Kubeflow Pipelines, one folder each, and what they share."""

from headstart.components.container_image import use_image

__all__ = ["use_image"]
