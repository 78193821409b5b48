"""Long lists of small records, stored as columns: some dozen bytes a record instead of some hundred."""

import dataclasses
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

import pyarrow as pa

T = TypeVar("T")

_BATCH_RECORDS = 4096


class ColumnarList(Generic[T]):
    """List of records of one kind, to be read by iterating; each iteration makes the records anew.

    Args:
        kind: Dataclass whose fields are `int` or `str`; lone surrogates, as in file names, are allowed.
        records: Records to store.
    """

    def __init__(self, kind: type[T], records: Iterable[T]) -> None:
        self._kind = kind
        self._fields = dataclasses.fields(kind)  # type: ignore[arg-type]
        records = iter(records)
        self._batches = list(iter(lambda: self._columns(list(islice(records, _BATCH_RECORDS))), []))

    def __len__(self) -> int:
        return sum(len(columns[0]) for columns in self._batches)

    def __iter__(self) -> Iterator[T]:
        for columns in self._batches:
            yield from map(self._kind, *map(_values, columns))

    def _columns(self, records: list[T]) -> list[pa.Array]:
        return [_column([getattr(each, field.name) for each in records]) for field in self._fields if records]


def _column(values: list[Any]) -> pa.Array:
    if isinstance(values[0], str):
        return pa.array([value.encode("utf-8", "surrogatepass") for value in values], pa.binary())
    return pa.array(values, pa.int64())


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_binary(column.type):
        return [value.decode("utf-8", "surrogatepass") for value in column.to_pylist()]
    return list(column.to_pylist())
