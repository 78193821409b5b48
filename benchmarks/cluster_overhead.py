"""What the way through a cluster costs: seconds a stage beside the same run on a laptop, and bytes through its store.

    headstart sample build/sample
    python benchmarks/cluster_overhead.py build/sample

needs the variables that tests/cluster/conftest.py lists, and uses their store for the pictures. Both runs compute
everything: the cluster's with `--no-cache`, on one image, then once more with the cache. Seconds of a stage on the
cluster include its driver; they are KFP's own, to the second.
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
from pathlib import Path

import yaml

from headstart.pipelines.cluster.client import Cluster
from headstart.pipelines.cluster.runs import Run, read_run
from headstart.pipelines.settings import load_settings

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


def on_this_machine(data: Path, folder: Path) -> tuple[dict[str, float], float]:
    """Seconds of each stage, and of the whole command."""
    start = time.monotonic()
    done = headstart("run", "--data", data, *TRAINING, "--output", folder / "out")
    whole = time.monotonic() - start
    if done.returncode:
        raise SystemExit(done.stderr)
    return {
        name: float(seconds) for name, seconds in re.findall(r"\] ([a-z-]+) done in ([\d.]+) s", done.stdout)
    }, whole


def on_the_cluster(data: str, *options: str) -> tuple[Run, float]:
    """The run, and the seconds of the whole command."""
    start = time.monotonic()
    done = headstart("submit", "--data", data, *TRAINING, "--wait", "--interval", "1", *options)
    whole = time.monotonic() - start
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    (run_id,) = re.findall(r"^run +(\S+)", done.stdout, re.MULTILINE)
    return read_run(Cluster(load_settings({})).run(run_id)), whole


def artifacts(objects: Objects, run: Run) -> dict[str, tuple[int, int]]:
    """Objects and bytes of each artifact, by stage and name."""
    found: dict[str, tuple[int, int]] = {}
    below = f"{run.pipeline_root.rstrip('/')}/transfer-learning/{run.run_id}"
    for key, data in objects.below(below).items():
        stage, _, name, *_ = key.split("/")
        if name.startswith("executor-logs"):
            continue
        count, size = found.get(f"{stage}/{name}", (0, 0))
        found[f"{stage}/{name}"] = (count + 1, size + len(data))
    return dict(sorted(found.items()))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="a folder of pictures")
    pictures = parser.parse_args().pictures.resolve()

    objects = open_objects(os.environ["HEADSTART_PIPELINE_ROOT"], f"headstart-benchmarks/{uuid.uuid4().hex}")
    try:
        data = objects.put("pictures.zip", zipped(pictures))
        with tempfile.TemporaryDirectory(prefix="headstart-") as scratch:
            os.chdir(scratch)
            profile = objects.profile() | {"network": {"accelerator_limit": 0}}
            Path("profile.yaml").write_text(yaml.safe_dump(profile))
            os.environ["HEADSTART_PROFILE"] = str(Path(scratch, "profile.yaml"))
            local, local_whole = on_this_machine(pictures, Path(scratch))
            run, whole = on_the_cluster(data, "--no-cache")
            on_the_cluster(data)
            cached, cached_whole = on_the_cluster(data)
        print("stage                 laptop  cluster  more")
        for name, stage in run.stages.items():
            seconds = stage.seconds or 0
            print(f"{name:20} {local[name]:6.1f} s {seconds:6.0f} s {seconds - local[name]:5.0f} s")
        print(f"{'whole command':20} {local_whole:6.1f} s {whole:6.0f} s {whole - local_whole:5.0f} s")
        how = ", ".join(f"{name} {stage.phase.value}" for name, stage in cached.stages.items())
        print(f"again, unchanged:    {cached_whole:6.0f} s ({how})")
        for name, (count, size) in artifacts(objects, run).items():
            print(f"{name:40} {count:3} objects {size / 1e6:8.2f} MB")
    finally:
        objects.delete_all()


if __name__ == "__main__":
    main()
