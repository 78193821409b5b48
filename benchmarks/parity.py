"""Compares every published format of a model with its evaluation, on the test images of a run.

    headstart run --data photos.zip --counts 1000,500,500 --image-size 160 --weights mobilenet_v2.weights.h5
    PYTHONPATH=tests python benchmarks/parity.py out

Probabilities are calibrated. The SavedModel gets the bytes of the test images, and then the same images stored anew
under each EXIF orientation in turn. Keras gets the pixels of TensorFlow's decoder and filter, and then those of
Pillow's.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image
from support.forms import rotate_as_stored

from headstart.components.core.artifacts.dataset import read_rows
from headstart.components.core.artifacts.evaluation import read_metrics, temperature_of
from headstart.components.core.artifacts.predictions import PREDICTIONS, read_predictions
from headstart.components.core.metrics.calibration import apply_temperature
from headstart.components.core.metrics.statistics import wilson_interval
from headstart.components.core.networks.classifier import remove_resizing, to_probabilities
from headstart.components.core.networks.image_batches import decode_and_resize
from headstart.components.core.networks.saving import load_model
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.publish_model.exports import load_litert, load_onnx
from headstart.components.publish_model.step import PublicationInputs, build_version

BATCH = 50
FORMATS = ("litert", "litert_int8", "onnx")

Predict = Callable[[Any], NDArray[np.floating]]


def main() -> None:
    """Parses the command line, measures and prints a table."""
    start_tensorflow()
    parser = argparse.ArgumentParser(description="Compare the formats of a model with its evaluation.")
    parser.add_argument("run", type=Path, help="output folder of a run")
    run = parser.parse_args().run
    evaluation, test = run / "evaluation", run / "splits" / "test"
    temperature = temperature_of(read_metrics(evaluation))
    evaluated = read_predictions(evaluation / PREDICTIONS)
    wanted = apply_temperature(evaluated.probabilities, temperature)
    files = [row.image for row in read_rows(test)]

    def report(name: str, file: Path, load: Callable[[], Predict], inputs: Any) -> None:
        started = time.perf_counter()
        predict = load()
        seconds = time.perf_counter() - started
        predictions = np.concatenate([predict(part) for part in batches(inputs)])
        predicted = predictions.argmax(axis=1)
        right = int((predicted == evaluated.labels).sum())
        low, high = wilson_interval(right, len(predictions))
        off = np.abs(predictions - wanted)
        bytes_of = sum(each.stat().st_size for each in file.rglob("*")) if file.is_dir() else file.stat().st_size
        print(
            f"| {name} | {(predicted == evaluated.predicted).mean():.3f} | {right / len(predictions):.3f} | "
            f"{low:.3f} to {high:.3f} | {off.max():.1e} | {off.mean():.1e} | {bytes_of / 1e6:.1f} MB | "
            f"{seconds:.2f} s |",
            flush=True,
        )

    with tempfile.TemporaryDirectory() as folder:
        version = Path(folder) / "version"
        # With a tolerance of 1 nothing is refused: the table shows by how much a format differs.
        build_version(
            PublicationInputs(run / "model", evaluation, test, run / "splits" / "train", None, FORMATS, 1.0), version
        )
        model = load_model(run / "model")
        size = model.get_layer("resize").height
        pixels = np.stack([decode_and_resize(tf.constant(content), size).numpy() for content in files])
        print("| format | same label | accuracy | 95 % interval | largest difference | mean | size | to load |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        keras_file = version / "model" / "model.keras"
        report("Keras", keras_file, lambda: use_keras(load_model(version / "model"), temperature), pixels)
        saved = version / "saved_model" / "1"
        report("SavedModel, files", saved, lambda: load_saved_model(saved), files)
        litert, int8 = (version / "litert" / name for name in ("model.tflite", "model_int8.tflite"))
        report("LiteRT", litert, lambda: load_litert(litert), pixels)
        report("LiteRT int8", int8, lambda: load_litert(int8), pixels)
        onnx = version / "onnx" / "model.onnx"
        report("ONNX", onnx, lambda: load_onnx(onnx), pixels)
        lossless = [store_anew(content, 1 + at % 8) for at, content in enumerate(files)]
        report("SavedModel, files with EXIF orientations 1 to 8", saved, lambda: load_saved_model(saved), lossless)
        by_pillow = np.stack([resize_with_pillow(content, size) for content in files])
        report("Keras, read and resized by Pillow", keras_file, lambda: use_keras(model, temperature), by_pillow)


def batches(values: Any) -> Iterator[Any]:
    """Yields the values of a list or array in batches."""
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]


def use_keras(model: Any, temperature: float) -> Predict:
    """Returns a function from resized pixels to calibrated probabilities of a Keras model."""
    network = remove_resizing(model)
    return lambda pixels: apply_temperature(to_probabilities(network(pixels, training=False).numpy()), temperature)


def load_saved_model(folder: Path) -> Predict:
    """Returns a function from the bytes of files to probabilities of a SavedModel."""
    loaded = tf.saved_model.load(str(folder))
    return lambda files: loaded.signatures["serving_default"](image_bytes=tf.constant(files))["probabilities"].numpy()


def store_anew(content: bytes, orientation: int) -> bytes:
    """Stores an image as a camera held in this orientation does, as JPEG of the highest quality."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    rotate_as_stored(image, orientation).save(buffer, "JPEG", quality=100, subsampling=0, exif=exif)
    return buffer.getvalue()


def resize_with_pillow(content: bytes, size: int) -> NDArray[np.float32]:
    """Decodes and resizes an image with Pillow and its antialiased bilinear filter."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32)


if __name__ == "__main__":
    main()
