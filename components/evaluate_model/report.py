"""The report: one HTML file that needs no network."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.components.core import page
from headstart.components.core.dataset import read_rows
from headstart.components.core.history import Epoch
from headstart.components.core.model import ModelInfo
from headstart.components.evaluate_model.charts import curves
from headstart.components.evaluate_model.figures import Figures

STAGE_TITLES = {"from_scratch": "From scratch", "head": "Head alone", "fine_tuning": "Fine-tuned"}

_MISTAKES = 12
_THUMBNAIL_SIDE = 128


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One model on the test set.

    Attributes:
        info: What it is.
        epochs: How its training went.
        figures: What it reached.
    """

    info: ModelInfo
    epochs: list[Epoch]
    figures: Figures

    @property
    def title(self) -> str:
        """Its stage in words."""
        return STAGE_TITLES[self.info.stage]


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A test image that the model gets wrong.

    Attributes:
        thumbnail: `data:` address of a small JPEG.
        path: Where the image came from.
        label: Its class.
        predicted: The class the model takes it for.
        probability: What the model gives that class.
    """

    thumbnail: str
    path: str
    label: str
    predicted: str
    probability: float


def render(final: Candidate, others: list[Candidate], mistakes: list[Mistake]) -> str:
    """Renders the page.

    Args:
        final: The model that is the run's result.
        others: Models to show beside it, on the same test images.
        mistakes: Images that `final` gets wrong, the worst first.
    """
    histories = _histories([*others, final])
    return page.render(
        __package__,
        "report.html.j2",
        final=final,
        candidates=[*others, final],
        classes=final.info.classes,
        largest=max(max(row) for row in final.figures.confusion_matrix),
        charts={title: curves(epochs, title) for title, epochs in histories.items()},
        mistakes=mistakes,
        facts=_facts(final.info),
    )


def worst_mistakes(
    test: Path, labels: NDArray[np.int64], probabilities: NDArray[np.float64], classes: list[str]
) -> list[Mistake]:
    """The images whose wrong class got the highest probability, at most a dozen, with thumbnails."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-probabilities.max(axis=1)[wrong], kind="stable")][:_MISTAKES]
    rank = {int(index): place for place, index in enumerate(worst)}
    found: dict[int, Mistake] = {}
    for index, row in enumerate(read_rows(test) if rank else ()):
        if index in rank:
            found[rank[index]] = Mistake(
                page.thumbnail(Image.open(io.BytesIO(row.image)), _THUMBNAIL_SIDE),
                row.path,
                classes[row.label],
                classes[predicted[index]],
                float(probabilities[index].max()),
            )
    return [found[place] for place in sorted(found)]


def _histories(candidates: list[Candidate]) -> dict[str, list[Epoch]]:
    """Epochs by stage; a fine-tuned model's history holds its head's epochs too, which are shown once."""
    stages: dict[str, list[Epoch]] = {}
    for candidate in candidates:
        for stage in dict.fromkeys(epoch.stage for epoch in candidate.epochs):
            stages[STAGE_TITLES[stage]] = [epoch for epoch in candidate.epochs if epoch.stage == stage]
    return stages


def _facts(info: ModelInfo) -> dict[str, Any]:
    return {
        **_flat(info.recipe),
        **{f"{name} data": digest for name, digest in info.dataset.items()},
        **info.versions,
        "model.keras (SHA-256)": info.sha256,
    }


def _flat(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{above}{name}: ") if isinstance(value, dict) else {above + name: value}
    return flat
