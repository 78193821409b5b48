from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from headstart.components.core.errors import HeadstartError
from headstart.components.core.history import best_epoch, read_history, write_history
from headstart.components.core.network.images import image_batches
from headstart.components.core.network.mixing import best_mixture
from headstart.components.core.network.record import PlainBatches, Record, Recorder, TrainingBatches
from headstart.components.core.network.training import compile_classifier, fit
from headstart.components.core.plan import Plan

PLAN = Plan("head", 12, 0.05, 1, 16, 0)


def points(images: int, views: int = 1, seed: int = 0) -> Record:
    """Two clouds of points, one a class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, images)
    values = random.normal(size=(views, images, 4)) + 2.0 * labels[None, :, None]
    return Record(values.astype(np.float16), labels)


def logistic() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))


def test_record_holds_what_the_front_says_of_plain_and_augmented_images(
    splits: dict[str, Path], tmp_path: Path
) -> None:
    pixels = keras.Input((32, 32, 3))
    front = keras.Model(pixels, keras.layers.AveragePooling2D(4)(pixels))
    made = Recorder(front, seed=0).record(splits["train"], 3, tmp_path / "train.npy")
    assert made.activations.shape == (3, 80, 8, 8, 3)
    assert made.activations.dtype == np.float16
    plain = np.concatenate([front(batch).numpy() for batch in image_batches(splits["train"], 32, 64)])
    assert np.allclose(made.activations[0], plain, rtol=2e-3)
    differences = [np.abs(made.activations[view] - plain).mean(axis=(1, 2, 3)) for view in (1, 2)]
    assert all((difference > 1).mean() > 0.9 for difference in differences)
    again = Recorder(front, seed=0).record(splits["train"], 3, tmp_path / "again.npy")
    assert np.array_equal(made.activations, again.activations)


def test_training_batches_show_each_image_once_an_epoch_in_changing_views() -> None:
    images = np.arange(50)
    values = np.stack([images, images + 100]).astype(np.float16)[..., None]
    batches = TrainingBatches(Record(values, images), batch=16, seed=0)
    seen = []
    for _ in range(2):
        inputs, labels = map(np.concatenate, zip(*(batches[index] for index in range(len(batches))), strict=True))
        assert sorted(labels) == list(images)
        assert set(np.unique(inputs[:, 0] - labels)) == {0, 100}
        seen.append(labels)
        batches.on_epoch_end()
    assert not np.array_equal(*seen)


def test_plain_batches_are_in_order() -> None:
    data = points(600, views=2)
    batches = PlainBatches(data)
    inputs, labels = map(np.concatenate, zip(*(batches[index] for index in range(len(batches))), strict=True))
    assert np.array_equal(inputs, data.activations[0].astype(np.float32))
    assert np.array_equal(labels, data.labels)


def test_fit_learns_and_leaves_the_best_epoch(tmp_path: Path) -> None:
    model, validation = logistic(), points(200, seed=1)
    epochs = fit(model, points(400), validation, PLAN)
    assert [epoch.epoch for epoch in epochs] == list(range(1, 13))
    assert best_epoch(epochs).validation_accuracy > 0.95
    loss, _ = model.evaluate(PlainBatches(validation), verbose=0)
    assert loss == pytest.approx(best_epoch(epochs).validation_loss, rel=1e-5)
    assert epochs[-1].learning_rate < epochs[0].learning_rate
    write_history(tmp_path, epochs)
    assert read_history(tmp_path) == epochs


def test_fit_keeps_the_best_epoch_when_later_ones_are_worse() -> None:
    train = points(16)
    model, validation = logistic(), points(200, seed=1)
    spoiled = Record(train.activations, 1 - train.labels)
    good = fit(model, points(400), validation, PLAN)
    worse = fit(model, spoiled, validation, PLAN)
    assert worse[-1].validation_loss > best_epoch(worse).validation_loss >= best_epoch(good).validation_loss
    loss, _ = model.evaluate(PlainBatches(validation), verbose=0)
    assert loss == pytest.approx(best_epoch(worse).validation_loss, rel=1e-5)


def test_fit_is_repeatable() -> None:
    results = []
    for _ in range(2):
        model = logistic()
        fit(model, points(100, views=3), points(50, seed=1), PLAN)
        results.append(model.get_weights())
    assert all(np.array_equal(*pair) for pair in zip(*results, strict=True))


def test_loss_that_is_not_finite_stops_with_the_way_out() -> None:
    data = points(64)
    data.activations[0, 3] = np.nan
    with pytest.raises(HeadstartError, match="head: the loss is nan in epoch 1; lower the learning rate"):
        fit(logistic(), data, points(50, seed=1), PLAN)


@pytest.mark.parametrize(
    ("field", "value"), [("epochs", 0), ("learning_rate", 0.0), ("learning_rate", -1.0), ("batch_size", 0)]
)
def test_plan_refuses_what_makes_no_sense(field: str, value: float) -> None:
    values = {"stage": "head", "epochs": 1, "learning_rate": 1.0, "augmented_views": 1, "batch_size": 1, "seed": 0}
    with pytest.raises(HeadstartError, match=f"{field} of stage head is {value}; it must be above 0"):
        Plan(**(values | {field: value}))


@pytest.mark.parametrize(("images", "views"), [(100, 6), (1_000, 3), (2_000, 1), (100_000, 1)])
def test_few_images_are_seen_in_more_views(images: int, views: int) -> None:
    assert replace(PLAN, augmented_views=-1).views(images) == views
    assert replace(PLAN, augmented_views=4).views(images) == 4


def test_mixture_is_the_best_on_validation_and_the_start_when_nothing_is_better() -> None:
    validation = points(300, seed=1)
    model = logistic()
    compile_classifier(model)
    poor, good = [np.zeros((4, 1)), np.zeros(1)], [np.full((4, 1), 1.0), np.array([-4.0])]

    def mix(start: list[np.ndarray], end: list[np.ndarray]) -> float:
        for weight, value in zip(model.trainable_variables, end, strict=True):
            weight.assign(value)
        return best_mixture(model, start, (0.5, 1.0), validation).share

    assert mix(poor, good) == 1.0
    assert mix(good, poor) == 0.0
    assert all(np.array_equal(weight, value) for weight, value in zip(model.get_weights(), good, strict=True))
