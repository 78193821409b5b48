"""Temperature and abstention threshold that an evaluation gives for a model's predictions."""

import dataclasses
from pathlib import Path

from headstart.components.core.artifacts.evaluation import FINAL, read_metrics, read_models, temperature_of
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.registry.model_files import ModelFiles
from headstart.components.core.util.errors import HeadstartError


@dataclasses.dataclass(frozen=True)
class AppliedCalibration:
    """Temperature scaling and abstention threshold that are applied to a model's probabilities.

    Attributes:
        calibrated: True if there is an evaluation with validation images, which decide on the temperature.
        temperature: Divisor of the logits; 1 if the validation images do not support scaling.
        threshold: Least calibrated probability of the likeliest class at which it is predicted, 0 to 1.
    """

    calibrated: bool = False
    temperature: float = 1.0
    threshold: float = 0.0


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
    _raise_if_of_another_model(files.evaluation, info)
    metrics = read_metrics(files.evaluation)
    if metrics["calibration"] is None:
        if precision:
            raise HeadstartError(
                f"precision {precision}: {files.evaluation} was made without validation images, which choose the "
                "thresholds; evaluate the model with them"
            )
        return AppliedCalibration()
    threshold = _threshold(metrics["abstention"], precision) if precision else 0.0
    return AppliedCalibration(True, temperature_of(metrics), threshold)


def _raise_if_of_another_model(evaluation: Path, info: ModelInfo) -> None:
    if read_models(evaluation)["models"][FINAL]["sha256"] != info.sha256:
        raise HeadstartError(f"{evaluation} is of another model than the one beside it; evaluate the model again")


def _threshold(table: list[dict[str, float | None]], precision: float) -> float:
    for row in table:
        if row["wanted"] == precision:
            if row["threshold"] is None:
                raise HeadstartError(
                    f"precision {precision}: no threshold holds it on the {row['validation_images']} validation "
                    f"images; it takes {row['validation_needed']} at least; leave precision out, or validate on more"
                )
            return row["threshold"]
    known = ", ".join(str(row["wanted"]) for row in table)
    raise HeadstartError(f"precision {precision}: the evaluation has thresholds for {known}")
