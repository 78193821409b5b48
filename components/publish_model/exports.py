"""Forms of a model for other runtimes: LiteRT, with weights and activations of 32 or of 8 bits, and ONNX.

Each takes pixels that are resized already, float32 (n, size, size, 3), upright RGB 0-255, and gives one probability
per class, float32 (n, classes), scaled by the temperature of the calibration.
"""

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import read_info, read_rows
from headstart.components.core.networks.image_batches import decode_and_resize
from headstart.components.core.registry.version_files import (
    LABELS,
    LITERT,
    LITERT_INT8,
    ONNX,
    SAVED_MODEL_ALONE,
    check_installed,
)
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event
from headstart.components.core.util.resources import cores
from headstart.components.publish_model.parity import Agreement, Sample, agreement_of

_CALIBRATION_IMAGES = 200
"""Training images that show the converter which values activations take; a hundred or two are usual."""

_BATCH = 32

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclasses.dataclass(frozen=True)
class Export:
    """A form of the model, and how far it says the same.

    Attributes:
        file: Where it lies in the version's folder.
        size: Of the file in bytes.
        agreement: With the evaluation.
    """

    file: str
    size: int
    agreement: Agreement


def check_exports(names: Sequence[str], train: Path | None) -> None:
    """Refuses what cannot be exported, before any work.

    Args:
        names: Forms that are wanted.
        train: Training images; None where there are none.

    Raises:
        HeadstartError: A name is unknown, its packages are not installed, or it lacks training images.
    """
    check_installed(names)
    if LITERT_INT8 in names and not (train and read_info(train).images):
        raise HeadstartError(f"export {LITERT_INT8!r} needs training images to learn the range of values from")


def export_formats(
    names: Sequence[str], version: Path, network: keras.Model, sample: Sample, train: Path | None, tolerance: float
) -> dict[str, Export]:
    """Writes forms of the model, with its class names beside, and asks each about the sample.

    What 8 bits lose is reported; it is no reason to hold anything back.

    Args:
        names: `LITERT`, `LITERT_INT8`, `ONNX`; `SAVED_MODEL_ALONE` is passed over.
        version: Folder of the version.
        network: From `classifier.add_temperature_scaling`.
        sample: Test images.
        train: Training images; only `LITERT_INT8` looks at them.
        tolerance: How far a probability of the other forms may be from the evaluated one.

    Raises:
        HeadstartError: A converter does not know an operation of the network, or what it made answers differently.
    """
    made = {}
    for name in dict.fromkeys(names):
        if name == SAVED_MODEL_ALONE:
            continue
        file = version / _FILES[name]
        file.parent.mkdir(exist_ok=True)
        try:
            answer = _WRITERS[name](network, file, train)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise HeadstartError(f"export {name!r} fails on this network ({reason}); leave it out") from error
        (file.parent / LABELS).write_text("".join(f"{each}\n" for each in sample.classes), encoding="utf-8")
        probabilities = np.concatenate([answer(pixels) for pixels in _pixels(sample, network.input.shape[1])])
        agreement = agreement_of(sample, probabilities.argmax(axis=1), probabilities)
        event("parity", form=name, **dataclasses.asdict(agreement))
        allowed = np.inf if name == LITERT_INT8 else tolerance
        # What is no number is within nothing.
        if not agreement.largest_difference <= allowed:
            raise HeadstartError(
                f"nothing is published: export {name!r} is off by {agreement.largest_difference:.4f} in a "
                f"probability (tolerance {allowed}); leave it out"
            )
        made[name] = Export(_FILES[name], file.stat().st_size, agreement)
    return made


def _write_litert(network: keras.Model, file: Path, train: Path | None) -> Predict:
    _export(network, file, "litert", target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]})
    return load_litert(file)


def _write_litert_int8(network: keras.Model, file: Path, train: Path | None) -> Predict:
    assert train is not None  # noqa: S101 - for the type checker
    size = network.input.shape[1]

    def representative() -> Iterator[list[NDArray[np.float32]]]:
        # Every so many of them, since those of a class may lie together.
        every = max(1, read_info(train).images // _CALIBRATION_IMAGES)
        for number, row in enumerate(read_rows(train)):
            if number % every == 0:
                yield [decode_and_resize(tf.constant(row.image), size).numpy()[None]]

    _export(
        network,
        file,
        "litert",
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=representative,
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
    )
    return load_litert(file)


def load_litert(file: Path) -> Predict:
    """Loads a LiteRT model."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file), num_threads=cores())
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()

    def answer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        interpreter.resize_tensor_input(into["index"], pixels.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(into["index"], pixels)
        interpreter.invoke()
        return np.array(interpreter.get_tensor(out["index"]))

    return answer


def _write_onnx(network: keras.Model, file: Path, train: Path | None) -> Predict:
    # Keras leaves a network to this format only once it has been called.
    network(np.zeros((1, *network.input.shape[1:]), np.float32))
    _export(network, file, "onnx")
    return load_onnx(file)


def load_onnx(file: Path) -> Predict:
    """Loads an ONNX model."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file)
    (into,) = session.get_inputs()
    return lambda pixels: np.asarray(session.run(None, {into.name: pixels})[0])


def _export(network: keras.Model, file: Path, form: str, **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        network.export(str(file), format=form, verbose=False, **options)


def _pixels(sample: Sample, size: int) -> Iterator[NDArray[np.float32]]:
    """The sample's images as the network takes them, batch by batch."""
    wanted, batch = set(sample.rows.tolist()), []
    for number, row in enumerate(read_rows(sample.dataset)):
        if number in wanted:
            batch.append(decode_and_resize(tf.constant(row.image), size).numpy())
        if len(batch) == _BATCH:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


_FILES = {LITERT: "litert/model.tflite", LITERT_INT8: "litert/model_int8.tflite", ONNX: "onnx/model.onnx"}
_WRITERS = {LITERT: _write_litert, LITERT_INT8: _write_litert_int8, ONNX: _write_onnx}
