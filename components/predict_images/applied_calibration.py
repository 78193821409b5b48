"""Temperature and abstention threshold that an evaluation gives for a model's predictions."""

import dataclasses
from typing import Any

from headstart.components.core.artifacts.evaluation import read_metrics, temperature_of
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.artifacts.model_calibration import (
    UnfamiliarityThreshold,
    raise_if_of_another_model,
    unfamiliarity_of,
)
from headstart.components.core.registry.model_files import ModelFiles
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.printable import pluralize


@dataclasses.dataclass(frozen=True)
class AppliedCalibration:
    """Temperature scaling and abstention threshold that are applied to a model's probabilities.

    Attributes:
        calibrated: True if there is an evaluation with validation images, which decide on the temperature.
        temperature: Divisor of the logits; 1 if the validation images do not support scaling.
        threshold: Least calibrated probability of the likeliest class at which it is predicted, 0 to 1.
        precision: Share of correct predictions that the threshold was chosen for; 0: there is no abstention.
        validation_images: Number of validation images on which the threshold was chosen.
        unfamiliarity: Threshold above which an image is unfamiliar; None: there is none.
    """

    calibrated: bool = False
    temperature: float = 1.0
    threshold: float = 0.0
    precision: float = 0.0
    validation_images: int = 0
    unfamiliarity: UnfamiliarityThreshold | None = None

    def in_words(self) -> str:
        """The reason for abstaining where the model is unsure; empty without abstention."""
        if not self.precision:
            return ""
        return (
            f"as the probability is below {self.threshold:.3f}, the threshold for a precision of {self.precision:g}, "
            f"chosen on {self.validation_images:,} validation images"
        )

    def unfamiliar_in_words(self) -> str:
        """What makes an image unfamiliar, and what that means for its label; empty without a threshold."""
        if not self.unfamiliarity:
            return ""
        label = "get no label" if self.precision else "keep a label that means little"
        return (
            f"are unfamiliar and {label}, as their unfamiliarity is above {self.unfamiliarity.threshold:.4f}, chosen "
            f"on {self.unfamiliarity.validation_images:,} validation images"
        )


def read_calibration(files: ModelFiles, info: ModelInfo, precision: float) -> AppliedCalibration:
    """Reads temperature and abstention threshold from a model's evaluation.

    Args:
        files: Folders of the model and its evaluation.
        info: Content of the model's `model.json`.
        precision: Wanted share of correct predictions; one of those that the evaluation has a threshold for. 0: no
            abstention.

    Raises:
        HeadstartError: If the evaluation is of another model, or has no such threshold.
    """
    if files.evaluation is None:
        if precision:
            raise HeadstartError(
                f"precision {precision}: {files.model} has no evaluation beside it, which has the thresholds; "
                "pass the output folder of the run, or the published model"
            )
        return AppliedCalibration()
    raise_if_of_another_model(files.evaluation, info.sha256)
    metrics = read_metrics(files.evaluation)
    if metrics["calibration"] is None:
        if precision:
            raise HeadstartError(
                f"precision {precision}: {files.evaluation} was made without validation images, which choose the "
                "thresholds; evaluate the model with them"
            )
        return AppliedCalibration()
    # A model without reference features has no unfamiliarity that could be compared with a threshold.
    unfamiliarity = unfamiliarity_of(metrics) if info.reference_sha256 else None
    calibration = AppliedCalibration(True, temperature_of(metrics), unfamiliarity=unfamiliarity)
    if not precision:
        return calibration
    row = _find_threshold(metrics["abstention"], precision)
    return dataclasses.replace(
        calibration, threshold=row["threshold"], precision=precision, validation_images=row["validation_images"]
    )


def _find_threshold(table: list[dict[str, Any]], precision: float) -> dict[str, Any]:
    """The row of the abstention table for a precision, which has a threshold."""
    for row in table:
        if row["wanted"] == precision:
            if row["threshold"] is None:
                needed = f"{row['validation_needed']} {pluralize(row.get('unit') or 'image', 2)}"
                raise HeadstartError(
                    f"precision {precision}: no threshold holds it on the {row['validation_images']} validation "
                    f"images; it takes {needed} at least; leave precision out, or validate on more"
                )
            return row
    known = ", ".join(str(row["wanted"]) for row in table)
    raise HeadstartError(f"precision {precision}: the evaluation has thresholds for {known}")
