"""Measures every backbone of the table and checks that it works as documented.

    python benchmarks/backbones.py --markdown

For each backbone, with random weights and at its own image size: parameters, float32 images/s forward, and the share
of parameters above the default cut. The rate is measured in turns as features are computed and as Keras builds the
network.

With --check instead, at the least image size: the preprocessing is that of `keras.applications`; one training step
changes weights above the cut and no others, nor BatchNorm's; and the saved model predicts the same when a process
without this package loads it in safe mode. The table is in README.md.
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
_LOADING = """
import json, sys
import keras, numpy as np
pixels = np.load("pixels.npy")
model = keras.models.load_model("model.keras", safe_mode=True)
assert not [name for name in sys.modules if name.startswith("headstart")]
np.save("predictions.npy", np.asarray(model(pixels, training=False)))
"""


def measure(row: Backbone, runs: int) -> dict[str, object]:
    """Measures parameters, rates and the default cut of a backbone.

    Args:
        row: Row of the table of backbones.
        runs: Number of timed runs; the fastest counts.
    """
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
    """Builds a classifier of two classes at the backbone's own image size."""
    return build_classifier(base, row.preprocessing, row.head, 2, row.image_size)


def rates(fronts: list[keras.Model], runs: int) -> list[float]:
    """Images/s of each front, by the fastest of so many runs in turns."""
    pixels = tf.zeros((_BATCH, *fronts[0].input.shape[1:]))
    traced = [tf.function(lambda pixels, front=front: front(pixels, training=False)) for front in fronts]
    best = [math.inf] * len(fronts)
    for turn in range(runs + 1):
        for at, run in enumerate(traced):
            started = time.perf_counter()
            run(pixels).numpy()
            # The first run includes tracing.
            best[at] = min(best[at], time.perf_counter() - started) if turn else best[at]
    return [_BATCH / each for each in best]


def check(row: Backbone) -> None:
    """Checks preprocessing, one training step, saving and loading.

    Raises:
        RuntimeError: If one of them does not work as documented.
    """
    size = row.min_image_size
    pixels = np.random.default_rng(0).integers(0, 256, (4, size, size, 3)).astype(np.float32)
    base = build_pretrained_backbone(row, size, NO_WEIGHTS)
    model = build_classifier(base, row.preprocessing, row.head, 3, size)
    preprocess = keras.Model(model.input, model.get_layer("preprocess").output)
    require(
        np.abs(np.asarray(preprocess(pixels)) - preprocess_with_keras(row, pixels)).max() < 1e-5,
        "the preprocessing differs from Keras'",
    )

    parts = unfreeze(model, row.name, row.unfreeze_from)
    before = {weight.path: weight.numpy() for weight in model.weights}
    activations = np.asarray(parts.front(pixels, training=False))
    parts.tail.compile("adam", "sparse_categorical_crossentropy")
    parts.tail.train_on_batch(activations, np.array([0, 1, 2, 2]))
    changed = {weight.path for weight in model.weights if not np.array_equal(weight.numpy(), before[weight.path])}
    require(bool(changed), "no weight changed")
    require(changed <= {weight.path for weight in model.trainable_weights}, "frozen weights changed")

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "model.keras"))
        np.save(Path(folder, "pixels.npy"), pixels)
        subprocess.run([sys.executable, "-c", _LOADING], cwd=folder, check=True)  # noqa: S603 - the code above
        loaded = np.load(Path(folder, "predictions.npy"))
    expected = np.asarray(parts.tail(activations, training=False))
    require(np.abs(loaded - expected).max() < 1e-5, "the loaded model predicts otherwise")


def require(holds: bool, problem: str) -> None:
    """Raises an error if a condition does not hold."""
    if not holds:
        raise RuntimeError(problem)


def preprocess_with_keras(row: Backbone, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Preprocesses pixels with Keras' function, or with the layers that Keras builds into the network."""
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
    parser = argparse.ArgumentParser(description="Measure or check the backbones of the table.")
    parser.add_argument("--names", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    parser.add_argument("--check", action="store_true")
    parser.add_argument(
        "--runs", type=int, default=5, help="number of timed runs; the fastest counts (default: %(default)s)"
    )
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    for name in args.names:
        keras.utils.clear_session()
        row = BACKBONES[name]
        if args.check:
            check(row)
            print(f"{name}: works as documented", flush=True)
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
