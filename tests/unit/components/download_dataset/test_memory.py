"""Memory per image is small, so that a hundred thousand take little more than a few thousand."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from headstart.components.core.sources import Entry
from headstart.components.core.sources.columnar_list import ColumnarList
from headstart.components.download_dataset.check_results import PROPERTIES_SCHEMA
from headstart.components.download_dataset.spool import SPOOL_SCHEMA, Spool

MANY = 40_000


def kept_bytes(make: Callable[[], object]) -> float:
    """Memory of Python and Arrow that the made object holds, per each of `MANY`."""
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    made = make()
    size = tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes() - before
    tracemalloc.stop()
    assert made is not None
    return size / MANY


def test_entries_are_stored_as_columns() -> None:
    names = [f"cats/{number}.jpg" for number in range(MANY)]
    assert kept_bytes(lambda: ColumnarList(Entry, map(Entry, names))) < 45
    assert [entry.path for entry in ColumnarList(Entry, map(Entry, names))] == names


def test_any_name_can_be_stored() -> None:
    entries = [Entry("latin\udce9.jpg", "\ud800", ""), Entry("", "cats", "train"), Entry("ж" * 5000)]
    assert list(ColumnarList(Entry, entries)) == entries
    assert len(ColumnarList(Entry, entries)) == 3 and len(ColumnarList(Entry, [])) == 0


def test_properties_pixels_and_sketches_lie_on_disk() -> None:
    rows = 32
    properties = pa.RecordBatch.from_arrays(
        [
            pa.array([f"cats/{number}.jpg" for number in range(rows)]),
            pa.array([1] * rows, pa.int32()),
            pa.array([""] * rows),
            pa.array([""] * rows),
            pa.array([""] * rows),
            *(
                pa.array(np.zeros(rows), pa.float64()).cast(pa.int64()).cast(field.type)
                if field.name not in TEXTS
                else pa.array([TEXTS[field.name]] * rows, field.type)
                for field in PROPERTIES_SCHEMA
            ),
        ],
        schema=SPOOL_SCHEMA,
    )
    sketches = pa.array([bytes(1024)] * rows, pa.binary(1024))
    with Spool() as spool:

        def fill() -> Spool:
            for number in range(MANY // rows):
                spool.add(properties, sketches, [bytes([number % 256]) * 1000] * rows)
            spool.finish()
            return spool

        assert kept_bytes(fill) < 12
        assert len(spool) == MANY
        wanted = np.array([0, 31, 32, 33, 20_000, MANY - 1])
        assert [each[:1] for each in spool.encoded(wanted).to_pylist()] == [
            bytes([row // rows % 256]) for row in wanted
        ]
        assert spool.properties(["path", "label"], wanted)["path"].to_pylist() == [
            f"cats/{row % rows}.jpg" for row in wanted
        ]


TEXTS = {"id": bytes(16), "format": "JPEG", "exif": ""}
