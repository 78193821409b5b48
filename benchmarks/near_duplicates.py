"""Measures recall and precision of the search for near-duplicates on copies of photographs.

    pip install ImageHash
    python benchmarks/near_duplicates.py dogs-vs-cats-4000.zip

Every photograph of the archive is an original; of every fourth there is a copy of each kind. Recall is the share of
copies in a group with their original. A wrong pair is two different originals in one group; pairs are printed for
inspection. The last column is ImageHash's `phash` at 8 bits of distance, with all pairs compared.

On the 4,000 photographs (200 x 200 pixels), two pairs of originals are found, both the same photograph to the eye;
ImageHash finds the same two.

====================================  ======  =====
copies                                recall  phash
====================================  ======  =====
resized to 75 %, 50 %, 30 %            1.000  1.000
resized to 190 %, wider by a third     1.000  1.000
JPEG of quality 75, 30, 10             1.000  1.000
mirrored                               1.000  0.000
mirrored, 50 %, quality 40             1.000  0.000
gray                                   1.000  1.000
brighter by a fifth                    0.997  0.997
2 % cropped off each side              0.314  0.974
====================================  ======  =====

No copy joined two originals: precision is 1. Cropped copies are a weakness: a rule that found them would also join
images of one kind, such as X-rays or faces, which have the same coarse structure. Grouping 25,000, 50,000 and 100,000
sketches took 1.2, 2.6 and 6.5 s on one of two virtual cores.
"""

import argparse
import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from headstart.components.download_dataset import near_duplicates
from headstart.components.download_dataset.checked_image import CheckedImage, check_image
from headstart.components.download_dataset.near_duplicates import SKETCH_BYTES, compute_hashes, find_near_duplicates

PHASH_BITS = 8


def compute_phash(image: Image.Image) -> int:
    """Perceptual hash of an image by ImageHash."""
    # No dependency of the project: only this benchmark needs it.
    import imagehash

    return int(str(imagehash.phash(image)), 16)


def recompress(image: Image.Image, quality: int) -> Image.Image:
    """The image after encoding as JPEG of the given quality."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def scale(image: Image.Image, factor: float, aspect: float = 1.0) -> Image.Image:
    """The image at another size, and wider by `aspect`."""
    return image.resize(
        (round(image.width * factor * aspect), round(image.height * factor)), Image.Resampling.LANCZOS
    )


def crop(image: Image.Image, share: float) -> Image.Image:
    """The image without a margin of the given share on each side."""
    x, y = round(image.width * share), round(image.height * share)
    return image.crop((x, y, image.width - x, image.height - y))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized to 75 %": lambda image: scale(image, 0.75),
    "resized to 50 %": lambda image: scale(image, 0.5),
    "resized to 30 %": lambda image: scale(image, 0.3),
    "resized to 190 %, wider by a third": lambda image: scale(image, 1.9, 4 / 3),
    "JPEG of quality 75": lambda image: recompress(image, 75),
    "JPEG of quality 30": lambda image: recompress(image, 30),
    "JPEG of quality 10": lambda image: recompress(image, 10),
    "mirrored": ImageOps.mirror,
    "mirrored, 50 %, quality 40": lambda image: recompress(scale(ImageOps.mirror(image), 0.5), 40),
    "gray": lambda image: image.convert("L").convert("RGB"),
    "brighter by a fifth": lambda image: image.point(lambda value: min(255, value * 1.2)),
    "2 % cropped off each side": lambda image: crop(image, 0.02),
}


def sketch_image(image: Image.Image) -> bytes:
    """Sketch of an image, as the check of images makes it."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    checked = check_image(buffer.getvalue(), 512)
    if not isinstance(checked, CheckedImage):
        raise SystemExit(f"no image: {checked}")
    return near_duplicates.compute_sketch(checked.sample.convert("L"))


def group_sketches(sketches: list[bytes]) -> NDArray[np.int64]:
    """Number of the group of each sketch."""
    together = np.frombuffer(b"".join(sketches), np.uint8).reshape(-1, SKETCH_BYTES)
    return find_near_duplicates(compute_hashes(together), together.__getitem__)


def main() -> None:
    """Measures the photographs of an archive and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a zip archive of JPEGs")
    with zipfile.ZipFile(parser.parse_args().photos) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith(".jpg")]
        images = [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]
    sketches = [sketch_image(image) for image in images]
    phashes = np.array([compute_phash(image) for image in images], np.uint64)

    numbers = group_sketches(sketches)
    for group in np.flatnonzero(np.bincount(numbers) > 1):
        print("originals in one group:", *(names[row] for row in np.flatnonzero(numbers == group)))
    pairs = sum(
        int((np.bitwise_count(phashes[row + 1 :] ^ one) <= PHASH_BITS).sum()) for row, one in enumerate(phashes)
    )
    print(f"pairs of originals within {PHASH_BITS} bits of ImageHash's phash: {pairs}")

    print(f"\n{'copies':36s} recall  phash  pairs of originals joined by copies")
    some = range(0, len(images), 4)
    alone = len(set(numbers))
    for kind, copy in COPIES.items():
        copies = [copy(images[row]) for row in some]
        found = group_sketches(sketches + [sketch_image(each) for each in copies])
        recall = np.mean([found[len(images) + place] == found[row] for place, row in enumerate(some)])
        theirs = np.array([compute_phash(each) for each in copies], np.uint64)
        phash = np.mean(np.bitwise_count(theirs ^ phashes[list(some)]) <= PHASH_BITS)
        print(f"{kind:36s} {recall:6.3f} {phash:6.3f}  {alone - len(set(found[: len(images)]))}")

    # 100,000 sketches that are blends of two photographs each: as different from each other as photographs are.
    draw = np.random.default_rng(0)
    known = np.frombuffer(b"".join(sketches), np.uint8).reshape(-1, 32, 32)
    for count in (25_000, 50_000, 100_000):
        one, other = (known[draw.integers(0, len(known), count)].astype(np.uint16) for _ in range(2))
        blends = ((one + np.roll(other, 7, axis=1)) // 2).astype(np.uint8).reshape(count, SKETCH_BYTES)
        start = time.perf_counter()
        find_near_duplicates(compute_hashes(blends), blends.__getitem__)
        print(f"{count:,} sketches: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
