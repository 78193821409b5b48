"""Model folders from elsewhere or damaged: whatever is wrong with them is one line, before anything large is made."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support import foreign
from support.memory import measure_growth

from headstart.components.core.artifacts.evaluation import METRICS, MODELS, read_metrics
from headstart.components.core.artifacts.model import (
    MODEL,
    MODEL_JSON,
    read_model_info,
    read_model_manifest,
    write_model_info,
)
from headstart.components.core.networks.classifier import to_probabilities
from headstart.components.core.networks.saving import load_model
from headstart.components.core.registry.model_files import ModelFiles, download_model
from headstart.components.core.registry.registry import publish_folder
from headstart.components.core.util.errors import HeadstartError
from headstart.components.predict_images.named_images import find_images
from headstart.components.predict_images.predict import predict
from headstart.components.predict_images.step import PredictionInputs, open_model, predict_images

_MOST_GROWTH = 400 * 2**20


@pytest.fixture
def model(head: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(head, tmp_path / "model"))


def sealed(model: Path) -> Path:
    """Whoever alters a network can write its checksum, too."""
    write_model_info(model, read_model_manifest(model))
    return model


@pytest.mark.parametrize("damage", foreign.DAMAGED_NETWORKS)
def test_network_that_cannot_be_loaded_is_one_line(damage: str, model: Path) -> None:
    change, says = foreign.DAMAGED_NETWORKS[damage]
    foreign.write_secret_beside(model / MODEL)
    change(model / MODEL)
    sealed(model)
    with pytest.raises(HeadstartError, match=rf"model\.keras.*({says})"):
        load_model(model)


@pytest.mark.parametrize("configuration", foreign.WRONG_CONFIGURATIONS)
def test_configuration_that_should_not_be_built_is_one_line_and_takes_no_memory(
    configuration: str, model: Path
) -> None:
    change, says = foreign.WRONG_CONFIGURATIONS[configuration]
    foreign.alter_config(model / MODEL, change)
    sealed(model)
    with measure_growth() as growth, pytest.raises(HeadstartError, match=rf"model\.keras.*({says})"):
        load_model(model)
    assert growth.most_bytes < _MOST_GROWTH


@pytest.mark.parametrize("manifest", foreign.WRONG_MANIFESTS)
def test_manifest_is_checked(manifest: str, model: Path) -> None:
    change, says = foreign.WRONG_MANIFESTS[manifest]
    values = json.loads((model / MODEL_JSON).read_text())
    (model / MODEL_JSON).write_text(json.dumps(values | change))
    with pytest.raises(HeadstartError) as caught:
        read_model_info(model)
    assert f"{model / MODEL_JSON} is" in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (foreign.nested_json(100_000), "nested more than 64 deep"),
        (foreign.nested_json(65), "nested more than 64 deep"),
        (b'{"format": NaN}', "NaN is not a number in JSON"),
        (b"\xff\xfe", "can't decode byte"),
        (b"[]", "is not a JSON object"),
        (b"9" * 10_000, "is damaged"),
    ],
)
def test_manifest_that_is_no_sound_json_is_one_line(content: bytes, says: str, model: Path) -> None:
    (model / MODEL_JSON).write_bytes(content)
    with pytest.raises(HeadstartError, match=says):
        read_model_info(model)


def test_manifest_of_a_later_version_is_read(model: Path) -> None:
    info = read_model_info(model)
    values = json.loads((model / MODEL_JSON).read_text())
    (model / MODEL_JSON).write_text(json.dumps(values | {"what_is_to_come": {"deep": [1]}}))
    assert read_model_info(model) == info


@pytest.mark.parametrize(
    "temperature", [0, -1, 1e-9, 1e9, "1", None, True, [1.0]], ids=lambda temperature: repr(temperature)
)
def test_temperature_is_a_positive_number(temperature: object, run_output: Path, tmp_path: Path) -> None:
    evaluation = shutil.copytree(run_output / "evaluation", tmp_path / "evaluation")
    metrics = read_metrics(evaluation)
    metrics["calibration"]["temperature"] = temperature
    (evaluation / METRICS).write_text(json.dumps(metrics))
    with pytest.raises(HeadstartError, match=r"metrics\.json is damaged \(calibration\.temperature is "):
        read_metrics(evaluation)


def test_infinite_temperature_is_refused(run_output: Path, tmp_path: Path) -> None:
    evaluation = shutil.copytree(run_output / "evaluation", tmp_path / "evaluation")
    temperature = json.dumps(read_metrics(evaluation)["calibration"]["temperature"])
    for value in ("NaN", "1e999", "-Infinity"):
        text = (run_output / "evaluation" / METRICS).read_text()
        (evaluation / METRICS).write_text(text.replace(f'"temperature": {temperature}', f'"temperature": {value}'))
        with pytest.raises(HeadstartError, match=r"metrics\.json is damaged"):
            read_metrics(evaluation)


@pytest.fixture
def published(run_output: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Where the run's model is published, and the folder of its version."""
    version = tmp_path / "version"
    for name in ("model", "evaluation"):
        shutil.copytree(run_output / name, version / name)
    outcome = publish_folder(version, str(tmp_path / "models"))
    return tmp_path / "models", Path(outcome.address)


def test_published_model_answers(published: tuple[Path, Path]) -> None:
    for address in (*published, published[1] / "model"):
        with download_model(str(address)) as found:
            assert open_model(found, 0.0).info.stage == "head"


@pytest.mark.parametrize("altered", [METRICS, MODELS, MODEL_JSON])
def test_altered_version_answers_nothing(altered: str, published: tuple[Path, Path]) -> None:
    """Half the temperature makes every answer surer, and no file looks damaged."""
    uri, version = published
    file = version / ("model" if altered == MODEL_JSON else "evaluation") / altered
    values = json.loads(file.read_text())
    if altered == METRICS:
        values["calibration"]["temperature"] /= 2
    else:
        values["further"] = 1
    file.write_text(json.dumps(values))
    for address in (uri, version):
        with (
            pytest.raises(HeadstartError, match=rf"/{altered} is not the file that was published; publish the model"),
            download_model(str(address)),
        ):
            pass


def test_network_of_no_probabilities_is_an_error_and_no_abstention(
    model: Path, splits: dict[str, Path], tmp_path: Path
) -> None:
    """Its last layer has no sigmoid: what it gives is beyond 1."""
    foreign.alter_config(model / MODEL, foreign.set_in_layer("output", activation="exponential"))
    foreign.alter_weights(
        model / MODEL, foreign.replace_values(lambda values: 1000 + 0 * values), "layers/dense/vars/1"
    )
    sealed(model)
    opened = open_model(ModelFiles(model), 0.0)
    with pytest.raises(HeadstartError, match="gives no probabilities for an image, but NaN or"):
        list(predict(opened, find_images([str(splits["test"])])))
    with pytest.raises(HeadstartError, match="gives no probabilities"):
        predict_images(PredictionInputs([str(splits["test"])], model), tmp_path / "predictions.parquet")
    assert not (tmp_path / "predictions.parquet").exists()


@pytest.mark.parametrize(
    "output", [[[np.nan]], [[np.nan, 1.0]], [[0.2, 0.2]], [[1.5]], [[-0.5]], [[np.inf, 0.0]], [[1.0, 1.0, -1.0]]]
)
def test_what_adds_up_to_something_else_is_no_probability(output: list[list[float]]) -> None:
    with pytest.raises(HeadstartError, match="gives no probabilities"):
        to_probabilities(np.array(output, np.float32))
