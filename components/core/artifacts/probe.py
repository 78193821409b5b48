"""Linear probe of the features, closed-form classifiers that assess the data: folder `probe` of a head's artifact.

It holds `out_of_fold.parquet` (predictions, each by a classifier that had not seen the image), `label_errors.csv`
(images whose class is doubtful), `suspects.parquet` (thumbnails of the first of them) and `learning_curve.json`.
"""

import csv
import dataclasses
from pathlib import Path

from headstart.components.core.storage.atomic import write_json
from headstart.components.core.storage.manifests import Count, Finite, read_manifest
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.spreadsheet import unescape_cell

PROBE = "probe"
OUT_OF_FOLD = "out_of_fold.parquet"
LABEL_ERRORS = "label_errors.csv"
SUSPECTS = "suspects.parquet"
LEARNING_CURVE = "learning_curve.json"

SUSPECTED_FROM = 0.5
"""Confidence from which a label counts as a suspected error: it is then more probably wrong than right."""


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """Accuracy of classifiers with training sets of one size.

    Attributes:
        images: Number of training images.
        accuracy: Mean accuracy over the draws, on held-out images.
        band: Range of 95 % of the draws.
    """

    images: Count
    accuracy: Finite
    band: tuple[Finite, Finite]


@dataclasses.dataclass(frozen=True)
class LearningCurve:
    """Learning curve: accuracy over the size of the training set.

    Attributes:
        points: Points of the curve, from few images to all.
        draws: Number of random splits whose mean each point is.
        images: Number of images in the training set.
        gain: Accuracy that a training set of twice the size would add, by the power law through the points.
        gain_interval: 95 % confidence interval of `gain`.
        covers_sampling: True if `gain_interval` covers the sampling of the images; False: an earlier version wrote
            it, and it covers the draws alone.
    """

    points: list[CurvePoint]
    draws: Count
    images: Count
    gain: Finite
    gain_interval: tuple[Finite, Finite]
    covers_sampling: bool = False

    @property
    def is_gain_sure(self) -> bool:
        """True if more images are shown to help: the interval covers the sampling and lies above 0 when rounded."""
        return self.covers_sampling and round(self.gain_interval[0], 3) > 0


def write_learning_curve(path: Path, curve: LearningCurve) -> None:
    """Writes `learning_curve.json`."""
    write_json(path, dataclasses.asdict(curve))


def read_learning_curve(path: Path) -> LearningCurve | None:
    """Reads `learning_curve.json`; None if there is none.

    Raises:
        HeadstartError: If it is damaged.
    """
    if not path.exists():
        return None
    return read_manifest(path, "learning curve", LearningCurve)[0]


@dataclasses.dataclass(frozen=True)
class LabelError:
    """An image whose class is doubtful.

    Attributes:
        id: Hash of its pixels, by which corrections name it.
        path: Path in its source.
        split: Split that it is in: ``train`` or ``validation``.
        given: Its class in the data.
        suggested: Class that is likelier.
        confidence: Estimated probability that the suggestion is right, 0 to 1; None: an earlier version wrote none.
    """

    id: str
    path: str
    split: str
    given: str
    suggested: str
    confidence: float | None

    @property
    def suspected(self) -> bool:
        """Whether the given class is more probably wrong than right."""
        return self.confidence is not None and self.confidence >= SUSPECTED_FROM


def read_label_errors(path: Path) -> list[LabelError]:
    """Reads `label_errors.csv`, the most doubtful images first.

    Raises:
        HeadstartError: If it is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return [_label_error(row) for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise HeadstartError(f"{path} cannot be read ({error}); run the command again") from None


def _label_error(row: dict[str, str]) -> LabelError:
    image, path, split, given, suggested = (
        unescape_cell(row[name]) for name in ("id", "path", "split", "given", "suggested")
    )
    confidence = float(row["confidence"]) if row.get("confidence") else None
    return LabelError(image, path, split, given, suggested, confidence)
