import random
import time
import timeit
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from headstart.components.download_dataset import image_measures
from headstart.components.download_dataset.image_measures import ODD_LOOKS, Measures


def measure(image: Image.Image) -> Measures:
    return image_measures.measure_image(image, image.convert("L"))


def odd_looks(measured: Measures) -> tuple[str, ...]:
    return tuple(look.name for look in ODD_LOOKS if look.is_odd(np.array(getattr(measured, look.measure))))


def scene(seed: int, width: int = 250, height: int = 188) -> Image.Image:
    """Overlapping ellipses of every colour: edges, flat places, light and dark."""
    draw = random.Random(seed)
    image = Image.new("RGB", (width, height), (90, 110, 130))
    pencil = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, w, h = (draw.randrange(limit) for limit in (width, height, 60, 60))
        pencil.ellipse((x, y, x + w, y + h), fill=tuple(draw.randrange(256) for _ in range(3)))
    return image


def test_colours_and_grey_levels_are_those_of_the_image() -> None:
    image = Image.new("RGB", (200, 100), (200, 100, 50))
    image.paste((0, 0, 0), (0, 0, 100, 100))
    found = measure(image)
    assert (found.red, found.green, found.blue) == (100, 50, 25)
    assert (found.shadows, found.highlights) == (0, 124)
    assert found.contrast == 124


@pytest.mark.parametrize("seed", range(10))
def test_each_way_of_spoiling_an_image_is_named(seed: int) -> None:
    image = scene(seed)
    assert odd_looks(measure(image)) == ()
    assert odd_looks(measure(image.point(lambda value: value * 0.3))) == ("dark",)
    assert odd_looks(measure(image.point(lambda value: 178 + value * 0.3))) == ("bright",)
    assert odd_looks(measure(image.filter(ImageFilter.GaussianBlur(4)))) == ("blurry",)
    assert odd_looks(measure(image.point(lambda value: 115 + value * 0.1))) == ("low information",)


def test_an_image_shaken_in_one_direction_is_blurry() -> None:
    across = scene(0).resize((10, 188), Image.Resampling.BOX).resize((250, 188), Image.Resampling.BICUBIC)
    assert odd_looks(measure(across)) == ("blurry",)
    assert odd_looks(measure(across.transpose(Image.Transpose.ROTATE_90))) == ("blurry",)


def test_a_sharp_subject_before_a_blurred_background_is_sharp() -> None:
    image = scene(0).filter(ImageFilter.GaussianBlur(6))
    image.paste(scene(1).crop((0, 0, 60, 60)), (90, 60))
    assert odd_looks(measure(image)) == ()


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (255, 3), (3, 255), (28, 28)])
@pytest.mark.parametrize("colour", ["black", "white", "gray"])
def test_images_of_one_colour_and_any_size_can_be_measured(size: tuple[int, int], colour: str) -> None:
    looks = odd_looks(measure(Image.new("RGB", size, colour)))
    assert "low information" in looks and "blurry" not in looks
    assert ("dark" in looks) == (colour == "black") and ("bright" in looks) == (colour == "white")


def test_stripes_have_sharpness_though_only_across() -> None:
    image = Image.new("RGB", (200, 200), "white")
    for x in range(0, 200, 10):
        image.paste((0, 0, 0), (x, 0, x + 5, 200))
    assert odd_looks(measure(image)) == ()


def test_drawn_images_are_rarely_odd(pictures: Path) -> None:
    odd = 0
    for path in sorted(pictures.glob("*.jpg"))[:100]:
        try:
            with Image.open(path) as image:
                odd += bool(odd_looks(measure(image.convert("RGB"))))
        except OSError:
            continue
    assert odd <= 1


def test_measuring_is_quick() -> None:
    image = scene(0)
    seconds = min(timeit.repeat(lambda: measure(image), timer=time.process_time, number=50, repeat=5)) / 50
    assert seconds < 1e-3, "0.1 ms on an idle machine"


def test_measures_are_plain_numbers() -> None:
    found = measure(scene(0))
    assert all(type(getattr(found, name)) is float for name in Measures.__slots__)
