"""Every statistic against an independent implementation, on random and on degenerate input."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import binomtest, bootstrap, chi2
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.proportion import proportion_confint

from headstart.components.core.metrics.calibration import (
    apply_temperature,
    estimate_temperature,
    fit_temperature,
    to_logits,
)
from headstart.components.core.metrics.statistics import (
    clopper_pearson_interval,
    clopper_pearson_lower_bounds,
    cross_entropies,
    draw_resamples,
    mcnemar,
    mean_of_proportions,
    percentile_interval,
    widen_for_folds,
    wilson_interval,
)
from headstart.components.evaluate_model.classification_metrics import compute_metrics
from headstart.components.evaluate_model.reliability import calibrate, compute_abstentions, compute_reliability

PROPORTIONS = [(965, 1000), (0, 10), (10, 10), (1, 2), (1, 1), (0, 1), (2, 2), (99_000, 100_000)]


def random_predictions(images: int, classes: int, seed: int, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, classes))
    logits[np.arange(images), labels] += 1.5
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if ties:
        probabilities = np.round(probabilities, 1) + 1e-3
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    return labels, probabilities


def one_hot(labels: list[int], predicted: list[int], classes: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array(labels), np.eye(classes)[predicted]


CASES = {
    "two classes": random_predictions(500, 2, 0),
    "two classes, ties": random_predictions(500, 2, 1, ties=True),
    "ten classes": random_predictions(800, 10, 2),
    "ten classes, ties": random_predictions(800, 10, 3, ties=True),
    "a thousand classes": random_predictions(1500, 1000, 4),
    "one class only in the test": (np.zeros(30, int), random_predictions(30, 3, 5)[1]),
    "all right": one_hot([0, 1, 2] * 9, [0, 1, 2] * 9, 3),
    "all wrong": one_hot([0, 1, 2] * 9, [1, 2, 0] * 9, 3),
    "two images": random_predictions(2, 2, 6),
    "one image": random_predictions(1, 2, 7),
    "all alike": (np.array([0, 1] * 10), np.full((20, 2), 0.5)),
}
each_case = pytest.mark.parametrize(("labels", "probabilities"), CASES.values(), ids=CASES.keys())


@pytest.mark.parametrize(("successes", "trials"), PROPORTIONS)
def test_wilson(successes: int, trials: int) -> None:
    assert wilson_interval(successes, trials) == pytest.approx(
        proportion_confint(successes, trials, method="wilson"), abs=1e-9
    )


@pytest.mark.parametrize(("successes", "trials"), PROPORTIONS)
def test_clopper_pearson(successes: int, trials: int) -> None:
    (ours,) = clopper_pearson_lower_bounds(np.array([successes]), np.array([trials]))
    # A one-sided bound at 95 % is the lower end of the two-sided interval at 90 %.
    theirs, _ = proportion_confint(successes, trials, alpha=0.1, method="beta")
    assert ours == pytest.approx(0.0 if np.isnan(theirs) else theirs, abs=1e-12)
    exact = binomtest(successes, trials, alternative="greater").proportion_ci(0.95, method="exact").low
    assert ours == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize(("successes", "trials"), PROPORTIONS)
def test_clopper_pearson_interval(successes: int, trials: int, level: float) -> None:
    exact = binomtest(successes, trials).proportion_ci(level, method="exact")
    assert clopper_pearson_interval(successes, trials, level) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_clopper_pearson_of_nothing_promises_nothing() -> None:
    assert clopper_pearson_lower_bounds(np.array([0]), np.array([0])).tolist() == [0.0]


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (0, 5), (5, 0), (7, 7), (30, 12), (3, 400)])
def test_mcnemar(first: int, second: int) -> None:
    p_first, p_second = mcnemar(first, second)
    both = statsmodels_mcnemar([[10, first], [second, 10]], exact=True).pvalue
    assert min(1.0, 2 * min(p_first, p_second)) == pytest.approx(min(1.0, both))
    if first + second:
        assert p_first == pytest.approx(binomtest(first, first + second, alternative="greater").pvalue)


def test_mean_of_proportions_of_one_is_wilson_and_of_several_covers_as_it_says() -> None:
    assert mean_of_proportions([7], [9]) == pytest.approx(wilson_interval(7, 9))
    assert mean_of_proportions([], []) == (0.0, 1.0)
    low, high = mean_of_proportions([10, 10], [10, 10])
    assert low < 0.9 and high == 1.0, "all right is no proof of perfection"
    rng = np.random.default_rng(0)
    shares, trials = np.array([0.95, 0.8, 0.99]), np.array([40, 25, 60])
    covered = 0
    for successes in rng.binomial(trials, shares, (600, 3)):
        low, high = mean_of_proportions(successes.tolist(), trials.tolist())
        covered += low <= shares.mean() <= high
    assert 0.925 <= covered / 600 <= 0.985


def test_folds_widen_an_interval() -> None:
    # 1 + 2 / 4 = 1.5, 1 + 2 / 9 and 1 + 2 / 1 = 3 times the variance, the last as by Nadeau and Bengio.
    assert widen_for_folds(0.8, (0.7, 0.86), 5) == pytest.approx((0.8 - 0.1 * 1.5**0.5, 0.8 + 0.06 * 1.5**0.5))
    assert widen_for_folds(0.8, (0.7, 0.86), 10) == pytest.approx((0.8 - 0.1 * 11**0.5 / 3, 0.8 + 0.06 * 11**0.5 / 3))
    assert widen_for_folds(0.8, (0.7, 0.86), 2) == pytest.approx((0.8 - 0.1 * 3**0.5, 0.8 + 0.06 * 3**0.5))
    assert widen_for_folds(0.98, (0.9, 0.999), 2)[1] == 1.0
    low, high = widen_for_folds(0.1, (0.01, 2.0), 2, np.inf)
    assert low == 0.0 and high > 3


@pytest.mark.parametrize("images", [2, 50, 400])
def test_bootstrap_of_a_mean(images: int) -> None:
    values = np.random.default_rng(images).exponential(size=images)
    means = [float(values.mean()), *(float(weights @ values / images) for weights in draw_resamples(images, 0, 4000))]
    theirs = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", random_state=1).confidence_interval
    assert percentile_interval(np.array(means)) == pytest.approx(
        (theirs.low, theirs.high), abs=0.02 + 0.1 * values.std()
    )


def test_percentiles_hold_the_value_and_pass_over_what_does_not_exist() -> None:
    assert percentile_interval(np.array([0.1, 0.2, 0.3, np.nan])) == pytest.approx((0.1, 0.2975))
    assert percentile_interval(np.array([0.5, np.nan])) == (0.5, 0.5)


@pytest.mark.filterwarnings("ignore")
@each_case
def test_figures_are_those_of_scikit_learn(labels: np.ndarray, probabilities: np.ndarray) -> None:
    classes = probabilities.shape[1]
    names = [str(label) for label in range(classes)]
    figures = compute_metrics(labels, probabilities, names)
    predicted = probabilities.argmax(axis=1)
    there = np.unique(labels)
    bounded = np.clip(probabilities, np.finfo(np.float32).eps, 1)
    bounded /= bounded.sum(axis=1, keepdims=True)
    assert figures.accuracy == pytest.approx((labels == predicted).mean())
    assert figures.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert figures.log_loss == pytest.approx(log_loss(labels, bounded, labels=range(classes)))
    each = precision_recall_fscore_support(labels, predicted, labels=range(classes), zero_division=0.0)
    for name, ours in (("precision", 0), ("recall", 1), ("f1", 2)):
        values = [getattr(figures.per_class[label], name) for label in names]
        assert values == pytest.approx(each[ours].tolist())
    for average, ours in (("macro", figures.macro), ("weighted", figures.weighted)):
        theirs = precision_recall_fscore_support(labels, predicted, labels=there, average=average, zero_division=0.0)
        assert (ours.precision, ours.recall, ours.f1) == pytest.approx(theirs[:3])
    areas = []
    for label in range(min(classes, 40)):
        of_class, scores = labels == label, probabilities[:, label]
        found = figures.per_class[str(label)]
        if of_class.any() and not of_class.all():
            areas.append(roc_auc_score(of_class, scores))
            assert found.roc_auc == pytest.approx(areas[-1])
            assert found.average_precision == pytest.approx(average_precision_score(of_class, scores))
        else:
            assert found.roc_auc is None and found.roc_auc_interval is None
    if areas and classes <= 40:
        assert figures.macro.roc_auc == pytest.approx(np.mean(areas))


@each_case
def test_every_interval_holds_its_figure(labels: np.ndarray, probabilities: np.ndarray) -> None:
    def check(values: dict[str, object]) -> None:
        for name, value in values.items():
            if isinstance(value, dict):
                check(value)
            interval = values.get(f"{name}_interval")
            if interval is not None and name != "log_loss":
                low, high = interval  # type: ignore[misc]
                assert 0 <= low <= value + 1e-12 and value - 1e-12 <= high <= 1, name  # type: ignore[operator]

    check(compute_metrics(labels, probabilities, [str(label) for label in range(probabilities.shape[1])]).as_json())


def test_interval_of_an_area_is_about_that_of_scipys_bootstrap() -> None:
    labels, probabilities = CASES["two classes"]
    figures = compute_metrics(labels, probabilities, ["a", "b"])
    theirs = bootstrap(
        (labels == 1, probabilities[:, 1]),
        lambda truth, scores: roc_auc_score(truth, scores),
        paired=True,
        vectorized=False,
        n_resamples=600,
        method="percentile",
        random_state=3,
    ).confidence_interval
    assert figures.per_class["b"].roc_auc_interval == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_figures_are_the_same_every_time() -> None:
    labels, probabilities = CASES["ten classes"]
    names = [str(label) for label in range(10)]
    assert compute_metrics(labels, probabilities, names) == compute_metrics(labels, probabilities, names)


@each_case
def test_brier_score_and_calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> None:
    found = compute_reliability(labels, probabilities)
    classes = probabilities.shape[1]
    truth = labels if classes == 2 else np.eye(classes)[labels]
    given = probabilities[:, 1] if classes == 2 else probabilities
    if classes == 2:
        theirs = np.mean((given - truth) ** 2)
    else:
        theirs = np.mean([((row - right) ** 2).sum() for row, right in zip(given, truth, strict=True)])
    assert found.brier == pytest.approx(theirs)
    if len(np.unique(labels)) == classes:
        assert found.brier == pytest.approx(brier_score_loss(labels, given, labels=range(classes)))
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    error = 0.0
    for number, each in enumerate(found.bins):
        inside = (confidence > each.low if number else confidence >= each.low) & (confidence <= each.high)
        assert inside.sum() == each.images > 0
        error += inside.sum() * abs(right[inside].mean() - confidence[inside].mean())
        theirs = proportion_confint(right[inside].sum(), inside.sum(), method="wilson")
        assert each.accuracy_interval == pytest.approx(theirs, abs=1e-9)
    assert found.ece == pytest.approx(error / len(labels), abs=1e-9)
    assert sum(each.images for each in found.bins) == len(labels)
    if len(np.unique(confidence)) == len(labels):
        assert np.ptp([each.images for each in found.bins]) <= 1, "equal numbers of images"


def test_temperature_undoes_one() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4)) * 2
    probabilities = apply_temperature(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), 1.0)
    labels = (rng.random((20_000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    for wrong in (0.4, 1.0, 2.5):
        logits_said = to_logits(apply_temperature(probabilities, wrong))
        assert fit_temperature(labels, logits_said) == pytest.approx(1 / wrong, rel=0.05)


def test_temperature_stays_where_all_is_right_and_where_there_is_little() -> None:
    labels, probabilities = one_hot([0, 1] * 50, [0, 1] * 50, 2)
    after = apply_temperature(probabilities, fit_temperature(labels, to_logits(probabilities)))
    assert 0.95 < after.max() < 0.999, "as sure as a hundred right answers allow"
    labels, probabilities = CASES["one image"]
    assert np.isfinite(fit_temperature(labels, to_logits(probabilities)))


def draw_labels(probabilities: np.ndarray, random: np.random.Generator) -> np.ndarray:
    labels: np.ndarray = (random.random((len(probabilities), 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    return np.minimum(labels, probabilities.shape[1] - 1)


def test_likelihood_ratio_test_of_the_temperature_is_that_of_a_logistic_regression() -> None:
    """The inverse temperature of two classes is the slope of a logistic regression without intercept."""
    random = np.random.default_rng(3)
    logit = random.normal(size=400) * 2
    labels = (random.random(400) < 1 / (1 + np.exp(-0.7 * logit))).astype(int)
    found = estimate_temperature(labels, np.stack([np.zeros(400), logit], axis=1))
    theirs = sm.GLM(labels, logit, family=sm.families.Binomial()).fit()
    assert found.fitted == pytest.approx(1 / theirs.params[0], rel=1e-3)
    at_one = -np.logaddexp(0, np.where(labels == 1, -logit, logit)).sum()
    assert found.p_value == pytest.approx(chi2.sf(2 * (theirs.llf - at_one), 1), rel=1e-3)
    for end in found.interval:
        at_end = -np.logaddexp(0, np.where(labels == 1, -logit, logit) / end).sum()
        assert 2 * (theirs.llf - at_end) == pytest.approx(chi2.ppf(0.95, 1), rel=1e-3)
    assert found.supported == (found.p_value < 0.05) == (not found.interval[0] <= 1 <= found.interval[1])


def test_temperature_is_used_where_images_support_it_and_shrunk_by_few() -> None:
    random = np.random.default_rng(4)
    logits = random.normal(size=(20_000, 3)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = draw_labels(probabilities, random)
    many = estimate_temperature(labels, 2 * logits)
    assert many.supported and many.p_value < 1e-10
    assert many.temperature == pytest.approx(2, rel=0.03) == many.fitted
    few = estimate_temperature(labels[:60], 3 * logits[:60])
    assert few.supported and 1 < few.temperature < few.fitted
    right = estimate_temperature(labels[:300], logits[:300])
    assert not right.supported and right.temperature == 1 and right.interval[0] < 1 < right.interval[1]


def test_level_of_the_test_of_the_temperature_holds() -> None:
    random = np.random.default_rng(5)
    logits = random.normal(size=(400, 200, 3)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    supported = [
        estimate_temperature(draw_labels(each, random), said).supported
        for each, said in zip(probabilities, logits, strict=True)
    ]
    assert 0.02 < np.mean(supported) < 0.09


def test_temperature_of_images_that_are_all_right_is_no_reason_to_be_less_sure() -> None:
    labels = np.tile([0, 1], 100)
    logits = np.where(np.eye(2)[labels] == 1, 3.0, -3.0)
    found = estimate_temperature(labels, logits)
    assert found.temperature <= 1 and found.interval[0] < 0.01
    one = estimate_temperature(labels[:1], logits[:1])
    assert not one.supported and np.isfinite([one.fitted, *one.interval, one.p_value]).all()


def test_calibration_that_is_not_supported_leaves_everything_and_one_that_is_shows_its_effect() -> None:
    random = np.random.default_rng(6)
    logits = random.normal(size=(2_000, 3)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = draw_labels(probabilities, random)
    halves = [(labels[:1_000], probabilities[:1_000]), (labels[1_000:], probabilities[1_000:])]
    found = calibrate(*halves)
    assert (found.applied, found.temperature, found.change) == (False, 1.0, None)
    assert found.after == found.before == compute_reliability(*halves[1])
    low, high = found.before.ece_if_calibrated_interval
    assert low < found.before.ece < high, "as of a calibrated model"
    sure = [(each, apply_temperature(said, 0.5)) for each, said in halves]
    found = calibrate(*sure)
    assert found.applied and found.temperature == pytest.approx(2, rel=0.15)
    assert found.before.ece > found.before.ece_if_calibrated_interval[1]
    assert found.change is not None
    assert found.change.log_loss == pytest.approx(found.after.log_loss - found.before.log_loss)
    assert found.change.log_loss_interval[1] < 0 and found.change.ece < 0


def test_one_figure_has_one_interval_under_its_two_names() -> None:
    labels, probabilities = CASES["ten classes"]
    found = compute_metrics(labels, probabilities, [str(label) for label in range(10)])
    assert found.macro.recall == pytest.approx(found.balanced_accuracy)
    assert found.macro.recall_interval == found.balanced_accuracy_interval
    assert found.weighted.recall == pytest.approx(found.accuracy)
    assert found.weighted.recall_interval == found.accuracy_interval


def test_cross_entropy_is_finite_where_the_truth_has_no_probability() -> None:
    assert np.isfinite(cross_entropies(np.array([0]), np.array([[0.0, 1.0]]))).all()


def test_abstention_keeps_what_it_promises_more_often_than_not() -> None:
    kept, promised = 0, 0
    for seed in range(60):
        validation, test = random_predictions(600, 3, 100 + seed), random_predictions(4000, 3, 900 + seed)
        row = compute_abstentions(validation, test)[0]
        if row.threshold is None:
            continue
        promised += 1
        assert row.precision is not None and row.share is not None and row.precision_lower is not None
        kept += row.precision >= row.wanted
        assert row.precision_lower < row.precision
    assert promised >= 25 and kept / promised >= 0.8


def test_abstention_says_how_many_images_a_promise_takes() -> None:
    few = one_hot([0, 1] * 20, [0, 1] * 20, 2)
    first, second = compute_abstentions(few, few)
    assert (first.threshold, first.validation_needed, second.validation_needed) == (None, 59, 299)
    enough = one_hot([0, 1] * 30, [0, 1] * 30, 2)
    first, second = compute_abstentions(enough, few)
    assert first.threshold is not None and first.share == 1.0 and second.threshold is None
