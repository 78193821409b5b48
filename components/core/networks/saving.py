"""Models to and from their artifact."""

import dataclasses
import math
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import keras
import tensorflow

from headstart.components.core.artifacts.history import Epoch, write_history
from headstart.components.core.artifacts.keras_file import NetworkFile, read_network
from headstart.components.core.artifacts.model import MODEL, ModelInfo, read_manifest, write_model_info
from headstart.components.core.util.errors import HeadstartError, first_line

_WAY_OUT = "train the model again, or use another one"

_STATES = 10_000
"""Numbers that layers keep beside their weights, such as the states of random generators."""

_MOST_ACTIVATION_BYTES = 2**30
"""Of one layer's output for one image; two hundred times what MobileNetV2's largest takes at 224 pixels."""


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

    The file is looked into before, see `core.artifacts.keras_file`, and the network is traced without its weights:
    one that is larger than they are, or whose images would not fit into memory, is not built.

    Raises:
        HeadstartError: If Keras cannot read it, or should not.
    """
    info = read_manifest(folder)
    file = read_network(folder / MODEL, len(info.classes), info.image_size, _WAY_OUT)
    try:
        # What Keras keeps of variables without values is this thread's, and goes with it.
        with ThreadPoolExecutor(1) as pool:
            wrong = pool.submit(_too_large, file).result()
        network = None if wrong else _load(folder / MODEL)
    except Exception as error:
        # Each layer has errors of its own for settings that it cannot use.
        raise HeadstartError(f"{folder / MODEL} cannot be loaded ({first_line(error)}); {_WAY_OUT}") from None
    if network is None:
        raise HeadstartError(f"{folder / MODEL} cannot be loaded: {wrong}; {_WAY_OUT}")
    return network


def _load(file: Path) -> keras.Model:
    with warnings.catch_warnings():
        # Keras only warns of layers that the file has no weights for, and leaves them as chance has made them.
        warnings.filterwarnings("error", "Skipping nested container")
        warnings.filterwarnings("error", "A total of .* objects could not be loaded")
        return keras.models.load_model(file, compile=False, safe_mode=True)


def _too_large(file: NetworkFile) -> str:
    """Why a network would take more memory than one of its weights does; empty where it would not."""
    with keras.StatelessScope(initialize_variables=False):
        network = keras.saving.deserialize_keras_object(file.config, safe_mode=True)
    if not isinstance(network, keras.Model):
        return f"it is a {type(network).__name__}, and no network"
    weights, all_values = (
        sum(math.prod(variable.shape) for variable in variables) for variables in (network.weights, network.variables)
    )
    if weights > file.values or all_values > file.values + _STATES:
        return f"its layers would have {all_values:,} weights, and its file has {file.values:,}"
    largest = max(_output_sizes(network), default=0)
    if largest * 4 > _MOST_ACTIVATION_BYTES:
        return f"a layer would give {largest:,} numbers for one image"
    return ""


def _output_sizes(network: keras.Model) -> Iterator[int]:
    """Numbers that each operation gives for one image, those of nested networks among them."""
    for operation in network.operations:
        if isinstance(operation, keras.Model):
            yield from _output_sizes(operation)
        for output in keras.tree.flatten(operation.output):
            yield math.prod(side for side in output.shape if side)


def library_versions() -> dict[str, str]:
    """Versions of what a model's numbers depend on."""
    # TensorFlow comes from packages of several names.
    return {
        "python": python_version(),
        "headstart": version("headstart"),
        "keras": keras.__version__,
        "tensorflow": tensorflow.__version__,
    }
