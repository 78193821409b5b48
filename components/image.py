"""The container images that components run in; their tag is the version."""

from importlib.metadata import version

IMAGE = f"headstart:{version('headstart')}"

GPU_IMAGE = f"headstart-gpu:{version('headstart')}"
"""The same with CUDA's libraries, for steps that compute a network."""
