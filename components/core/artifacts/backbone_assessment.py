"""Assessments of backbones: sizes and speeds of all, and out-of-fold predictions with each."""

import dataclasses
from pathlib import Path

from headstart.components.core.artifacts.predictions import (
    PREDICTIONS,
    Predictions,
    read_predictions,
    write_predictions,
)
from headstart.components.core.storage.atomic import complete_folder, make_empty_folder, write_json
from headstart.components.core.storage.manifests import Count, Finite, Fraction, read_manifest
from headstart.components.core.util.errors import HeadstartError

ASSESSMENT = "assessment.json"
MEASUREMENT_FORMAT = "headstart-backbone-measurement/1"
ASSESSMENT_FORMAT = "headstart-backbone-assessment/1"


@dataclasses.dataclass(frozen=True)
class MeasuredBackbone:
    """Size and speed of a backbone.

    Attributes:
        name: Name of the backbone, as the user gave it, without secrets.
        parameters: Number of its weights.
        images_per_second: Images per second of a forward pass.
    """

    name: str
    parameters: Count
    images_per_second: Finite


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Sizes and speeds of all backbones, and the images that the budget suffices for.

    Attributes:
        backbones: Size and speed of each.
        images: Number of training and validation images.
        share: Share of the training images that is drawn, below 1; 1: all training and validation images are used.
        as_run: Whether features are computed as a run computes them, with its augmented views.
    """

    backbones: list[MeasuredBackbone]
    images: Count
    share: Fraction
    as_run: bool

    def find(self, name: str) -> MeasuredBackbone:
        """The backbone of a name.

        Raises:
            HeadstartError: If it was not measured.
        """
        found = next((each for each in self.backbones if each.name == name), None)
        if found is None:
            known = ", ".join(each.name for each in self.backbones)
            raise HeadstartError(f"backbone {name!r} was not measured; these were: {known}")
        return found


@dataclasses.dataclass(frozen=True)
class Assessment:
    """Findings on one backbone.

    Attributes:
        name: Name of the backbone, as the user gave it, without secrets.
        predictions: Out-of-fold predictions of training and validation images.
        parameters: Number of weights of the backbone.
        images_per_second: Images per second of a forward pass where it was measured.
        seconds: Duration of the assessment in seconds.
    """

    name: str
    predictions: Predictions
    parameters: int
    images_per_second: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class _AssessmentFile:
    name: str
    parameters: Count
    images_per_second: Finite
    seconds: Finite


def write_measurement(path: Path, measurement: Measurement) -> None:
    """Writes a measurement as JSON."""
    write_json(path, {"format": MEASUREMENT_FORMAT, **dataclasses.asdict(measurement)})


def read_measurement(path: Path) -> Measurement:
    """Reads the file of `write_measurement`.

    Raises:
        HeadstartError: If it is missing or damaged.
    """
    return read_manifest(path, "measurement of backbones", Measurement, MEASUREMENT_FORMAT)[0]


def write_assessment(folder: Path, assessment: Assessment) -> None:
    """Writes an assessment: a folder of `assessment.json` and the predictions as Parquet."""
    make_empty_folder(folder)
    write_predictions(folder / PREDICTIONS, assessment.predictions)
    figures = {name: value for name, value in vars(assessment).items() if name != "predictions"}
    complete_folder(folder, ASSESSMENT, {"format": ASSESSMENT_FORMAT, **figures})


def read_assessment(folder: Path) -> Assessment:
    """Reads the folder of `write_assessment`.

    Raises:
        HeadstartError: If it is incomplete or damaged.
    """
    found = read_manifest(folder / ASSESSMENT, "assessment of a backbone", _AssessmentFile, ASSESSMENT_FORMAT)[0]
    return Assessment(predictions=read_predictions(folder / PREDICTIONS), **vars(found))
