"""What the check of pictures finds, as columns: what a process that checks hands over, and the spool keeps."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from headstart.components.core.images.decoding import RejectedImage, UndecidedRange
from headstart.components.core.images.sample_ranges import Histogram
from headstart.components.download_dataset.checked_image import Picture
from headstart.components.download_dataset.image_measures import Measures, measure
from headstart.components.download_dataset.near_duplicates import SKETCH_BYTES, hashes_of, sketch

FACTS = pa.schema(
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
"""Of a picture: `width` and `height` are the file's own, `exif` is the camera; `form`, `black` and `white` are null
but for deep pictures; the last three are of `Hashes`."""

FINDINGS = pa.schema(
    [
        *FACTS,
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
"""One row a file: `reason` and `detail` where it is rejected, everything before them where it is not; `encoded` where
the bytes to store are not the file's own. A deep picture whose range is not known yet has only `form` and the last
four: the histogram of its samples, without the empty bins."""


def findings(checked: Sequence[tuple[bytes, Picture | RejectedImage | UndecidedRange]]) -> pa.RecordBatch:
    """Files' bytes and what came of them, as a batch by `FINDINGS`.

    All samples are looked at together: between one decoding and the next it takes half as long again, since the
    processor has program and tables to fetch anew.
    """
    pictures = [picture for _, picture in checked if isinstance(picture, Picture)]
    grays = [picture.sample.convert("L") for picture in pictures]
    sketches = [sketch(gray) for gray in grays]
    measures = [measure(picture.sample, gray) for picture, gray in zip(pictures, grays, strict=True)]
    hashes = hashes_of(np.frombuffer(b"".join(sketches), np.uint8).reshape(-1, SKETCH_BYTES))
    hashed = zip(hashes.own.tolist(), hashes.mirrored.tolist(), hashes.flat.tolist(), strict=True)
    looks = zip(measures, hashed, sketches, strict=True)
    rows = [
        _picture(content, each, *next(looks))
        if isinstance(each, Picture)
        else _rejected(each)
        if isinstance(each, RejectedImage)
        else _undecided(each)
        for content, each in checked
    ]
    columns = zip(*rows, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, FINDINGS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=FINDINGS)


def _picture(
    content: bytes, picture: Picture, measures: Measures, hashed: tuple[int, int, bool], sketched: bytes
) -> tuple[object, ...]:
    return (
        picture.id,
        picture.format,
        picture.camera,
        picture.original_bytes,
        picture.original_width,
        picture.original_height,
        picture.width,
        picture.height,
        *(getattr(measures, name) for name in Measures.__slots__),
        *((picture.form, *picture.range) if picture.range else (None, None, None)),
        *hashed,
        sketched,
        None if picture.encoded is content else picture.encoded,
        *[None] * 6,
    )


def _rejected(rejected: RejectedImage) -> tuple[object, ...]:
    detail = rejected.detail.encode("utf-8", "backslashreplace").decode()
    return (*[None] * (len(FINDINGS) - 6), rejected.reason, detail, *[None] * 4)


def _undecided(undecided: UndecidedRange) -> tuple[object, ...]:
    histogram = undecided.histogram
    bins = np.flatnonzero(histogram.counts)
    found = {
        "form": undecided.form,
        "least": histogram.least,
        "most": histogram.most,
        "bins": bins,
        "counts": histogram.counts[bins],
    }
    return tuple(found.get(name) for name in FINDINGS.names)


def histogram_of(row: Mapping[str, Any]) -> Histogram:
    """The histogram that a row of a deep picture holds whose range is not known yet."""
    histogram = Histogram(least=row["least"], most=row["most"], whole="float" not in row["form"])
    histogram.counts[row["bins"]] = row["counts"]
    return histogram


def hexadecimal(ids: pa.Array) -> pa.Array:
    """Ids, fixed-size binary (pictures,), as text."""
    raw = np.frombuffer(ids.buffers()[1] or b"", np.uint8)[16 * ids.offset :][: 16 * len(ids)]
    digits = np.array([f"{value:02x}".encode() for value in range(256)], "S2").view(np.uint16)
    offsets = np.arange(0, 32 * len(ids) + 1, 32, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(ids), [None, pa.py_buffer(offsets), pa.py_buffer(digits[raw])])
