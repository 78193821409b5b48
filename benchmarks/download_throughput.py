"""Times `download_dataset` on a folder of photographs against Pillow's bare decode loop over the same files.

    python benchmarks/download_throughput.py PHOTOS --images 20000

PHOTOS is a zip archive of photographs, or a folder of them; the files to time are random crops of them.

Beyond decoding, the step hashes, sketches and measures every image, writes the spool, finds near-duplicates, and
writes the shards and the report. Its imports, a second in all, are not timed.

Two cores that others were using (load 17), three rounds, 8,000 JPEGs of 19 kB cropped from Kaggle's cats and dogs,
all in the page cache. The times are CPU times: the clock is unreliable there, and gave 9 to 21 s for the same decode
loop.

========================  ===================  =============================
work                      us of CPU per image  of the decode loop, all rounds
========================  ===================  =============================
decode loop                               776
decode loop + read_bytes                  848  0.92 (0.92 to 0.93)
checking alone                          1,210  0.63 (0.62 to 0.70)
whole step                              1,295  0.59 (0.57 to 0.61)
========================  ===================  =============================

Two cores of a newer machine without other load of ours, 24,000 images, two rounds: the decode loop takes 401 us,
checking alone reaches 0.72 of it, the whole step 0.63 (635 us), by the clock 0.60. A worker process spends some 470
us per image: 325 on decoding, 28 on opening and metadata, 30 on the hash, 82 on sample, gray levels, sketch and
measures. The step's own process spends 130.

The goal of 0.8 is not reached. On the older machine a worker spends some 1,055 us per image (timed once): 565 on
decoding, 90 on opening and metadata, 55 on the hash, 50 on the sample, 200 on gray levels, sketch, measures and
columns, 15 on receiving it. Opening, hash and sample cost about twice what they do in loops of their own, probably
because caches are cold after decoding. The step's own process adds some 150. Starting two processes and the report
add some 80, and fewer with more images.

JPEGs are decoded by simplejpeg, which uses libjpeg-turbo as Pillow does. Its gain, with 4,000 images in four
alternating rounds, each beside its own decode loop, by CPU time:

==============  ======================  ======================
work            with Pillow             with simplejpeg
==============  ======================  ======================
checking alone  0.61 (0.606 to 0.620)   0.66 (0.656 to 0.684)
whole step      0.56 (0.534 to 0.591)   0.59 (0.578 to 0.610)
==============  ======================  ======================

Taking the sample with numpy cost 85 us more than with Pillow. Larger pipes to the processes, and decoding into a
reused buffer, gained nothing. Neither did telling glibc to keep freed memory, from which networks gain so much (1,161
us against 1,190 in four rounds, 8 page faults per image either way). While each process imported pandas and measured
its samples between decodings, the whole step reached 0.36 to 0.44 by CPU time. With threads that share the
interpreter it reached 0.36 by the clock: 894 images/s on each core against 2,373, in a quieter moment with 20,000
images.

4,000 photographs of 200 x 200 pixels in a zip archive take 1.3 ms of CPU per image, with imports and report.
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


def make_images(photos: Path, folder: Path, images: int, seed: int) -> list[Path]:
    """Crops JPEGs of 500 x 375 pixels from photographs, each another part in another colour.

    Args:
        photos: Zip archive or folder of photographs.
        folder: Folder in which to write them, in two class folders.
        images: Number of JPEGs.
        seed: Random seed of the crops and colours.

    Returns:
        The files written.
    """
    unpacked = folder / "photos"
    if photos.is_file():
        with zipfile.ZipFile(photos) as archive:
            archive.extractall(unpacked)
    originals = sorted(
        path for path in (unpacked if photos.is_file() else photos).rglob("*") if path.suffix.lower() in _SUFFIXES
    )
    files = [folder / "data" / _CLASSES[number % 2] / f"{number}.jpg" for number in range(images)]
    for name in _CLASSES:
        (folder / "data" / name).mkdir(parents=True)

    def make(number: int) -> None:
        rng = random.Random(f"{seed}:{number}")  # noqa: S311 - images, not secrets
        with Image.open(originals[number % len(originals)]) as photo:
            width = rng.uniform(0.4, 0.7) * min(photo.width, photo.height / 0.75)
            left, top = rng.uniform(0, photo.width - width), rng.uniform(0, photo.height - 0.75 * width)
            part = (left, top, left + width, top + 0.75 * width)
            image = photo.convert("RGB").resize(_SIZE, Image.Resampling.BICUBIC, part)
        gains = [rng.uniform(0.8, 1.2) for _ in range(3)]
        table = [min(255, round(gain * level)) for gain in gains for level in range(256)]
        image.point(table).save(files[number], quality=_QUALITY)

    on_all_cores(make, range(images))
    if photos.is_file():
        shutil.rmtree(unpacked)
    return files


def on_all_cores(work: Callable[[int], None], numbers: range) -> None:
    """Calls a function for every number, on one thread per core with an equal share each."""

    def share(first: int) -> None:
        for number in numbers[first :: available_cores()]:
            work(number)

    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(share, range(available_cores())))


def decode_loop(files: list[Path]) -> None:
    """Decodes every file with Pillow."""

    def decode(number: int) -> None:
        with Image.open(files[number]) as image:
            image.load()

    on_all_cores(decode, range(len(files)))


def decode_loop_and_read(files: list[Path]) -> None:
    """Decodes every file with Pillow, and reads its bytes, which the dataset holds."""

    def decode(number: int) -> None:
        files[number].read_bytes()
        with Image.open(files[number]) as image:
            image.load()

    on_all_cores(decode, range(len(files)))


def checking_alone(files: list[Path]) -> None:
    """Reads, checks, hashes and measures every file, and drops the results."""
    unchecked = (
        FileToCheck(path.name, path.parent.name, "", "", functools.partial(read_file, path)) for path in files
    )
    exhaust(check_files(unchecked, False, step.DownloadSettings().max_side))


def whole_step(files: list[Path]) -> None:
    """Runs the step, from the folder to shards and report."""
    with tempfile.TemporaryDirectory() as folder:
        data = str(files[0].parent.parent)
        info = step.download_dataset([data], Path(folder, "dataset"), Path(folder, "hygiene.html"))
    assert info.images > 0.99 * len(files), f"only {info.images} of {len(files)} images were kept"  # noqa: S101


def exhaust(items: Iterable[object]) -> None:
    """Iterates over all items and drops them."""
    for _ in items:
        pass


WORK = {
    "decode loop": decode_loop,
    "decode loop + read_bytes": decode_loop_and_read,
    "checking alone": checking_alone,
    "whole step": whole_step,
}
"""Work to time; the others are compared with the first."""


def measure(files: list[Path], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Times all kinds of work in turns, starting with another one each round.

    Args:
        files: Images to work on.
        rounds: Number of rounds.

    Returns:
        Seconds and CPU seconds of each kind, round by round.
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
    """CPU seconds of this process, and of its child processes that have ended."""
    return sum(os.times()[:4])


def main() -> None:
    """Parses the command line, makes the images, times and prints."""
    parser = argparse.ArgumentParser(description="Time download_dataset against Pillow's bare decode loop.")
    parser.add_argument("photos", type=Path, help="a zip archive of photos, or a folder of them")
    parser.add_argument("--images", type=int, default=8000, help="images to make")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start_logging()
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        files = make_images(args.photos, Path(folder), args.images, args.seed)
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
    """Median of ratios, with the least and the greatest in brackets."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
