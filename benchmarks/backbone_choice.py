"""Compares the ranking of `headstart choose-backbone` with full runs of every backbone.

    python benchmarks/backbone_choice.py PHOTOS.zip mobilenet_v2 MINE.keras --budget 10s

PHOTOS.zip holds cat.1.jpg and so on; the splits are those of methods.py. On each, `choose-backbone` ranks the
backbones within the budget, and a full run of each (head, fine-tuning, evaluation) says which one has the lower log
loss on the test images. `HEADSTART_WEIGHTS` names the folder of weights. Every command is a process of its own with
an empty cache, timed from its start to its end. Every result is kept in the work folder, and only missing ones are
run.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from methods import write_split

from headstart.components.core.storage.cache import CACHE

_HEADSTART = str(Path(sys.executable).with_name("headstart"))


def choose(backbones: list[str], data: Path, budget: str, seed: int, work: Path) -> dict[str, object]:
    """Ranks backbones, and returns the seconds, the table as printed, and the backbone proposed."""
    given = ["--data", str(data), "--order", "given", "--seed", str(seed)]
    seconds, shown = _run(["choose-backbone", *given, "--backbones", ",".join(backbones), "--budget", budget], work)
    proposed = re.findall(r"--backbone (\S+)", shown)
    return {"seconds": seconds, "shown": shown, "proposed": proposed[-1]}


def train(backbone: str, data: Path, seed: int, work: Path) -> dict[str, object]:
    """Runs the whole pipeline with one backbone, and returns its seconds and its figures on the test images."""
    out = work / "out"
    given = ["--data", str(data), "--order", "given", "--seed", str(seed)]
    seconds, _ = _run(["run", *given, "--backbone", backbone, "--output", str(out)], work)
    test = json.loads((out / "metrics.json").read_text())["test"]
    return {"seconds": seconds, "log_loss": test["log_loss"], "accuracy": test["accuracy"]}


def _run(command: list[str], work: Path) -> tuple[float, str]:
    """Runs `headstart` with an empty cache, and returns its seconds and its output."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    environment = os.environ | {CACHE: str(work / "cache"), "COLUMNS": "200"}
    started = time.perf_counter()
    done = subprocess.run([_HEADSTART, *command], capture_output=True, text=True, env=environment)  # noqa: S603
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    shutil.rmtree(work / "cache", ignore_errors=True)
    return seconds, done.stdout


def main() -> None:
    """Parses the command line, runs what is missing, and prints a line for each split."""
    parser = argparse.ArgumentParser(description="Compare the ranking of choose-backbone with full runs.")
    parser.add_argument("photos", type=Path, help="archive of cat.N.jpg and dog.N.jpg")
    parser.add_argument("backbones", nargs="+", help="two or more backbones, as --backbones takes them")
    parser.add_argument("--budget", default="10s", help="budget of choose-backbone (default: %(default)s)")
    parser.add_argument("--splits", type=int, default=3, help="number of splits; the number of each is its seed")
    parser.add_argument("--work", type=Path, default=Path("build/backbone_choice"), help="folder of the results")
    args = parser.parse_args()
    for number in range(args.splits):
        data = args.work / "data" / f"{number}"
        if not data.exists():
            write_split(args.photos, number, data)
        results = args.work / f"{number}.json"
        found = json.loads(results.read_text()) if results.exists() else {}
        work = args.work / "work"
        key = f"choose within {args.budget}"
        if key not in found:
            found[key] = choose(args.backbones, data, args.budget, number, work)
            results.write_text(json.dumps(found, indent=2))
        for backbone in args.backbones:
            if backbone not in found:
                found[backbone] = train(backbone, data, number, work)
                results.write_text(json.dumps(found, indent=2))
        best = min(args.backbones, key=lambda each: found[each]["log_loss"])
        whole = sum(found[each]["seconds"] for each in args.backbones)
        print(f"split {number}: proposed {found[key]['proposed']}, lowest log loss in full {best}")
        print(f"  choose-backbone {found[key]['seconds']:.0f} s, full runs {whole:.0f} s together")
        for each in args.backbones:
            full = found[each]
            figures = f"log loss {full['log_loss']:.4f}, accuracy {full['accuracy']:.4f}"
            print(f"  {each}: {figures}, {full['seconds']:.0f} s")
        print(found[key]["shown"], flush=True)
    shutil.rmtree(args.work / "work", ignore_errors=True)


if __name__ == "__main__":
    main()
