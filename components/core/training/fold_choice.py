"""What the folds of a cross-validation choose for the training of the final model on all images."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headstart.components.core.artifacts.cross_validation import PhaseResult, read_fold_results


@dataclasses.dataclass(frozen=True)
class FoldChoice:
    """Choice of the folds for one training phase.

    Attributes:
        losses: Mean validation loss of the folds after each epoch that is trained; empty: none is trained.
        accuracies: Mean validation accuracy of the folds after each of these epochs.
        validation_loss: Mean validation loss of the models that the phase ended with in the folds.
        validation_accuracy: Their mean validation accuracy.
        ridge: Whether the head gets the weights of ridge regression.
        share: Share of the fine-tuned weights in the weight interpolation.
    """

    losses: list[float]
    accuracies: list[float]
    validation_loss: float
    validation_accuracy: float
    ridge: bool
    share: float

    @property
    def epochs(self) -> int:
        """Number of epochs to train."""
        return len(self.losses)


def read_fold_choice(folder: Path | None, phase: str) -> FoldChoice | None:
    """Reads the results of a cross-validation and chooses for a phase.

    Args:
        folder: Folder of fold results; None: there is none.
        phase: Training phase.

    Returns:
        The choice; None where nothing was cross-validated, so that validation images choose.
    """
    results = read_fold_results(folder) if folder else []
    return choose_by_folds([each.phases[phase] for each in results]) if results else None


def choose_by_folds(results: Sequence[PhaseResult]) -> FoldChoice:
    """Chooses epochs, share and kind of weights for training without validation images.

    The number of epochs is that with the lowest mean validation loss of the folds; a fold that stopped early counts
    with its last epoch from then on. The share is the folds' median. Ridge regression gives the head's weights if it
    did so in most folds.

    Args:
        results: Results of one phase in each fold, at least one.
    """
    trained = [each for each in results if each.losses]
    longest = max((len(each.losses) for each in trained), default=0)
    losses = _average_curves([each.losses for each in trained], longest)
    accuracies = _average_curves([each.accuracies for each in trained], longest)
    epochs = int(np.argmin(losses)) + 1 if losses else 0
    return FoldChoice(
        losses[:epochs],
        accuracies[:epochs],
        float(np.mean([each.validation_loss for each in results])),
        float(np.mean([each.validation_accuracy for each in results])),
        2 * sum(each.ridge for each in results) > len(results),
        float(np.median([each.share for each in results])) if losses else 0.0,
    )


def _average_curves(curves: Sequence[Sequence[float]], epochs: int) -> list[float]:
    """Mean of several curves after each epoch; one that ends early goes on with its last value."""
    return [float(np.mean([curve[min(epoch, len(curve) - 1)] for curve in curves])) for epoch in range(epochs)]
