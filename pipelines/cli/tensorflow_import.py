"""Import of TensorFlow without its log lines, for commands that compute in their own process."""

import os

from headstart.components.core.networks.start import start_tensorflow

_STDERR = 2


def import_tensorflow() -> None:
    """Imports TensorFlow, and drops what it writes on missing devices, which no setting suppresses."""
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
