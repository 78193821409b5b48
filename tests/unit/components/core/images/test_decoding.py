import io
import itertools
import struct
import sys
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
import simplejpeg
import tensorflow as tf
import xxhash
from PIL import Image, ImageFile
from support.mutations import damage_png, flip_bytes, join_chunks

from headstart.components.core.images import decoding
from headstart.components.core.images.decoding import RejectedImage
from headstart.components.core.networks.image_batches import decode_and_resize
from headstart.components.download_dataset.checked_image import CheckedImage, check_image

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
# Smooth, as photographs are: chroma subsampling of noise would say more of the codec than of us.
SMOOTH = np.asarray(Image.fromarray(NOISE).resize((9, 6)).resize((60, 40), Image.Resampling.BICUBIC))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(image: CheckedImage | RejectedImage) -> np.ndarray:
    assert isinstance(image, CheckedImage), image
    return np.asarray(Image.open(io.BytesIO(image.encoded)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_rgb_image_keeps_its_bytes(kind: str) -> None:
    content = encoded(Image.fromarray(SMOOTH), kind)
    image = check_image(content, 512)
    assert isinstance(image, CheckedImage)
    assert image.encoded == content
    assert (image.width, image.height) == (60, 40)


def test_id_is_of_the_pixels_and_not_of_the_encoding() -> None:
    one = check_image(encoded(Image.fromarray(SMOOTH), "PNG"), 512)
    other = check_image(encoded(Image.fromarray(SMOOTH), "BMP"), 512)
    turned = check_image(encoded(Image.fromarray(SMOOTH).rotate(180), "PNG"), 512)
    assert isinstance(one, CheckedImage) and isinstance(other, CheckedImage) and isinstance(turned, CheckedImage)
    assert one.id == other.id != turned.id


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "RGBA", "1", "I;16"])
def test_other_modes_become_rgb(mode: str) -> None:
    image = Image.fromarray(SMOOTH).convert("L") if mode == "I;16" else Image.fromarray(SMOOTH).convert(mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    shown = pixels(check_image(encoded(image, kind), 512))
    assert shown.shape == (40, 60, 3)
    if mode in ("L", "LA", "I;16"):
        gray = np.asarray(Image.fromarray(SMOOTH).convert("L"))
        assert np.abs(shown[..., 0].astype(int) - gray).max() <= 1


@pytest.mark.parametrize(("odd", "shade"), [(np.nan, 0), (np.inf, 255), (-np.inf, 0)])
def test_pixel_that_is_no_number_changes_no_other(odd: float, shade: int) -> None:
    gray = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    gray[0, 0] = odd
    shown = pixels(check_image(encoded(Image.fromarray(gray), "TIFF"), 512))[..., 0]
    assert shown[0, 0] == shade
    assert (shown.flat[1:] == (255 * gray.flat[1:]).astype(np.uint8)).all()


def test_what_is_transparent_becomes_white() -> None:
    shown = pixels(check_image(encoded(Image.new("RGBA", (20, 20), (255, 0, 0, 0)), "PNG"), 512))
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
def test_image_is_turned_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(SMOOTH), kind, exif=exif)
    upright = Image.fromarray(np.ascontiguousarray(TURNED[orientation]))
    for expected in (upright, upright.resize((upright.width // 2, upright.height // 2))):
        image = check_image(content, max(expected.size))
        assert isinstance(image, CheckedImage)
        assert (image.original_width, image.original_height) == upright.size
        assert (image.width, image.height) == expected.size
        assert np.abs(pixels(image).astype(int) - np.asarray(expected)).mean() < 4


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
    rejected = check_image(content, 512)
    assert isinstance(rejected, RejectedImage)
    assert rejected.reason == reason
    assert rejected.detail


def test_large_image_is_reduced_and_keeps_its_proportions() -> None:
    big = Image.fromarray(SMOOTH).resize((1500, 1000), Image.Resampling.BICUBIC)
    for kind, stored in (("JPEG", "JPEG"), ("WEBP", "JPEG"), ("PNG", "PNG"), ("BMP", "PNG")):
        checked = check_image(encoded(big, kind), 512)
        assert isinstance(checked, CheckedImage)
        assert (checked.width, checked.height) == (512, 341)
        assert (checked.original_width, checked.original_height, checked.format) == (1500, 1000, kind)
        image = Image.open(io.BytesIO(checked.encoded))
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
        image = check_image(content, side)
        shown = pixels(image)
        assert isinstance(image, CheckedImage)
        padded = np.concatenate([shown, np.full((*shown.shape[:2], 1), 255, np.uint8)], axis=2)
        expected = xxhash.xxh3_128_digest(f"{image.width}x{image.height}:".encode() + padded.tobytes())
        assert image.id == expected


def test_camera_is_read() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Apple", "iPhone 12"
    image = check_image(encoded(Image.fromarray(SMOOTH), "JPEG", exif=exif), 512)
    assert isinstance(image, CheckedImage)
    assert image.camera == "Apple iPhone 12"


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
        image = check_image(content, 512)
        assert isinstance(image, CheckedImage)
        assert image.encoded == content
        assert (tensorflow_pixels(content) == pixels(image)).all()
    content = encoded(Image.fromarray(SMOOTH).resize((64, 64)), kind, **options)
    assert (decode_and_resize(tf.constant(content), 64).numpy() == np.asarray(Image.open(io.BytesIO(content)))).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_passes_is_read_alike_however_it_was_damaged(kind: str) -> None:
    whole = encoded(Image.fromarray(SMOOTH), kind)
    draw = np.random.default_rng(3)
    passed = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for at in draw.integers(2, len(whole), draw.integers(1, 4)):
            damaged[at] = draw.integers(256)
        image = check_image(bytes(damaged), 512)
        if isinstance(image, CheckedImage):
            passed += 1
            assert (tensorflow_pixels(image.encoded) == pixels(image)).all()
    assert passed < 400
    assert passed or kind == "PNG"


def test_jpeg_without_end_marker_is_stored_anew() -> None:
    content = encoded(Image.fromarray(SMOOTH), "JPEG")[:-2] + b"\0\xd9"
    image = check_image(content, 512)
    assert isinstance(image, CheckedImage)
    assert image.encoded != content
    assert (tensorflow_pixels(image.encoded) == np.asarray(Image.open(io.BytesIO(content)))).all()


def test_arithmetic_coding_is_stored_anew() -> None:
    plain = encoded(Image.fromarray(SMOOTH), "JPEG")
    frame = plain.index(b"\xff\xc0")
    assert not decoding._read_frame(plain).arithmetic
    assert decoding._read_frame(plain[:frame] + b"\xff\xc9" + plain[frame + 2 :]).arithmetic


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
        decoded = decoding.decode_image(content, 512)
        assert isinstance(decoded, decoding.DecodedImage)
        assert decoded.encoded == content
        assert (decoded.pixels == shown).all()


def test_of_damaged_jpegs_comes_what_pillow_makes_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(5)
    contents = []
    for content in [*plain_jpegs()] * 6:
        damaged = bytearray(content)
        for at in draw.integers(2, len(damaged), draw.integers(1, 4)):
            damaged[at] = draw.integers(256)
        contents.append(bytes(damaged))
    decoded = [decoding.decode_image(content, 512) for content in contents]

    def doubts(*args: object, **options: object) -> None:
        raise ValueError("doubtful")

    monkeypatch.setattr(simplejpeg, "decode_jpeg", doubts)
    for content, one in zip(contents, decoded, strict=True):
        other = decoding.decode_image(content, 512)
        if isinstance(one, RejectedImage) or isinstance(other, RejectedImage):
            assert one == other
        else:
            assert (one.encoded, one.width, one.height) == (other.encoded, other.width, other.height)
            assert (one.pixels == other.pixels).all()
    assert len({each.reason if isinstance(each, RejectedImage) else "accepted" for each in decoded}) > 2


@pytest.mark.parametrize("size", [(500, 375), (90, 400), (31, 17), (224, 224), (9, 150)])
def test_resizing_is_that_of_the_classifier(size: tuple[int, int]) -> None:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    for side in (160, 32):
        expected = decode_and_resize(encoded(image, "PNG"), side).numpy()
        assert np.abs(decoding.resize_pixels(np.asarray(image.convert("RGBA")), side) - expected).max() < 0.01


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
        decoded = decoding.decode_image(content, 512)
        assert isinstance(decoded, decoding.DecodedImage)
        assert (decoded.pixels[..., :3] == pixels(check_image(content, 512))).all()
        assert (decoded.pixels[..., 3] == 255).all()


@pytest.mark.parametrize("seed", range(3))
def test_damage_behind_checksums_is_found_or_read_alike(seed: int) -> None:
    draw = np.random.default_rng(seed)
    kept = rejected = 0
    for image in (Image.fromarray(SMOOTH), Image.fromarray(NOISE)):
        whole = encoded(image, "PNG")
        for content in damage_png(whole, draw, 300):
            found = check_image(content, 512)
            if isinstance(found, RejectedImage):
                rejected += 1
            else:
                kept += found.encoded == content
                assert (tensorflow_pixels(found.encoded) == pixels(found)).all()
    assert kept > 50 and rejected > 200


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "TIFF", "AVIF"])
def test_what_passes_of_other_formats_is_read_alike(kind: str) -> None:
    whole = encoded(Image.fromarray(SMOOTH), kind)
    draw = np.random.default_rng(4)
    for _ in range(100):
        found = check_image(flip_bytes(whole, draw), 512)
        if isinstance(found, CheckedImage):
            assert (tensorflow_pixels(found.encoded) == pixels(found)).all()


def interlaced_png(pixels: np.ndarray, colour_type: int) -> bytes:
    """A PNG of uint8 or uint16 (height, width, channels), in Adam7's seven passes."""
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.dtype.itemsize, colour_type, 0, 0, 1)
    starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    big = pixels.astype(pixels.dtype.newbyteorder(">"))
    parts = [big[top::down, left::across] for top, left, down, across in starts]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part if row.size)
    return join_chunks([(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


@pytest.mark.parametrize("size", [(60, 40), (9, 8), (13, 17), (8, 33)])
@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_whole_pngs_of_any_form_pass(size: tuple[int, int], colour_type: int, channels: int) -> None:
    colours = np.asarray(Image.fromarray(SMOOTH).resize(size))
    opaque = np.full((*colours.shape[:2], 1), 255, np.uint8)
    values = np.dstack([colours[..., : 3 if channels > 2 else 1], *([] if channels % 2 else [opaque])])
    expected = colours if channels > 2 else np.stack([colours[..., 0]] * 3, -1)
    for dtype, factor in ((np.uint8, 1), (np.uint16, 257)):
        image = check_image(interlaced_png(values.astype(dtype) * dtype(factor), colour_type), 512, {})
        assert (pixels(image) == expected).all()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_whole_pngs_of_few_bits_pass(bits: int) -> None:
    for width in (8, 9, 13, 15):
        image = Image.fromarray(SMOOTH).resize((width, 20)).quantize(2**bits)
        shown = pixels(check_image(encoded(image, "PNG", bits=bits), 512))
        assert (shown == np.asarray(image.convert("RGB"))).all()
        black = image.convert("1")
        assert (pixels(check_image(encoded(black, "PNG"), 512)) == np.asarray(black.convert("RGB"))).all()


def deep_png(samples: np.ndarray, colour_type: int, *extra: tuple[bytes, bytes]) -> bytes:
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return join_chunks([(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


def deep_tiff(samples: np.ndarray, order: str = "<", photometric: int = 1) -> bytes:
    """A TIFF of one strip, without compression; of RGB if there are three samples a pixel."""
    height, width = samples.shape[:2]
    bands = samples.shape[2] if samples.ndim == 3 else 1
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    depths = struct.pack(f"{order}{bands}H", *[8 * samples.dtype.itemsize] * bands)
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    bits = struct.pack(f"{order}I", 8) if bands > 1 else depths.ljust(4, b"\0")

    def short(value: int) -> bytes:
        return struct.pack(f"{order}Hxx", value)

    def long(value: int) -> bytes:
        return struct.pack(f"{order}I", value)

    entries = [(256, 4, 1, long(width)), (257, 4, 1, long(height)), (258, 3, bands, bits), (259, 3, 1, short(1))]
    entries += [(262, 3, 1, short(2 if bands > 1 else photometric)), (273, 4, 1, long(8 + len(depths)))]
    entries += [(277, 3, 1, short(bands)), (278, 4, 1, long(height)), (279, 4, 1, long(len(data)))]
    entries += [(339, 3, 1, short(kind))]
    directory = b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in entries)
    start = (b"II*\0" if order == "<" else b"MM\0*") + long(8 + len(depths) + len(data))
    return start + depths + data + struct.pack(f"{order}H", len(entries)) + directory + bytes(4)


GRAY = np.asarray(Image.fromarray(SMOOTH).convert("L")).astype(np.int64)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_deep_pngs_have_the_pixels_of_eight_bits(bits: int) -> None:
    def deep(levels: np.ndarray) -> np.ndarray:
        return np.round(levels / 255 * (2**bits - 1)).astype(np.uint16)

    opacity = np.full((40, 60, 1), 65_535, np.uint16)
    opacity[0, 0] = 0
    colours = SMOOTH.astype(np.int64)
    ranges = {"PNG gray uint16": (0.0, 2.0**bits - 1), "PNG RGB uint16": (0.0, 2.0**bits - 1)}
    for content, expected in (
        (deep_png(deep(GRAY), 0), np.stack([GRAY] * 3, -1)),
        (deep_png(deep(colours), 2), colours),
        (deep_png(np.dstack([deep(GRAY), opacity]), 4), np.stack([GRAY] * 3, -1)),
        (deep_png(np.dstack([deep(colours), opacity]), 6), colours),
    ):
        expected = expected.copy()
        if content[25] in (4, 6):
            expected[0, 0] = 255
        image = check_image(content, 512, ranges)
        assert isinstance(image, CheckedImage)
        assert image.range == (0, 2**bits - 1)
        assert (pixels(image) == expected).all()


def test_transparent_sample_of_a_deep_png_is_white() -> None:
    samples = (GRAY * 16).astype(np.uint16)
    content = deep_png(samples, 0, (b"tRNS", struct.pack(">H", samples[5, 5])))
    shown = pixels(check_image(content, 512, {"PNG gray uint16": (0, 4080)}))[..., 0]
    assert (shown == np.where(samples == samples[5, 5], 255, GRAY)).all()
    colours = np.stack([samples] * 3, -1)
    content = deep_png(colours, 2, (b"tRNS", struct.pack(">HHH", *colours[5, 5])))
    shown = pixels(check_image(content, 512, {"PNG RGB uint16": (0, 4080)}))[..., 1]
    assert (shown == np.where(samples == samples[5, 5], 255, GRAY)).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u2", "i2", "i4", "f4"])
def test_deep_tiffs_have_the_pixels_of_eight_bits(dtype: str, order: str) -> None:
    samples = (GRAY * 16 - (500 if dtype[0] != "u" else 0)).astype(dtype)
    ranges = {f"TIFF gray {samples.dtype.name}": (float(samples.min()), float(samples.max()))}
    image = check_image(deep_tiff(samples, order), 512, ranges)
    assert isinstance(image, CheckedImage)
    levels = (GRAY - GRAY.min()) / (GRAY.max() - GRAY.min()) * 255
    assert np.abs(pixels(image)[..., 0] - levels).max() <= 0.5
    assert (image.form, image.range) == (*ranges, *ranges.values())
    if dtype == "f4" or (dtype, order) == ("u2", "<"):
        inverted = check_image(deep_tiff(samples, order, photometric=0), 512, ranges)
        assert np.abs(255 - pixels(inverted)[..., 0] - levels).max() <= 0.5, "white is 0"


@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_colours_of_a_tiff_keep_their_lower_bytes(order: str) -> None:
    samples = (SMOOTH.astype(np.uint16)) * 4
    image = check_image(deep_tiff(samples, order), 512, {"TIFF RGB uint16": (0, 1020)})
    assert (pixels(image) == SMOOTH).all()


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_compressed_deep_tiffs_are_read(compression: str) -> None:
    image = Image.fromarray((GRAY * 16).astype(np.uint16))
    checked = check_image(encoded(image, "TIFF", compression=compression), 512, {"TIFF gray uint16": (0, 4080)})
    assert (pixels(checked)[..., 0] == GRAY).all()


def test_what_a_file_states_goes_before_the_data_set() -> None:
    ranges = {"PNG gray uint16": (0.0, 65_535.0), "TIFF gray uint16": (0.0, 65_535.0)}
    samples = (GRAY * 3).astype(np.uint16)
    image = Image.fromarray(samples)
    ome = '<OME><Image><Pixels ID="1" SignificantBits="10" Type="uint16"/></Image></OME>'
    for content, expected in (
        (encoded(image, "TIFF", tiffinfo={341: 765}), (0, 765)),
        (encoded(image, "TIFF", tiffinfo={340: 3, 341: 765}), (3, 765)),
        (encoded(image, "TIFF", tiffinfo={340: 800, 341: 765}), (0, 65_535)),
        (encoded(image, "TIFF", description="ImageJ=1.53\nunit=pixel\nmin=0.0\nmax=765.0\n"), (0, 765)),
        (encoded(image, "TIFF", description="a cat, max=30"), (0, 65_535)),
        (encoded(image, "TIFF", description=ome), (0, 1023)),
        (deep_png(samples, 0, (b"sBIT", bytes([10]))), (0, 1023)),
        (deep_png(samples, 0, (b"sBIT", bytes([99]))), (0, 65_535)),
    ):
        checked = check_image(content, 512, ranges)
        assert isinstance(checked, CheckedImage), checked
        assert checked.range == expected
        stated = expected != (0, 65_535)
        assert (decoding.find_undecided_range(content) is None) == stated


def test_a_form_that_the_data_set_lacks_takes_the_range_of_the_image() -> None:
    image = check_image(deep_png((GRAY * 16).astype(np.uint16), 0), 512, {})
    assert isinstance(image, CheckedImage)
    assert image.range == (0, 4095)


def test_before_there_were_ranges_the_upper_byte_was_kept() -> None:
    assert (pixels(check_image(deep_png((GRAY * 16).astype(np.uint16), 0), 512))[..., 0] == GRAY // 16).all()


def test_eight_bits_are_never_undecided() -> None:
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"):
        assert decoding.find_undecided_range(encoded(Image.fromarray(SMOOTH), kind)) is None
    assert decoding.find_undecided_range(b"") is None
    assert decoding.find_undecided_range(deep_png(GRAY.astype(np.uint16), 0)[:200]) is None


def test_avif_is_read_upright() -> None:
    for side, shape in ((512, (60, 40, 3)), (30, (30, 20, 3))):
        exif = Image.Exif()
        exif[0x0112] = 6
        image = check_image(encoded(Image.fromarray(SMOOTH), "AVIF", quality=95, exif=exif), side)
        assert isinstance(image, CheckedImage), image
        assert image.format == "AVIF"
        assert pixels(image).shape == shape
        expected = Image.fromarray(np.ascontiguousarray(TURNED[6])).resize(shape[1::-1])
        assert np.abs(pixels(image).astype(int) - np.asarray(expected)).mean() < 6


def test_heic_is_read_where_its_package_is_there() -> None:
    heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    heif.register_heif_opener()
    for side, shape in ((512, (40, 60, 3)), (30, (20, 30, 3))):
        image = check_image(encoded(Image.fromarray(SMOOTH), "HEIF", quality=95), side)
        assert isinstance(image, CheckedImage), image
        assert image.format == "HEIC"
        expected = Image.fromarray(SMOOTH).resize(shape[1::-1])
        assert np.abs(pixels(image).astype(int) - np.asarray(expected)).mean() < 6


def test_heic_names_the_way_out_where_its_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    decoding._register_heif.cache_clear()
    try:
        rejected = check_image(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(500), 512)
    finally:
        decoding._register_heif.cache_clear()
    assert isinstance(rejected, RejectedImage)
    assert rejected.reason == "unsupported"
    assert "pip install 'headstart[heic]'" in rejected.detail


def test_jpeg_above_the_limit_is_reduced_while_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    big = Image.fromarray(SMOOTH).resize((1500, 1000), Image.Resampling.BICUBIC)
    content = encoded(big, "JPEG", quality=95)
    monkeypatch.setattr(decoding, "MAX_PIXELS", 200_000)
    for side, size in ((200, (200, 133)), (1200, (375, 250)), (0, (375, 250))):
        decoded = decoding.decode_image(content, side)
        assert isinstance(decoded, decoding.DecodedImage), decoded
        assert (decoded.width, decoded.height) == (1500, 1000)
        assert decoded.pixels.shape == (*size[::-1], 4)
        assert np.abs(decoded.pixels[..., :3].astype(int) - np.asarray(big.resize(size))).mean() < 4
    assert isinstance(decoding.decode_image(encoded(big, "PNG"), 200), RejectedImage)
    monkeypatch.setattr(decoding, "MAX_COEFFICIENT_BYTES", 2**20)
    progressive = decoding.decode_image(encoded(big, "JPEG", progressive=True), 200)
    assert isinstance(progressive, RejectedImage) and progressive.reason == "too large"
    assert isinstance(decoding.decode_image(content, 200), decoding.DecodedImage), (
        "one scan needs no memory for coefficients"
    )
    monkeypatch.setattr(decoding, "MAX_JPEG_PIXELS", 10**6)
    assert isinstance(decoding.decode_image(content, 200), RejectedImage)
