"""Some original files of each form in the data: a published model gets such files, and a dataset holds none.

`originals.table` lies beside the shards. It is Parquet with a suffix of its own: whoever reads all Parquet files in
the folder of a dataset, as `--data` does, gets the dataset alone. Columns: `id`, the number of the row; `form`, see
`core.images.file_forms`; `files`, the number of files of that form in all splits; `image`, with `bytes` and `path` as
in the shards.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headstart.components.core.images.file_forms import file_form
from headstart.components.core.storage.atomic import open_atomic
from headstart.components.core.storage.manifests import WAY_OUT_OF_CACHE
from headstart.components.core.util.errors import HeadstartError

ORIGINALS = "originals.table"

_FILES_OF_A_FORM = 2
_MOST_BYTES = 2**23
_MOST_FORMS = 128
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("form", pa.string()),
        ("files", pa.int64()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ]
)


@dataclasses.dataclass(frozen=True, slots=True)
class Original:
    """An original file.

    Attributes:
        form: Form of the file, see `core.images.file_forms.file_form`.
        files: Number of files of that form.
        path: Path in the data.
        content: Bytes of the file.
    """

    form: str
    files: int
    path: str
    content: bytes


class Originals:
    """Counts files by their forms, and keeps the first two of each form with at most 8 MiB."""

    def __init__(self) -> None:
        self._files: Counter[str] = Counter()
        self._kept: dict[str, list[tuple[str, bytes]]] = {}

    def add(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Adds files that a decoder has read: the path and the bytes of each."""
        for path, content in files:
            form = file_form(content)
            self._files[form] += 1
            if form not in self._kept and len(self._kept) == _MOST_FORMS:
                continue
            kept = self._kept.setdefault(form, [])
            if len(kept) < _FILES_OF_A_FORM and len(content) <= _MOST_BYTES:
                kept.append((path, content))

    def write(self, dataset: Path) -> None:
        """Writes `originals.table` into the folder of a dataset."""
        rows = [
            {"form": form, "files": self._files[form], "image": {"bytes": content, "path": path}}
            for form, kept in sorted(self._kept.items())
            for path, content in kept
        ]
        numbered = [{"id": str(number), **row} for number, row in enumerate(rows)]
        with open_atomic(dataset / ORIGINALS) as file:
            pq.write_table(pa.Table.from_pylist(numbered, _SCHEMA), file, compression="none")


def read_originals(dataset: Path) -> list[Original]:
    """Reads `originals.table` of a dataset; empty if an earlier version made the dataset.

    Raises:
        HeadstartError: If the file is damaged.
    """
    if not (dataset / ORIGINALS).is_file():
        return []
    try:
        rows = pq.read_table(dataset / ORIGINALS, schema=_SCHEMA).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise HeadstartError(
            f"{dataset / ORIGINALS} is damaged ({error}); make the dataset again; {WAY_OUT_OF_CACHE}"
        ) from None
    return [Original(row["form"], row["files"], row["image"]["path"], row["image"]["bytes"]) for row in rows]
