"""Paths as users write them."""

import os
from pathlib import Path


def expand_home(path: str | Path) -> Path:
    """Replaces `~` by the home folder; the `~` of an unknown user stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own raises if there is no such user
