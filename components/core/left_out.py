"""Images that lie in no split, since near-duplicates of them lie in this one: `left_out.parquet`.

A model in use may have learned from them, which gives those near-duplicates away.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headstart.components.core.errors import HeadstartError

LEFT_OUT = "left_out.parquet"


def write_left_out(dataset: Path, groups: dict[str, str]) -> None:
    """Puts them beside a dataset's shards, in the columns `id` and `group`.

    Args:
        dataset: Folder of the dataset artifact.
        groups: The group of each by its id.
    """
    columns = {"id": pa.array(groups.keys(), pa.string()), "group": pa.array(groups.values(), pa.string())}
    pq.write_table(pa.table(columns), dataset / LEFT_OUT, compression="zstd")


def read_left_out(dataset: Path) -> dict[str, str]:
    """The group of each by its id; none where a dataset says nothing of them.

    Raises:
        HeadstartError: The file is damaged.
    """
    if not (dataset / LEFT_OUT).exists():
        return {}
    try:
        table = pq.read_table(dataset / LEFT_OUT)
        return dict(zip(table["id"].to_pylist(), table["group"].to_pylist(), strict=True))
    except (KeyError, OSError, pa.ArrowException) as error:
        raise HeadstartError(f"{dataset / LEFT_OUT} is damaged ({error}); split the data again") from None
