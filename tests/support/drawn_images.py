"""Drawn images for tests."""

import io
import zipfile
from pathlib import Path

from headstart.pipelines.sample.folder import draw_sample

PER_CLASS = 60


def draw_zip(folder: Path, seed: int, per_class: int = PER_CLASS) -> bytes:
    """Draws cats and dogs into a folder, broken files among them, and returns them as a zip archive."""
    draw_sample(folder, per_class, seed)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return file.getvalue()
