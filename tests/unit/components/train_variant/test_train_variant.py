"""Variants are trained as by the single steps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.components.core.artifacts.history import Epoch, read_history
from headstart.components.core.artifacts.model import ModelInfo, read_model_info
from headstart.components.core.networks.saving import load_model
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.recipes.variants import read_variant
from headstart.components.core.training import checkpoint
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError
from headstart.components.fine_tune.step import fine_tune
from headstart.components.train_head.step import train_head
from headstart.components.train_variant.step import train_variant

BRIEFLY = {"head.epochs": 2, "fine_tuning.epochs": 1, "from_scratch.epochs": 1}
BRIEFLY |= {f"{phase}.augmented_views": 1 for phase in ("head", "fine_tuning", "from_scratch")}


def variant(name: str, method: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "method": method, "backbone": "sketchnet", "settings": BRIEFLY, **more}


def train(values: dict[str, Any], splits: dict[str, Path], model: Path, seed: int = 0, **more: Any) -> ModelInfo:
    """What the component does."""
    chosen = read_variant(values)
    inputs = TrainingInputs(splits["train"], splits["validation"], chosen.load_recipe(), seed, **more)
    return train_variant(inputs, model, chosen.name, chosen.method)


@pytest.fixture(scope="module")
def tuned(splits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tmp_path_factory.mktemp("variant") / "model"
    train(variant("tuned", "fine_tuned"), splits, model, seed=3, checkpoint_uri=str(model.parent / "checkpoints"))
    return model


def test_fine_tuned_variant_equals_the_single_steps(tuned: Path, splits: dict[str, Path], tmp_path: Path) -> None:
    both = splits["train"], splits["validation"]
    recipe = load_recipe(settings=BRIEFLY | {"backbone": "sketchnet"})
    train_head(TrainingInputs(*both, recipe, seed=3), tmp_path / "head")
    fine_tune(tmp_path / "head", TrainingInputs(*both, recipe, seed=3), tmp_path / "tuned")
    alone, made = read_model_info(tmp_path / "tuned"), read_model_info(tuned)
    assert (made.recipe, made.metrics, made.dataset) == (alone.recipe, alone.metrics, alone.dataset)
    for one, other in zip(load_model(tuned).get_weights(), load_model(tmp_path / "tuned").get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_model_knows_its_cost(tuned: Path, head: Path) -> None:
    info = read_model_info(tuned)
    assert info.parameters == load_model(tuned).count_params() == read_model_info(head).parameters
    assert info.accelerators == 0
    epochs = read_history(tuned)
    assert [epoch.stage for epoch in epochs] == ["head", "head", "fine_tuning"]
    # Feature extraction and weight interpolation come on top of the epochs, in both phases.
    assert sum(epoch.seconds for epoch in epochs) < info.seconds < 120


def test_interrupted_training_resumes_and_its_seconds_count(
    tuned: Path,
    splits: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(checkpoint, "Epoch", lambda **fields: Epoch(**fields | {"seconds": 1000.0}))
    checkpoints = str(tuned.parent / "checkpoints")
    info = train(variant("other", "fine_tuned"), splits, tmp_path / "model", seed=3, checkpoint_uri=checkpoints)
    resumed = [line.split()[1] for line in logged.messages if line.startswith("event=checkpoint_resumed")]
    assert resumed == ["stage=head", "stage=fine_tuning"]
    # Fine-tuning uses the features that the head's phase has cached, and no variant those of another.
    assert [sum(f"event={what} " in line for line in logged.messages) for what in ("recorded", "record_reused")] == [
        2,
        2,
    ]
    assert 3000 < info.seconds < 3120
    for one, other in zip(load_model(tuned).get_weights(), load_model(tmp_path / "model").get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_from_scratch(splits: dict[str, Path], tmp_path: Path) -> None:
    train(variant("scratch", "from_scratch", image_size=32.0), splits, tmp_path / "scratch")
    info = read_model_info(tmp_path / "scratch")
    assert (info.stage, info.image_size) == ("from_scratch", 32)
    assert info.seconds > 0 and info.parameters > 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"settings": {"head.epohcs": 3}}, "variant 'mine': recipe 'fast': unknown key 'head.epohcs'"),
        ({"backbone": "resnet"}, "variant 'mine': unknown backbone 'resnet'"),
        ({"image_size": 8}, "variant 'mine': image size 8 is too small"),
        ({"depth": 3}, "the variant \\(mine\\): unknown key 'depth'"),
    ],
)
def test_errors_name_the_variant(more: dict[str, Any], message: str, splits: dict[str, Path], tmp_path: Path) -> None:
    wrong = variant("mine", "head") | more
    with pytest.raises(HeadstartError, match=message):
        train(wrong, splits, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_head_without_fine_tuning_caches_no_features_for_it(
    splits: dict[str, Path], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    train(variant("alone", "head"), splits, tmp_path / "model", seed=3)
    recorded = [line for line in logged.messages if line.startswith("event=recorded split=train")]
    assert len(recorded) == 1


def test_a_missing_gpu_is_an_error(splits: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=r"variant 'mine': head asks for 99 GPU\(s\)"):
        train(variant("mine", "head"), splits, tmp_path / "model", accelerators=99)
