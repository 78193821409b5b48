"""The container image that every component runs in; its tag is the version."""

from importlib.metadata import version

IMAGE = f"headstart:{version('headstart')}"
