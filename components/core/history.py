"""The course of training: `history.csv`, one line per epoch."""

import csv
import dataclasses
from pathlib import Path

from headstart.components.core.errors import HeadstartError

HISTORY = "history.csv"


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One epoch.

    Attributes:
        stage: ``head``, ``fine_tuning`` or ``from_scratch``.
        epoch: From 1 in each stage.
        seconds: Its duration, validation included.
        learning_rate: At its end.
        loss: Mean cross-entropy over the training batches, as the weights were at each.
        accuracy: Share right, likewise.
        validation_loss: Mean cross-entropy on the validation images, at its end.
        validation_accuracy: Share right, likewise.
    """

    stage: str
    epoch: int
    seconds: float
    learning_rate: float
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float


def best_epoch(epochs: list[Epoch]) -> Epoch:
    """The epoch with the least validation loss; of equals the first."""
    return min(epochs, key=lambda epoch: epoch.validation_loss)


def write_history(folder: Path, epochs: list[Epoch]) -> None:
    """Writes `history.csv` into a model's folder."""
    with (folder / HISTORY).open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, [field.name for field in dataclasses.fields(Epoch)])
        rows.writeheader()
        rows.writerows(dataclasses.asdict(epoch) for epoch in epochs)


def read_history(folder: Path) -> list[Epoch]:
    """Reads `history.csv` from a model's folder.

    Raises:
        HeadstartError: It is missing or damaged.
    """
    path = folder / HISTORY
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                Epoch(row["stage"], int(row["epoch"]), *(float(row[name]) for name in _NUMBERS))
                for row in csv.DictReader(file)
            ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise HeadstartError(f"{path} cannot be read ({error}); train the model again") from None


_NUMBERS = [field.name for field in dataclasses.fields(Epoch) if field.type is float]
