"""Measures how the peak memory of `download_dataset` grows with the number of images.

    python benchmarks/download_memory.py --images 4000 20000 100000

One run each on two cores of a shared machine, with JPEGs of 96 x 96 pixels, all of which were kept. The memory is
that of the step's process and its two workers together:

=======  ======  ===========
images   source  peak memory
=======  ======  ===========
4,000    folder  243 MB
100,000  folder  265 MB
=======  ======  ===========

Decoding JPEGs with simplejpeg needs no more. Both decoders were measured one after the other, while other processes
used the same libraries. That lowers each process's part of shared memory, so this table does not compare with the one
above:

=======  ======  ===========  ===============
images   source  with Pillow  with simplejpeg
=======  ======  ===========  ===============
4,000    folder  155 MB       150 MB
100,000  folder  207 MB       201 MB
4,000    zip     157 MB       154 MB
100,000  zip     216 MB       211 MB
=======  ======  ===========  ===============

While the page was made during the writing of the shards rather than after it, the peak was 249 MB and 310 MB from a
folder, 249 MB and 308 MB from a zip archive. With properties and names in memory and one process for all the work,
resident memory grew from 267 MB to 449 MB from a folder, and to 517 MB from a zip archive.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from headstart.components.download_dataset import step

_SIDE = 96
_NOISE_SIDE = 8
_CLASSES = ("one", "two")
_SECONDS_BETWEEN_SAMPLES = 0.02


def make_images(folder: Path, images: int, seed: int) -> None:
    """Writes JPEGs of 96 x 96 pixels, smooth noise, no two of which are alike.

    Args:
        folder: Folder in which to write them, in two class folders of folders of a thousand.
        images: Number of JPEGs.
        seed: Random seed of the noise.
    """

    def make(first: int) -> None:
        rng = np.random.default_rng((seed, first))
        for number in range(first, min(first + 1000, images)):
            noise = Image.fromarray(rng.integers(0, 256, (_NOISE_SIDE, _NOISE_SIDE, 3), np.uint8))
            path = folder / _CLASSES[number % 2] / f"{first // 1000}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(path, quality=85)

    with ThreadPoolExecutor() as pool:
        list(pool.map(make, range(0, images, 1000)))


def pack(folder: Path, archive: Path) -> None:
    """Packs a folder into a zip archive, uncompressed."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for path in sorted(folder.rglob("*.jpg")):
            packed.write(path, path.relative_to(folder))


class PeakMemory:
    """Peak memory of a process and its descendants together, sampled while the `with` block runs.

    Shared memory counts once: each process has its part of it (PSS, proportional set size).

    Args:
        pid: Id of the process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.bytes = self.processes = 0

    def __enter__(self) -> "PeakMemory":
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_SECONDS_BETWEEN_SAMPLES):
            processes = process_tree(self._pid)
            self.bytes = max(self.bytes, sum(map(proportional_bytes, processes)))
            self.processes = max(self.processes, len(processes))


def process_tree(pid: int) -> list[int]:
    """Ids of a process and its descendants."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found


def proportional_bytes(pid: int) -> int:
    """Proportional set size of a process in bytes; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def run_step(data: str) -> None:
    """Runs the step once and prints images and seconds as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        info = step.download_dataset([data], Path(folder, "dataset"), Path(folder, "hygiene.html"))
        print(json.dumps({"images": info.images, "seconds": time.perf_counter() - started}))


def run_in_child(data: Path, temporary: Path) -> dict[str, float]:
    """Runs the step in a process of its own, with its temporary files in `temporary`."""
    process = subprocess.Popen(  # noqa: S603 - this very script
        [sys.executable, __file__, "--child", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    with process, PeakMemory(process.pid) as watched:
        output = process.communicate()[0]
    return {**json.loads(output), "peak": watched.bytes, "processes": watched.processes}


def main() -> None:
    """Parses the command line, makes the images, measures and prints."""
    parser = argparse.ArgumentParser(description="Measure how the memory of download_dataset grows.")
    parser.add_argument("--images", type=int, nargs="+", default=[4_000, 20_000, 100_000])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        run_step(args.child)
        return
    results: dict[str, list[dict[str, float]]] = {"folder": [], "zip": []}
    for images in sorted(args.images):
        with tempfile.TemporaryDirectory(prefix="memory-") as folder:
            root = Path(folder)
            make_images(root / "data", images, args.seed)
            pack(root / "data", root / "data.zip")
            for kind, data in (("folder", root / "data"), ("zip", root / "data.zip")):
                values = run_in_child(data, root)
                results[kind].append(values)
                print(
                    f"{kind:6s} {images:7,} images, {values['images']:7,} kept: peak "
                    f"{values['peak'] / 1e6:.0f} MB in {values['processes']} processes, {values['seconds']:.1f} s, "
                    f"{1e6 * values['seconds'] / images:.0f} us an image",
                    flush=True,
                )
    for kind, runs in results.items():
        first, last = runs[0], runs[-1]
        more = max(1, last["images"] - first["images"])
        growth = last["peak"] - first["peak"]
        print(f"{kind}: {last['peak'] / first['peak']:.2f} times as much; {growth / more:.0f} bytes an image")


if __name__ == "__main__":
    main()
