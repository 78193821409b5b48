"""Results of checking images as columns: what a worker process returns, and what the spool keeps."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from headstart.components.core.images.decoding import RejectedImage, UndecidedRange
from headstart.components.core.images.sample_ranges import Histogram
from headstart.components.download_dataset.checked_image import CheckedImage
from headstart.components.download_dataset.image_measures import Measures, measure_image
from headstart.components.download_dataset.near_duplicates import SKETCH_BYTES, compute_hashes, compute_sketch

PROPERTIES_SCHEMA = pa.schema(
    [
        ("id", pa.binary(16)),
        ("format", pa.string()),
        ("exif", pa.string()),
        ("file_bytes", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("stored_width", pa.int32()),
        ("stored_height", pa.int32()),
        *((field.name, pa.float32()) for field in dataclasses.fields(Measures)),
        ("form", pa.string()),
        ("black", pa.float64()),
        ("white", pa.float64()),
        ("hash", pa.uint64()),
        ("mirrored", pa.uint64()),
        ("flat", pa.bool_()),
    ]
)
"""Properties of an image: `width` and `height` are those of the file, `exif` is the camera. `form`, `black` and
`white` are null for images of 8 bits; the last three columns are those of `Hashes`."""

CHECK_RESULTS_SCHEMA = pa.schema(
    [
        *PROPERTIES_SCHEMA,
        ("sketch", pa.binary(SKETCH_BYTES)),
        ("encoded", pa.large_binary()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("least", pa.float64()),
        ("most", pa.float64()),
        ("bins", pa.list_(pa.int32())),
        ("counts", pa.list_(pa.int64())),
    ]
)
"""One row per file. A rejected file has `reason` and `detail` alone; an accepted one everything before them, and
`encoded` only where the bytes to store are not those of the file. An image of more than 8 bits whose range is not
known yet has only `form` and the last four columns: the histogram of its samples, without the empty bins."""


def encode_results(checked: Sequence[tuple[bytes, CheckedImage | RejectedImage | UndecidedRange]]) -> pa.RecordBatch:
    """Measures checked images, and returns all results as a batch by `CHECK_RESULTS_SCHEMA`.

    All samples are measured together: between one decoding and the next, measuring takes half as long again, since
    program and tables have to be fetched into the processor's cache anew.

    Args:
        checked: Bytes and result of each file.
    """
    images = [result for _, result in checked if isinstance(result, CheckedImage)]
    grays = [image.sample.convert("L") for image in images]
    sketches = [compute_sketch(gray) for gray in grays]
    measures = [measure_image(image.sample, gray) for image, gray in zip(images, grays, strict=True)]
    hashes = compute_hashes(np.frombuffer(b"".join(sketches), np.uint8).reshape(-1, SKETCH_BYTES))
    hashed = zip(hashes.own.tolist(), hashes.mirrored.tolist(), hashes.flat.tolist(), strict=True)
    measured = zip(measures, hashed, sketches, strict=True)
    rows = [
        _row_of_image(content, result, *next(measured))
        if isinstance(result, CheckedImage)
        else _row_of_rejected(result)
        if isinstance(result, RejectedImage)
        else _row_of_undecided(result)
        for content, result in checked
    ]
    columns = zip(*rows, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, CHECK_RESULTS_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=CHECK_RESULTS_SCHEMA)


def _row_of_image(
    content: bytes, image: CheckedImage, measures: Measures, hashes: tuple[int, int, bool], sketch: bytes
) -> tuple[object, ...]:
    return (
        image.id,
        image.format,
        image.camera,
        image.original_bytes,
        image.original_width,
        image.original_height,
        image.width,
        image.height,
        *(getattr(measures, name) for name in Measures.__slots__),
        *((image.form, *image.range) if image.range else (None, None, None)),
        *hashes,
        sketch,
        None if image.encoded is content else image.encoded,
        *[None] * 6,
    )


def _row_of_rejected(rejected: RejectedImage) -> tuple[object, ...]:
    detail = rejected.detail.encode("utf-8", "backslashreplace").decode()
    return (*[None] * (len(CHECK_RESULTS_SCHEMA) - 6), rejected.reason, detail, *[None] * 4)


def _row_of_undecided(undecided: UndecidedRange) -> tuple[object, ...]:
    histogram = undecided.histogram
    bins = np.flatnonzero(histogram.counts)
    values = {
        "form": undecided.form,
        "least": histogram.least,
        "most": histogram.most,
        "bins": bins,
        "counts": histogram.counts[bins],
    }
    return tuple(values.get(name) for name in CHECK_RESULTS_SCHEMA.names)


def read_histogram(row: Mapping[str, Any]) -> Histogram:
    """Histogram of an image of more than 8 bits whose range is not known yet.

    Args:
        row: Row of a batch by `CHECK_RESULTS_SCHEMA`.
    """
    histogram = Histogram(least=row["least"], most=row["most"], whole="float" not in row["form"])
    histogram.counts[row["bins"]] = row["counts"]
    return histogram


def hex_ids(ids: pa.Array) -> pa.Array:
    """Ids as hexadecimal text.

    Args:
        ids: Fixed-size binary (images,).
    """
    raw = np.frombuffer(ids.buffers()[1] or b"", np.uint8)[16 * ids.offset :][: 16 * len(ids)]
    digits = np.array([f"{value:02x}".encode() for value in range(256)], "S2").view(np.uint16)
    offsets = np.arange(0, 32 * len(ids) + 1, 32, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(ids), [None, pa.py_buffer(offsets), pa.py_buffer(digits[raw])])
