"""Measures what tf.data's autotuning costs: the same training, fed by Keras and by this package.

    python benchmarks/tuned_inputs.py

A layer of 960 convolutions is trained on activations of the shape that fine-tuning has, for eight epochs of 63
batches of 32, in turns through `keras.utils.PyDataset`, which Keras turns into an autotuned tf.data pipeline, and
through `core/training/batches.py`. `waited` is the time from the end of an epoch to the first batch of the next, less
the shortest such time. The figures are in README.md.
"""

import argparse
import time

import keras
import numpy as np

from headstart.components.core.features.compute import Features
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.training.batches import TrainingBatches, to_tf_dataset
from headstart.components.core.training.fit import compile_classifier

_IMAGES, _SHAPE = 2_000, (10, 10, 96)


class KerasBatches(keras.utils.PyDataset):
    """The same batches as Keras' own dataset class."""

    def __init__(self, batches: TrainingBatches) -> None:
        super().__init__()
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        return self._batches[index]


class EpochGaps(keras.callbacks.Callback):
    """Records the seconds between the end of each epoch and the first batch of the next."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock."""
        self._ended = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stops the clock at the first batch."""
        if batch == 0 and hasattr(self, "_ended"):
            self.seconds.append(time.perf_counter() - self._ended)


def main() -> None:
    """Trains both ways in turns and prints the seconds."""
    start_tensorflow()
    parser = argparse.ArgumentParser(description="Time the same training with and without tf.data's autotuning.")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    values = np.random.default_rng(0).normal(size=(1, _IMAGES, *_SHAPE)).astype(np.float16)
    batches = TrainingBatches(Features(values, np.arange(_IMAGES) % 2), load_recipe().fine_tuning, units=1, seed=0)
    inputs = keras.Input(_SHAPE)
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(960, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(pooled))
    compile_classifier(model)
    model.fit(to_tf_dataset(batches), epochs=1, shuffle=False, verbose=0)
    for _ in range(args.turns):
        for name, data in (("Keras' PyDataset", KerasBatches(batches)), ("this package", to_tf_dataset(batches))):
            gaps, started = EpochGaps(), time.perf_counter()
            model.fit(data, epochs=args.epochs, shuffle=False, verbose=0, callbacks=[gaps])
            seconds = time.perf_counter() - started
            waited = sum(gaps.seconds) - len(gaps.seconds) * min(gaps.seconds)
            print(f"{name:20s}{seconds:8.1f} s, {waited:6.2f} s of them waited between epochs")


if __name__ == "__main__":
    main()
