"""Images that lie in no split, since near-duplicates of them lie in this one: `left_out.json`.

A model in use may have learned from them, which gives those near-duplicates away.
"""

from pathlib import Path

from headstart.components.core.storage.atomic import write_json
from headstart.components.core.storage.manifests import read_manifest

LEFT_OUT = "left_out.json"


def write_left_out(dataset: Path, groups: dict[str, str]) -> None:
    """Puts them beside a dataset's shards.

    Args:
        dataset: Folder of the dataset artifact.
        groups: The group of each by its id.
    """
    write_json(dataset / LEFT_OUT, groups)


def read_left_out(dataset: Path) -> dict[str, str]:
    """The group of each by its id; none where a dataset says nothing of them.

    Raises:
        HeadstartError: The file is damaged.
    """
    if not (dataset / LEFT_OUT).exists():
        return {}
    return read_manifest(dataset / LEFT_OUT, "dataset", dict[str, str])[0]
