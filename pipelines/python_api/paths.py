"""Paths and addresses as results show them."""

import os
from pathlib import Path


def show_path(path: Path) -> str:
    """A path relative to the working folder if it lies in there, so that a notebook can be passed on."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)


def show_paths(line: str) -> str:
    """A line with the paths in the working folder relative to it."""
    return line.replace(f"{Path.cwd()}{os.sep}", "")
