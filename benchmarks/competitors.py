"""Other ways to the same classifier, as their authors publish them: what `methods.py` holds ours against.

    python benchmarks/competitors.py guide DATA --weights WEIGHTS --size 160 --seed 0 --output answers.json

DATA has folders train, validation and test of class folders. Neither way knows of Headstart; both run on MobileNetV2.

tutorial: "Deep Learning with R", chapter 5: end to end on pictures augmented by Keras' ImageDataGenerator, a
    flattened head of 256 units, RMSprop, 30 epochs at 2e-5 and then 100 at 1e-5 of 100 steps of 20 pictures. The
    base's input is scaled as MobileNetV2 expects it, to [-1, 1]; fine-tuned are its last blocks, from block_13 on.
guide: "Transfer learning & fine-tuning" of keras.io: a cached `image_dataset_from_directory`, flip and rotation, a
    pooled head, Adam, 20 epochs, then all layers at 1e-5 for 10 more. Called with `training=False`, as it says.

With --state the training is kept after every epoch and continued from there, for accuracies that take hours: its
seconds then say nothing, and validation, by which neither way chooses anything, is passed over.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from numpy.typing import NDArray

_TUNED_FROM = "block_13_expand"


class Trained(NamedTuple):
    """What came of it.

    Attributes:
        answers: Probabilities of the second class, (test pictures,), in the order of their names.
        left_out: Seconds by the clock that the epochs left out would have taken, and processor seconds.
    """

    answers: NDArray[np.float64]
    left_out: NDArray[np.float64]


class Way(NamedTuple):
    """How far to train, and how.

    Attributes:
        scale: Share of the epochs to run, 1 for all of them.
        state: Folder for what was trained up to the last epoch, where it is to be continued.
    """

    scale: float
    state: Path | None


def tutorial(data: Path, weights: Path, size: int, way: Way) -> Trained:
    """The tutorial's method 3.

    Args:
        data: Folders train, validation and test.
        weights: Of MobileNetV2 without top.
        size: Side in pixels.
        way: How far to train.
    """
    scaled = {"preprocessing_function": keras.applications.mobilenet_v2.preprocess_input}
    augmented = ImageDataGenerator(
        rotation_range=40,
        width_shift_range=0.2,
        height_shift_range=0.2,
        shear_range=0.2,
        zoom_range=0.2,
        horizontal_flip=True,
        fill_mode="nearest",
        **scaled,
    )
    plain = ImageDataGenerator(**scaled)
    how = {"target_size": (size, size), "batch_size": 20, "class_mode": "binary"}
    train = augmented.flow_from_directory(data / "train", **how)
    validation = plain.flow_from_directory(data / "validation", **how)
    test = plain.flow_from_directory(data / "test", shuffle=False, **how)
    base = _base(size, weights)
    model = keras.Sequential(
        [base, keras.layers.Flatten(), keras.layers.Dense(256, "relu"), keras.layers.Dense(1, "sigmoid")]
    )
    base.trainable = False
    left_out = _train(model, keras.optimizers.RMSprop(2e-5), train, validation, 30, way, 100)
    base.trainable = True
    from_here = [layer.name for layer in base.layers].index(_TUNED_FROM)
    for layer in base.layers[:from_here]:
        layer.trainable = False
    left_out += _train(model, keras.optimizers.RMSprop(1e-5), train, validation, 100, way, 100)
    return _answers(model, test, left_out)


def guide(data: Path, weights: Path, size: int, way: Way) -> Trained:
    """The guide's; arguments as those of `tutorial`."""

    def pictures(split: str, shuffle: bool) -> tf.data.Dataset:
        found = keras.utils.image_dataset_from_directory(
            data / split, image_size=(size, size), batch_size=64, shuffle=shuffle, label_mode="binary", verbose=False
        )
        return found.cache().prefetch(tf.data.AUTOTUNE)

    train, validation, test = pictures("train", True), pictures("validation", False), pictures("test", False)
    augment = keras.Sequential([keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)])
    train = train.map(lambda images, labels: (augment(images, training=True), labels)).prefetch(tf.data.AUTOTUNE)
    base = _base(size, weights)
    base.trainable = False
    pixels = keras.Input((size, size, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = keras.layers.GlobalAveragePooling2D()(base(x, training=False))
    x = keras.layers.Dropout(0.2)(x)
    model = keras.Model(pixels, keras.layers.Dense(1, "sigmoid")(x))
    left_out = _train(model, keras.optimizers.Adam(), train, validation, 20, way)
    base.trainable = True
    left_out += _train(model, keras.optimizers.Adam(1e-5), train, validation, 10, way)
    return _answers(model, test, left_out)


COMPETITORS = {"tutorial": tutorial, "guide": guide}


def _base(size: int, weights: Path) -> keras.Model:
    base = keras.applications.MobileNetV2(input_shape=(size, size, 3), include_top=False, weights=None)
    base.load_weights(weights)
    return base


def _train(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    train: object,
    validation: object,
    epochs: int,
    way: Way,
    steps: int | None = None,
) -> NDArray[np.float64]:
    """Trains for a share of the epochs; what the others would take, by the median of those after the first."""
    # A model of the stage's own, of the same layers: the epoch that BackupAndRestore finds stays with its model.
    model = keras.Model(model.inputs, model.outputs)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    ends = [_now()]
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(_now()))]
    if way.state:
        callbacks.append(keras.callbacks.BackupAndRestore(way.state / f"{epochs}", delete_checkpoint=False))
        validation = None
    run = max(1 if way.scale == 1 else 2, round(epochs * way.scale))
    done = model.fit(
        train, epochs=run, steps_per_epoch=steps, validation_data=validation, callbacks=callbacks, verbose=0
    ).history
    took = np.diff(ends, axis=0)
    last = ", ".join(f"{name} {values[-1]:.4f}" for name, values in done.items())
    print(f"{len(took)} epochs, {took[:, 0].sum():.0f} s: {last}", flush=True)
    return np.zeros(2) if run == epochs or way.state else (epochs - run) * np.median(took[1:], axis=0)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _answers(model: keras.Model, test: object, left_out: NDArray[np.float64]) -> Trained:
    return Trained(np.ravel(model.predict(test, verbose=0)).astype(np.float64), left_out)


def main() -> None:
    """Parses the command line, trains, and writes the answers for the test pictures."""
    parser = argparse.ArgumentParser(description="Train a competitor's classifier.")
    parser.add_argument("name", choices=COMPETITORS)
    parser.add_argument("data", type=Path, help="folder of train, validation and test")
    parser.add_argument("--weights", type=Path, required=True, help="of MobileNetV2, without top")
    parser.add_argument("--size", type=int, default=160, help="side in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the epochs to run")
    parser.add_argument("--state", type=Path, help="folder: continue from there, and keep every epoch's state in it")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    keras.utils.set_random_seed(args.seed)
    trained = COMPETITORS[args.name](args.data, args.weights, args.size, Way(args.scale, args.state))
    names = sorted(path.relative_to(args.data / "test").as_posix() for path in (args.data / "test").glob("*/*"))
    answers = dict(zip(names, trained.answers.tolist(), strict=True))
    args.output.write_text(json.dumps({"answers": answers, "left_out": trained.left_out.tolist()}))


if __name__ == "__main__":
    main()
