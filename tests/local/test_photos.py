"""The tutorial's data, real photographs, end to end."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.commands import headstart

# 0.967 and 0.970 were measured; another processor's rounding moves a few images of the 1,000.
LEAST_ACCURACY = 0.96


def run(photos: Path, weights: Path, output: Path, order: str) -> float:
    done = headstart(
        "run", "--data", photos, "--counts", "1000,500,500", "--backbone", "mobilenet_v2", "--weights", weights,
        "--image-size", "160", "--order", order, "--output", output,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return float(json.loads((output / "metrics.json").read_text())["test"]["accuracy"])


def test_tutorials_split_file_by_file(photos: Path, mobilenet_v2_weights: Path, tmp_path: Path) -> None:
    accuracy = run(photos, mobilenet_v2_weights, tmp_path, "name")
    paths = pq.read_table(tmp_path / "predictions.parquet")["path"].to_pylist()
    assert sorted(paths) == sorted(f"train/{kind}.{n}.jpg" for kind in ("cat", "dog") for n in range(1501, 2001))
    assert accuracy >= LEAST_ACCURACY


def test_split_by_content(photos: Path, mobilenet_v2_weights: Path, tmp_path: Path) -> None:
    assert run(photos, mobilenet_v2_weights, tmp_path, "hash") >= LEAST_ACCURACY


@pytest.fixture(autouse=True)
def needs(photos: Path, mobilenet_v2_weights: Path) -> None:
    """Skips the file where the photographs or the weights are not at hand."""
