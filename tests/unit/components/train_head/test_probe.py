"""Probes: against scikit-learn's ridge, and on data whose truth is known."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.linear_model import Ridge as SklearnRidge

from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.artifacts.probe import LearningCurve
from headstart.components.core.sources.corrections import read_corrections
from headstart.components.core.util.errors import HeadstartError
from headstart.components.train_head.label_errors import LabelSuspects, find_suspects, write_label_errors
from headstart.components.train_head.probe import (
    FOLDS,
    LabelledFeatures,
    _find_judged,
    _fit_line,
    _whole_groups,
    assign_folds,
    fit_learning_curve,
    predict_out_of_fold,
)
from headstart.components.train_head.ridge import (
    MAX_COMPONENTS,
    RidgeSettings,
    Sums,
    fit_linear_head,
    fit_ridge,
    fit_ridge_for_each,
    reduce_features,
)


def blobs(images: int, features: int, classes: int, apart: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, features)) * apart
    labels = rng.integers(0, classes, images)
    return (centres[labels] + rng.normal(size=(images, features))).astype(np.float32), labels


def alone(images: int) -> list[str]:
    return [str(number) for number in range(images)]


@pytest.mark.parametrize(("images", "features", "classes"), [(200, 30, 2), (60, 100, 5), (4, 8, 3)])
def test_ridge_is_scikit_learns(images: int, features: int, classes: int) -> None:
    values, labels = blobs(images, features, classes, 0.5)
    sums = Sums.of(values, labels, classes)
    theirs = SklearnRidge(alpha=3.0).fit(values.astype(float), np.eye(classes)[labels]).predict(values)
    for ours in (fit_ridge(sums, 3.0), fit_ridge_for_each(sums, np.array([0.1, 3.0]))[1]):
        assert np.allclose(ours.scores(values), theirs, atol=1e-3)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("channels", [30, 400])
def test_linear_head_predicts_what_the_regression_predicts(classes: int, channels: int) -> None:
    values, labels = blobs(300, channels, classes, 0.5)
    data = reduce_features([values[:200].astype(np.float16), values[200:].astype(np.float16)], channels)
    head = fit_linear_head(data, labels, 200, classes, RidgeSettings(penalty=30.0, temperature=0.25))
    logits = values[200:] @ head.kernel + head.bias
    predicted = logits.argmax(axis=1) if classes > 2 else (logits[:, 0] > 0).astype(int)
    assert (predicted == labels[200:]).mean() == pytest.approx(head.accuracy, abs=0.011) and head.accuracy > 0.8
    wide = logits if classes > 2 else np.concatenate([-logits / 2, logits / 2], axis=1)
    logs = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    assert -logs[np.arange(100), labels[200:]].mean() == pytest.approx(head.loss, rel=0.02)
    first_alone = dict.fromkeys(range(classes), 0.0) | {0: 2.0}
    weighted = fit_linear_head(data, labels, 200, classes, RidgeSettings(30.0, 0.25), first_alone)
    of_first = np.where(labels[200:] == 0, -2 * logs[np.arange(100), labels[200:]], 0).mean()
    assert weighted.loss == pytest.approx(of_first, rel=0.05)
    theirs = SklearnRidge(alpha=30.0).fit(data.features[:200].astype(float), np.eye(classes)[labels[:200]])
    assert (theirs.predict(data.features[200:]).argmax(axis=1) == predicted).mean() > 0.98


@pytest.mark.parametrize("channels", [30, 400])
def test_useless_features_are_one_error_line(channels: int) -> None:
    values = blobs(60, channels, 2, 0.5)[0].astype(np.float16)
    same = np.repeat(values[:1], 60, axis=0)
    with pytest.raises(HeadstartError, match="the same features for all 60 images"):
        reduce_features([same[:40], same[40:]], channels)
    rounded = np.where(np.arange(60)[:, None] % 2, same, np.nextafter(same, np.float16(9)))
    with pytest.raises(HeadstartError, match="the same features for all 60 images"):
        reduce_features([rounded], channels)
    with pytest.raises(HeadstartError, match="the same features for all 60 images"):
        reduce_features([same * 0], channels)
    values[45, 3] = np.nan
    with pytest.raises(HeadstartError, match=r"features that are not numbers \(NaN\) for some of the 60 images"):
        reduce_features([values[:40], values[40:]], channels)


@pytest.mark.parametrize("channels", [30, 400])
@pytest.mark.parametrize("rank", [1, 3])
def test_features_that_hardly_differ_still_give_probabilities(channels: int, rank: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    # Large, nearly constant, and all of a few directions; what differs is the class.
    low_rank = labels[:, None] * rng.normal(size=channels) + rng.normal(size=(60, rank)) @ rng.normal(
        size=(rank, channels)
    )
    data = reduce_features([(1000 + low_rank).astype(np.float16)], channels)
    labelled = LabelledFeatures(data.features, labels, alone(60), 2)
    probabilities, settings = predict_out_of_fold(labelled, seed=0)
    assert np.isfinite(probabilities).all() and settings.penalty > 0
    head = fit_linear_head(data, labels, 40, 2, settings)
    assert np.isfinite(head.kernel).all() and np.isfinite(head.loss)
    curve = fit_learning_curve(labelled, settings.penalty, 60, seed=0)
    assert np.isfinite(curve.gain)


def test_penalty_too_small_for_the_rounding_still_works() -> None:
    values = np.outer(np.linspace(1, 2, 20), np.full(8, 1e3)).astype(np.float32)
    ridge = fit_ridge(Sums.of(values, np.arange(20) % 2, 2), 1e-9)
    assert np.isfinite(ridge.scores(values)).all()


def test_sums_without_a_fold_are_those_of_the_others() -> None:
    values, labels = blobs(100, 6, 3, 1.0)
    less = Sums.of(values, labels, 3) - Sums.of(values[:40], labels[:40], 3)
    rest = Sums.of(values[40:], labels[40:], 3)
    assert less.images == rest.images
    assert np.allclose(less.products, rest.products, atol=1e-3)
    assert np.allclose(less.class_features, rest.class_features, atol=1e-3)


def test_features_are_reduced_to_their_main_components_and_positions_averaged() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(500, 20))
    wide = (hidden @ rng.normal(size=(20, 600)) + 0.01 * rng.normal(size=(500, 600))).astype(np.float16)
    less = reduce_features([wide[:300], wide[300:]], 600).features
    assert less.shape == (500, MAX_COMPONENTS)
    centred = wide.astype(float) - wide.astype(float).mean(axis=0)
    assert np.square(less).sum() == pytest.approx(np.square(centred).sum(), rel=1e-2)
    maps = rng.normal(size=(10, 4 * 3)).astype(np.float16)
    averaged = maps.astype(np.float32).reshape(10, 4, 3).mean(axis=1)
    few = reduce_features([maps], 3)
    assert np.allclose(few.features + few.mean, averaged, atol=1e-6) and np.allclose(few.mean, averaged[0])


def test_folds_keep_groups_together_and_spread_each_class() -> None:
    labels = np.array([0] * 40 + [1] * 10)
    groups = [str(number // 2) for number in range(50)]
    folds = assign_folds(LabelledFeatures(np.empty((len(labels), 0), np.float32), labels, groups, 2), 0)
    assert all(folds[number] == folds[number + 1] for number in range(0, 50, 2))
    assert np.bincount(folds[:40], minlength=FOLDS).tolist() == [8] * FOLDS
    assert np.bincount(folds[40:], minlength=FOLDS).tolist() == [2] * FOLDS


def of_patients(sizes: list[int], seed: int = 0) -> LabelledFeatures:
    """Images of patients, each with features of his own and images of both classes or of one."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.where(patient % 3 == 0, 1, rng.integers(0, 2, len(patient)))
    values = rng.normal(size=(len(sizes), 6))[patient] + 0.1 * rng.normal(size=(len(patient), 6))
    return LabelledFeatures(values.astype(np.float32), labels, [f"p{each}" for each in patient], 2, "patient")


def test_folds_keep_patients_together_and_spread_each_class() -> None:
    data = of_patients([30, 20, 20, 10, 10, 10, 10, *[4] * 20])
    folds = assign_folds(data, 0)
    for patient in set(data.groups):
        assert len({fold for fold, each in zip(folds, data.groups, strict=True) if each == patient}) == 1
    for label in (0, 1):
        parts = np.bincount(folds[data.labels == label], minlength=FOLDS) / (data.labels == label).sum()
        assert parts.min() > 0.1 and parts.max() < 0.3, parts
    one_by_one = dataclasses.replace(data, grouping="")
    uneven = np.bincount(assign_folds(one_by_one, 0), minlength=FOLDS)
    assert np.ptp(np.bincount(folds, minlength=FOLDS)) < np.ptp(uneven)


def test_fewer_patients_than_folds_work() -> None:
    data = of_patients([8, 7, 9])
    probabilities, settings = predict_out_of_fold(data, 0)
    assert np.isfinite(probabilities).all() and len(np.unique(assign_folds(data, 0))) == 3
    curve = fit_learning_curve(data, settings.penalty, 20, 0)
    assert np.isfinite([curve.gain, *curve.gain_interval]).all()


def test_small_training_sets_have_whole_patients() -> None:
    data = of_patients([6] * 15)
    group = np.unique(data.groups, return_inverse=True)[1]
    rows = _whole_groups(np.arange(90), data.labels, group, np.random.default_rng(0))
    assert sorted(rows.tolist()) == list(range(90))
    assert (np.diff(group[rows]) != 0).sum() == 14


def test_labels_of_a_class_of_one_patient_are_not_doubted(logged: pytest.LogCaptureFixture) -> None:
    labels = np.array([0] * 20 + [1] * 20 + [2] * 10)
    groups = [*(f"a{number % 4}" for number in range(20)), *(f"b{number % 5}" for number in range(20)), *["c"] * 10]
    data = LabelledFeatures(np.zeros((50, 1), np.float32), labels, groups, 3, "patient")
    assert _find_judged(data, ["cat", "dog", "fox"]).tolist() == list(range(40))
    assert (
        "labels of 'fox' are not checked: all training and validation images of the class are of one" in logged.text
    )
    assert len(_find_judged(dataclasses.replace(data, grouping=""), ["cat", "dog", "fox"])) == 50


def test_out_of_fold_predictions_have_not_seen_the_image() -> None:
    """Random labels cannot be predicted by a classifier that has not seen them."""
    rng = np.random.default_rng(1)
    values, labels = rng.normal(size=(300, 200)).astype(np.float32), rng.integers(0, 2, 300)
    probabilities, *_ = predict_out_of_fold(LabelledFeatures(values, labels, alone(300), 2), 0)
    assert abs((probabilities.argmax(axis=1) == labels).mean() - 0.5) < 0.12
    assert np.allclose(probabilities.sum(axis=1), 1)
    twice = np.repeat(values[:150], 2, axis=0)
    both = np.repeat(labels[:150], 2)
    leaking, *_ = predict_out_of_fold(LabelledFeatures(twice, both, alone(300), 2), 0)
    kept, *_ = predict_out_of_fold(LabelledFeatures(twice, both, [str(number // 2) for number in range(300)], 2), 0)
    assert (leaking.argmax(axis=1) == both).mean() > 0.8 > (kept.argmax(axis=1) == both).mean()


def test_flipped_labels_come_first() -> None:
    values, truth = blobs(1000, 20, 4, 1.0)
    labels = truth.copy()
    flipped = np.random.default_rng(2).permutation(1000)[:50]
    labels[flipped] = (labels[flipped] + 1) % 4
    probabilities, *_ = predict_out_of_fold(LabelledFeatures(values, labels, alone(1000), 4), 0)
    suspects = find_suspects(labels, probabilities)
    assert len(set(suspects.rows[:50].tolist()) & set(flipped.tolist())) >= 45
    assert (suspects.confidence[:40] > 0.9).all()


def flip(labels: np.ndarray, rate: float, classes: int, seed: int) -> np.ndarray:
    """Labels of which a share, drawn at random, is another class."""
    random = np.random.default_rng(seed)
    rows = random.permutation(len(labels))[: round(rate * len(labels))]
    flipped = labels.copy()
    flipped[rows] = (labels[rows] + random.integers(1, classes, len(rows))) % classes
    return flipped


def test_confident_mistakes_about_clean_labels_are_not_taken_for_wrong_labels() -> None:
    values, labels = blobs(1000, 20, 2, 0.4)
    probabilities, _ = predict_out_of_fold(LabelledFeatures(values, labels, alone(1000), 2), 0)
    suspects = find_suspects(labels, probabilities)
    assert len(suspects.rows) > 20, "classes overlap"
    assert suspects.suspected == 0


@pytest.mark.parametrize(("classes", "apart"), [(2, 0.6), (2, 1.0), (5, 0.6)])
@pytest.mark.parametrize("rate", [0.02, 0.08])
def test_expected_number_of_wrong_suggestions_is_the_true_one(classes: int, apart: float, rate: float) -> None:
    changed, expected, wrong = 0, 0.0, 0
    for seed in range(5):
        values, truth = blobs(1000, 20, classes, apart, seed)
        labels = flip(truth, rate, classes, seed)
        probabilities, _ = predict_out_of_fold(LabelledFeatures(values, labels, alone(1000), classes), seed)
        suspects = find_suspects(labels, probabilities)
        accepted = suspects.confidence >= 0.8
        rows = suspects.rows[accepted]
        changed += len(rows)
        expected += float((1 - suspects.confidence[accepted]).sum())
        wrong += int((probabilities[rows].argmax(axis=1) != truth[rows]).sum())
    print(f"{changed} changed, {expected:.1f} expected to be wrong, {wrong} wrong")
    assert changed >= 20
    assert abs(expected - wrong) <= 3 * np.sqrt(expected + 1) + 0.02 * changed


def test_label_errors_keep_the_labels_and_suggest_others(tmp_path: Path) -> None:
    labels = np.array([0, 0, 0, 1, 1, 0, 0])
    cat = np.array([0.9, 0.8, 0.7, 0.2, 0.3, 0.45, 0.1])
    ids = list("abcdefg")
    probabilities = np.stack([cat, 1 - cat], axis=1)
    predictions = Predictions(["cat", "dog"], ids, ids, ids, labels, probabilities, {}, np.zeros(7, bool))
    path = tmp_path / "label_errors.csv"
    suspects = LabelSuspects(np.array([6, 5]), np.array([0.75, 0.2]))
    write_label_errors(path, predictions, ["train"] * 7, suspects)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["label"], row["given"], row["suggested"], row["confidence"]) for row in rows] == [
        ("g", "cat", "cat", "dog", "0.7500"),
        ("f", "cat", "cat", "dog", "0.2000"),
    ]
    assert read_corrections(str(path), ["cat", "dog"]).classes == {"g": "cat", "f": "cat"}
    assert suspects.suspected == 1


def test_lines_are_fitted_as_by_scipy() -> None:
    random = np.random.default_rng(8)
    terms = np.exp(-np.outer(np.linspace(0.05, 1.5, 20), np.arange(4) * 0.7))
    # Falling, rising, and so steep that the floor would lie below 0.
    for errors in (*random.random((30, 4)), np.array([0.8, 0.3, 0.1, 0.0]), np.arange(4.0), np.zeros(4)):
        slope, residual = _fit_line(terms, errors)
        for row, found, squares in zip(terms, slope, residual, strict=True):
            (_, theirs), distance = nnls(np.stack([np.ones(4), row], axis=1), errors)
            assert found == pytest.approx(theirs, abs=1e-9) and squares == pytest.approx(distance**2, abs=1e-9)


def test_interval_of_the_gain_covers_which_images_were_collected() -> None:
    """It is about as wide as gains of data sets drawn anew differ, and wider than draws of one data set do."""
    gains, widths = [], []
    all_values, all_labels = blobs(12 * 300, 20, 2, 0.3)
    for seed, (values, labels) in enumerate(zip(np.split(all_values, 12), np.split(all_labels, 12), strict=True)):
        curve = fit_learning_curve(LabelledFeatures(values, labels, alone(300), 2), 10.0, 240, seed)
        gains.append(curve.gain)
        widths.append(curve.gain_interval[1] - curve.gain_interval[0])
        assert curve.covers_sampling
    assert np.median(widths) > 2 * np.std(gains)
    same = LabelledFeatures(values, labels, alone(300), 2)
    of_draws = [fit_learning_curve(same, 10.0, 240, seed).gain for seed in range(8)]
    assert np.median(widths) > 2 * np.std(of_draws)


def test_gain_is_sure_only_if_its_interval_lies_above_0() -> None:
    curve = LearningCurve([], 10, 100, 0.01, (0.002, 0.02), covers_sampling=True)
    assert curve.is_gain_sure
    assert not dataclasses.replace(curve, gain_interval=(0.0004, 0.02)).is_gain_sure
    assert not dataclasses.replace(curve, covers_sampling=False).is_gain_sure


def test_learning_curve_predicts_the_gain_of_twice_the_images() -> None:
    values, labels = blobs(6400, 60, 4, 0.28)
    half = fit_learning_curve(LabelledFeatures(values[:1600], labels[:1600], alone(1600), 4), 10.0, 1280, 0)
    whole = fit_learning_curve(LabelledFeatures(values[:3200], labels[:3200], alone(3200), 4), 10.0, 2560, 0)
    assert [point.images for point in half.points] == [40, 80, 160, 320, 640, 1280]
    gained = whole.points[-1].accuracy - half.points[-1].accuracy
    assert half.gain == pytest.approx(gained, abs=0.015)
    assert half.gain_interval[0] - 0.01 <= gained <= half.gain_interval[1] + 0.01


@pytest.mark.parametrize(("images", "classes"), [(2, 2), (6, 3), (40, 20)])
def test_few_images_work(images: int, classes: int) -> None:
    values, _ = blobs(images, 5, classes, 1.0)
    labels = np.arange(images) % classes
    data = LabelledFeatures(values, labels, alone(images), classes)
    probabilities, settings = predict_out_of_fold(data, 0)
    assert np.isfinite(probabilities).all()
    find_suspects(labels, probabilities)
    curve = fit_learning_curve(data, settings.penalty, images, 0)
    assert np.isfinite([curve.gain, *curve.gain_interval]).all()
    same = dataclasses.replace(data, groups=["same"] * images)
    fit_learning_curve(same, settings.penalty, images, 0)


def test_constant_features_work() -> None:
    values, labels = np.zeros((20, 4), np.float32), np.arange(20) % 2
    probabilities, settings = predict_out_of_fold(LabelledFeatures(values, labels, alone(20), 2), 0)
    assert np.isfinite(probabilities).all() and settings.penalty > 0
