"""Looks up which published model is in use."""

from pathlib import Path

from headstart.components.core import registry
from headstart.components.core.dataset import read_info
from headstart.components.core.logs import event, start_logging
from headstart.components.core.model import check_in_use
from headstart.components.core.stores import without_secrets


def find_champion(test: Path, publish_uri: str, champion: str = "") -> str:
    """The address of the model that a new one has to be better than.

    Args:
        test: Dataset artifact that both are to be compared on.
        publish_uri: Where models are published; empty: nowhere.
        champion: The model in use where nothing has been published; empty: there is none.

    Returns:
        Address of a model artifact, another one for each version; empty: there is none.

    Raises:
        HeadstartError: What is published or the model cannot be read, or its classes are others than the images'.
    """
    start_logging()
    found = registry.champion(publish_uri) if publish_uri else None
    address = found.model if found else champion
    if address:
        check_in_use(address, read_info(test).classes)
    event("champion", address=without_secrets(address), published=found is not None)
    return address
