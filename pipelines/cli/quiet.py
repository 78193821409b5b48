"""TensorFlow without its chatter, for commands that compute in their own process."""

import os

from headstart.components.core.networks.start import start_tensorflow

_STDERR = 2


def import_tensorflow() -> None:
    """Imports it, and throws away what it writes of missing devices: no setting keeps it from that."""
    error, nowhere = os.dup(_STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDERR)
    try:
        start_tensorflow()
        import tensorflow

        tensorflow.config.list_logical_devices()
    finally:
        os.dup2(error, _STDERR)
        os.close(error)
        os.close(nowhere)
