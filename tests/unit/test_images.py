import io
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import simplejpeg
import tensorflow as tf
import xxhash
from PIL import Image, ImageFile

from headstart.components.core import images
from headstart.components.core.images import Rejected
from headstart.components.core.network.images import decode
from headstart.components.download_dataset.images import Picture, check

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
    picture = check(content, 512)
    assert isinstance(picture, Picture)
    assert picture.encoded == content
    assert (picture.width, picture.height) == (60, 40)


def test_id_is_of_the_pixels_and_not_of_the_encoding() -> None:
    one = check(encoded(Image.fromarray(SMOOTH), "PNG"), 512)
    other = check(encoded(Image.fromarray(SMOOTH), "BMP"), 512)
    turned = check(encoded(Image.fromarray(SMOOTH).rotate(180), "PNG"), 512)
    assert isinstance(one, Picture) and isinstance(other, Picture) and isinstance(turned, Picture)
    assert one.id == other.id != turned.id


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "RGBA", "1", "I;16"])
def test_other_modes_become_rgb(mode: str) -> None:
    image = Image.fromarray(SMOOTH).convert("L") if mode == "I;16" else Image.fromarray(SMOOTH).convert(mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    shown = pixels(check(encoded(image, kind), 512))
    assert shown.shape == (40, 60, 3)
    if mode in ("L", "LA", "I;16"):
        gray = np.asarray(Image.fromarray(SMOOTH).convert("L"))
        assert np.abs(shown[..., 0].astype(int) - gray).max() <= 1


@pytest.mark.parametrize(("odd", "shade"), [(np.nan, 0), (np.inf, 255), (-np.inf, 0)])
def test_pixel_that_is_no_number_changes_no_other(odd: float, shade: int) -> None:
    gray = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    gray[0, 0] = odd
    shown = pixels(check(encoded(Image.fromarray(gray), "TIFF"), 512))[..., 0]
    assert shown[0, 0] == shade
    assert (shown.flat[1:] == (255 * gray.flat[1:]).astype(np.uint8)).all()


def test_what_is_transparent_becomes_white() -> None:
    shown = pixels(check(encoded(Image.new("RGBA", (20, 20), (255, 0, 0, 0)), "PNG"), 512))
    assert (shown == 255).all()


TURNED = {
    1: SMOOTH,
    2: SMOOTH[:, ::-1],
    3: SMOOTH[::-1, ::-1],
    4: SMOOTH[::-1],
    5: SMOOTH.transpose(1, 0, 2),
    6: np.rot90(SMOOTH, -1),
    7: SMOOTH[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(SMOOTH),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNED)
def test_picture_is_turned_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(SMOOTH), kind, exif=exif)
    upright = Image.fromarray(np.ascontiguousarray(TURNED[orientation]))
    for expected in (upright, upright.resize((upright.width // 2, upright.height // 2))):
        picture = check(content, max(expected.size))
        assert isinstance(picture, Picture)
        assert (picture.original_width, picture.original_height) == upright.size
        assert (picture.width, picture.height) == expected.size
        assert np.abs(pixels(picture).astype(int) - np.asarray(expected)).mean() < 4


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<html>404</html>", "not an image"),
        (encoded(Image.fromarray(NOISE), "JPEG")[:400], "truncated"),
        (encoded(Image.fromarray(NOISE), "PNG")[:400], "truncated"),
        (b"\xff\xd8\xff\xe0", "not an image"),
        (encoded(Image.new("RGB", (4, 40)), "PNG"), "too small"),
        (encoded(Image.new("1", (12_000, 12_000)), "PNG"), "too large"),
    ],
)
def test_what_cannot_be_used_is_rejected_with_a_reason(content: bytes, reason: str) -> None:
    rejected = check(content, 512)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == reason
    assert rejected.detail


def test_large_picture_is_reduced_and_keeps_its_proportions() -> None:
    big = Image.fromarray(SMOOTH).resize((1500, 1000), Image.Resampling.BICUBIC)
    for kind, stored in (("JPEG", "JPEG"), ("WEBP", "JPEG"), ("PNG", "PNG"), ("BMP", "PNG")):
        picture = check(encoded(big, kind), 512)
        assert isinstance(picture, Picture)
        assert (picture.width, picture.height) == (512, 341)
        assert (picture.original_width, picture.original_height, picture.format) == (1500, 1000, kind)
        image = Image.open(io.BytesIO(picture.encoded))
        assert image.format == stored
        expected = np.asarray(big.resize((512, 341), Image.Resampling.LANCZOS)).astype(int)
        assert np.abs(np.asarray(image).astype(int) - expected).mean() < 3


def test_id_can_be_computed_by_anyone_from_what_is_stored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    big = Image.fromarray(SMOOTH).resize((4100, 3000))
    for content, side in (
        (encoded(Image.fromarray(SMOOTH), "JPEG"), 512),
        (encoded(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG", exif=exif), 512),
        (encoded(big, "JPEG"), 512),
        (encoded(big, "PNG"), 5000),
    ):
        picture = check(content, side)
        shown = pixels(picture)
        assert isinstance(picture, Picture)
        padded = np.concatenate([shown, np.full((*shown.shape[:2], 1), 255, np.uint8)], axis=2)
        expected = xxhash.xxh3_128_digest(f"{picture.width}x{picture.height}:".encode() + padded.tobytes())
        assert picture.id == expected


def test_camera_is_read() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Apple", "iPhone 12"
    picture = check(encoded(Image.fromarray(SMOOTH), "JPEG", exif=exif), 512)
    assert isinstance(picture, Picture)
    assert picture.camera == "Apple iPhone 12"


def tensorflow_pixels(content: bytes) -> np.ndarray:
    size = Image.open(io.BytesIO(content)).size
    return tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE").numpy().reshape(*size[::-1], 3)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *[("JPEG", {"quality": 90, "subsampling": subsampling}) for subsampling in (0, 1, 2)],
        ("JPEG", {"progressive": True}),
        ("JPEG", {"quality": 30, "restart_marker_blocks": 2}),
        ("JPEG", {"keep_rgb": True}),
        ("PNG", {}),
        ("PNG", {"gamma": 2.2}),
    ],
)
def test_tensorflow_reads_the_same_pixels(kind: str, options: dict[str, object]) -> None:
    for size in ((64, 64), (61, 37)):
        content = encoded(Image.fromarray(SMOOTH).resize(size), kind, **options)
        picture = check(content, 512)
        assert isinstance(picture, Picture)
        assert picture.encoded == content
        assert (tensorflow_pixels(content) == pixels(picture)).all()
    content = encoded(Image.fromarray(SMOOTH).resize((64, 64)), kind, **options)
    assert (decode(tf.constant(content), 64).numpy() == np.asarray(Image.open(io.BytesIO(content)))).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_passes_is_read_alike_however_it_was_damaged(kind: str) -> None:
    whole = encoded(Image.fromarray(SMOOTH), kind)
    draw = np.random.default_rng(3)
    passed = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for at in draw.integers(2, len(whole), draw.integers(1, 4)):
            damaged[at] = draw.integers(256)
        picture = check(bytes(damaged), 512)
        if isinstance(picture, Picture):
            passed += 1
            assert (tensorflow_pixels(picture.encoded) == pixels(picture)).all()
    assert passed < 400
    assert passed or kind == "PNG"


def test_jpeg_without_end_marker_is_stored_anew() -> None:
    content = encoded(Image.fromarray(SMOOTH), "JPEG")[:-2] + b"\0\xd9"
    picture = check(content, 512)
    assert isinstance(picture, Picture)
    assert picture.encoded != content
    assert (tensorflow_pixels(picture.encoded) == np.asarray(Image.open(io.BytesIO(content)))).all()


def test_arithmetic_coding_is_stored_anew() -> None:
    plain = encoded(Image.fromarray(SMOOTH), "JPEG")
    frame = plain.index(b"\xff\xc0")
    assert not images._frame(plain).arithmetic
    assert images._frame(plain[:frame] + b"\xff\xc9" + plain[frame + 2 :]).arithmetic


def plain_jpegs() -> Iterator[bytes]:
    """Of all kinds that keep their bytes: coding, subsampling, quality, restart markers, sides that fill no block."""
    for progressive, subsampling, size in itertools.product((False, True), (0, 1, 2), ((60, 40), (61, 37), (9, 8))):
        image = Image.fromarray(NOISE if subsampling == 1 else SMOOTH).resize(size)
        for quality, restart in ((3, 0), (60, 1), (85, 0), (100, 3)):
            yield encoded(
                *(image, "JPEG"),
                progressive=progressive,
                subsampling=subsampling,
                quality=quality,
                restart_marker_blocks=restart,
            )
        yield encoded(image, "JPEG", progressive=progressive, keep_rgb=True)


def test_plain_jpegs_have_the_pixels_that_pillow_reads_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = list(plain_jpegs())
    expected = [np.asarray(Image.open(io.BytesIO(content)).convert("RGBA")) for content in contents]
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("Pillow decodes it"))
    for content, shown in zip(contents, expected, strict=True):
        seen = images.decode(content, 512)
        assert isinstance(seen, images.Decoded)
        assert seen.encoded == content
        assert (seen.pixels == shown).all()


def test_of_damaged_jpegs_comes_what_pillow_makes_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(5)
    contents = []
    for content in [*plain_jpegs()] * 6:
        damaged = bytearray(content)
        for at in draw.integers(2, len(damaged), draw.integers(1, 4)):
            damaged[at] = draw.integers(256)
        contents.append(bytes(damaged))
    seen = [images.decode(content, 512) for content in contents]

    def doubts(*args: object, **options: object) -> None:
        raise ValueError("doubtful")

    monkeypatch.setattr(simplejpeg, "decode_jpeg", doubts)
    for content, one in zip(contents, seen, strict=True):
        other = images.decode(content, 512)
        if isinstance(one, Rejected) or isinstance(other, Rejected):
            assert one == other
        else:
            assert (one.encoded, one.width, one.height) == (other.encoded, other.width, other.height)
            assert (one.pixels == other.pixels).all()
    assert len({each.reason if isinstance(each, Rejected) else "accepted" for each in seen}) > 2


@pytest.mark.parametrize("size", [(500, 375), (90, 400), (31, 17), (224, 224), (9, 150)])
def test_resizing_is_that_of_the_classifier(size: tuple[int, int]) -> None:
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    for side in (160, 32):
        expected = decode(encoded(picture, "PNG"), side).numpy()
        assert np.abs(images.resized(np.asarray(picture.convert("RGBA")), side) - expected).max() < 0.01


def test_prediction_sees_the_pixels_that_are_stored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    big = Image.fromarray(SMOOTH).resize((1500, 1000), Image.Resampling.BICUBIC)
    for content in (
        encoded(Image.fromarray(SMOOTH), "JPEG", exif=exif),
        encoded(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG"),
        encoded(Image.fromarray(SMOOTH).convert("P"), "PNG"),
        encoded(big, "JPEG", exif=exif),
        encoded(big, "WEBP"),
        encoded(big.convert("RGBA"), "PNG"),
    ):
        seen = images.decode(content, 512)
        assert isinstance(seen, images.Decoded)
        assert (seen.pixels[..., :3] == pixels(check(content, 512))).all()
        assert (seen.pixels[..., 3] == 255).all()
