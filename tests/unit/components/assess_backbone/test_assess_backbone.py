import dataclasses
from pathlib import Path

import pytest

from headstart.components.assess_backbone.step import assess_backbone, draw_images
from headstart.components.core.artifacts.backbone_assessment import (
    MeasuredBackbone,
    Measurement,
    read_assessment,
    read_measurement,
    write_assessment,
    write_measurement,
)
from headstart.components.core.artifacts.dataset import read_columns, read_dataset_info
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError

MEASUREMENT = Measurement([MeasuredBackbone("sketchnet", 7, 100.0)], 100, 1.0, False)


@pytest.fixture
def inputs(splits: dict[str, Path]) -> TrainingInputs:
    recipe = load_recipe(settings={"backbone": "sketchnet", "image_size": 32})
    return TrainingInputs(splits["train"], splits["validation"], recipe, 0)


def test_a_part_is_of_the_training_images_and_has_the_classes_in_proportion(
    inputs: TrainingInputs, tmp_path: Path
) -> None:
    drawn = draw_images(inputs, dataclasses.replace(MEASUREMENT, share=0.75), tmp_path)
    parts = (drawn.train, drawn.validation)
    infos = [read_dataset_info(part) for part in parts]
    assert [info.images for info in infos] == [48, 12]
    assert [len(set(info.counts)) for info in infos] == [1, 1]
    ids = [image for part in parts for image in read_columns(part, ["id"])["id"].to_pylist()]
    assert len(set(ids)) == 60
    assert set(ids) <= set(read_columns(inputs.train, ["id"])["id"].to_pylist())
    assert draw_images(inputs, MEASUREMENT, tmp_path) == inputs


def test_an_assessment_holds_predictions_of_all_images_and_is_read_as_it_was_written(
    inputs: TrainingInputs, tmp_path: Path
) -> None:
    found = assess_backbone(inputs, "sketchnet", MEASUREMENT)
    assert (found.name, found.parameters, found.images_per_second) == ("sketchnet", 7, 100.0)
    assert len(found.predictions.ids) == 100 and found.seconds > 0
    write_assessment(tmp_path / "assessment", found)
    again = read_assessment(tmp_path / "assessment")
    assert again.predictions.ids == found.predictions.ids
    assert (again.predictions.probabilities == found.predictions.probabilities).all()
    assert dataclasses.replace(again, predictions=found.predictions) == found


def test_a_backbone_that_was_not_measured_is_named(inputs: TrainingInputs) -> None:
    with pytest.raises(HeadstartError, match="backbone 'vgg16' was not measured; these were: sketchnet"):
        assess_backbone(inputs, "vgg16", MEASUREMENT)


def test_a_measurement_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_measurement(tmp_path / "measurement", MEASUREMENT)
    assert read_measurement(tmp_path / "measurement") == MEASUREMENT
