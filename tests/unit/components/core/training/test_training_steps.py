"""The three training steps as plain functions, on drawn images."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support.disks import small_disk

from headstart.components.core.artifacts.dataset import read_columns, read_dataset_info
from headstart.components.core.artifacts.history import read_history
from headstart.components.core.artifacts.model import read_model_info, read_seen, read_validation_predictions
from headstart.components.core.artifacts.predictions import read_predictions
from headstart.components.core.artifacts.probe import read_learning_curve
from headstart.components.core.artifacts.reference import read_reference
from headstart.components.core.artifacts.thumbnails import read_thumbnails
from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.metrics.statistics import cross_entropies
from headstart.components.core.networks.dataset_predictions import predict_proba_and_features
from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone
from headstart.components.core.networks.saving import load_model
from headstart.components.core.recipes.recipe import Recipe, dump_recipe, load_recipe
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError
from headstart.components.fine_tune.step import fine_tune
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, split_dataset
from headstart.components.train_from_scratch.step import train_from_scratch
from headstart.components.train_head.step import train_head


def inputs_of(splits: dict[str, Path], recipe: Recipe, seed: int = 0, **more: Any) -> TrainingInputs:
    return TrainingInputs(splits["train"], splits["validation"], recipe, seed, **more)


def weights_by_layer(model: Path) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in load_model(model).get_layer("sketchnet").layers}


def moved_layers(before: dict[str, list[np.ndarray]], after: dict[str, list[np.ndarray]]) -> set[str]:
    return {
        name
        for name, weights in before.items()
        if not all(np.array_equal(one, other) for one, other in zip(weights, after[name], strict=True))
    }


def tune(head: Path, splits: dict[str, Path], out: Path, **settings: object) -> Path:
    briefly = {"epochs": 2, "learning_rate": 1e-3, "augmented_views": 1, "batch_size": 16} | settings
    recipe = load_recipe(settings={f"fine_tuning.{key}": value for key, value in briefly.items()})
    fine_tune(head, inputs_of(splits, recipe, tensorboard=out.with_name("events")), out)
    return out


def test_head_artifact_describes_its_training(head: Path, splits: dict[str, Path]) -> None:
    info = read_model_info(head)
    assert (info.stage, info.backbone, info.image_size, info.classes) == ("head", "sketchnet", 64, ["cat", "dog"])
    assert info.dataset == {name: read_dataset_info(splits[name]).digest for name in ("train", "validation")}
    for name in ("train", "validation"):
        split = read_dataset_info(splits[name])
        assert info.class_counts[name] == dict(zip(split.classes, split.counts, strict=True))
    assert info.recipe["head"]["learning_rate"] == 1e-2
    assert set(info.versions) == {"python", "headstart", "keras", "tensorflow"}
    assert [epoch.stage for epoch in read_history(head)] == ["head"] * 8
    assert info.metrics["validation_accuracy"] > 0.6


def ids_of(*folders: Path) -> set[str]:
    return {each for folder in folders for each in read_columns(folder, ["id"])["id"].to_pylist()}


def test_models_know_the_images_they_have_seen(head: Path, splits: dict[str, Path], tmp_path: Path) -> None:
    assert read_seen(head) == ids_of(splits["train"], splits["validation"])
    others = {"train": splits["test"], "validation": splits["test"]}
    tuned = tune(head, others, tmp_path / "tuned")
    assert read_seen(tuned) == ids_of(*splits.values()), "what the head saw, the model that came of it saw too"


def predictions_of(model: Path, splits: dict[str, Path]) -> np.ndarray:
    """Predictions of the saved network for the validation images, which its artifact holds too.

    So it does with their unfamiliarities, which the network gives again with the artifact's reference.
    """
    reference, none = read_reference(model, read_model_info(model)), np.empty(0, np.int64)
    found = predict_proba_and_features(
        [load_model(model)], splits["validation"], "validation", 0, none, reference=reference
    )
    stored, (predicted,) = read_validation_predictions(model, splits["validation"]), found.probabilities
    assert stored is not None and np.abs(stored.probabilities - predicted).max() < 5e-3, "features are float16"
    assert stored.unfamiliarity is not None and found.unfamiliarity is not None
    assert np.abs(stored.unfamiliarity - found.unfamiliarity).max() < 5e-3
    return predicted


def test_head_artifact_holds_the_probe(head: Path, splits: dict[str, Path]) -> None:
    predictions = read_predictions(head / "probe" / "out_of_fold.parquet")
    assert set(predictions.ids) == ids_of(splits["train"], splits["validation"])
    assert predictions.right.mean() > 0.6
    curve = read_learning_curve(head / "probe" / "learning_curve.json")
    assert curve is not None and curve.images == 80
    with (head / "probe" / "label_errors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (~predictions.right).sum()
    assert len(read_thumbnails(head / "probe" / "suspects.parquet")) == min(24, len(rows))


def test_training_twice_gives_the_same_head(head: Path, splits: dict[str, Path], tmp_path: Path) -> None:
    # The recipe that the artifact names is complete.
    recipe = load_recipe(dump_recipe(read_model_info(head).recipe))
    train_head(inputs_of(splits, recipe), tmp_path / "again")
    for one, other in zip(load_model(head).get_weights(), load_model(tmp_path / "again").get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_another_head_on_the_same_images_uses_the_cached_features(
    head: Path, splits: dict[str, Path], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    recipe = load_recipe(
        settings={"backbone": "sketchnet", "head.augmented_views": 1, "head.hidden_units": 8, "head.epochs": 1}
    )
    train_head(inputs_of(splits, recipe, seed=7), tmp_path / "model")
    assert [line.split()[1] for line in logged.messages if line.startswith("event=record_reused")] == [
        "split=train",
        "split=validation",
    ]
    assert not [line for line in logged.messages if "what=features" in line]


def test_weights_with_another_digest_are_refused(splits: dict[str, Path], tmp_path: Path) -> None:
    recipe = load_recipe(settings={"backbone": "sketchnet", "weights": __file__, "weights_sha256": "0" * 64})
    with pytest.raises(HeadstartError, match=r"have sha256 .*, not 0000"):
        train_head(inputs_of(splits, recipe), tmp_path / "model")


def test_head_is_never_worse_than_ridge_regression(splits: dict[str, Path], tmp_path: Path) -> None:
    briefly = {"epochs": 1, "learning_rate": 100.0, "optimizer": "sgd", "weight_decay": 0.0}
    recipe = load_recipe(settings={"backbone": "sketchnet"} | {f"head.{key}": each for key, each in briefly.items()})
    info = train_head(inputs_of(splits, recipe), tmp_path / "model")
    assert info.metrics["validation_loss"] < read_history(tmp_path / "model")[0].validation_loss
    assert info.metrics["ridge_head"] == 1
    labels = read_columns(splits["validation"], ["label"])["label"].to_numpy()
    predicted = predictions_of(tmp_path / "model", splits)
    assert cross_entropies(labels, predicted).mean() == pytest.approx(info.metrics["validation_loss"], rel=1e-2)


def test_datasets_that_do_not_match_are_refused(splits: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "train"
    shutil.copytree(splits["train"], copy)
    facts = json.loads((copy / "dataset.json").read_text())
    for change, message in (
        (
            {"classes": ["cat", "fox"]},
            r"training classes \['cat', 'fox'\] and validation classes \['cat', 'dog'\] differ",
        ),
        ({"counts": [80, 0]}, r"has no image of class dog"),
    ):
        (copy / "dataset.json").write_text(json.dumps(facts | change))
        with pytest.raises(HeadstartError, match=message):
            train_head(TrainingInputs(copy, splits["validation"], load_recipe(), seed=0), tmp_path / "model")


def test_fine_tuning_changes_the_top_layers_only(head: Path, splits: dict[str, Path], tmp_path: Path) -> None:
    tuned = tune(head, splits, tmp_path / "tuned", unfreeze_from="block3", learning_rate=1e-2)
    info = read_model_info(tuned)
    assert info.parent == read_model_info(head).sha256
    assert [epoch.stage for epoch in read_history(tuned)] == ["head"] * 8 + ["fine_tuning"] * 2
    predictions_of(tuned, splits)
    before, after = weights_by_layer(head), weights_by_layer(tuned)
    moved = moved_layers(before, after)
    kinds = {layer.name: type(layer).__name__ for layer in load_model(tuned).get_layer("sketchnet").layers}
    if info.metrics["fine_tuned_share"] > 0:
        assert any(name.startswith("block3") for name in moved)
    assert not [name for name in moved if name.startswith(("stem", "block1", "block2"))]
    assert not [name for name in moved if kinds[name] == "BatchNormalization"]


@pytest.mark.parametrize(
    ("rate", "reason", "epochs"),
    [
        (10.0, "no interpolation has a lower validation loss", 2),
        (1e30, "fine_tuning: the loss is not finite after step 3 of epoch 1; lower fine_tuning.learning_rate", 0),
    ],
    ids=["worse", "not_finite"],
)
def test_fine_tuning_that_only_harms_leaves_the_head(
    rate: float,
    reason: str,
    epochs: int,
    head: Path,
    splits: dict[str, Path],
    tmp_path: Path,
    logged: pytest.LogCaptureFixture,
) -> None:
    tuned = tune(head, splits, tmp_path / "tuned", learning_rate=rate)
    (kept,) = [line for line in logged.messages if line.startswith("event=fine_tuning_kept_the_head")]
    assert f'reason="{reason}' in kept
    assert [epoch.stage for epoch in read_history(tuned)].count("fine_tuning") == epochs
    assert list((tmp_path / "events" / "fine_tuning").glob("*/events.*")), "what a run is made of, epochs or not"
    info = read_model_info(tuned)
    assert info.metrics["fine_tuned_share"] == 0
    assert info.metrics["validation_loss"] == pytest.approx(
        read_model_info(head).metrics["validation_loss"], abs=1e-3
    )
    for one, other in zip(load_model(head).get_weights(), load_model(tuned).get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_without_room_for_features_fine_tuning_goes_end_to_end(
    head: Path,
    splits: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: full)
    briefly = {"epochs": 1, "steps_per_epoch": 2, "augmented_views": -1, "unfreeze_from": "block1"}
    tuned = tune(head, splits, tmp_path / "tuned", **briefly)
    assert read_model_info(tuned).recipe["fine_tuning"]["augmented_views"] == 0
    text = " ".join(logged.messages)
    assert "event=too_little_room stage=fine_tuning views=0 instead_of=6" in text
    assert f"split=train images=80 views=1 bytes={80 * 64 * 64 * 3 * 2}" in text, "what is kept are the pixels"


def test_an_unknown_layer_is_an_error_before_the_head_is_trained(
    head: Path, splits: dict[str, Path], tmp_path: Path
) -> None:
    message = r"no layer or block 'block9'; unfreeze from .*block3"
    with pytest.raises(HeadstartError, match=message):
        tune(head, splits, tmp_path / "tuned", unfreeze_from="block9")
    settings = {"backbone": "sketchnet", "fine_tuning.unfreeze_from": "block9", "head.epochs": 10**6}
    with pytest.raises(HeadstartError, match=message):
        train_head(inputs_of(splits, load_recipe(settings=settings)), tmp_path / "head")
    assert not [*tmp_path.iterdir()]


def test_required_gpus_must_be_there(splits: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=r"head asks for 99 GPU\(s\), and TensorFlow finds .*headstart-gpu"):
        train_head(inputs_of(splits, load_recipe(), accelerators=99), tmp_path / "head")
    assert not (tmp_path / "head").exists()


@pytest.mark.slow
def test_end_to_end_without_cached_features(splits: dict[str, Path], tmp_path: Path) -> None:
    """Way 2b of the source: augmented anew in every epoch; the frozen layers and BatchNorm stay as they are."""
    briefly = {"epochs": 1, "steps_per_epoch": 3, "batch_size": 8, "augmented_views": 0, "learning_rate": 1e-2}
    settings = {f"{phase}.{key}": value for phase in ("head", "fine_tuning") for key, value in briefly.items()}
    recipe = load_recipe(
        "tutorial", settings | {"backbone": "sketchnet", "image_size": 32, "fine_tuning.unfreeze_from": "block3"}
    )
    train_head(inputs_of(splits, recipe), tmp_path / "head")
    fine_tune(tmp_path / "head", inputs_of(splits, recipe), tmp_path / "tuned")
    pretrained = build_pretrained_backbone(get_backbone("sketchnet"), 32, "")
    before = {layer.name: layer.get_weights() for layer in pretrained.layers if layer.weights}
    for name in ("head", "tuned"):
        network = load_model(tmp_path / name)
        assert isinstance(network.get_layer("preprocess"), keras.layers.Rescaling)
        assert network.get_layer("preprocess").scale == pytest.approx(1 / 255)
        assert not [layer for layer in network.layers if "augmentation" in layer.name]
        predictions_of(tmp_path / name, splits)
        moved = moved_layers(before, weights_by_layer(tmp_path / name))
        assert all(layer.startswith(("block3_conv", "block4_conv")) for layer in moved)
        assert name == "tuned" or not moved


def test_from_scratch_trains_a_whole_small_convnet(splits: dict[str, Path], tmp_path: Path) -> None:
    settings = {"epochs": 2, "augmented_views": 2, "scaling": "unit", "dropout": 0.5}
    recipe = load_recipe(settings={"image_size": 32} | {f"from_scratch.{key}": settings[key] for key in settings})
    info = train_from_scratch(inputs_of(splits, recipe), tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert (info.stage, info.image_size) == ("from_scratch", 32)
    assert model.get_layer("preprocess").scale == pytest.approx(1 / 255)
    kinds = [type(layer) for layer in model.get_layer("convnet").layers]
    assert kinds.count(keras.layers.Conv2D) == kinds.count(keras.layers.MaxPooling2D) == 4
    assert len(model.trainable_variables) == len(model.weights) == 12
    predictions_of(tmp_path / "model", splits)


def test_full_disk_is_one_error_line(head: Path, splits: dict[str, Path], tmp_path: Path) -> None:
    recipe = load_recipe(settings={"fine_tuning.epochs": 1, "fine_tuning.augmented_views": 1})
    with small_disk(tmp_path / "small", "1m") as small:
        with pytest.raises(HeadstartError, match="no space left on the disk of the outputs or of /"):
            fine_tune(head, inputs_of(splits, recipe, checkpoint_uri=str(small / "checkpoints")), small / "tuned")
        assert not (small / "tuned" / "model.json").exists()
        with pytest.raises(HeadstartError, match="no space left on the disk of the outputs or of /"):
            split_dataset(
                splits["train"],
                **{name: small / name for name in splits},
                settings=SplitSettings(SplitSizes([30, 5, 5], [])),
            )


def test_altered_or_unfinished_model_is_refused(head: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(head, copy)
    read_model_info(copy)
    (copy / "model.keras").write_bytes(b"something else")
    with pytest.raises(HeadstartError, match=r"is not the file that model\.json describes"):
        read_model_info(copy)
    (copy / "history.csv").unlink()
    with pytest.raises(HeadstartError, match=r"lacks history\.csv"):
        read_model_info(copy)
    (copy / "model.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(HeadstartError, match="not in the format"):
        read_model_info(copy)
    (copy / "model.json").unlink()
    with pytest.raises(HeadstartError, match=r"model\.json is missing"):
        read_model_info(copy)
