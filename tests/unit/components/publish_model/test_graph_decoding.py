"""A served model's decoder reads files as the training data were made."""

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support.forms import forms, png_chunk

from headstart.components.core.images import decoding
from headstart.components.core.images.decoding import RejectedImage
from headstart.components.core.networks.image_batches import decode_and_resize
from headstart.components.download_dataset.checked_image import CheckedImage, check_image
from headstart.components.publish_model.graph_decoding import decode_files
from headstart.components.publish_model.graph_headers import UNREADABLE, read_header

SIZE = 32


def serve(
    ranges: dict[str, tuple[float, float]] | None = None,
) -> Callable[[list[bytes]], tuple[np.ndarray, np.ndarray]]:
    run = tf.function(
        lambda encoded: decode_files(encoded, SIZE, ranges), input_signature=[tf.TensorSpec((None,), tf.string)]
    )
    return lambda files: tuple(each.numpy() for each in run(tf.constant(files, tf.string)))


@pytest.fixture(scope="module")
def served() -> Callable[[list[bytes]], tuple[np.ndarray, np.ndarray]]:
    return serve()


def drawn(width: int = 90, height: int = 50, mode: str = "RGB") -> Image.Image:
    """Smooth colours that differ in every corner."""
    y, x = np.mgrid[:height, :width]
    channels = [x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height), 255 - y * 200 / height]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8), "RGBA").convert(mode)


def file(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def trained(content: bytes) -> np.ndarray:
    """What training makes of a file."""
    image = check_image(content, 512)
    assert isinstance(image, CheckedImage), image
    return decode_and_resize(tf.constant(image.encoded), SIZE).numpy()


def with_orientation(value: int, order: str = "big", kind: str = "SHORT", fill: bytes = b"") -> bytes:
    exif = Image.Exif()
    exif.endian = {"big": ">", "little": "<"}[order]
    exif[0x010F], exif[0x0112] = "a camera", value
    content = file(drawn(), "JPEG", exif=exif, quality=95)
    if kind == "LONG":
        short = struct.pack(f"{exif.endian}HHIHH", 0x0112, 3, 1, value, 0)
        long = struct.pack(f"{exif.endian}HHII", 0x0112, 4, 1, value)
        assert content.count(short) == 1
        content = content.replace(short, long)
    return content.replace(b"\xff\xe1", fill + b"\xff\xe1", 1)


@pytest.mark.parametrize(
    ("order", "kind", "fill"),
    [("big", "SHORT", b""), ("little", "SHORT", b""), ("big", "LONG", b""), ("little", "LONG", b"\xff\xff")],
)
def test_orientations_are_applied(served: Callable, order: str, kind: str, fill: bytes) -> None:
    files = [with_orientation(value, order, kind, fill) for value in range(1, 9)]
    pixels, readable = served(files)
    assert readable.all()
    for got, content in zip(pixels, files, strict=True):
        np.testing.assert_allclose(got, trained(content), atol=1e-2)
    assert len({each.tobytes() for each in pixels}) == 8


KINDS = {
    "gray JPEG": file(drawn(mode="L"), "JPEG"),
    "progressive JPEG": file(drawn(), "JPEG", progressive=True),
    "CMYK JPEG": file(drawn(mode="CMYK"), "JPEG", quality=95),
    "gray PNG": file(drawn(mode="L"), "PNG"),
    "transparent PNG": file(drawn(mode="RGBA"), "PNG"),
    "gray and transparent PNG": file(drawn(mode="LA"), "PNG"),
    "palette PNG": file(drawn().quantize(32), "PNG"),
    "PNG with a transparent colour": file(drawn().quantize(4), "PNG", transparency=1),
    "16 bits PNG": file(Image.fromarray(np.asarray(drawn(mode="L")).astype(np.uint16) * 257), "PNG"),
    "black and white PNG": file(drawn(mode="1"), "PNG"),
    "gray PNG with a transparent value": file(drawn(mode="L"), "PNG", transparency=100),
    "16 bits PNG with a transparent value": file(Image.new("I;16", (90, 50), 1000), "PNG", transparency=1000),
    "black and transparent PNG": file(drawn(mode="1"), "PNG", transparency=0),
    "GIF": file(drawn().quantize(64), "GIF"),
    "animated GIF": file(drawn(), "GIF", save_all=True, append_images=[drawn(mode="L").convert("RGB")]),
    "BMP": file(drawn(), "BMP"),
    "gray BMP": file(drawn(mode="L"), "BMP"),
    "palette BMP": file(drawn().quantize(256), "BMP"),
    "BMP with a short palette": file(drawn(9, 9).quantize(5), "BMP"),
    "32 bits BMP": file(drawn(mode="RGBA"), "BMP"),
    "WebP": file(drawn(), "WEBP", quality=95),
    "lossless WebP": file(drawn(), "WEBP", lossless=True),
    "transparent WebP": file(drawn(mode="RGBA"), "WEBP", lossless=True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kind(served: Callable, kind: str) -> None:
    (pixels,), (readable,) = served([KINDS[kind]])
    assert readable
    np.testing.assert_allclose(pixels, trained(KINDS[kind]), atol=1e-3)


ONLY_PILLOW_READS = {"JPEG arithmetic", "BMP 8, run lengths"}
"""Forms to which a served model gives an empty label where predictions are made."""

FORMS = forms()


RANGES = {"PNG gray uint16": (100.0, 4095.0)}


@pytest.fixture(scope="module", params=[None, RANGES], ids=["before ranges", "with ranges"])
def forms_served(request: pytest.FixtureRequest, served: Callable) -> dict[str, tuple]:
    files = {name: encode(drawn(91)) for name, encode in FORMS.items()}
    decode = served if request.param is None else serve(request.param)
    results = zip(files.values(), *decode(list(files.values())), strict=True)
    return {name: (*each, request.param) for name, each in zip(files, results, strict=True)}


@pytest.mark.parametrize("form", FORMS)
def test_form_is_read_as_predictions_read_it(forms_served: dict, form: str) -> None:
    content, pixels, readable, ranges = forms_served[form]
    decoded = decoding.decode_image(content, 0, ranges)
    assert readable == (not isinstance(decoded, RejectedImage) and form not in ONLY_PILLOW_READS)
    if readable:
        np.testing.assert_allclose(pixels, decoding.resize_pixels(decoded.pixels, SIZE), atol=0.5)


def resized_header(content: bytes, width: int, height: int) -> bytes:
    """The same file, which says that it is so large."""

    def put(at: int, form: str, *values: int) -> bytes:
        new = struct.pack(form, *values)
        return content[:at] + new + content[at + len(new) :]

    if content.startswith(b"\x89PNG"):
        header = content[12:16] + struct.pack(">II", width, height) + content[24:29]
        return content[:8] + png_chunk(header[:4], header[4:]) + content[33:]
    if content.startswith(b"\xff\xd8"):
        return put(content.index(b"\xff\xc0") + 5, ">HH", height % 2**16, width % 2**16)
    if content.startswith(b"GIF"):
        return put(6, "<HH", min(width, 2**16 - 1), min(height, 2**16 - 1))
    if content.startswith(b"BM"):
        return put(18, "<ii", width - 2**32 * (width >= 2**31), height - 2**32 * (height >= 2**31))
    width, height = min(max(width, 1), 2**24), min(max(height, 1), 2**24)
    return put(24, "<I", width - 1)[:27] + (height - 1).to_bytes(3, "little") + content[30:]


SIZED = {
    "PNG": KINDS["transparent PNG"],
    "JPEG": KINDS["CMYK JPEG"],
    "GIF": KINDS["GIF"],
    "BMP": KINDS["BMP"],
    "WebP": FORMS["WebP transparent"](drawn()),
}
HUGE = [
    (16_000, 16_000), (65_535, 65_535), (65_536, 65_536), (46_341, 46_341), (2**31 - 1, 2**31 - 1), (2**31, 2**31),
    (2**32 - 1, 2**32 - 1), (2**32 - 1, 1), (2**16, 2**16 + 1), (3, 2**30), (9, 0), (0, 0), (0, 2**32 - 1),
    (30_000, 2_983),
]  # fmt: skip


@pytest.mark.parametrize("kind", SIZED)
def test_sizes_are_judged_before_anything_is_decoded(kind: str) -> None:
    assert read_header(tf.constant(SIZED[kind])).kind.numpy() != UNREADABLE
    for width, height in HUGE:
        if kind == "GIF" and min(width, height) == 0:
            # Its frame makes the canvas as large as itself.
            continue
        assert read_header(tf.constant(resized_header(SIZED[kind], width, height))).kind.numpy() == UNREADABLE


@pytest.mark.parametrize(
    "name", ["PNG RGB 8", "JPEG RGB", "JPEG L", "GIF 16", "BMP 24, header of 40", "WebP lossless"]
)
@pytest.mark.parametrize("size", [(8, 8), (7, 8), (8, 7), (8, 160), (8, 161), (161, 8), (160, 8)])
def test_limits_are_those_of_predictions(served: Callable, name: str, size: tuple[int, int]) -> None:
    content = FORMS[name](drawn(*size))
    _, (readable,) = served([content])
    read = not isinstance(decoding.decode_image(content, 0), RejectedImage)
    assert readable == read == (min(size) >= 8 and max(size) <= 160)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_above_the_limit_is_reduced_by_its_decoder(served: Callable, progressive: bool) -> None:
    content = file(drawn(96, 96).resize((9600, 9600)), "JPEG", progressive=progressive)
    (pixels,), (readable,) = served([content])
    decoded = decoding.decode_image(content, 512)
    assert readable and not isinstance(decoded, RejectedImage)
    np.testing.assert_allclose(pixels, decoding.resize_pixels(decoded.pixels, SIZE), atol=3)


def with_run_lengths(bitmap: bytes) -> bytes:
    return bitmap[:30] + b"\1" + bitmap[31:]


DAMAGED = {
    "nothing": b"",
    "text": b"no image at all",
    "HEIF": b"\x00\x00\x00\x18ftypheic" + bytes(64),
    "the start of a JPEG": b"\xff\xd8\xff",
    "a cut JPEG": file(drawn(), "JPEG")[:-400],
    "a JPEG whose EXIF is cut": b"\xff\xd8\xff\xe1\x00\x20Exif\0\0MM",
    "a cut PNG": file(drawn(), "PNG")[:200],
    "a cut BMP": KINDS["palette BMP"][:900],
    "a BMP of run lengths": with_run_lengths(KINDS["palette BMP"]),
}


def test_what_is_no_image_does_not_stop_the_others(served: Callable) -> None:
    good = KINDS["progressive JPEG"]
    pixels, readable = served([good, *DAMAGED.values(), good])
    assert readable.tolist() == [True, *[False] * len(DAMAGED), True]
    assert not pixels[1:-1].any()
    np.testing.assert_array_equal(pixels[0], pixels[-1])


@pytest.mark.parametrize("files", [[], [b""]])
def test_batch_without_an_image(served: Callable, files: list[bytes]) -> None:
    pixels, readable = served(files)
    assert pixels.shape == (len(files), SIZE, SIZE, 3) and not readable.any()


def altered_exif(at: int, value: int) -> bytes:
    """An upright image whose EXIF, big-endian with its orientation in the second entry, has one byte altered."""
    content = bytearray(with_orientation(6))
    start = content.index(b"Exif\0\0") + 6
    content[start + at] = value
    return bytes(content)


@pytest.mark.parametrize(
    ("at", "value"),
    [(1, 0), (3, 0), (4, 0xFF), (7, 0xF0), (8, 0xFF), (9, 200), (23, 1), (25, 7), (29, 9), (31, 0), (31, 9)],
)
def test_damaged_exif_is_no_exif(served: Callable, at: int, value: int) -> None:
    (pixels,), (readable,) = served([altered_exif(at, value)])
    assert readable
    np.testing.assert_allclose(pixels, trained(altered_exif(at, value)), atol=1e-2)
