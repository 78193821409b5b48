"""The course of training, step by step: as it was, as a table, and for TensorBoard."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from support.evaluations import drawn_epochs

from headstart.components.core.artifacts.history import average_steps, read_history, write_history
from headstart.components.core.features.compute import Features
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.training.batches import TrainingBatches
from headstart.components.core.training.fit import compile_classifier, fit
from headstart.components.core.training.optimizers import build_optimizer
from headstart.components.core.training.tensorboard import write_event_files
from headstart.components.core.util.errors import HeadstartError

EPOCHS = [*drawn_epochs("head", 3), *drawn_epochs("fine_tuning", 2)]
SETTINGS = {"epochs": 3, "learning_rate": 0.05, "augmented_views": 2, "batch_size": 16, "class_weights": "balanced"}


def record(images: int) -> Features:
    random = np.random.default_rng(0)
    labels = np.arange(images) % 4 // 3
    return Features((random.normal(size=(2, images, 4)) + labels[None, :, None]).astype(np.float16), labels)


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_steps_are_what_each_batch_is_by_itself(schedule: str) -> None:
    """Of 52 images the last of four batches has 4."""
    data, settings = record(52), SETTINGS | {"schedule": schedule}
    recipe = load_recipe(settings={f"head.{key}": value for key, value in settings.items()})
    epochs = fit(network(), data, data, Plan.of(recipe, "head", 0))
    model, batches, alone = network(), TrainingBatches(data, recipe.head, 1, 0), []
    compile_classifier(model, build_optimizer(recipe.head, 3 * len(batches)))
    for epoch in range(3):
        batches.draw_epoch(epoch)
        for number in range(len(batches)):
            rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
            model.reset_metrics()
            said = model.train_on_batch(*batches[number], class_weight={0: 52 / 78, 1: 2.0}, return_dict=True)
            alone.append((rate, said["loss"], said["accuracy"]))
    steps = [dataclasses.astuple(step) for epoch in epochs for step in epoch.steps]
    assert np.array(steps) == pytest.approx(np.array(alone), rel=1e-4, abs=1e-9)
    for epoch in epochs:
        shares = np.array([16, 16, 16, 4]) / 52
        assert epoch.loss == pytest.approx(shares @ [step.loss for step in epoch.steps], rel=1e-4)
        assert epoch.accuracy == pytest.approx(shares @ [step.accuracy for step in epoch.steps], rel=1e-4)
        assert epoch.learning_rate == epoch.steps[-1].learning_rate


def test_history_is_a_table_of_steps_in_which_each_epoch_ends_with_its_figures(tmp_path: Path) -> None:
    write_history(tmp_path, EPOCHS)
    assert read_history(tmp_path) == EPOCHS
    table = pd.read_csv(tmp_path / "history.csv", float_precision="round_trip")
    assert list(table.groupby("stage", sort=False).step.max().items()) == [("head", 60), ("fine_tuning", 40)]
    assert table.loss.tolist() == [step.loss for epoch in EPOCHS for step in epoch.steps]
    ends = table.dropna()
    assert ends.step.tolist() == [20, 40, 60, 20, 40]
    assert ends.validation_loss.tolist() == [epoch.validation_loss for epoch in EPOCHS]
    assert ends.epoch_loss.tolist() == [epoch.loss for epoch in EPOCHS]


@pytest.mark.parametrize("content", ["epoch,loss\n1,0.5\n", "stage,epoch\nhead,one\n"])
def test_damaged_history_is_refused(content: str, tmp_path: Path) -> None:
    write_history(tmp_path, EPOCHS)
    whole = (tmp_path / "history.csv").read_text()
    for damaged in (content, whole[:-20]):
        (tmp_path / "history.csv").write_text(damaged)
        with pytest.raises(HeadstartError, match=r"history\.csv cannot be read .*; train the model again"):
            read_history(tmp_path)


def test_thinned_curve_has_means_of_consecutive_steps() -> None:
    few = average_steps(EPOCHS, 12)
    assert [len(epoch.steps) for epoch in few] == [4, 4, 4, 6, 6]
    assert few[0].steps[0].loss == pytest.approx(np.mean([step.loss for step in EPOCHS[0].steps[:5]]))
    assert [len(epoch.steps) for epoch in average_steps(EPOCHS, 1)] == [1] * 5
    assert average_steps(EPOCHS, 10_000) == EPOCHS


def scalars(path: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by name, from all event files of a folder."""
    (file,) = path.iterdir()
    assert "tfevents" in file.name
    found: dict[str, list[tuple[int, float]]] = {}
    messages: list[Any] = [
        tf.compat.v1.Event.FromString(raw) for raw in tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    ]
    assert messages[0].file_version == "brain.Event:2"
    times = [message.wall_time for message in messages]
    assert times == sorted(times)
    for message in messages[1:]:
        for value in message.summary.value:
            found.setdefault(value.tag, []).append((message.step, value.simple_value))
    return found


def test_event_files_say_what_the_history_says(tmp_path: Path) -> None:
    for _ in range(2):
        for stage in ("head", "fine_tuning"):
            write_event_files(tmp_path, stage, [epoch for epoch in EPOCHS if epoch.stage == stage])
    for stage, epochs in (("head", EPOCHS[:3]), ("fine_tuning", EPOCHS[3:])):
        training, validation = (scalars(tmp_path / stage / name) for name in ("train", "validation"))
        steps = [step for epoch in epochs for step in epoch.steps]
        for name in ("loss", "accuracy", "learning_rate"):
            told = training.pop(f"batch_{name}")
            assert [number for number, _ in told] == list(range(1, len(steps) + 1))
            assert [value for _, value in told] == pytest.approx([getattr(step, name) for step in steps])
        for told, prefix in ((training, ""), (validation, "validation_")):
            assert set(told) == {"epoch_loss", "epoch_accuracy"}
            for name in ("loss", "accuracy"):
                wanted = [getattr(epoch, prefix + name) for epoch in epochs]
                assert [number for number, _ in told[f"epoch_{name}"]] == list(range(1, len(epochs) + 1))
                assert [value for _, value in told[f"epoch_{name}"]] == pytest.approx(wanted)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_figure_that_is_not_finite_is_refused(value: str, tmp_path: Path) -> None:
    write_history(tmp_path, EPOCHS)
    path = tmp_path / "history.csv"
    lines = path.read_text().splitlines()
    cells = lines[1].split(",")
    path.write_text("\n".join([lines[0], ",".join([*cells[:4], value, *cells[5:]]), *lines[2:]]))
    with pytest.raises(HeadstartError, match=rf"history\.csv cannot be read \('{value}' among its figures\)"):
        read_history(tmp_path)
