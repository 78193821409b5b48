"""Model folders from elsewhere or damaged: whatever is wrong with them is one line, before anything large is made."""

import json
import resource
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import foreign

from headstart.components.core.errors import HeadstartError
from headstart.components.core.evaluation import METRICS, MODELS, read_metrics
from headstart.components.core.model import MANIFEST, MODEL, read_manifest, read_model_info, write_model_info
from headstart.components.core.network.artifact import load_model
from headstart.components.core.network.classifier import probabilities
from headstart.components.core.registry import publish_folder
from headstart.components.predict_images.answers import answers, open_model
from headstart.components.predict_images.inputs import named
from headstart.components.predict_images.located import Located, located
from headstart.components.predict_images.step import Inputs, predict_images

_MOST_GROWTH = 400 * 2**20


@pytest.fixture
def model(head: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(head, tmp_path / "model"))


def sealed(model: Path) -> Path:
    """Whoever alters a network can write its checksum, too."""
    write_model_info(model, read_manifest(model))
    return model


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


KINDS_OF_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no archive": (lambda file: file.write_bytes(b"\x00" * 5000), "is no Keras file, or is damaged"),
    "empty": (lambda file: file.write_bytes(b""), "is no Keras file, or is damaged"),
    "cut": (lambda file: file.write_bytes(file.read_bytes()[:-3000]), "is no Keras file, or is damaged"),
    "no configuration": (lambda file: foreign.with_member(file, "config.json", None), r"it has no config\.json"),
    "no weights": (lambda file: foreign.with_member(file, "model.weights.h5", None), r"it has no model\.weights"),
    "configuration that is no JSON": (
        lambda file: foreign.with_member(file, "config.json", b"{"),
        r"config\.json cannot be read",
    ),
    "configuration that is a list": (lambda file: foreign.with_member(file, "config.json", b"[]"), "is no network's"),
    "configuration of 200 levels": (
        lambda file: foreign.with_member(file, "config.json", deep(200)),
        "nested more than 64 deep",
    ),
    "configuration of 100,000 levels": (
        lambda file: foreign.with_member(file, "config.json", deep(100_000)),
        "nested more than 64 deep",
    ),
    "configuration of a gigabyte": (
        lambda file: foreign.with_member(file, "config.json", bytes(2**30), zipfile.ZIP_DEFLATED),
        r"config\.json has more than 8,388,608 bytes",
    ),
    "weights that are no HDF5": (
        lambda file: foreign.with_member(file, "model.weights.h5", b"nothing"),
        "is no HDF5 file",
    ),
    "weights of another network": (
        lambda file: foreign.altered(file, lambda store, at: store.pop(at.split("/vars")[0])),
        "would have|cannot be loaded",
    ),
    "no weights of the last layer": (
        lambda file: foreign.altered(file, lambda store, at: store.pop("layers/dense")),
        "would have|cannot be loaded",
    ),
    "no weights of a layer, and others in their place": (
        lambda file: foreign.altered(file, lambda store, at: store.move(at.split("/vars")[0], "elsewhere")),
        "cannot be loaded",
    ),
    **{
        f"weights by {name}": (lambda file, change=change: foreign.altered(file, change), "reaches outside of itself")
        for name, change in foreign.REACHING_OUTSIDE.items()
    },
    "NaN weights": (
        lambda file: foreign.altered(file, foreign.replaced(lambda values: values * np.nan)),
        "NaN or infinite values",
    ),
}


@pytest.mark.parametrize("damage", KINDS_OF_DAMAGE)
def test_network_that_cannot_be_loaded_is_one_line(damage: str, model: Path) -> None:
    change, says = KINDS_OF_DAMAGE[damage]
    foreign.secret_beside(model / MODEL)
    change(model / MODEL)
    sealed(model)
    with pytest.raises(HeadstartError, match=rf"model\.keras.*({says})"):
        load_model(model)


def setting(name: str, **settings: Any) -> Callable[[dict[str, Any]], object]:
    return lambda config: foreign.layer(config, name).update(settings)


def in_the_backbone(**settings: Any) -> Callable[[dict[str, Any]], object]:
    """Of the first layer within that has the first of these settings."""

    def change(config: dict[str, Any]) -> None:
        (first, *_) = settings
        layers = foreign.layer(config, "sketchnet")["layers"]
        next(each for each in layers if first in each["config"])["config"].update(settings)

    return change


def renamed(module: str, name: str) -> Callable[[dict[str, Any]], object]:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1] |= {"module": module, "class_name": name}

    return change


CONFIGURATIONS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "2e9 outputs": (setting("output", units=2_000_000_000), "2000000000 outputs"),
    "another number of outputs": (setting("output", units=5), "it has 5 outputs"),
    "images of another size": (setting("resize", height=20_000, width=20_000), "resizes images to 20000x20000"),
    "2e9 filters": (in_the_backbone(filters=2_000_000_000), "would have|cannot be loaded"),
    "a kernel of 1e5": (in_the_backbone(kernel_size=[100_000, 100_000]), "would have|cannot be loaded"),
    "a border of 1e5": (in_the_backbone(padding=[[100_000, 100_000]] * 2), "would give|cannot be loaded"),
    "a lambda": (renamed("keras.layers", "Lambda"), r"names keras\.layers\.Lambda, which is no layer"),
    "a SavedModel": (renamed("keras.layers", "TFSMLayer"), r"names keras\.layers\.TFSMLayer"),
    "a vocabulary": (renamed("keras.layers", "StringLookup"), r"names keras\.layers\.StringLookup"),
    "a function": (renamed("os", "system"), r"names os\.system, which is no layer"),
    "a download": (renamed("keras.utils", "get_file"), r"names keras\.utils\.get_file"),
    "an unknown layer": (renamed("keras.layers", "NoSuchLayer"), "cannot be loaded"),
    "layers that are none": (lambda config: config["config"].update(layers=7), "resizes images to NonexNone"),
    "a setting of another type": (setting("output", units=[1]), r"it has \[1\] outputs"),
}


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_configuration_that_should_not_be_built_is_one_line_and_takes_no_memory(
    configuration: str, model: Path
) -> None:
    change, says = CONFIGURATIONS[configuration]
    foreign.reconfigured(model / MODEL, change)
    sealed(model)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with pytest.raises(HeadstartError, match=rf"model\.keras.*({says})"):
        load_model(model)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < _MOST_GROWTH


MANIFESTS: dict[str, tuple[dict[str, Any], str]] = {
    "a class twice": ({"classes": ["cat", "cat"]}, "classes: 'cat' is there twice"),
    "a class that is null": ({"classes": ["cat", None]}, "classes.1: Input should be a valid string"),
    "a class without a name": ({"classes": ["cat", ""]}, "classes.1: String should have at least 1 character"),
    "one class": ({"classes": ["cat"]}, "classes: Value should have at least 2 items"),
    "classes that are a text": ({"classes": "catdog"}, "classes: Input should be a valid"),
    "no classes": ({"classes": None}, "classes: Input should be a valid"),
    "size 0": ({"image_size": 0}, "image_size: Input should be greater than"),
    "size 1e6": ({"image_size": 1_000_000}, "image_size: Input should be less than"),
    "size as text": ({"image_size": "64"}, "image_size: Input should be a valid integer"),
    "side below 0": ({"max_side": -1}, "max_side: Input should be greater than"),
    "side as fraction": ({"max_side": 0.5}, "max_side: Input should be a valid integer"),
    "figures that are none": ({"metrics": {"validation_loss": "low"}}, "metrics.validation_loss: Input should be"),
    "recipe that is a list": ({"recipe": []}, "recipe: Input should be"),
    "another format": ({"format": "headstart-model/9"}, "is not in the format headstart-model/2"),
}


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_manifest_is_checked(manifest: str, model: Path) -> None:
    change, says = MANIFESTS[manifest]
    values = json.loads((model / MANIFEST).read_text())
    (model / MANIFEST).write_text(json.dumps(values | change))
    with pytest.raises(HeadstartError) as caught:
        read_model_info(model)
    assert f"{model / MANIFEST} is" in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (deep(100_000), "nested more than 64 deep"),
        (deep(65), "nested more than 64 deep"),
        (b'{"format": NaN}', "NaN is no number of JSON"),
        (b"\xff\xfe", "can't decode byte"),
        (b"[]", "is not in the format"),
        (b"9" * 10_000, "is damaged"),
    ],
)
def test_manifest_that_is_no_sound_json_is_one_line(content: bytes, says: str, model: Path) -> None:
    (model / MANIFEST).write_bytes(content)
    with pytest.raises(HeadstartError, match=says):
        read_model_info(model)


def test_manifest_of_a_later_version_is_read(model: Path) -> None:
    info = read_model_info(model)
    values = json.loads((model / MANIFEST).read_text())
    (model / MANIFEST).write_text(json.dumps(values | {"what_is_to_come": {"deep": [1]}}))
    assert read_model_info(model) == info


@pytest.mark.parametrize(
    "temperature", [0, -1, 1e-9, 1e9, "1", None, True, [1.0]], ids=lambda temperature: repr(temperature)
)
def test_temperature_is_a_positive_number(temperature: object, run_output: Path, tmp_path: Path) -> None:
    evaluation = shutil.copytree(run_output / "evaluation", tmp_path / "evaluation")
    metrics = read_metrics(evaluation)
    metrics["calibration"]["temperature"] = temperature
    (evaluation / METRICS).write_text(json.dumps(metrics))
    with pytest.raises(HeadstartError, match=r"metrics\.json is damaged \(calibration\.temperature: "):
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
        with located(str(address)) as found:
            assert open_model(found, 0.0).info.stage == "head"


@pytest.mark.parametrize("altered", [METRICS, MODELS, MANIFEST])
def test_altered_version_answers_nothing(altered: str, published: tuple[Path, Path]) -> None:
    """Half the temperature makes every answer surer, and no file looks damaged."""
    uri, version = published
    file = version / ("model" if altered == MANIFEST else "evaluation") / altered
    values = json.loads(file.read_text())
    if altered == METRICS:
        values["calibration"]["temperature"] /= 2
    else:
        values["further"] = 1
    file.write_text(json.dumps(values))
    for address in (uri, version):
        with (
            pytest.raises(HeadstartError, match=rf"/{altered} is not the file that was published; publish the model"),
            located(str(address)),
        ):
            pass


def test_network_of_no_probabilities_is_an_error_and_no_abstention(
    model: Path, splits: dict[str, Path], tmp_path: Path
) -> None:
    """Its last layer has no sigmoid: what it gives is beyond 1."""
    foreign.reconfigured(model / MODEL, setting("output", activation="exponential"))
    foreign.altered(model / MODEL, foreign.replaced(lambda values: 1000 + 0 * values), "layers/dense/vars/1")
    sealed(model)
    opened = open_model(Located(model), 0.0)
    with pytest.raises(HeadstartError, match="gives no probabilities for an image, but NaN or"):
        list(answers(opened, named([str(splits["test"])])))
    with pytest.raises(HeadstartError, match="gives no probabilities"):
        predict_images(Inputs([str(splits["test"])], model), tmp_path / "predictions.parquet")
    assert not (tmp_path / "predictions.parquet").exists()


@pytest.mark.parametrize(
    "output", [[[np.nan]], [[np.nan, 1.0]], [[0.2, 0.2]], [[1.5]], [[-0.5]], [[np.inf, 0.0]], [[1.0, 1.0, -1.0]]]
)
def test_what_adds_up_to_something_else_is_no_probability(output: list[list[float]]) -> None:
    with pytest.raises(HeadstartError, match="gives no probabilities"):
        probabilities(np.array(output, np.float32))
