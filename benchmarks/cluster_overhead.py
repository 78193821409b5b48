"""Overhead of a cluster: seconds of each task beside the same run on a laptop, and bytes through its store.

    headstart sample build/sample
    python benchmarks/cluster_overhead.py build/sample
    python benchmarks/cluster_overhead.py build/sample --publish

needs the variables listed in tests/cluster/conftest.py, and uses their store for the images. Both runs compute
everything: the cluster's with `--no-cache`, on one container image, then once more with the cache. With `--publish`
all of them publish, and an unchanged model is compared with itself. Seconds of a task on the cluster include its
driver; they are KFP's own, to the second.
"""

import argparse
import io
import os
import re
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from headstart.pipelines.cluster.client import Cluster
from headstart.pipelines.cluster.runs import ClusterRun, read_run
from headstart.pipelines.cluster.settings import load_settings
from headstart.pipelines.cluster.task_runs import TaskRun

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.commands import headstart
from support.objects import Objects, open_objects

TRAINING = ("--backbone", "sketchnet", "--from-scratch", "--set", "head.learning_rate=0.01")


def zipped(folder: Path) -> bytes:
    """A folder as a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return file.getvalue()


def on_this_machine(data: Path, folder: Path, *options: str | Path) -> tuple[dict[str, float], float]:
    """Runs on this machine: seconds of each task, and of the whole command."""
    start = time.monotonic()
    done = headstart("run", "--data", data, *TRAINING, "--output", folder / "out", *options)
    whole = time.monotonic() - start
    if done.returncode:
        raise SystemExit(done.stderr)
    return {
        name: float(seconds) for name, seconds in re.findall(r"\] ([a-z-]+) done in ([\d.]+) s", done.stdout)
    }, whole


def on_the_cluster(data: str, *options: str) -> tuple[ClusterRun, int, float]:
    """Runs on the cluster: the run, the number of its pods, and the seconds of the whole command."""
    start = time.monotonic()
    done = headstart("submit", "--data", data, *TRAINING, "--wait", "--interval", "1", *options)
    whole = time.monotonic() - start
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    (run_id,) = re.findall(r"^run +(\S+)", done.stdout, re.MULTILINE)
    answer = Cluster(load_settings({})).get_run(run_id)
    return read_run(answer), pods(answer.run_details.task_details), whole


def pods(nodes: list[Any]) -> int:
    """Number of a run's nodes that were pods: the drivers, and the attempts at running code.

    With retries, each attempt is a node of its own, below one that is not a pod.
    """
    names = [str(node.display_name) for node in nodes if str(node.state) in ("SUCCEEDED", "FAILED")]
    attempts = [name for name in names if re.fullmatch(r"executor\(\d+\)", name)]
    drivers = [name for name in names if name.endswith("-driver")]
    return len(drivers) + (len(attempts) or names.count("executor"))


def table(local: Mapping[str, float], tasks: Mapping[str, TaskRun]) -> list[str]:
    """A line for each task that ran, on the laptop or on the cluster."""
    lines = [f"{'task':20}  laptop  cluster   more"]
    for name, task in tasks.items():
        here, there = local.get(name), task.seconds
        if here is None and there is None:
            continue
        shown = [
            f"{value:6.{digits}f} s" if value is not None else f"{'-':>8}"
            for value, digits in ((here, 1), (there, 0))
        ]
        more = f"{there - here:5.0f} s" if here is not None and there is not None else ""
        lines.append(f"{name:20} {' '.join(shown)} {more}".rstrip())
    return lines


def artifacts(objects: Objects, run: ClusterRun) -> dict[str, tuple[int, int]]:
    """Objects and bytes of each artifact, by task and name."""
    found: dict[str, tuple[int, int]] = {}
    below = f"{run.pipeline_root.rstrip('/')}/transfer-learning/{run.run_id}"
    for key, data in objects.below(below).items():
        task, _, name, *_ = key.split("/")
        if name.startswith("executor-logs"):
            continue
        count, size = found.get(f"{task}/{name}", (0, 0))
        found[f"{task}/{name}"] = (count + 1, size + len(data))
    return dict(sorted(found.items()))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="a folder of images")
    parser.add_argument("--publish", action="store_true", help="publish the models")
    asked = parser.parse_args()
    images = asked.images.resolve()

    objects = open_objects(os.environ["HEADSTART_PIPELINE_ROOT"], f"headstart-benchmarks/{uuid.uuid4().hex}")
    try:
        data = objects.put("images.zip", zipped(images))
        with tempfile.TemporaryDirectory(prefix="headstart-") as scratch:
            os.chdir(scratch)
            profile = objects.profile() | {"network": {"accelerator_limit": 0}}
            Path("profile.yaml").write_text(yaml.safe_dump(profile))
            os.environ["HEADSTART_PROFILE"] = str(Path(scratch, "profile.yaml"))
            here = ["--publish", Path(scratch, "models")] if asked.publish else []
            there = ["--publish", f"{data.rpartition('/')[0]}/models"] if asked.publish else []
            local, local_whole = on_this_machine(images, Path(scratch), *here)
            run, count, whole = on_the_cluster(data, "--no-cache", *there)
            # The first of these fills the cache, or is compared with the champion by now.
            on_the_cluster(data, *there)
            cached, cached_count, cached_whole = on_the_cluster(data, *there)
        print(*table(local, run.tasks), sep="\n")
        print(f"{'whole command':20} {local_whole:6.1f} s {whole:6.0f} s {whole - local_whole:5.0f} s ({count} pods)")
        how = ", ".join(f"{name} {task.state.value}" for name, task in cached.tasks.items())
        print(f"again, unchanged: {cached_whole:.0f} s, {cached_count} pods ({how})")
        for name, (count, size) in artifacts(objects, run).items():
            print(f"{name:40} {count:3} objects {size / 1e6:8.2f} MB")
    finally:
        objects.delete_all()


if __name__ == "__main__":
    main()
