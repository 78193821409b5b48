"""Measures the cost of checkpoints to a folder and to MinIO, for MobileNetV2 fine-tuned from `block_13` at 160 px.

    python benchmarks/checkpoint_cost.py

Weights and activations are random, which changes no cost. A state is serialised between two epochs, which training
waits for, and written by another thread, which it does not wait for. Printed are the CPU seconds of the thread for
each of the two, and those of the process for an epoch of 2,000 images, extrapolated from `--steps` of its 63 steps.
`minio` has to be installed.
"""

import argparse
import contextlib
import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.features.compute import Features
from headstart.components.core.networks.classifier import build_backbone, build_classifier, unfreeze
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.training.checkpoint import Checkpoint, TrainingState
from headstart.components.core.training.fit import fit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support import stores

STEPS_AN_EPOCH = 63
BATCH = 32


class TimedCheckpoint(Checkpoint):
    """A checkpoint that measures its own cost.

    Attributes:
        waited: CPU seconds that training waited for each state.
        written: CPU seconds of the writing thread for each state.
        began: CPU seconds of the process at which each state was handed over.
        sizes: Size of each state in bytes.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(uri, "fine_tuning", {"time": time.time()})
        self.waited: list[float] = []
        self.written: list[float] = []
        self.began: list[float] = []
        self.sizes: list[int] = []

    def write(self, state: TrainingState) -> None:
        """Writes a state."""
        started = time.thread_time()
        self.began.append(time.process_time())
        super().write(state)
        self.waited.append(time.thread_time() - started)

    def _write_newest(self) -> None:
        self.sizes.append(len(self._newest or b""))
        started = time.thread_time()
        super()._write_newest()
        self.written.append(time.thread_time() - started)


@dataclasses.dataclass(frozen=True)
class CheckpointCost:
    """CPU seconds of one checkpoint and of one epoch, and the checkpoint's size."""

    waited: float
    written: float
    epoch: float
    megabytes: float

    @property
    def share(self) -> float:
        """Share of the epoch's seconds."""
        return (self.waited + self.written) / self.epoch


def measure(uri: str, steps: int, epochs: int) -> CheckpointCost:
    """Fine-tunes for a few short epochs with checkpoints."""
    backbone = get_backbone("mobilenet_v2")
    network = build_classifier(build_backbone(backbone, 160), backbone.preprocessing, backbone.head, 2, 160)
    tail = unfreeze(network, backbone.name, "block_13").tail
    random = np.random.default_rng(0)
    images = steps * BATCH
    values = random.normal(size=(1, images, *tail.input.shape[1:])).astype(np.float16)
    train = Features(values, np.arange(images) % 2)
    validation = Features(values[:, :BATCH], train.labels[:BATCH])
    settings = {"fine_tuning.epochs": epochs, "fine_tuning.batch_size": BATCH}
    checkpoint = TimedCheckpoint(uri)
    fit(tail, train, validation, Plan.of(load_recipe(settings=settings), "fine_tuning", 0), checkpoint=checkpoint)
    # The first epoch includes tracing, and the last state holds only the result.
    epoch = statistics.median(np.diff(checkpoint.began[:-1])) * STEPS_AN_EPOCH / steps
    inner = slice(0, -1)
    return CheckpointCost(
        statistics.median(checkpoint.waited[inner]),
        statistics.median(checkpoint.written[inner]),
        float(epoch),
        checkpoint.sizes[0] / 1e6,
    )


def main() -> None:
    """Prints one line for each place."""
    start_tensorflow()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=21)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        minio = stack.enter_context(stores.start_minio(Path(folder, "minio")))
        for name, value in minio.environment(minio.address).items():
            patch.setenv(name, value)
        minio.make_bucket("checkpoints")
        for place, uri in (("folder", f"{folder}/checkpoints"), ("minio", "s3://checkpoints/some")):
            found = measure(uri, args.steps, args.epochs)
            print(
                f"{place}: {found.megabytes:.1f} MB, waited for {found.waited:.3f} s, written in "
                f"{found.written:.3f} s, an epoch {found.epoch:.1f} s, share {found.share:.2%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
