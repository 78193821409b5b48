"""Images in no split, because near-duplicates of them lie in this one: `left_out.json`.

The champion may have been trained on them; to it, their near-duplicates are not unseen.
"""

from pathlib import Path

from headstart.components.core.storage.atomic import write_json
from headstart.components.core.storage.manifests import read_manifest

LEFT_OUT = "left_out.json"


def write_left_out(dataset: Path, groups: dict[str, str]) -> None:
    """Writes `left_out.json` into the folder of a dataset.

    Args:
        dataset: Folder of the dataset artifact.
        groups: Group of each such image, by its id.
    """
    write_json(dataset / LEFT_OUT, groups)


def read_left_out(dataset: Path) -> dict[str, str]:
    """Reads `left_out.json`: the group of each such image, by its id; empty if there is no file.

    Raises:
        HeadstartError: If the file is damaged.
    """
    if not (dataset / LEFT_OUT).exists():
        return {}
    return read_manifest(dataset / LEFT_OUT, "dataset", dict[str, str])[0]
