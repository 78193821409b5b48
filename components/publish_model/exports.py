"""Export for other runtimes: LiteRT, with weights and activations of 32 or of 8 bits, and ONNX.

Each format takes resized pixels, float32 (n, size, size, 3), upright RGB 0-255. It returns one probability per class,
float32 (n, classes), with temperature scaling.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import read_dataset_info, read_rows
from headstart.components.core.networks.image_batches import decode_and_resize
from headstart.components.core.registry.export_formats import (
    LABELS,
    LITERT,
    LITERT_INT8,
    ONNX,
    SAVED_MODEL_ALONE,
    check_packages,
)
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, log_phase, track_progress
from headstart.components.core.util.resources import available_cores
from headstart.components.publish_model.parity import Agreement, Sample, measure_agreement

_CALIBRATION_IMAGES = 200
"""Training images from which the converter learns the range of activations; 100 to 200 are usual."""

_BATCH = 32

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclasses.dataclass(frozen=True)
class Export:
    """An exported format of the model and its agreement with the evaluation.

    Attributes:
        file: Path within the version's folder.
        size: Size of the file in bytes.
        agreement: Agreement of its predictions with the evaluation.
    """

    file: str
    size: int
    agreement: Agreement


def check_exports(names: Sequence[str], train: Path | None) -> None:
    """Checks early that all formats can be exported.

    Args:
        names: Names of the formats.
        train: Dataset artifact of training images; None: none.

    Raises:
        HeadstartError: If a name is unknown, its packages are not installed, or it lacks training images.
    """
    check_packages(names)
    if LITERT_INT8 in names and not (train and read_dataset_info(train).images):
        raise HeadstartError(
            f"export {LITERT_INT8!r} needs training images, to learn the range of activations; pass the training set"
        )


def export_formats(
    names: Sequence[str], version: Path, network: keras.Model, sample: Sample, train: Path | None, tolerance: float
) -> dict[str, Export]:
    """Exports the model with its class names and compares the predictions of each format with the evaluation.

    The loss of accuracy by 8 bits is reported and never stops an export.

    Args:
        names: Formats: `LITERT`, `LITERT_INT8`, `ONNX`; `SAVED_MODEL_ALONE` is ignored.
        version: Folder of the version.
        network: Network from `classifier.add_temperature_scaling`.
        sample: Test images to compare on.
        train: Dataset artifact of training images, for `LITERT_INT8` only.
        tolerance: Largest difference of a probability from the evaluated one, for formats of 32 bits.

    Returns:
        Exports by format.

    Raises:
        HeadstartError: If a converter does not support an operation of the network, or predictions differ by more
            than the tolerance.
    """
    made = {}
    for name in dict.fromkeys(names):
        if name == SAVED_MODEL_ALONE:
            continue
        file = version / _FILES[name]
        file.parent.mkdir(exist_ok=True)
        log_phase(f"exporting {name}")
        batches = track_progress(
            _read_pixels(sample, network.input.shape[1]), f"checking {name}", len(sample.rows), len
        )
        # Some networks are converted, and fail when they run.
        try:
            predict = _WRITERS[name](network, file, train)
            probabilities = np.concatenate([predict(pixels) for pixels in batches])
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise HeadstartError(f"export {name!r} fails on this network ({reason}); leave it out") from error
        (file.parent / LABELS).write_text("".join(f"{each}\n" for each in sample.classes), encoding="utf-8")
        agreement = measure_agreement(sample, probabilities.argmax(axis=1), probabilities)
        event("parity", form=name, **dataclasses.asdict(agreement))
        allowed = np.inf if name == LITERT_INT8 else tolerance
        # NaN compares as False.
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
        # Evenly spaced, since images of one class may follow each other.
        every = max(1, read_dataset_info(train).images // _CALIBRATION_IMAGES)
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
    """Loads a LiteRT model for predictions."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file), num_threads=available_cores())
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()

    def predict(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        interpreter.resize_tensor_input(source["index"], pixels.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(source["index"], pixels)
        interpreter.invoke()
        return np.array(interpreter.get_tensor(target["index"]))

    return predict


def _write_onnx(network: keras.Model, file: Path, train: Path | None) -> Predict:
    _convert_erfc()
    # Keras exports to this format only after the network was called.
    network(np.zeros((1, *network.input.shape[1:]), np.float32))
    # Keras compiles convolutions in groups as functions of their own, which tf2onnx does not convert.
    tf.config.run_functions_eagerly(True)
    try:
        _export(network, file, "onnx")
    finally:
        tf.config.run_functions_eagerly(False)
    return load_onnx(file)


@functools.cache
def _convert_erfc() -> None:
    """Lets tf2onnx convert Erfc, by which TensorFlow computes GELU; Keras passes it no handlers of operations."""
    from tf2onnx import handler, utils

    def convert(graph: Any, node: Any, **options: Any) -> None:
        one = graph.make_const(utils.make_name("one"), np.ones((), np.float32))
        erf = graph.make_node("Erf", node.input)
        graph.remove_node(node.name)
        graph.make_node("Sub", [one.output[0], erf.output[0]], name=node.name, outputs=node.output)

    # ONNX has Erf as of this version.
    handler.tf_op("Erfc").register_compat_handler(convert, 9)


def load_onnx(file: Path) -> Predict:
    """Loads an ONNX model for predictions."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file)
    (source,) = session.get_inputs()
    return lambda pixels: np.asarray(session.run(None, {source.name: pixels})[0])


def _export(network: keras.Model, file: Path, form: str, **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        network.export(str(file), format=form, verbose=False, **options)


def _read_pixels(sample: Sample, size: int) -> Iterator[NDArray[np.float32]]:
    """Yields the sample's images as batches of resized pixels."""
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
