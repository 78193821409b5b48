"""What closed-form classifiers on the recorded features say of the data: the folder `probe` of a head's artifact.

It holds `out_of_fold.parquet` (predictions, each by a classifier that had not seen the image), `label_errors.csv`
(pictures whose class is doubtful), `suspects.parquet` (the first of them to look at) and `learning_curve.json`.
"""

import dataclasses
from pathlib import Path

from headstart.components.core.storage.atomic import write_json
from headstart.components.core.storage.manifests import Count, Finite, read_manifest

PROBE = "probe"
OUT_OF_FOLD = "out_of_fold.parquet"
LABEL_ERRORS = "label_errors.csv"
SUSPECTS = "suspects.parquet"
LEARNING_CURVE = "learning_curve.json"


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """Accuracy of classifiers that learned from so many images.

    Attributes:
        images: They learned from.
        accuracy: Mean over the draws, on images held out.
        band: Where 95 % of such draws lie.
    """

    images: Count
    accuracy: Finite
    band: tuple[Finite, Finite]


@dataclasses.dataclass(frozen=True)
class LearningCurve:
    """How accuracy grows with the training set.

    Attributes:
        points: From few images to all.
        draws: Random divisions of the data that each point is the mean of.
        images: The training set as it is.
        gain: Accuracy that a training set of twice the size would add, by the power law through the points.
        gain_interval: From the bootstrap over the draws, at the 95 % level.
    """

    points: list[CurvePoint]
    draws: Count
    images: Count
    gain: Finite
    gain_interval: tuple[Finite, Finite]


def write_learning_curve(path: Path, curve: LearningCurve) -> None:
    """Writes `learning_curve.json`."""
    write_json(path, dataclasses.asdict(curve))


def read_learning_curve(path: Path) -> LearningCurve | None:
    """Reads `learning_curve.json`; None where there is none.

    Raises:
        HeadstartError: It is damaged.
    """
    if not path.exists():
        return None
    return read_manifest(path, "learning curve", LearningCurve)[0]
