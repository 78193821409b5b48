"""Compares accuracy and time of `headstart run` with the tutorial's method and with that of Keras' own guide.

    python benchmarks/methods.py PHOTOS.zip --weights WEIGHTS --methods headstart guide --splits 3
    python benchmarks/methods.py PHOTOS.zip --weights WEIGHTS --methods headstart tutorial --scale 0.05 --size 224

PHOTOS.zip holds cat.1.jpg and so on. Split 0 is the tutorial's (1..1000 train, 1001..1500 validation, 1501..2000
test, of each class); the others split the same 4,000 at random, by their number. Each method is a process of its
own, timed from its start to its end: ours is the whole command with checks, evaluation and report. Every result is
kept in the work folder, and only missing ones are run. Seconds are comparable within one call on a quiet machine, CPU
seconds, of all cores together, on a busy one too.

With --scale, competitors run only that share of their epochs, two at least, and the time of the others is
extrapolated; their accuracy is then meaningless. Differences in accuracy are paired by split. Their interval is
Student's t with the variance of overlapping repeated splits (C. Nadeau and Y. Bengio, "Inference for the
Generalization Error", Machine Learning 52, 2003).
"""

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import stats

from headstart.components.core.metrics.statistics import wilson_interval
from headstart.components.core.storage.cache import CACHE

_HERE = Path(__file__).parent
_SIZES = {"train": 1000, "validation": 500, "test": 500}
_OURS = "headstart"


def write_split(photos: Path, number: int, folder: Path) -> None:
    """Writes one split as folders train, validation and test of class folders."""
    with zipfile.ZipFile(photos) as archive:
        members = [name for name in archive.namelist() if re.search(r"(cat|dog)\.\d+\.jpg$", name)]
        for label in ("cat", "dog"):
            own = [name for name in members if Path(name).name.startswith(label)]
            own.sort(key=lambda name: int(Path(name).name.split(".")[1]))
            if number:
                own = [own[place] for place in np.random.default_rng(number).permutation(len(own))]
            start = 0
            for split, size in _SIZES.items():
                target = folder / split / label
                target.mkdir(parents=True)
                for name in own[start : start + size]:
                    (target / Path(name).name).write_bytes(archive.read(name))
                start += size


def run(method: str, data: Path, work: Path, args: argparse.Namespace, seed: int) -> None:
    """Runs one method in a process of its own, and writes its predictions and seconds into the work folder."""
    answers = work / "answers.json"
    given = ["--weights", str(args.weights)]
    if method == _OURS:
        command = [str(Path(sys.executable).with_name("headstart")), "run", "--data", str(data), "--order", "given"]
        command += ["--image-size", str(args.size), "--seed", str(seed), "--output", str(work / "out"), *given]
        command += args.options
    else:
        command = [sys.executable, str(_HERE / "competitors.py"), method, str(data), "--output", str(answers), *given]
        command += ["--size", str(args.size), "--seed", str(seed), "--scale", str(args.scale)]
    started = _read_clocks()
    with (work / "log").open("w") as log:
        # Features that an earlier run has cached are not used.
        environment = os.environ | {CACHE: str(work / "cache")}
        subprocess.run(command, check=True, stdout=log, stderr=log, env=environment)  # noqa: S603
    spent = _read_clocks() - started
    if method == _OURS:
        table = pq.read_table(work / "out" / "predictions.parquet").to_pylist()
        found = {re.sub(".*test/", "", row["path"]): row["probability_dog"] for row in table}
        answers.write_text(json.dumps({"answers": found, "left_out": [0.0, 0.0]}))
        shutil.rmtree(work / "out")
        shutil.rmtree(work / "cache")
    spent += json.loads(answers.read_text())["left_out"]
    (work / "seconds").write_text(json.dumps(spent.tolist()))


def _read_clocks() -> NDArray[np.float64]:
    """Wall-clock seconds, and CPU seconds of all child processes that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return np.array([time.perf_counter(), children.ru_utime + children.ru_stime])


def read_correct(work: Path) -> dict[str, bool]:
    """Whether a method classified each test image correctly, by its name."""
    answers = json.loads((work / "answers.json").read_text())["answers"]
    return {name: (value > 0.5) == name.startswith("dog") for name, value in answers.items()}


def report(args: argparse.Namespace) -> None:
    """Prints accuracy and time of each method, and the differences between ours and the others."""
    numbers = range(args.splits)
    correct = {each: [read_correct(_folder(args, each, number)) for number in numbers] for each in args.methods}
    spent = {
        each: np.array([json.loads((_folder(args, each, number) / "seconds").read_text()) for number in numbers])
        for each in args.methods
    }
    for each in args.methods:
        shares = [sum(split.values()) / len(split) for split in correct[each]]
        low, high = wilson_interval(sum(correct[each][0].values()), len(correct[each][0]))
        print(
            f"{each:10s} {spent[each][:, 0].mean():7.0f} s {spent[each][:, 1].mean():7.0f} processor s"
            f"  accuracy {statistics.mean(shares):.4f}"
            f"  on the tutorial's split {shares[0]:.4f} ({low:.3f} to {high:.3f})"
        )
    for each in args.methods:
        if each == _OURS or _OURS not in args.methods:
            continue
        differences = []
        for ours, theirs in zip(correct[_OURS], correct[each], strict=True):
            both = ours.keys() & theirs.keys()
            differences.append(sum(ours[name] - theirs[name] for name in both) / len(both))
        clock, processor = (spent[each] / spent[_OURS]).mean(axis=0)
        print(
            f"{_OURS} less {each}: {_interval(differences)}; {clock:.1f} times as fast, {processor:.1f} by processor"
        )


def _interval(differences: list[float]) -> str:
    mean = statistics.mean(differences)
    if len(differences) < 2:
        return f"{mean:+.4f}"
    held_out = _SIZES["test"] / (_SIZES["train"] + _SIZES["validation"])
    error = (statistics.variance(differences) * (1 / len(differences) + held_out)) ** 0.5
    half = float(stats.t.ppf(0.975, len(differences) - 1)) * error
    return f"{mean:+.4f} ({mean - half:+.4f} to {mean + half:+.4f})"


def _folder(args: argparse.Namespace, method: str, number: int) -> Path:
    return Path(args.work / f"{args.size}" / f"{number}" / method)


def main() -> None:
    """Parses the command line, runs what is missing, and prints."""
    parser = argparse.ArgumentParser(
        description="Compare headstart run with other ways to train the same classifier."
    )
    parser.add_argument("photos", type=Path, help="archive of cat.N.jpg and dog.N.jpg")
    parser.add_argument("--weights", type=Path, required=True, help="weights of MobileNetV2, without top")
    parser.add_argument("--methods", nargs="+", choices=(_OURS, "tutorial", "guide"), default=[_OURS, "guide"])
    parser.add_argument("--splits", type=int, default=1, help="number of splits; the number of each is its seed")
    parser.add_argument("--size", type=int, default=160, help="side of the input in pixels")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the competitors' epochs to run")
    parser.add_argument("--work", type=Path, default=Path("build/methods"), help="folder of the results")
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="more options for headstart run")
    args = parser.parse_args()
    for number in range(args.splits):
        data = args.work / "data" / f"{number}"
        if not data.exists():
            write_split(args.photos, number, data)
        # Another method comes first in each split, because the machine's speed changes over hours.
        turn = number % len(args.methods)
        for method in [*args.methods[turn:], *args.methods[:turn]]:
            work = _folder(args, method, number)
            if not (work / "seconds").exists():
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir(parents=True)
                run(method, data, work, args, number)
    report(args)


if __name__ == "__main__":
    main()
