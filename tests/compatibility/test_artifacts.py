"""What an earlier version wrote is read, and worked on, by the present one."""

import csv
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from support.commands import headstart

from headstart.components.core.artifacts.dataset import read_columns, read_dataset_info
from headstart.components.core.artifacts.evaluation import read_metrics
from headstart.components.core.artifacts.history import read_history
from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.artifacts.predictions import read_predictions
from headstart.components.core.networks.dataset_predictions import predict_proba
from headstart.components.core.networks.saving import load_model
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.sources.corrections import read_corrections
from headstart.components.core.training.checkpoint import Checkpoint
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.evaluate_model.step import EvaluationInputs, evaluate_model
from headstart.components.find_champion.step import find_champion
from headstart.components.fine_tune.step import fine_tune
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, split_dataset
from headstart.components.train_head.step import train_head

ARTIFACTS = Path(__file__).parent / "artifacts"
RECIPE = ARTIFACTS / "recipe.yaml"


def test_a_dataset_is_read_and_split_as_it_was(tmp_path: Path) -> None:
    splits = {name: tmp_path / name for name in ("train", "validation", "test")}
    split_dataset(ARTIFACTS / "dataset", **splits, settings=SplitSettings(SplitSizes([], [0.5, 0.25, 0.25])))
    for name, made in splits.items():
        before = read_dataset_info(ARTIFACTS / name)
        assert read_dataset_info(made).digest == before.digest
        columns = ["id", "label", "group", "width", "height"]
        assert read_columns(made, columns).equals(read_columns(ARTIFACTS / name, columns))


def test_a_model_predicts_what_it_predicted(tmp_path: Path) -> None:
    before = read_predictions(ARTIFACTS / "evaluation" / "predictions.parquet")
    model = load_model(ARTIFACTS / "model")
    (now,) = predict_proba([model], ARTIFACTS / "test", "predict")
    np.testing.assert_allclose(now, before.probabilities, atol=1e-3)
    info = read_model_info(ARTIFACTS / "model")
    assert (info.stage, info.classes, info.parameters) == ("fine_tuning", before.classes, model.count_params())
    assert [epoch.stage for epoch in read_history(ARTIFACTS / "model")] == ["head"] * 3 + ["fine_tuning"]
    done = headstart("predict", ARTIFACTS / "model", ARTIFACTS / "test", "--output", tmp_path / "predictions.csv")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 1 + len(before.ids)


def test_labels_that_label_errors_came_with_are_corrections() -> None:
    file = ARTIFACTS / "evaluation" / "label_errors.csv"
    with file.open(newline="") as text:
        rows = list(csv.DictReader(text))
    changed = [row for row in rows if row["label"] != row["given"]]
    assert len(changed) == read_metrics(ARTIFACTS / "evaluation")["suspected_label_errors"]
    found = read_corrections(str(file), ["cat", "dog"])
    assert found.classes == {row["id"]: row["label"] for row in rows} and found.accepted == {}


def test_an_evaluation_gives_its_report_again(tmp_path: Path) -> None:
    shutil.copytree(ARTIFACTS / "evaluation", tmp_path / "evaluation")
    done = headstart("report", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cat" in (tmp_path / "report.html").read_text()


def test_a_registry_is_listed_rolled_back_and_its_champion_evaluated(tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    shutil.copytree(ARTIFACTS / "registry", registry)
    champion = json.loads((registry / "champion.json").read_text())["version"]
    listed = json.loads(headstart("models", "list", registry, "--json").stdout)
    assert {each["version"] for each in listed} == {path.name for path in registry.iterdir() if path.is_dir()}
    assert champion in find_champion(ARTIFACTS / "test", str(registry), "")
    done = headstart("models", "rollback", registry)
    assert done.returncode == 0, done.stderr
    after = json.loads((registry / "champion.json").read_text())
    assert after["version"] != champion
    address = find_champion(ARTIFACTS / "test", str(registry), "")
    inputs = EvaluationInputs(ARTIFACTS / "model", ARTIFACTS / "test", ARTIFACTS / "validation", champion=address)
    evaluate_model(inputs, tmp_path / "evaluation", tmp_path / "report.html")
    assert "champion" in read_metrics(tmp_path / "evaluation")


def test_a_head_is_fine_tuned(tmp_path: Path) -> None:
    recipe = load_recipe(str(RECIPE))
    inputs = TrainingInputs(ARTIFACTS / "train", ARTIFACTS / "validation", recipe, seed=0)
    info = fine_tune(ARTIFACTS / "head", inputs, tmp_path / "model")
    assert info.parent == read_model_info(ARTIFACTS / "head").sha256


def test_cached_features_are_used(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    features = tmp_path / "features"
    shutil.copytree(ARTIFACTS / "features", features)
    made_with = {json.loads(path.read_text())["keras"] for path in features.glob("*/record.json")}
    if made_with != {keras.__version__}:
        pytest.skip(f"features of Keras {made_with} are computed anew by Keras {keras.__version__}, as they should")
    settings = {"backbone": "sketchnet", "image_size": 32, "head.epochs": 1, "head.augmented_views": 1}
    inputs = TrainingInputs(
        ARTIFACTS / "train", ARTIFACTS / "validation", load_recipe(settings=settings), 0, record_uri=str(features)
    )
    before = sorted(path.name for path in features.iterdir())
    train_head(inputs, tmp_path / "model", to_be_tuned=False)
    assert sorted(path.name for path in features.iterdir()) == before


def test_a_checkpoint_is_resumed_from() -> None:
    state = Checkpoint(str(ARTIFACTS / "checkpoints"), "head", {"seed": 0}).read()
    assert state is not None
    assert (len(state.epochs), state.finished) == (3, False)
    np.testing.assert_array_equal(state.network[0], np.arange(6, dtype=np.float32).reshape(2, 3))


def test_a_recipe_with_removed_settings_loads() -> None:
    assert load_recipe(str(RECIPE)).head.epochs == 3


def test_the_settings_of_a_cluster_are_read(tmp_path: Path) -> None:
    shutil.copy(ARTIFACTS / "headstart.yaml", tmp_path)
    shown = headstart("config", cwd=tmp_path).stdout
    for value in ("https://kfp.example", "pets", "cats-and-dogs", "gs://bucket/artifacts", "gke-gpu"):
        assert value in shown
