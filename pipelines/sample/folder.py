"""Sample data set: drawn cats and dogs as a folder of JPEG files, some of them broken."""

from pathlib import Path

import numpy as np

from headstart.pipelines.sample.faces import FACES
from headstart.pipelines.sample.scene import draw_scene, encode_jpeg

_PAGE = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>No such picture.</body></html>\n"
_BROKEN_KEY = 1_000
_POSE_SPREAD = 0.9


def draw_sample(folder: str | Path, per_class: int = 500, seed: int = 0) -> None:
    """Writes ``cat.1.jpg`` to ``cat.N.jpg``, the same of dogs, and five broken files.

    The names are those of Kaggle's Dogs vs. Cats. Image `i` of a class depends only on `seed`, the class and `i`: a
    larger sample contains the smaller one. The broken files continue the numbering: a truncated JPEG, an empty file
    and a web page as cats; random bytes and the mere header of a JPEG as dogs.

    Args:
        folder: Folder to write to; made if it does not exist.
        per_class: Number of readable images of each class.
        seed: Random seed, 0 or more; the same seed writes the same bytes.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in FACES:
        for number in range(1, per_class + 1):
            (folder / f"{name}.{number}.jpg").write_bytes(draw_face(name, number, seed))
    for name, contents in _broken(seed).items():
        for number, content in enumerate(contents, start=per_class + 1):
            (folder / f"{name}.{number}.jpg").write_bytes(content)


def draw_face(name: str, number: int, seed: int) -> bytes:
    """Draws one image of the sample as JPEG; `name` is ``cat`` or ``dog``."""
    rng = np.random.default_rng([seed, list(FACES).index(name), number])
    return encode_jpeg(draw_scene(FACES[name], rng, _POSE_SPREAD), rng)


def _broken(seed: int) -> dict[str, list[bytes]]:
    rng = np.random.default_rng([seed, _BROKEN_KEY])
    whole = encode_jpeg(draw_scene(FACES["cat"], rng), rng)
    header = whole[: whole.index(b"\xff\xdb")]
    return {"cat": [whole[: len(whole) * 2 // 5], b"", _PAGE], "dog": [rng.bytes(3000), header]}
