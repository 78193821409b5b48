"""A trial is what its recipe trains, and its failure is a result."""

import dataclasses
import errno
from pathlib import Path

import pytest

from headstart.components.core.artifacts.search_trials import ProposedTrial
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.storage.stores import transfer
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError, Unavailable
from headstart.components.run_trial import step
from headstart.components.run_trial.step import TrainedHeads, run_trial

BRIEFLY = {"backbone": "sketchnet", "image_size": 32, "head.epochs": 1, "fine_tuning.epochs": 1}


@pytest.fixture
def inputs(splits: dict[str, Path]) -> TrainingInputs:
    return TrainingInputs(splits["train"], splits["validation"], load_recipe(settings=BRIEFLY).resolve(), 0)


def test_trials_share_a_head_and_one_far_behind_is_not_fine_tuned(
    inputs: TrainingInputs, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    heads = TrainedHeads(tmp_path)
    complete = run_trial(ProposedTrial(3, {"fine_tuning.epochs": 2}), inputs, heads)
    assert (complete.number, complete.settings, complete.state) == (3, {"fine_tuning.epochs": 2}, "complete")
    assert complete.loss is not None and complete.head_loss is not None and complete.accuracy is not None
    assert complete.loss <= complete.head_loss
    pruned = run_trial(ProposedTrial(4, {}, best_head_loss=complete.head_loss / 1.6), inputs, heads)
    assert (pruned.state, pruned.head_loss, pruned.loss) == ("pruned", complete.head_loss, None)
    assert len(list(tmp_path.iterdir())) == 1
    lines = [line for line in logged.messages if line.startswith("event=trial ")]
    assert "state=complete" in lines[0] and "state=pruned" in lines[-1]


def test_what_cannot_be_trained_with_is_a_failed_trial(
    inputs: TrainingInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow

    heads = TrainedHeads(tmp_path)
    failed = run_trial(ProposedTrial(1, {"fine_tuning.unfreeze_from": "no_such_layer"}), inputs, heads)
    assert (failed.state, failed.loss) == ("failed", None)
    assert "no_such_layer" in failed.error

    def exhaust(*_: object) -> None:
        raise tensorflow.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nmore")

    monkeypatch.setattr(step, "train_head", exhaust)
    failed = run_trial(ProposedTrial(2, {"image_size": 64}), inputs, heads)
    assert (failed.state, failed.error) == ("failed", "out of memory (OOM when allocating tensor)")


def test_what_may_succeed_later_says_nothing_about_the_settings(
    inputs: TrainingInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    far = dataclasses.replace(inputs, recipe=inputs.recipe.override(weights="s3://bucket/own.weights.h5"))
    with pytest.raises(Unavailable, match=r"own\.weights\.h5: .* or try later"):
        run_trial(ProposedTrial(1, {}), far, TrainedHeads(tmp_path))

    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(step, "fine_tune", explain_full_disk()(fill))
    with pytest.raises(Unavailable, match="no space left"):
        run_trial(ProposedTrial(1, {}), inputs, TrainedHeads(tmp_path / "others"))


def test_a_pod_without_its_gpus_says_nothing_about_the_settings(inputs: TrainingInputs, tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match="a trial asks for 99 GPU"):
        run_trial(ProposedTrial(0, {}), dataclasses.replace(inputs, accelerators=99), TrainedHeads(tmp_path))
