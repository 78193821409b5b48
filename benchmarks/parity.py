"""Compares every published form of a model with its evaluation, on the test images of a run.

    headstart run --data photos.zip --counts 1000,500,500 --image-size 160 --weights mobilenet_v2.weights.h5
    python benchmarks/parity.py out

Probabilities are calibrated. The SavedModel gets the bytes of the test images, and then the same pictures stored anew
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
from headstart.components.publish_model.step import Inputs, build_version

BATCH = 50
FORMS = ("litert", "litert_int8", "onnx")
# What turns a picture back that is shown by the orientation's number; see Pillow's ImageOps.exif_transpose.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

Answer = Callable[[Any], NDArray[np.floating]]


def main() -> None:
    """Parses the command line, measures and prints a table."""
    start_tensorflow()
    parser = argparse.ArgumentParser(description="Compare the forms of a model with its evaluation.")
    parser.add_argument("run", type=Path, help="output folder of a run")
    run = parser.parse_args().run
    evaluation, test = run / "evaluation", run / "splits" / "test"
    temperature = temperature_of(read_metrics(evaluation))
    evaluated = read_predictions(evaluation / PREDICTIONS)
    wanted = apply_temperature(evaluated.probabilities, temperature)
    files = [row.image for row in read_rows(test)]

    def report(form: str, file: Path, load: Callable[[], Answer], inputs: Any) -> None:
        started = time.perf_counter()
        answer = load()
        seconds = time.perf_counter() - started
        said = np.concatenate([answer(part) for part in batches(inputs)])
        predicted = said.argmax(axis=1)
        right = int((predicted == evaluated.labels).sum())
        low, high = wilson_interval(right, len(said))
        off = np.abs(said - wanted)
        bytes_of = sum(each.stat().st_size for each in file.rglob("*")) if file.is_dir() else file.stat().st_size
        print(
            f"| {form} | {(predicted == evaluated.predicted).mean():.3f} | {right / len(said):.3f} | "
            f"{low:.3f} to {high:.3f} | {off.max():.1e} | {off.mean():.1e} | {bytes_of / 1e6:.1f} MB | "
            f"{seconds:.2f} s |",
            flush=True,
        )

    with tempfile.TemporaryDirectory() as folder:
        version = Path(folder) / "version"
        # Nothing is refused: this is to show by how much a form is off.
        build_version(Inputs(run / "model", evaluation, test, run / "splits" / "train", None, FORMS, 1.0), version)
        model = load_model(run / "model")
        size = model.get_layer("resize").height
        pixels = np.stack([decode_and_resize(tf.constant(content), size).numpy() for content in files])
        print("| form | same label | accuracy | 95 % interval | largest difference | mean | size | to load |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        keras_file = version / "model" / "model.keras"
        report("Keras", keras_file, lambda: of_keras(load_model(version / "model"), temperature), pixels)
        saved = version / "saved_model" / "1"
        report("SavedModel, files", saved, lambda: of_saved_model(saved), files)
        litert, int8 = (version / "litert" / name for name in ("model.tflite", "model_int8.tflite"))
        report("LiteRT", litert, lambda: load_litert(litert), pixels)
        report("LiteRT int8", int8, lambda: load_litert(int8), pixels)
        onnx = version / "onnx" / "model.onnx"
        report("ONNX", onnx, lambda: load_onnx(onnx), pixels)
        lossless = [turned(content, 1 + at % 8) for at, content in enumerate(files)]
        report("SavedModel, files with EXIF orientations 1 to 8", saved, lambda: of_saved_model(saved), lossless)
        by_pillow = np.stack([resized_by_pillow(content, size) for content in files])
        report("Keras, read and resized by Pillow", keras_file, lambda: of_keras(model, temperature), by_pillow)


def batches(values: Any) -> Iterator[Any]:
    """Yields values, a list or an array, in batches."""
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]


def of_keras(model: Any, temperature: float) -> Answer:
    """Asks a Keras model about resized pixels."""
    network = remove_resizing(model)
    return lambda pixels: apply_temperature(to_probabilities(network(pixels, training=False).numpy()), temperature)


def of_saved_model(folder: Path) -> Answer:
    """Asks a SavedModel about files."""
    loaded = tf.saved_model.load(str(folder))
    return lambda files: loaded.signatures["serving_default"](image_bytes=tf.constant(files))["probabilities"].numpy()


def turned(content: bytes, orientation: int) -> bytes:
    """The same picture as a camera stores it that was held otherwise, as JPEG of the highest quality."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    stored = image.transpose(TURNS[orientation]) if orientation in TURNS else image
    stored.save(buffer, "JPEG", quality=100, subsampling=0, exif=exif)
    return buffer.getvalue()


def resized_by_pillow(content: bytes, size: int) -> NDArray[np.float32]:
    """Pixels as Pillow decodes and resizes them, with its own antialiased bilinear filter."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32)


if __name__ == "__main__":
    main()
