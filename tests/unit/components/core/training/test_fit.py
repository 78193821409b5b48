import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from headstart.components.core.artifacts.history import best_epoch
from headstart.components.core.features.compute import FeatureExtractor, Features
from headstart.components.core.networks.image_batches import build_augmentation, read_image_batches
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.training.batches import PlainBatches, TrainingBatches, make_targets, to_tf_dataset
from headstart.components.core.training.checkpoint import TrainingState
from headstart.components.core.training.class_weights import compute_class_weights
from headstart.components.core.training.fit import NoFiniteEpoch, compile_classifier, fit
from headstart.components.core.training.optimizers import build_optimizer, build_schedule, compute_learning_rates
from headstart.components.core.training.resume import restore_state
from headstart.components.core.training.variables import get_values
from headstart.components.core.training.weight_interpolation import interpolate_weights


def planned(**changes: object) -> Plan:
    """A plan of the head, short and quick to learn."""
    settings = {"epochs": 12, "learning_rate": 0.05, "augmented_views": 1, "batch_size": 16, "weight_decay": 0.004}
    recipe = load_recipe(settings={f"head.{key}": value for key, value in (settings | changes).items()})
    return Plan.of(recipe, "head", seed=0)


PLAN = planned()


def points(images: int, views: int = 1, seed: int = 0) -> Features:
    """Two clouds of points, one a class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, images)
    values = random.normal(size=(views, images, 4)) + 2.0 * labels[None, :, None]
    return Features(values.astype(np.float16), labels)


def all_of(batches: TrainingBatches | PlainBatches) -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = zip(*(batches[index] for index in range(len(batches))), strict=True)
    return np.concatenate(inputs), np.concatenate(targets)


def logistic() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))


def test_features_are_the_front_output_for_plain_and_augmented_images(
    splits: dict[str, Path], tmp_path: Path
) -> None:
    pixels = keras.Input((32, 32, 3))
    front = keras.Model(pixels, keras.layers.AveragePooling2D(4)(pixels))
    [made] = FeatureExtractor([front], PLAN).extract(splits["train"], 3, [tmp_path / "train.npy"])
    assert made.activations.shape == (3, 80, 8, 8, 3)
    assert made.activations.dtype == np.float16
    plain = np.concatenate([front(batch).numpy() for batch in read_image_batches(splits["train"], 32, 64)])
    assert np.allclose(made.activations[0], plain, rtol=2e-3)
    differences = [np.abs(made.activations[view] - plain).mean(axis=(1, 2, 3)) for view in (1, 2)]
    assert all((difference > 1).mean() > 0.9 for difference in differences)
    [again] = FeatureExtractor([front], PLAN).extract(splits["train"], 3, [tmp_path / "again.npy"])
    assert np.array_equal(made.activations, again.activations)


def test_rand_augment_changes_images_by_its_seed() -> None:
    settings = load_recipe(
        settings={
            "augmentation.horizontal_flip": False,
            "augmentation.rotation": 0,
            "augmentation.width_shift": 0,
            "augmentation.height_shift": 0,
            "augmentation.zoom": [0, 0],
            "augmentation.rand_augment": 0.5,
        }
    ).augmentation
    pixels = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.float32)
    pixels[:, :16] = 90.0
    one, again, other = (build_augmentation(settings, seed)(pixels, training=True).numpy() for seed in (3, 3, 4))
    assert one.shape == pixels.shape and one.dtype == np.float32
    assert one.min() >= 0 and one.max() <= 255 and one.max() > 100, "pixels stay pixels"
    assert (np.abs(one - pixels).mean(axis=(1, 2, 3)) > 1).mean() > 0.5
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    assert np.array_equal(build_augmentation(settings, 3)(pixels, training=False), pixels)


def test_augmentation_of_the_tutorial_goes_as_far_as_the_source_says() -> None:
    """Measured on images of their own coordinates: shift of the middle, and step per pixel."""
    size, middle = 64, slice(28, 36)
    ramps = np.stack([*np.meshgrid(np.arange(size), np.arange(size)), np.zeros((size, size))], -1).astype(np.float32)
    flat, steep = np.cos(np.deg2rad(40)), np.sin(np.deg2rad(40))
    none = {"rotation": 0, "width_shift": 0, "height_shift": 0, "shear": 0, "zoom": [0, 0], "horizontal_flip": False}
    tutorial = load_recipe("tutorial").augmentation
    for change, ranges in {
        "rotation": {
            "x right": (flat, 1),
            "x down": (-steep, steep),
            "y right": (-steep, steep),
        },
        "width_shift": {"x": (-0.2, 0.2)},
        "height_shift": {"y": (-0.2, 0.2)},
        "shear": {"x down": (-0.2, 0.2), "x": (-0.1, 0.1)},
        "zoom": {"x right": (0.8, 1.2), "y down": (0.8, 1.2)},
    }.items():
        settings = tutorial.model_copy(update={name: value for name, value in none.items() if name != change})
        seen = build_augmentation(settings, 0)(np.repeat(ramps[None], 256, 0), training=True).numpy()[
            :, middle, middle, :2
        ]
        right, down = ((seen[:, :, -1] - seen[:, :, 0]).mean(1) / 7, (seen[:, -1] - seen[:, 0]).mean(1) / 7)
        moved = (seen - ramps[middle, middle, :2]).mean((1, 2)) / size
        found = {"x": moved[:, 0], "y": moved[:, 1], "x right": right[:, 0], "y right": right[:, 1]}
        found |= {"x down": down[:, 0], "y down": down[:, 1]}
        still = {"x": (0, 0), "y": (0, 0), "y right": (0, 0), "x down": (0, 0), "x right": (1, 1), "y down": (1, 1)}
        if change == "rotation":
            still["y down"] = ranges["x right"]
        for name, (least, most) in (still | ranges).items():
            assert found[name].min() == pytest.approx(least, abs=0.01), (change, name)
            assert found[name].max() == pytest.approx(most, abs=0.01), (change, name)
        if change == "zoom":
            assert abs(np.corrcoef(found["x right"], found["y down"])[0, 1]) < 0.2, "independently"


def test_training_batches_show_each_image_once_an_epoch_in_changing_views() -> None:
    images = np.arange(50)
    values = np.stack([images, images + 100]).astype(np.float16)[..., None]
    batches = TrainingBatches(Features(values, images), PLAN.training, units=1, seed=0)
    seen = []
    for epoch in range(2):
        batches.draw_epoch(epoch)
        inputs, labels = all_of(batches)
        assert sorted(labels[:, 0]) == list(images)
        assert set(np.unique(inputs - labels)) == {0, 100}
        seen.append(labels)
    assert not np.array_equal(*seen)


@pytest.mark.parametrize("units", [1, 3])
def test_a_soft_target_has_the_weight_of_its_likeliest_class(units: int) -> None:
    weights = {0: 0.5, 1: 2.0, 2: 4.0}
    labels = np.arange(60) % max(2, units)
    data = Features(np.zeros((1, 60, 4), np.float16), labels)
    batches = TrainingBatches(data, planned(label_smoothing=0.4).training, units, 0, weights)
    for at in range(len(batches)):
        _, targets, of_images = batches[at]
        likeliest = targets[:, 0] > 0.5 if units == 1 else targets.argmax(axis=1)
        assert of_images.tolist() == [weights[int(each)] for each in likeliest]


def test_a_tf_dataset_has_the_batches_and_no_autotuning(splits: dict[str, Path]) -> None:
    for batches in (TrainingBatches(points(50), PLAN.training, units=1, seed=0), PlainBatches(points(600), units=1)):
        data = to_tf_dataset(batches)
        assert not data.options().autotune.enabled
        assert data.cardinality() == len(batches)
        for at, batch in enumerate(data.as_numpy_iterator()):
            assert all(np.array_equal(*pair) for pair in zip(batch, batches[at], strict=True))
    assert not read_image_batches(splits["train"], 32, 16).options().autotune.enabled


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_steps_of_training_and_validation_are_traced_once(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[str] = []
    model = logistic()
    for name in ("train_step", "test_step"):
        step = getattr(model, name)
        monkeypatch.setattr(model, name, lambda data, name=name, step=step: (traced.append(name), step(data))[1])
    fit(model, points(50), points(20, seed=1), planned(class_weights=weights, epochs=3))
    assert traced == ["train_step", "test_step"]


def test_plain_batches_are_in_order() -> None:
    data = points(600, views=2)
    batches = PlainBatches(data, units=1)
    inputs, targets = all_of(batches)
    assert np.array_equal(inputs, data.activations[0].astype(np.float32))
    assert np.array_equal(targets[:, 0], data.labels)
    assert np.array_equal(all_of(PlainBatches(data, units=3))[1], np.eye(3)[data.labels])


@pytest.mark.parametrize(("steps", "batch", "most"), [(7, 16, 3), (2, 16, 1), (1, 500, 1)])
def test_a_pass_of_given_steps_shows_each_image_about_as_often(steps: int, batch: int, most: int) -> None:
    training = planned(steps_per_epoch=steps, batch_size=batch).training
    batches = TrainingBatches(points(50), training, units=1, seed=0)
    sizes = [len(batches[index][0]) for index in range(len(batches))]
    assert sizes == [min(batch, 50)] * steps
    inputs, _ = all_of(batches)
    assert np.unique(inputs, axis=0, return_counts=True)[1].max() == most


def test_smoothed_and_mixed_targets_add_up_and_keep_their_class() -> None:
    labels = np.array([0, 1, 2])
    assert np.allclose(make_targets(labels, 3, 0.3), np.full((3, 3), 0.1) + 0.7 * np.eye(3))
    assert np.allclose(make_targets(labels[:2], 1, 0.3), [[0.15], [0.85]])
    images = Features(np.arange(8.0).repeat(12).reshape(1, 8, 2, 2, 3).astype(np.float16), np.arange(8) % 2)
    training = planned(mixup=0.5, augmented_views=0, batch_size=8).training
    inputs, targets = all_of(TrainingBatches(images, training, units=2, seed=0))
    assert np.allclose(targets.sum(axis=1), 1)
    assert ((targets > 0.01) & (targets < 0.99)).any() and not np.isin(inputs, np.arange(8)).all()


def test_fit_learns_and_leaves_the_best_epoch() -> None:
    model, validation = logistic(), points(200, seed=1)
    epochs = fit(model, points(400), validation, PLAN)
    assert [epoch.epoch for epoch in epochs] == list(range(1, 13))
    assert best_epoch(epochs).validation_accuracy > 0.95
    loss, _ = model.evaluate(to_tf_dataset(PlainBatches(validation, units=1)), verbose=0)
    assert loss == pytest.approx(best_epoch(epochs).validation_loss, rel=1e-5)
    assert epochs[-1].learning_rate < epochs[0].learning_rate


def test_fit_keeps_the_best_epoch_when_later_ones_are_worse() -> None:
    train = points(16)
    model, validation = logistic(), points(200, seed=1)
    spoiled = Features(train.activations, 1 - train.labels)
    good = fit(model, points(400), validation, PLAN)
    worse = fit(model, spoiled, validation, PLAN)
    assert worse[-1].validation_loss > best_epoch(worse).validation_loss >= best_epoch(good).validation_loss
    loss, _ = model.evaluate(to_tf_dataset(PlainBatches(validation, units=1)), verbose=0)
    assert loss == pytest.approx(best_epoch(worse).validation_loss, rel=1e-5)


def test_fit_is_repeatable() -> None:
    results = []
    for _ in range(2):
        model = logistic()
        fit(model, points(100, views=3), points(50, seed=1), PLAN)
        results.append(model.get_weights())
    assert all(np.array_equal(*pair) for pair in zip(*results, strict=True))


def test_a_loss_that_is_not_finite_in_the_first_epoch_stops_with_the_way_out() -> None:
    data = points(64)
    data.activations[0] = np.nan
    message = r"head: the loss is not finite after step 1 of epoch 1; lower head\.learning_rate \(0\.05\)"
    model = logistic()
    before = model.get_weights()
    with pytest.raises(NoFiniteEpoch, match=message):
        fit(model, data, points(50, seed=1), PLAN)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


class BreaksDown(keras.layers.Layer):
    """Passes its input on for six training steps."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            self.steps.assign_add(1)
        return keras.ops.where(self.steps > 6, np.nan, inputs) if training else inputs


def test_a_loss_that_is_not_finite_later_leaves_the_last_finite_epoch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    validation = points(50, seed=1)
    plain, inputs = logistic(), keras.Input((4,))
    model = keras.Model(inputs, plain(BreaksDown()(inputs)))
    monkeypatch.setattr(logging.getLogger("headstart"), "propagate", True)
    with caplog.at_level(logging.INFO, "headstart"):
        epochs = fit(model, points(64), validation, PLAN)
    assert len(epochs) == 1
    assert "event=training_stopped" in caplog.text and "not finite after step 3 of epoch 2" in caplog.text
    loss, _ = model.evaluate(to_tf_dataset(PlainBatches(validation, units=1)), verbose=0)
    assert loss == pytest.approx(epochs[0].validation_loss, rel=1e-5)


def test_training_stops_on_a_plateau(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    spoiled = points(64)
    plan = planned(patience=2, epochs=9, batch_size=65)
    monkeypatch.setattr(logging.getLogger("headstart"), "propagate", True)
    with caplog.at_level(logging.INFO, "headstart"):
        epochs = fit(logistic(), Features(spoiled.activations, 1 - spoiled.labels), points(50, seed=1), plan)
    assert len(epochs) == 2 + epochs.index(best_epoch(epochs)) + 1 < 9
    assert "event=batch_of_all_images stage=head batch_size=65 images=64" in caplog.text


def test_balanced_classes_count_alike() -> None:
    # Nine of ten points are of class 0, and no point tells anything of its class.
    labels = (np.arange(400) % 10 == 0).astype(np.int64)
    blind = Features(np.zeros((1, 400, 4), np.float16), labels)
    for weights, share in (("balanced", 0.5), ("none", 0.1)):
        model = logistic()
        fit(model, blind, blind, planned(class_weights=weights, epochs=8, optimizer="adam", learning_rate=0.1))
        assert model(np.zeros((1, 4))).numpy()[0, 0] == pytest.approx(share, abs=0.05)


def test_epoch_and_interpolation_are_chosen_by_the_training_loss() -> None:
    labels = (np.arange(400) % 10 == 0).astype(np.int64)
    random = np.random.default_rng(0)
    cloud = Features((random.normal(size=(1, 400, 4)) + labels[None, :, None]).astype(np.float16), labels)
    plan, model = planned(class_weights="balanced", epochs=2), logistic()
    start = get_values(model.trainable_variables)
    kept = best_epoch(fit(model, cloud, cloud, plan))
    predicted = model(cloud.activations[0].astype(np.float32)).numpy()[:, 0]
    losses = -np.log(np.where(labels, predicted, 1 - predicted))
    by_class = np.mean([losses[labels == label].mean() for label in (0, 1)])
    assert kept.validation_loss == pytest.approx(by_class, rel=1e-4) != pytest.approx(losses.mean(), rel=0.01)
    assert kept.validation_accuracy == pytest.approx(((predicted > 0.5) == labels).mean())
    chosen = interpolate_weights(model, start, [1.0], cloud, compute_class_weights(plan.training, labels))
    assert chosen.loss == pytest.approx(by_class, rel=1e-4)


@pytest.mark.parametrize(("steps", "at_rest"), [(1, 0), (4, 0), (10, 1)])
def test_a_short_cosine_has_no_warm_up(steps: int, at_rest: int) -> None:
    training = planned(schedule="cosine", learning_rate=0.1).training
    rates = compute_learning_rates(build_schedule(training, steps), steps)
    assert rates.count(0.0) == at_rest
    assert rates[at_rest:] == sorted(rates[at_rest:], reverse=True) and rates[at_rest] == pytest.approx(0.1)


def test_restored_training_continues_with_the_same_weights_and_optimizer() -> None:
    training = planned(optimizer="adam").training

    def compiled() -> keras.Model:
        model = logistic()
        compile_classifier(model, build_optimizer(training, 10))
        return model

    def step(model: keras.Model) -> list[np.ndarray]:
        model.optimizer.apply([keras.ops.ones_like(weight) for weight in model.trainable_variables])
        return model.get_weights()

    interrupted, resumed = compiled(), compiled()
    stood = step(interrupted)
    resumed.set_weights([weight - 7.0 for weight in stood])
    restore_state(resumed, TrainingState([], stood, stood, get_values(interrupted.optimizer.variables)))
    for one, other in zip(step(interrupted), step(resumed), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(("images", "views"), [(100, 6), (1_000, 3), (2_000, 1), (100_000, 1)])
def test_few_images_are_seen_in_more_views(images: int, views: int) -> None:
    assert planned(augmented_views=-1).training.count_views(images) == views
    assert planned(augmented_views=4).training.count_views(images) == 4


def test_interpolation_is_the_best_on_validation_and_the_initial_weights_if_none_is_better() -> None:
    validation = points(300, seed=1)
    model = logistic()
    compile_classifier(model)
    poor, good = [np.zeros((4, 1)), np.zeros(1)], [np.full((4, 1), 1.0), np.array([-4.0])]

    def mix(start: list[np.ndarray], end: list[np.ndarray]) -> float:
        for weight, value in zip(model.trainable_variables, end, strict=True):
            weight.assign(value)
        return interpolate_weights(model, start, (0.5, 1.0), validation).factor

    assert mix(poor, good) == 1.0
    assert mix(good, poor) == 0.0
    assert all(np.array_equal(weight, value) for weight, value in zip(model.get_weights(), good, strict=True))
