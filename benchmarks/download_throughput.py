"""Times `download_dataset` on a folder of photos against Pillow's bare decode loop over the same files.

    python benchmarks/download_throughput.py PICTURES --images 20000

PICTURES is a zip archive of photos, or a folder of them; the files to time are cut out of them at random.

What is over the decoding is the hash, the sketch and the measures of every picture, the spool, the search for
near-duplicates, the shards and the report. The step's imports, a second in all, are not in it.

On two cores that others were using (load 17), three rounds, 8,000 JPEGs of 19 kB cut out of Kaggle's cats and dogs,
all in the page cache; by CPU time, since the clock says little there, where the same decode loop takes from 9 to 21
s:

========================  ===================  =============================
work                      us of CPU a picture  of the decode loop, all rounds
========================  ===================  =============================
decode loop                               776
decode loop + read_bytes                  848  0.92 (0.92 to 0.93)
checking alone                          1,210  0.63 (0.62 to 0.70)
whole step                              1,295  0.59 (0.57 to 0.61)
========================  ===================  =============================

On two cores of a newer machine that nothing else of ours used, 24,000 pictures, two rounds: 401 us for the decode
loop, checking alone at 0.72 of it, the whole step at 0.63 (635 us), by the clock at 0.60. A process spends some 470
us there: 325 are decoding, 28 opening and metadata, 30 the hash, 82 sample, gray levels, sketch and measures; 130 are
the step's own.

0.8 is not reached. On the older machine, of some 1,055 us that a process spends on a picture (timed once, step by
step), 565 are decoding, 90 opening and metadata, 55 the hash, 50 the sample, 200 gray levels, sketch, measures and
columns, 15 receiving it.
Opening, hash and sample cost there about twice what they do in loops of their own; that caches are cold after a
decoding is the likely reason. The step's own process adds some 150, starting two processes and the report some 80,
which are fewer the more pictures there are.

JPEGs are decoded by simplejpeg, which has libjpeg-turbo beneath it as Pillow does. What that brought, with 4,000
pictures in four rounds in turns, each half beside its own decode loop, by CPU time:

==============  ======================  ======================
work            with Pillow             with simplejpeg
==============  ======================  ======================
checking alone  0.61 (0.606 to 0.620)   0.66 (0.656 to 0.684)
whole step      0.56 (0.534 to 0.591)   0.59 (0.578 to 0.610)
==============  ======================  ======================

Taking the sample out with numpy cost 85 us more than with Pillow. Larger pipes to the processes, and decoding into
memory kept for it, won nothing; nor did telling glibc to keep what the processes give back, which networks gain so
much from (1,161 us beside 1,190 in four turns, 8 page faults a picture either way). The whole step was at 0.36 to
0.44 by CPU time while each process imported pandas and looked at its samples one decoding at a time, and at 0.36 by
the clock with threads that share the interpreter: 894 images/s on each core beside 2,373, in a quieter moment with
20,000 pictures.

4,000 photographs of 200 x 200 pixels in a zip archive take 1.3 ms of CPU a picture, with imports and report.
"""

import argparse
import functools
import os
import random
import shutil
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from headstart.components.core.sources.file_contents import read_file
from headstart.components.core.util.logs import start_logging
from headstart.components.core.util.resources import available_cores
from headstart.components.download_dataset import step
from headstart.components.download_dataset.image_checks import FileToCheck, check_files

_SIZE = (500, 375)
_QUALITY = 85
_CLASSES = ("one", "two")
_SUFFIXES = (".jpg", ".jpeg", ".png")


def make_pictures(pictures: Path, folder: Path, images: int, seed: int) -> list[Path]:
    """Cuts JPEGs of 500 x 375 pixels out of photos, each another part of a photo in another colour.

    Args:
        pictures: A zip archive of photos, or a folder of them.
        folder: Where to put them, in two class folders.
        images: How many.
        seed: Of the parts and the colours.

    Returns:
        The files.
    """
    unpacked = folder / "photos"
    if pictures.is_file():
        with zipfile.ZipFile(pictures) as archive:
            archive.extractall(unpacked)
    photos = sorted(
        path for path in (unpacked if pictures.is_file() else pictures).rglob("*") if path.suffix.lower() in _SUFFIXES
    )
    files = [folder / "data" / _CLASSES[number % 2] / f"{number}.jpg" for number in range(images)]
    for name in _CLASSES:
        (folder / "data" / name).mkdir(parents=True)

    def make(number: int) -> None:
        rng = random.Random(f"{seed}:{number}")  # noqa: S311 - pictures, not secrets
        with Image.open(photos[number % len(photos)]) as photo:
            width = rng.uniform(0.4, 0.7) * min(photo.width, photo.height / 0.75)
            left, top = rng.uniform(0, photo.width - width), rng.uniform(0, photo.height - 0.75 * width)
            part = (left, top, left + width, top + 0.75 * width)
            picture = photo.convert("RGB").resize(_SIZE, Image.Resampling.BICUBIC, part)
        gains = [rng.uniform(0.8, 1.2) for _ in range(3)]
        table = [min(255, round(gain * level)) for gain in gains for level in range(256)]
        picture.point(table).save(files[number], quality=_QUALITY)

    on_all_cores(make, range(images))
    if pictures.is_file():
        shutil.rmtree(unpacked)
    return files


def on_all_cores(work: Callable[[int], None], numbers: range) -> None:
    """Does the work for every number, on a thread per core with an equal share each."""

    def share(first: int) -> None:
        for number in numbers[first :: available_cores()]:
            work(number)

    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(share, range(available_cores())))


def decode_loop(files: list[Path]) -> None:
    """Pillow and nothing else."""

    def decode(number: int) -> None:
        with Image.open(files[number]) as image:
            image.load()

    on_all_cores(decode, range(len(files)))


def decode_loop_and_read(files: list[Path]) -> None:
    """Pillow, and the file's bytes, which the dataset will hold."""

    def decode(number: int) -> None:
        files[number].read_bytes()
        with Image.open(files[number]) as image:
            image.load()

    on_all_cores(decode, range(len(files)))


def checking_alone(files: list[Path]) -> None:
    """The step's first stage: every file read, checked, hashed and measured, and forgotten."""
    unchecked = (
        FileToCheck(path.name, path.parent.name, "", "", functools.partial(read_file, path)) for path in files
    )
    exhaust(check_files(unchecked, False, step.DownloadSettings().max_side))


def whole_step(files: list[Path]) -> None:
    """The step from the folder to shards and report."""
    with tempfile.TemporaryDirectory() as folder:
        data = str(files[0].parent.parent)
        info = step.download_dataset([data], Path(folder, "dataset"), Path(folder, "hygiene.html"))
    assert info.images > 0.99 * len(files), f"only {info.images} of {len(files)} pictures were kept"  # noqa: S101


def exhaust(items: Iterable[object]) -> None:
    """Takes every item and drops it."""
    for _ in items:
        pass


WORK = {
    "decode loop": decode_loop,
    "decode loop + read_bytes": decode_loop_and_read,
    "checking alone": checking_alone,
    "whole step": whole_step,
}
"""What is timed; the first is what the others are held against."""


def measure(files: list[Path], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Times all kinds of work in turns, starting with another one each round.

    Returns:
        For each kind its seconds and CPU seconds, round by round.
    """
    whole_step(files)  # Imports scikit-learn and pandas, which takes a second, once.
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in WORK}
    for turn in range(rounds):
        names = [*WORK][turn % len(WORK) :] + [*WORK][: turn % len(WORK)]
        for name in names:
            started, cpu = time.perf_counter(), cpu_seconds()
            WORK[name](files)
            spent[name].append((time.perf_counter() - started, cpu_seconds() - cpu))
            print(f"round {turn + 1}: {name}: {spent[name][-1][0]:.2f} s, CPU {spent[name][-1][1]:.2f} s", flush=True)
    return spent


def cpu_seconds() -> float:
    """Spent so far by this process and by those that it started and that have ended."""
    return sum(os.times()[:4])


def main() -> None:
    """Parses the command line, makes the pictures, times and prints."""
    parser = argparse.ArgumentParser(description="Time download_dataset against Pillow's bare decode loop.")
    parser.add_argument("pictures", type=Path, help="a zip archive of photos, or a folder of them")
    parser.add_argument("--images", type=int, default=8000, help="pictures to make")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start_logging()
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        files = make_pictures(args.pictures, Path(folder), args.images, args.seed)
        size = statistics.mean(file.stat().st_size for file in files)
        print(
            f"{len(files):,} JPEGs of {_SIZE[0]} x {_SIZE[1]} pixels, {size:,.0f} bytes each, "
            f"{available_cores()} cores"
        )
        spent = measure(files, args.rounds)
    base = spent[next(iter(WORK))]
    print(f"medians of {args.rounds} rounds, least and greatest:")
    for name, times in spent.items():
        rate = statistics.median(len(files) / seconds / available_cores() for seconds, _ in times)
        cpu = statistics.median(1e6 * each / len(files) for _, each in times)
        by_clock, by_cpu = (
            spread([own[kind] / other[kind] for own, other in zip(base, times, strict=True)]) for kind in (0, 1)
        )
        print(
            f"  {name:25s} {rate:6.0f} images/s per core, {cpu:5.0f} us of CPU an image, "
            f"of the decode loop {by_cpu} by CPU time, {by_clock} by the clock"
        )


def spread(ratios: list[float]) -> str:
    """Their median, and in brackets the least and the greatest."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
