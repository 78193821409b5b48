"""Finds the champion: the model that a candidate is compared with."""

from pathlib import Path

from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.registry.champion import find_usable_champion
from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.util.logs import event, start_logging


def find_champion(test: Path, publish_uri: str, champion: str = "") -> str:
    """Finds the champion and checks that it can be compared with a candidate.

    Args:
        test: Dataset artifact of the test images.
        publish_uri: Folder or address where models are published; empty: none.
        champion: Champion to use if nothing has been published; empty: none.

    Returns:
        Address of a model artifact, a different one for each version; empty without a champion.

    Raises:
        HeadstartError: If the champion cannot be read or loaded, was changed since it was published, or has other
            classes than the test images.
    """
    start_logging()
    address = find_usable_champion(publish_uri, champion, read_dataset_info(test).classes)
    event("champion", address=without_secrets(address), published=bool(address) and address != champion)
    return address
