"""Looks up which published model is in use."""

from pathlib import Path

from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.registry.champion import find_usable_champion
from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.util.logs import event, start_logging


def find_champion(test: Path, publish_uri: str, champion: str = "") -> str:
    """The address of the model that a new one has to be better than.

    Args:
        test: Dataset artifact that both are to be compared on.
        publish_uri: Where models are published; empty: nowhere.
        champion: The model in use where nothing has been published; empty: there is none.

    Returns:
        Address of a model artifact, another one for each version; empty: there is none.

    Raises:
        HeadstartError: If what is published or the model cannot be read, was changed since it was published, cannot
            be loaded, or has other classes than the images.
    """
    start_logging()
    address = find_usable_champion(publish_uri, champion, read_dataset_info(test).classes)
    event("champion", address=without_secrets(address), published=bool(address) and address != champion)
    return address
