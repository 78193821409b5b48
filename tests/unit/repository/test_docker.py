"""The files that images are built from: what is locked, and which weights are let in."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import keras
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from support import ROOT

DOCKER = ROOT / "docker"


def pins(lock: str) -> dict[str, str]:
    """Version by name; each has to come with its hashes."""
    entries = re.split(r"\n(?=\S)", (DOCKER / f"{lock}.lock").read_text())
    found = {}
    for entry in entries:
        if entry.startswith("#"):
            continue
        match = re.match(r"([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}", entry)
        assert match, entry
        found[match[1]] = match[2]
    return found


def left_out(image: str = "") -> set[str]:
    lines = (DOCKER / f"{image}left-out.txt").read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


@pytest.mark.parametrize(("lock", "tensorflow"), [("cpu", "tensorflow-cpu"), ("gpu", "tensorflow")])
def test_lock_has_what_the_package_needs_and_no_more(lock: str, tensorflow: str) -> None:
    locked = pins(lock)
    locked["tensorflow"] = locked.pop(tensorflow)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # Whatever a command lets one ask for, a step has to be able to do; no step serves.
    optional = project["optional-dependencies"]
    extras = [
        line for extra, lines in optional.items() if extra not in ("dev", "docs", "mlflow", "serve") for line in lines
    ]
    assert any("onnxruntime" in line for line in extras)
    needed = [Requirement(line) for line in project["dependencies"] + extras]
    for requirement in needed:
        name = canonicalize_name(requirement.name)
        if name not in left_out():
            assert locked[name] in requirement.specifier, f"{name}: run make lock"
    assert not left_out() & set(locked)


def test_both_images_have_the_same_versions() -> None:
    cpu, gpu = pins("cpu"), pins("gpu")
    cpu["tensorflow"] = cpu.pop("tensorflow-cpu")
    assert cpu == {name: version for name, version in gpu.items() if not name.startswith("nvidia-")}
    assert "nvidia-cudnn-cu12" in gpu


def test_server_s_lock_has_what_it_serves_with_and_no_more() -> None:
    locked, cpu = pins("serve"), pins("cpu")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for extra in ("s3", "heic", "serve") for line in project["optional-dependencies"][extra]]
    for requirement in map(Requirement, project["dependencies"] + extras):
        name = canonicalize_name(requirement.name)
        # TensorFlow's layer is that of the other image.
        if name != "tensorflow" and name not in left_out("serve-"):
            assert locked[name] in requirement.specifier, f"{name}: run make lock"
    assert not (left_out("serve-") | {"tensorflow", "tensorflow-cpu"}) & set(locked)
    assert {name: cpu[name] for name in set(cpu) & set(locked)} == {
        name: locked[name] for name in set(cpu) & set(locked)
    }


def check_weights(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, DOCKER / "check_weights.py"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def test_no_weights_are_wanted_and_none_are_there(tmp_path: Path) -> None:
    assert check_weights(tmp_path).returncode == 0


def test_weights_that_no_step_would_find_or_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    refused = check_weights(tmp_path, WEIGHTS="weights")
    assert refused.stderr == (
        "cannot bake the weights in: weights has no BACKBONE.weights.h5, such as mobilenet_v2.weights.h5, and no "
        "preset's folder\n"
    )
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(5, 3)])
    network.save_weights(tmp_path / "mobilenet_v9.weights.h5")
    refused = check_weights(tmp_path)
    assert refused.stderr.startswith(
        "cannot bake the weights in: unknown backbone 'mobilenet_v9'; known: mobilenet_v2"
    )
    (tmp_path / "mobilenet_v9.weights.h5").rename(tmp_path / "sketchnet.weights.h5")
    refused = check_weights(tmp_path)
    assert refused.returncode == 1
    assert "weights 'sketchnet.weights.h5' do not fit backbone sketchnet: layer" in refused.stderr.splitlines()[-1]


def test_base_image_is_pinned() -> None:
    """By what cannot be moved: a digest."""
    bases = re.findall(r"^ARG BASE=(\S+)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert len(bases) == 1 and re.fullmatch(r"python:3\.11-slim@sha256:[0-9a-f]{64}", bases[0])


def test_floors_leave_out_versions_with_known_holes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {each.name: each.specifier for each in map(Requirement, project["dependencies"])}
    assert "3.13.2" not in needed["keras"] and "3.14.0" in needed["keras"]
    allowed = next(each for each in map(Requirement, requires("tensorflow") or []) if each.name == "h5py")
    newest = next(each.version for each in allowed.specifier if each.operator == "<")
    floor = next(each.version for each in needed["h5py"])
    assert Version(floor).release[:2] == (3, Version(newest).minor - 1)
