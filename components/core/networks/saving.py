"""Saving and loading the network of a model artifact."""

import dataclasses
import math
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from platform import python_version

import keras
import tensorflow

from headstart import __version__
from headstart.components.core.artifacts.history import Epoch, write_history
from headstart.components.core.artifacts.keras_file import NetworkFile, inspect_network
from headstart.components.core.artifacts.model import MODEL, ModelInfo, read_model_manifest, write_model_info
from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.components.core.util.logs import log_phase

_WAY_OUT = "train the model again, or use another one"

_STATES = 10_000
"""Most values that layers may keep besides their weights, such as the states of random generators."""

_MOST_ACTIVATION_BYTES = 2**30
"""Largest output of a layer for one image: two hundred times MobileNetV2's largest at 224 pixels."""


def save_model(folder: Path, model: keras.Model, info: ModelInfo, epochs: list[Epoch]) -> None:
    """Writes network, training history and, last, manifest into the folder of a model artifact.

    Args:
        folder: Model artifact.
        model: Network to save.
        info: Manifest; the numbers of parameters and of GPUs are filled in here.
        epochs: Training history.
    """
    model.save(folder / MODEL)
    write_history(folder, epochs)
    accelerators = len(tensorflow.config.list_physical_devices("GPU"))
    write_model_info(folder, dataclasses.replace(info, accelerators=accelerators, parameters=model.count_params()))


def load_model(folder: Path) -> keras.Model:
    """Loads the network of a model artifact; it consists of standard layers only.

    The file is checked first, see `core.artifacts.keras_file`. Then the network is traced without weights: one that
    is larger than its weights, or whose activations would not fit into memory, is not built.

    Raises:
        HeadstartError: If the file is damaged or unsafe.
    """
    log_phase("reading weights")
    info = read_model_manifest(folder)
    return load_network(
        folder / MODEL,
        str(folder / MODEL),
        inspect_network(folder / MODEL, len(info.classes), info.image_size, _WAY_OUT),
        _WAY_OUT,
    )


def load_network(path: Path, what: str, file: NetworkFile, way_out: str) -> keras.Model:
    """Loads a network that has been inspected, unless it would take far more memory than its file.

    Args:
        path: File whose name ends in `.keras`.
        what: Name of the file in messages.
        file: Facts about it.
        way_out: End of the message.

    Raises:
        HeadstartError: If Keras cannot build it, or it is larger than its weights.
    """
    try:
        # In a thread of its own: what Keras keeps about variables without values is deleted with the thread.
        with ThreadPoolExecutor(1) as pool:
            problem = pool.submit(_find_excess, file).result()
        network = None if problem else _load(path)
    except Exception as error:
        # Each layer raises errors of its own for invalid settings.
        raise HeadstartError(f"{what} cannot be loaded ({first_line(error)}); {way_out}") from None
    if network is None:
        raise HeadstartError(f"{what} cannot be loaded: {problem}; {way_out}")
    return network


def _load(file: Path) -> keras.Model:
    with warnings.catch_warnings():
        # Keras only warns about layers that the file has no weights for, and leaves them random.
        warnings.filterwarnings("error", "Skipping nested container")
        warnings.filterwarnings("error", "A total of .* objects could not be loaded")
        return keras.models.load_model(file, compile=False, safe_mode=True)


def _find_excess(file: NetworkFile) -> str:
    """Describes why a network would take far more memory than its weights; empty if it would not."""
    with keras.StatelessScope(initialize_variables=False):
        network = keras.saving.deserialize_keras_object(file.config, safe_mode=True)
    if not isinstance(network, keras.Model):
        return f"it is a {type(network).__name__}, not a network"
    weights, all_values = (
        sum(math.prod(variable.shape) for variable in variables) for variables in (network.weights, network.variables)
    )
    if weights > file.values or all_values > file.values + _STATES:
        return f"its layers would have {all_values:,} weights, but its file has {file.values:,}"
    largest = max(_output_sizes(network), default=0)
    if largest * 4 > _MOST_ACTIVATION_BYTES:
        return f"a layer would output {largest:,} numbers for one image"
    return ""


def _output_sizes(network: keras.Model) -> Iterator[int]:
    """Sizes of the outputs of all operations for one image, nested networks included."""
    # A sequential network has no operations besides its layers.
    for operation in network.layers if isinstance(network, keras.Sequential) else network.operations:
        if isinstance(operation, keras.Model):
            yield from _output_sizes(operation)
        for output in keras.tree.flatten(operation.output):
            yield math.prod(side for side in output.shape if side)


def library_versions() -> dict[str, str]:
    """Versions of the software that a model's predictions depend on."""
    # Not by the name of the package: TensorFlow comes in several.
    return {
        "python": python_version(),
        "headstart": __version__,
        "keras": keras.__version__,
        "tensorflow": tensorflow.__version__,
    }
