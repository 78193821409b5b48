"""Goes through the whole table of backbones: what each weighs and computes, and whether it keeps its promises.

    python benchmarks/backbones.py --markdown

For each backbone, with random weights and at its own image size: parameters, float32 images/s forward, in turns as
recording runs it and as Keras has written it, and how many of the parameters are above the default cut. With
--check instead, at its least size: the preprocessing is that of `keras.applications`, one step of training moves
weights above the cut and no others, BatchNorm's neither, and the saved model, loaded in a process without our code
and in safe mode, answers as before. The table is in README.md.
"""

import argparse
import importlib
import inspect
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.backbones.table import BACKBONES, NO_WEIGHTS, Backbone
from headstart.components.core.networks.batchnorm_folding import fold_batchnorm
from headstart.components.core.networks.classifier import (
    BACKBONE_END,
    STEM,
    build_backbone,
    build_classifier,
    cut_classifier,
    get_blocks,
    unfreeze,
)
from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone
from headstart.components.core.networks.start import start_tensorflow

_BATCH = 8
_LOADED = """
import json, sys
import keras, numpy as np
pixels = np.load("pixels.npy")
model = keras.models.load_model("model.keras", safe_mode=True)
assert not [name for name in sys.modules if name.startswith("headstart")]
np.save("answer.npy", np.asarray(model(pixels, training=False)))
"""


def measure(row: Backbone, runs: int) -> dict[str, object]:
    """Parameters, speed and the default cut."""
    base = build_pretrained_backbone(row, row.image_size, NO_WEIGHTS)
    model = classifier(row, base)
    fronts = [
        cut_classifier(each, row.name, BACKBONE_END).front
        for each in (model, classifier(row, build_backbone(row, row.image_size)))
    ]
    ours, keras_own = rates([fold_batchnorm(fronts[0]), fronts[1]], runs)
    below = unfreeze(model, row.name, row.unfreeze_from).front.count_params()
    names = [name for name in get_blocks(base) if name != STEM]
    return {
        "parameters": base.count_params(),
        "rate": ours,
        "rate_of_keras": keras_own,
        "above": 1 - below / base.count_params(),
        "blocks": f"{names[0]} … {names[-1]}",
    }


def classifier(row: Backbone, base: keras.Model) -> keras.Model:
    """For two classes."""
    return build_classifier(base, row.preprocessing, row.head, 2, row.image_size)


def rates(fronts: list[keras.Model], runs: int) -> list[float]:
    """Images/s of each, the fastest of so many runs in turns."""
    pixels = tf.zeros((_BATCH, *fronts[0].input.shape[1:]))
    traced = [tf.function(lambda pixels, front=front: front(pixels, training=False)) for front in fronts]
    best = [math.inf] * len(fronts)
    for turn in range(runs + 1):
        for at, run in enumerate(traced):
            started = time.perf_counter()
            run(pixels).numpy()
            # The first run is traced.
            best[at] = min(best[at], time.perf_counter() - started) if turn else best[at]
    return [_BATCH / each for each in best]


def check(row: Backbone) -> None:
    """Preprocessing, one step of training, saving and loading.

    Raises:
        RuntimeError: Something is not as promised.
    """
    size = row.min_image_size
    pixels = np.random.default_rng(0).integers(0, 256, (4, size, size, 3)).astype(np.float32)
    base = build_pretrained_backbone(row, size, NO_WEIGHTS)
    model = build_classifier(base, row.preprocessing, row.head, 3, size)
    inside = keras.Model(model.input, model.get_layer("preprocess").output)
    promised(np.abs(np.asarray(inside(pixels)) - wanted(row, pixels)).max() < 1e-5, "the preprocessing is another")

    parts = unfreeze(model, row.name, row.unfreeze_from)
    before = {weight.path: weight.numpy() for weight in model.weights}
    activations = np.asarray(parts.front(pixels, training=False))
    parts.tail.compile("adam", "sparse_categorical_crossentropy")
    parts.tail.train_on_batch(activations, np.array([0, 1, 2, 2]))
    moved = {weight.path for weight in model.weights if not np.array_equal(weight.numpy(), before[weight.path])}
    promised(bool(moved), "nothing moved")
    promised(moved <= {weight.path for weight in model.trainable_weights}, "frozen weights moved")

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "model.keras"))
        np.save(Path(folder, "pixels.npy"), pixels)
        subprocess.run([sys.executable, "-c", _LOADED], cwd=folder, check=True)  # noqa: S603 - the code above
        there = np.load(Path(folder, "answer.npy"))
    here = np.asarray(parts.tail(activations, training=False))
    promised(np.abs(there - here).max() < 1e-5, "the loaded model answers otherwise")


def promised(holds: bool, otherwise: str) -> None:
    """Stops where a promise is broken."""
    if not holds:
        raise RuntimeError(otherwise)


def wanted(row: Backbone, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """What Keras makes of the pixels: by its function, or with the layers that it builds in."""
    if not row.constructor.startswith("keras."):
        return np.asarray(keras.applications.mobilenet_v2.preprocess_input(pixels.copy()))
    constructor = getattr(keras.applications, row.constructor.partition(":")[2])
    if "include_preprocessing" not in inspect.signature(constructor).parameters:
        module = importlib.import_module(constructor.__module__)
        return np.asarray(module.preprocess_input(pixels.copy()))
    theirs = constructor(include_top=False, weights=None, input_shape=pixels.shape[1:], include_preprocessing=True)
    values = pixels
    for layer in theirs.layers[1:]:
        if not isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)):
            break
        values = layer(values)
    return np.asarray(values)


def main() -> None:
    """Parses the command line, measures or checks, and prints."""
    start_tensorflow()
    parser = argparse.ArgumentParser(description="Go through the table of backbones.")
    parser.add_argument("--names", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--runs", type=int, default=5, help="of which the fastest counts")
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    for name in args.names:
        keras.utils.clear_session()
        row = BACKBONES[name]
        if args.check:
            check(row)
            print(f"{name}: as promised", flush=True)
            continue
        found = measure(row, args.runs)
        if args.markdown:
            speed = f"{found['rate']:.1f} | {found['rate_of_keras']:.1f}"
            print(
                f"| `{name}` | {row.image_size} | {found['parameters'] / 1e6:.1f} M | {speed} | "
                f"`{row.unfreeze_from}` ({found['above']:.0%}) | {found['blocks']} |",
                flush=True,
            )
        else:
            print(json.dumps({"name": name} | found), flush=True)


if __name__ == "__main__":
    main()
