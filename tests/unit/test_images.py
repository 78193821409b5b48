import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from headstart.components.core.network.images import decode
from headstart.components.download_dataset.images import Picture, Rejected, check

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
# Smooth, as photographs are: chroma subsampling of noise would say more of the codec than of us.
SMOOTH = np.asarray(Image.fromarray(NOISE).resize((9, 6)).resize((60, 40), Image.Resampling.BICUBIC))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(picture: Picture | Rejected) -> np.ndarray:
    assert isinstance(picture, Picture), picture
    return np.asarray(Image.open(io.BytesIO(picture.encoded)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_rgb_picture_keeps_its_bytes(kind: str) -> None:
    content = encoded(Image.fromarray(SMOOTH), kind)
    picture = check(content)
    assert isinstance(picture, Picture)
    assert picture.encoded == content
    assert (picture.width, picture.height) == (60, 40)


def test_id_is_of_the_pixels_and_not_of_the_encoding() -> None:
    one = check(encoded(Image.fromarray(SMOOTH), "PNG"))
    other = check(encoded(Image.fromarray(SMOOTH), "BMP"))
    turned = check(encoded(Image.fromarray(SMOOTH).rotate(180), "PNG"))
    assert isinstance(one, Picture) and isinstance(other, Picture) and isinstance(turned, Picture)
    assert one.id == other.id != turned.id


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "RGBA", "1", "I;16"])
def test_other_modes_become_rgb(mode: str) -> None:
    image = Image.fromarray(SMOOTH).convert("L") if mode == "I;16" else Image.fromarray(SMOOTH).convert(mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    shown = pixels(check(encoded(image, kind)))
    assert shown.shape == (40, 60, 3)
    if mode in ("L", "LA", "I;16"):
        gray = np.asarray(Image.fromarray(SMOOTH).convert("L"))
        assert np.abs(shown[..., 0].astype(int) - gray).max() <= 1


def test_what_is_transparent_becomes_white() -> None:
    shown = pixels(check(encoded(Image.new("RGBA", (20, 20), (255, 0, 0, 0)), "PNG")))
    assert (shown == 255).all()


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = check(encoded(Image.fromarray(SMOOTH), "JPEG", exif=exif, quality=95))
    assert isinstance(picture, Picture)
    assert (picture.width, picture.height) == (40, 60)
    expected = np.asarray(
        Image.open(io.BytesIO(encoded(Image.fromarray(SMOOTH), "JPEG", quality=95))).rotate(-90, expand=True)
    )
    assert (pixels(picture) == expected).all()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (None, "too large"),
        (b"<html>404</html>", "not an image"),
        (encoded(Image.fromarray(NOISE), "JPEG")[:400], "truncated"),
        (encoded(Image.fromarray(NOISE), "PNG")[:400], "truncated"),
        (b"\xff\xd8\xff\xe0", "not an image"),
        (encoded(Image.new("RGB", (4, 40)), "PNG"), "too small"),
        (encoded(Image.new("1", (12_000, 12_000)), "PNG"), "too large"),
    ],
)
def test_what_cannot_be_used_is_rejected_with_a_reason(content: bytes | None, reason: str) -> None:
    rejected = check(content)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == reason
    assert rejected.detail


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_tensorflow_reads_the_same_pixels(kind: str) -> None:
    content = encoded(Image.fromarray(SMOOTH).resize((64, 64)), kind, quality=90)
    ours = np.asarray(Image.open(io.BytesIO(content))).astype(np.float32)
    assert np.abs(decode(tf.constant(content), 64).numpy() - ours).max() == 0
