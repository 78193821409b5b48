"""Models to and from their artifact."""

import dataclasses
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import keras
import tensorflow

from headstart.components.core.errors import HeadstartError
from headstart.components.core.history import Epoch, write_history
from headstart.components.core.model import MODEL, ModelInfo, write_model_info


def save_model(folder: Path, model: keras.Model, info: ModelInfo, epochs: list[Epoch]) -> None:
    """Writes the network, how training went, and, last, what it is, into the folder of a model artifact.

    What the network itself tells, its size and where it was trained, is added.
    """
    model.save(folder / MODEL)
    write_history(folder, epochs)
    accelerators = len(tensorflow.config.list_physical_devices("GPU"))
    write_model_info(folder, dataclasses.replace(info, accelerators=accelerators, parameters=model.count_params()))


def load_model(folder: Path) -> keras.Model:
    """Loads the network of a model artifact, which needs no code of ours.

    Raises:
        HeadstartError: Keras cannot read it.
    """
    try:
        return keras.models.load_model(folder / MODEL, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError) as error:
        raise HeadstartError(f"{folder / MODEL} cannot be loaded ({error}); train the model again") from None


def library_versions() -> dict[str, str]:
    """Versions of what a model's numbers depend on."""
    # TensorFlow comes from packages of several names.
    return {
        "python": python_version(),
        "headstart": version("headstart"),
        "keras": keras.__version__,
        "tensorflow": tensorflow.__version__,
    }
