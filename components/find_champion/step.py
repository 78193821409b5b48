"""Looks up which published model is in use."""

from headstart.components.core import registry
from headstart.components.core.logs import event, start_logging
from headstart.components.core.stores import without_secrets


def find_champion(publish_uri: str, champion: str = "") -> str:
    """The address of the model that a new one has to be better than.

    Args:
        publish_uri: Where models are published; empty: nowhere.
        champion: The model in use where nothing has been published; empty: there is none.

    Returns:
        Address of a model artifact, another one for each version; empty: there is none.

    Raises:
        HeadstartError: What is published cannot be read.
    """
    start_logging()
    found = registry.champion(publish_uri) if publish_uri else None
    address = found.model if found else champion
    event("champion", address=without_secrets(address), published=found is not None)
    return address
