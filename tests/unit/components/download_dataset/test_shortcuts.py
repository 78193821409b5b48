import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from headstart.components.download_dataset.shortcuts import FAMILIES, Shortcut, find_shortcuts

Properties = dict[str, NDArray[Any]]


def unrelated(counts: list[int], seed: int) -> Properties:
    """Properties that have nothing to do with the label, spread as those of images from the web."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    images = len(labels)
    cameras = [""] * 20 + [f"Maker{number // 5} Model{number}" for number in range(30)]
    return {
        "label": labels.astype(np.int32),
        "width": random.choice([500, 499, 375, 1024, 640], images, p=[0.5, 0.1, 0.2, 0.1, 0.1]),
        "height": random.choice([375, 500, 333, 768], images),
        "file_bytes": np.exp(random.normal(10, 1, images)).astype(np.int64),
        "format": random.choice(["JPEG", "PNG", "GIF"], images, p=[0.9, 0.08, 0.02]),
        "exif": random.choice(cameras, images),
        **{colour: random.normal(120, 30, images).astype(np.float32) for colour in ("red", "green", "blue")},
    }


def found_in(properties: Properties) -> list[Shortcut]:
    return find_shortcuts(pa.table(properties), [f"class {label}" for label in range(properties["label"].max() + 1)])


def warned(properties: Properties) -> list[str]:
    return [shortcut.family for shortcut in found_in(properties) if shortcut.warning]


@pytest.mark.parametrize(
    ("counts", "data_sets"),
    [([10, 10], 60), ([30, 30], 40), ([500, 15], 20), ([1, 2, 3, 4, 60, 60], 30), ([12] * 10, 20), ([10] * 50, 4)],
)
def test_unrelated_properties_rarely_raise_an_alarm(counts: list[int], data_sets: int) -> None:
    alarms = sum(bool(warned(unrelated(counts, seed))) for seed in range(data_sets))
    assert alarms <= max(1, 0.05 * data_sets)


def another_size(properties: Properties, rows: NDArray[np.bool_]) -> None:
    properties["width"][rows] = 800


def heavier_files(properties: Properties, rows: NDArray[np.bool_]) -> None:
    properties["file_bytes"][rows] *= 100


def another_format(properties: Properties, rows: NDArray[np.bool_]) -> None:
    properties["format"] = np.where(rows, "WEBP", properties["format"])


def another_camera(properties: Properties, rows: NDArray[np.bool_]) -> None:
    properties["exif"] = np.where(rows, "Olympus SP-100", properties["exif"])


def warmer_light(properties: Properties, rows: NDArray[np.bool_]) -> None:
    properties["red"][rows] += 150


@pytest.mark.parametrize("counts", [[20, 20], [2000, 40], [25] * 5, [20] * 100, [3, 100, 100]])
@pytest.mark.parametrize(
    ("plant", "family"),
    [
        (another_size, "width and height"),
        (heavier_files, "file size"),
        (another_format, "file format"),
        (another_camera, "camera (EXIF)"),
        (warmer_light, "mean colour"),
    ],
)
def test_one_class_from_elsewhere_is_found(
    plant: Callable[[Properties, NDArray[np.bool_]], None], family: str, counts: list[int]
) -> None:
    properties = unrelated(counts, 0)
    plant(properties, properties["label"] == len(counts) - 1)
    assert warned(properties) == [family]


def test_warning_names_the_class_and_says_what_to_do() -> None:
    properties = unrelated([50] * 20, 0)
    another_size(properties, properties["label"] == 7)
    (warning,) = [shortcut.warning for shortcut in found_in(properties) if shortcut.warning]
    assert warning.startswith("By width and height alone, class 7 can be told from the other classes. ")
    assert "resize to one size" in warning
    properties = unrelated([50, 50], 0)
    another_format(properties, properties["label"] == 1)
    (warning,) = [shortcut.warning for shortcut in found_in(properties) if shortcut.warning]
    assert "alone, the class of 100 % of the images can be predicted; chance is 50 %. " in warning


def test_properties_that_only_together_predict_the_class_are_found() -> None:
    properties = unrelated([400, 400], 0)
    heavy = properties["file_bytes"] > np.median(properties["file_bytes"])
    png = np.where(properties["label"] == 1, heavy, ~heavy)
    properties["format"] = np.where(png, "PNG", "JPEG")
    assert warned(properties) == ["all of these"]


def test_properties_that_never_vary_are_reported_so() -> None:
    properties = unrelated([20, 20], 0)
    properties["exif"] = np.full(40, "")
    camera = next(shortcut for shortcut in found_in(properties) if shortcut.family == "camera (EXIF)")
    assert not camera.varies and camera.balanced_accuracy == camera.chance == 0.5 and not camera.warning


def test_accuracy_lies_in_its_interval_and_every_family_is_tested() -> None:
    found = found_in(unrelated([30, 40, 50, 2], 0))
    assert [shortcut.family for shortcut in found] == [*(family.name for family in FAMILIES), "all of these"]
    for shortcut in found:
        low, high = shortcut.interval
        assert 0 <= low <= shortcut.balanced_accuracy <= high <= 1
        assert shortcut.chance == pytest.approx(1 / 3), "the class of two images is not tested"


@pytest.mark.parametrize("counts", [[9, 200], [1, 1], [4, 4, 4], [5, 0, 12]])
def test_no_result_for_too_few_images(counts: list[int]) -> None:
    assert found_in(unrelated(counts, 0)) == []


def test_same_data_same_answer() -> None:
    assert found_in(unrelated([40, 40], 3)) == found_in(unrelated([40, 40], 3))


def test_many_images_take_seconds() -> None:
    properties = unrelated([4_000] * 10, 0)
    start = time.perf_counter()
    assert warned(properties) == []
    assert time.perf_counter() - start < 6, "0.6 s on an idle machine"


def test_importing_does_not_import_scikit_learn() -> None:
    code = "import sys, headstart.components.download_dataset.shortcuts; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_verdict_follows_from_interval_and_limit() -> None:
    for seed in range(4):
        properties = unrelated([200, 200], seed)
        heavier_files(properties, properties["label"] * (np.random.default_rng(seed).random(400) < 0.25 * seed) > 0)
        for each in found_in(properties):
            assert each.chance < each.threshold < 1
            if each.varies:
                assert each.is_shortcut == (each.interval[0] > each.threshold)
