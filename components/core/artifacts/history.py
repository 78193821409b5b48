"""Training history: `history.csv`, one line per step, the last one of an epoch with the metrics of the epoch."""

import csv
import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.util.errors import HeadstartError

HISTORY = "history.csv"


@dataclasses.dataclass(frozen=True)
class Step:
    """One step, with six significant digits.

    Attributes:
        learning_rate: Learning rate of the step.
        loss: Mean cross-entropy over its images, before the update.
        accuracy: Accuracy on its images, before the update.
    """

    learning_rate: float
    loss: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One epoch.

    Attributes:
        stage: Training phase: ``head``, ``fine_tuning`` or ``from_scratch``.
        epoch: Number of the epoch, from 1 in each phase.
        seconds: Duration, validation included.
        learning_rate: Learning rate of its last step.
        loss: Mean cross-entropy over the training batches, with the weights at each step.
        accuracy: Accuracy over the training batches, with the weights at each step.
        validation_loss: Mean cross-entropy on the validation images, at the end.
        validation_accuracy: Accuracy on the validation images, at the end.
        steps: Steps, in order.
    """

    stage: str
    epoch: int
    seconds: float
    learning_rate: float
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    steps: Sequence[Step] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Epoch":
        """Restores an epoch from the dictionary that `dataclasses.asdict` made of it."""
        return cls(**{**values, "steps": tuple(Step(**each) for each in values.get("steps", ()))})


def steps_to_array(steps: Sequence[Step]) -> NDArray[np.float64]:
    """Converts steps to an array (n, 3): learning rate, loss, accuracy."""
    return np.array([(step.learning_rate, step.loss, step.accuracy) for step in steps], np.float64).reshape(-1, 3)


def array_to_steps(table: NDArray[np.float64]) -> tuple[Step, ...]:
    """Restores the steps from which `steps_to_array` made an array."""
    return tuple(Step(*row) for row in table.tolist())


def best_epoch(epochs: list[Epoch]) -> Epoch:
    """The epoch with the lowest validation loss; the first one of equals."""
    return min(epochs, key=lambda epoch: epoch.validation_loss)


def average_steps(epochs: list[Epoch], most: int) -> list[Epoch]:
    """Replaces steps by means of consecutive steps, for plots.

    Args:
        epochs: Epochs of one or several phases.
        most: Largest number of means in a phase; each epoch keeps at least one.
    """
    stages = [epoch.stage for epoch in epochs]
    return [
        dataclasses.replace(epoch, steps=_means(epoch.steps, max(1, most // stages.count(epoch.stage))))
        for epoch in epochs
    ]


def write_history(folder: Path, epochs: list[Epoch]) -> None:
    """Writes `history.csv` into the folder of a model; steps are numbered from 1 in each phase."""
    with (folder / HISTORY).open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, _COLUMNS)
        rows.writeheader()
        for _, stage in itertools.groupby(epochs, lambda epoch: epoch.stage):
            number = itertools.count(1)
            for epoch in stage:
                whole = {name: getattr(epoch, own) for name, own in _OF_AN_EPOCH.items()}
                for left, step in zip(reversed(range(len(epoch.steps))), epoch.steps, strict=True):
                    row = {"stage": epoch.stage, "epoch": epoch.epoch, "step": next(number)}
                    rows.writerow(row | dataclasses.asdict(step) | ({} if left else whole))


def read_history(folder: Path) -> list[Epoch]:
    """Reads `history.csv` from the folder of a model.

    Raises:
        HeadstartError: If it is missing or damaged.
    """
    path = folder / HISTORY
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(_epochs(csv.DictReader(file)))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise HeadstartError(f"{path} cannot be read ({error}); train the model again") from None


_OF_A_STEP = [field.name for field in dataclasses.fields(Step)]
# Columns of an epoch's means, beside those of its steps.
_OF_AN_EPOCH = {
    "epoch_loss": "loss",
    "epoch_accuracy": "accuracy",
    "validation_loss": "validation_loss",
    "validation_accuracy": "validation_accuracy",
    "seconds": "seconds",
}
_COLUMNS = ["stage", "epoch", "step", *_OF_A_STEP, *_OF_AN_EPOCH]


def _epochs(rows: Iterable[dict[str, str]]) -> Iterator[Epoch]:
    for (stage, number), group in itertools.groupby(rows, lambda row: (row["stage"], int(row["epoch"]))):
        lines = list(group)
        steps = tuple(Step(*(_finite(line[name]) for name in _OF_A_STEP)) for line in lines)
        whole = {own: _finite(lines[-1][name]) for name, own in _OF_AN_EPOCH.items()}
        yield Epoch(stage, number, learning_rate=steps[-1].learning_rate, steps=steps, **whole)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} among its figures")
    return value


def _means(steps: Sequence[Step], most: int) -> tuple[Step, ...]:
    parts = np.array_split(steps_to_array(steps), most)
    return array_to_steps(np.array([part.mean(axis=0) for part in parts if len(part)]))
