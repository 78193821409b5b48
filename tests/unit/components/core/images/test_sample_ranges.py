import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from headstart.components.core.images.sample_ranges import (
    CheckedRange,
    Histogram,
    Range,
    estimate_range,
    range_of_significant_bits,
    to_8_bits,
)
from headstart.components.core.storage.manifests import read_manifest
from headstart.components.core.util.errors import HeadstartError

DRAW = np.random.default_rng(0)
IMAGES = DRAW.integers(0, 256, (6, 64, 64))


def range_of(images: np.ndarray) -> Range:
    histogram = Histogram()
    for image in images:
        histogram.add(Histogram.of(image))
    return histogram.range()


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        *[((IMAGES << bits - 8).astype(np.uint16), (0, 2**bits - 1)) for bits in range(8, 17)],
        ((IMAGES << 4).astype(np.int16), (0, 4095)),
        ((IMAGES << 4).astype(np.int32), (0, 4095)),
        ((IMAGES << 24).astype(np.uint32), (0, 2**32 - 1)),
        ((IMAGES >> 4).astype(np.uint16), (0, 15)),
        ((IMAGES * 8 + 7000).astype(np.uint16), (7000, 9040)),
        ((IMAGES * 16 - 1024).astype(np.int16), (-1024, 3056)),
        ((IMAGES / 255).astype(np.float32), (0, 1)),
        ((IMAGES / 255 * 1.04).astype(np.float32), (0, 1)),
        (IMAGES.astype(np.float32), (0, 255)),
        ((IMAGES / 255 * 10_000).astype(np.float32), (0, 10_000)),
        ((IMAGES / 255 * 0.001).astype(np.float32), (0, np.float32(0.001))),
        ((IMAGES / 255 * 2 - 1).astype(np.float32), (-1, 1)),
        ((IMAGES / 255 * 30 + 280).astype(np.float32), (280, 310)),
    ],
)
def test_range_is_that_of_all_images(images: np.ndarray, expected: Range) -> None:
    assert range_of(images) == pytest.approx(expected)
    levels = to_8_bits(images, *range_of(images)).astype(int)
    assert np.percentile(levels, 99) - np.percentile(levels, 1) > 200


@pytest.mark.parametrize("odd", [1.0001, 5, 1e30, np.nan, np.inf])
def test_one_pixel_decides_no_range_of_floats(odd: float) -> None:
    images = (IMAGES / 255).astype(np.float32)
    images[3, 5, 5] = odd
    assert range_of(images) == (0, 1)
    images[3, 5, 6] = -odd
    assert range_of(images) == pytest.approx((0, 1), abs=0.01)


def test_one_pixel_decides_no_range_of_integers() -> None:
    images = (IMAGES << 4).astype(np.uint16)
    images[0, 0, 0] = 65_535
    assert range_of(images) == (0, 4095)
    signed = (IMAGES * 16 - 1024).astype(np.int16)
    signed[0, 0, 0] = -32_768
    assert range_of(signed) == pytest.approx((-1024, 3056), rel=0.01)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_images_of_one_shade_and_sparse_ones_have_a_range(dtype: type) -> None:
    for value in (0, 1, 700):
        black, white = range_of(np.full((2, 9, 9), value, dtype))
        assert black == 0 and white >= max(value, 1)
    stars = np.zeros((3, 64, 64), dtype)
    stars[0, 0, :3] = 4000
    black, white = range_of(stars)
    assert black == 0 and 4000 <= white <= 4095
    assert Histogram().range() == (0, 1)


def test_order_of_the_images_does_not_matter() -> None:
    images = DRAW.normal(5, 300, (5, 30, 30)).astype(np.float32)
    assert range_of(images) == range_of(images[::-1])


def test_levels_are_linear_and_clipped() -> None:
    gray = (np.arange(256) * 257).astype(np.uint16)
    assert (to_8_bits(gray, 0, 65_535) == np.arange(256)).all()
    assert to_8_bits(np.array([-5, 0, 8, 2047, 4095, 9999]), 0, 4095).tolist() == [0, 0, 0, 127, 255, 255]
    assert to_8_bits(np.array([np.nan, np.inf, -np.inf, 0.5], np.float32), 0, 1).tolist() == [0, 255, 0, 128]
    assert to_8_bits(np.array([0, 2**31], np.uint32), 0, 2**32 - 1).tolist() == [0, 128]


def test_significant_bits_tell_whether_samples_are_scaled() -> None:
    values = DRAW.integers(0, 4096, (20, 20)).astype(np.uint16)
    assert range_of_significant_bits(values, 12) == (0, 4095)
    assert range_of_significant_bits(values << 4, 12) == (0, 65_535)
    assert range_of_significant_bits(values << 4 | values >> 8, 12) == (0, 65_535)
    assert range_of_significant_bits((values >> 8) << 4, 12) == (0, 65_535), "dark, and scaled"
    assert range_of_significant_bits(values << 4, 16) == (0, 65_535)


def test_own_range_of_a_dark_image_has_eight_bits() -> None:
    assert estimate_range(np.full((9, 9), 40, np.uint16)) == (0, 255)
    assert estimate_range(np.full((9, 9), 3000, np.uint16)) == (0, 4095)
    assert estimate_range((IMAGES[0] / 255 * 10_000).astype(np.float32)) == pytest.approx((0, 10_000))


@dataclasses.dataclass
class Manifest:
    ranges: dict[str, CheckedRange] | None = None


@pytest.mark.parametrize("wrong", [[], 5, {"a": 5}, {"a": [1]}, {"a": [1, 1]}, {"a": [0, "1"]}, {"a": [0, True, 1]}])
def test_damaged_ranges_are_one_line(wrong: object, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"ranges": wrong}))
    with pytest.raises(HeadstartError, match=r"dataset\.json is damaged .+; make the dataset again"):
        read_manifest(tmp_path / "dataset.json", "dataset", Manifest)


@pytest.mark.parametrize("given", [None, {"PNG gray uint16": [0, 4095]}, {"TIFF gray float32": [-0.5, 1e4]}])
def test_ranges_of_a_manifest(given: object, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"ranges": given}))
    read = read_manifest(tmp_path / "dataset.json", "dataset", Manifest)[0].ranges
    assert read == (given and {form: tuple(pair) for form, pair in given.items()})
