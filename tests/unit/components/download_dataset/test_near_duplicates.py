import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from headstart.components.download_dataset import near_duplicates
from headstart.components.download_dataset.checked_image import CheckedImage, check_image
from headstart.components.download_dataset.near_duplicates import Hashes, compute_hashes, find_near_duplicates

COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "three quarters": lambda image: image.resize((150, 150), Image.Resampling.LANCZOS),
    "half": lambda image: image.resize((100, 100), Image.Resampling.BICUBIC),
    "larger, another aspect": lambda image: image.resize((500, 375), Image.Resampling.BICUBIC),
    "JPEG of quality 75": lambda image: recompressed(image, 75),
    "JPEG of quality 30": lambda image: recompressed(image, 30),
    "mirrored": ImageOps.mirror,
    "mirrored, half, quality 40": lambda image: recompressed(ImageOps.mirror(image).resize((100, 100)), 40),
    "gray": lambda image: image.convert("L").convert("RGB"),
}


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def sketch(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    checked = check_image(buffer.getvalue(), 512)
    assert isinstance(checked, CheckedImage)
    return near_duplicates.compute_sketch(checked.sample.convert("L"))


def grouped(sketches: list[bytes]) -> np.ndarray:
    return groups(np.frombuffer(b"".join(sketches), np.uint8).reshape(-1, 1024))


def groups(sketches: np.ndarray) -> np.ndarray:
    parts = [compute_hashes(each) for each in np.array_split(sketches, len(sketches) // 512 + 1)]
    hashes = Hashes(*(np.concatenate([getattr(part, name) for part in parts]) for name in Hashes.__annotations__))
    return find_near_duplicates(hashes, sketches.__getitem__)


def drawn(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (10, 10, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((200, 200), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_found_and_others_are_not(copy: str) -> None:
    originals = [drawn(seed) for seed in range(60)]
    numbers = grouped([sketch(image) for image in originals] + [sketch(COPIES[copy](image)) for image in originals])
    assert (numbers[:60] == numbers[60:]).all()
    assert len(set(numbers)) == 60


def test_flat_images_are_not_alike_for_being_flat() -> None:
    plain = [Image.new("RGB", (64, 64), (level, level, level)) for level in range(0, 250, 10)]
    assert len(set(grouped([sketch(image) for image in plain]))) == len(plain)


def test_images_of_one_kind_are_not_alike_for_being_of_one_kind() -> None:
    """As X-rays or faces are: the same coarse image, each with details of its own."""
    coarse = np.random.default_rng(0).integers(0, 256, (3, 3), dtype=np.uint8)
    kind = np.asarray(Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    own = np.random.default_rng(1).normal(size=(80, 64, 64)) * 12
    images = [Image.fromarray(np.clip(kind + each, 0, 255).astype(np.uint8)).convert("RGB") for each in own]
    whole = np.corrcoef(np.stack([np.frombuffer(sketch(image), np.uint8) for image in images]))
    assert np.median(whole) > 0.97
    assert len(set(grouped([sketch(image) for image in images]))) == 80


def test_no_images_no_groups() -> None:
    assert len(groups(np.empty((0, 1024), np.uint8))) == 0


def test_time_grows_almost_linearly_even_when_many_are_alike() -> None:
    def seconds(count: int) -> float:
        draw = np.random.default_rng(0)
        waves = draw.normal(size=(count, 16, 16)).astype(np.float32)
        sketches = np.kron(waves, np.ones((2, 2), np.float32)).reshape(count, 1024) * 30 + 128
        sketches[: count // 5] = sketches[0] + draw.normal(size=(count // 5, 1024)) * 3
        values = np.clip(sketches, 0, 255).astype(np.uint8)
        start = time.perf_counter()
        numbers = groups(values)
        assert len(set(numbers[: count // 5])) == 1
        return time.perf_counter() - start

    small, large = seconds(2_500), seconds(20_000)
    # All pairs would take 64 times as long, and a computer that is busy twice.
    assert large < 20 * small


@pytest.mark.slow
def test_precision_and_recall_on_photographs(photos: Path) -> None:
    with zipfile.ZipFile(photos) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][::8]
        images = [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]
    sketches = [sketch(image) for image in images]
    found = wrong = total = 0
    for copy in COPIES.values():
        numbers = grouped(sketches + [sketch(copy(image)) for image in images[::4]])
        of_copies, of_originals = numbers[len(images) :], numbers[: len(images) : 4]
        found += int((of_copies == of_originals).sum())
        total += len(of_copies)
        # Every original is a photograph of its own; what joins two of them is wrong.
        wrong += len(images) - len(set(numbers[: len(images)]))
    assert total == len(COPIES) * 125
    assert found / total > 0.99
    assert wrong == 0
