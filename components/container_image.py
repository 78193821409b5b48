"""The container image that every component runs in; its tag is the version."""

from headstart import __version__

IMAGE = f"headstart:{__version__}"
