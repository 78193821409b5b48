"""Data for training again and again: ready-made splits whose test images stay the same."""

import io
import shutil
import zipfile
from pathlib import Path

from headstart.pipelines.sample.folder import draw_sample

FEW, MORE = 4, 60
"""Images of each class to learn from at first, and later."""

_HEAD = ("--order", "given", "--backbone", "sketchnet", "--set", "head.epochs=4")
QUICK = (*_HEAD, "--set", "fine_tuning.epochs=1")
QUICK_HEAD = (*_HEAD, "--method", "head")

_VALIDATION, _TEST = 15, 80

Drawn = dict[str, list[Path]]


def draw(folder: Path) -> Drawn:
    """Draws pictures, and returns those of each class."""
    each = _VALIDATION + _TEST + MORE
    draw_sample(folder, each, seed=3)
    return {name: [folder / f"{name}.{number}.jpg" for number in range(1, each + 1)] for name in ("cat", "dog")}


def deal(drawn: Drawn, folder: Path, train: int, wrong: float = 0.0) -> Path:
    """Makes a folder of ready-made splits; a share of the labels is wrong, but none of a test image."""
    for name, paths in drawn.items():
        other = "dog" if name == "cat" else "cat"
        held_out, validation = paths[:_TEST], paths[_TEST : _TEST + _VALIDATION]
        learned = paths[_TEST + _VALIDATION :][:train]
        for split, chosen in (("test", held_out), ("validation", validation), ("train", learned)):
            for number, path in enumerate(chosen):
                mistaken = split != "test" and number < wrong * len(chosen)
                target = folder / split / (other if mistaken else name)
                target.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / path.name)
    return folder


def archive(drawn: Drawn, folder: Path, train: int, wrong: float = 0.0) -> bytes:
    """The same as a zip archive."""
    deal(drawn, folder, train, wrong)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for path in sorted(folder.rglob("*.jpg")):
            packed.write(path, path.relative_to(folder).as_posix())
    return file.getvalue()
