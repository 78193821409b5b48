"""The learning-rate range test: what it does to a network, and what it makes of a curve."""

import csv
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from headstart.components.core.artifacts.history import Step
from headstart.components.core.features.compute import Features
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.reports.learning_rate import RangeTestSettings, analyse_range_test, write_range_test
from headstart.components.core.training.range_test import HIGHEST_RATE, LOWEST_RATE, run_range_test
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.main import app


def points(images: int = 300) -> Features:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, images)
    return Features((random.normal(size=(1, images, 4)) + 2.0 * labels[None, :, None]).astype(np.float16), labels)


def planned(**settings: Any) -> Plan:
    changed = {"augmented_views": 1, "batch_size": 16, "class_weights": "balanced", "weight_decay": 0} | settings
    return Plan.of(load_recipe(settings={f"head.{key}": value for key, value in changed.items()}), "head", 0)


def test_range_test_passes_all_rates_and_restores_the_weights() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    dropped = keras.layers.Dropout(0.5)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(dropped))
    before = [np.array(variable) for variable in model.variables]
    steps = run_range_test(model, points(), planned(optimizer="sgd"), steps=40)
    for variable, value in zip(model.variables, before, strict=False):
        assert np.array_equal(variable, value)
    rates = [step.learning_rate for _, step in steps]
    assert rates == pytest.approx(np.geomspace(LOWEST_RATE, HIGHEST_RATE, 40)[: len(rates)], rel=1e-4)
    # Nothing has moved yet, and dropout has dropped the same: the batch alone makes its loss.
    for start, step in steps[:10]:
        assert start.loss == pytest.approx(step.loss, rel=1e-4)
        assert start.learning_rate == 0
    assert len({start.loss for start, _ in steps}) > 30
    test = analyse_range_test(steps)
    assert test.smoothed[0] == pytest.approx(test.level, rel=1e-2)
    assert test.steepest is not None and 1e-4 < test.steepest <= test.least
    assert 1e-3 < test.suggested <= 3


def test_a_loss_that_is_never_finite_is_an_error() -> None:
    data = points()
    data.activations[0] = np.nan
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))
    with pytest.raises(
        HeadstartError, match=r"head: the loss is not finite at the lowest rate, 1e-07; look at the data"
    ):
        run_range_test(model, data, planned(), steps=10)


def curve(losses: np.ndarray, noise: float = 0.3) -> list[tuple[Step, Step]]:
    """Steps of batches that differ among each other by much more than what their steps change."""
    rates = np.geomspace(LOWEST_RATE, HIGHEST_RATE, len(losses))
    batches = np.random.default_rng(0).normal(0, noise, len(losses))
    return [
        (Step(0, 0.7 + batch, 0.5), Step(rate, loss + batch, 0.5))
        for rate, loss, batch in zip(rates.tolist(), losses.tolist(), batches.tolist(), strict=True)
    ]


DECADES = np.linspace(-7, 1, 100)


def test_valley_gives_a_third_of_its_bottom() -> None:
    test = analyse_range_test(curve(0.7 - 0.5 * np.exp(-((DECADES + 2) ** 2))))
    assert test.least == pytest.approx(1e-2, rel=0.3)
    assert test.steepest == pytest.approx(10**-2.7, rel=0.3), "where a Gaussian is steepest"
    assert test.suggested == pytest.approx(test.least / 3, rel=0.2)
    assert "falls fastest" in test.in_words() and f"a third of that is {test.suggested:g}" in test.in_words()


def test_level_that_ends_in_a_rise_gives_a_third_of_its_end() -> None:
    wobble = 0.002 * np.random.default_rng(1).normal(size=100)
    test = analyse_range_test(curve(0.7 + wobble + np.where(DECADES > -3, (DECADES + 3) ** 2, 0)))
    assert test.steepest is None
    assert 10**-4 < test.least < 10**-2.4
    assert "hardly changes up to a learning rate of" in test.in_words()


def test_luck_after_divergence_does_not_count() -> None:
    lucky = 0.7 - 0.5 * np.exp(-((DECADES + 2) ** 2)) + np.where(DECADES > -1, 1.0, 0)
    lucky[-8:] = 0.01
    assert analyse_range_test(curve(lucky)).least == pytest.approx(1e-2, rel=0.3)


def test_table_and_page_have_the_curve(tmp_path: Path) -> None:
    test = analyse_range_test(curve(0.7 - 0.5 * np.exp(-((DECADES + 2) ** 2))))
    write_range_test(tmp_path, test, RangeTestSettings("head", 300, 32, 0))
    with (tmp_path / "learning_rate.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["learning_rate"]) for row in rows] == test.rates.tolist()
    assert [float(row["change"]) for row in rows] == pytest.approx(test.changes)
    page = (tmp_path / "learning_rate.html").read_text(encoding="utf-8")
    assert f"<h1>head.learning_rate={test.suggested:g}</h1>" in page
    assert page.count("<svg") == 1 and "mathdefault" not in page
    assert test.in_words() in page


@pytest.mark.parametrize(("stage", "last"), [("head", "[3/3]"), ("fine_tuning", "[4/4]")])
def test_command_shows_its_progress_and_how_to_use_the_rate(
    stage: str, last: str, pictures: Path, tmp_path: Path
) -> None:
    options = ["--backbone", "sketchnet", "--image-size", "32", "--counts", "40,10,10", "--set", "head.epochs=1"]
    options += ["--set", "fine_tuning.unfreeze_from=top", "--set", "fine_tuning.augmented_views=1"]
    arguments = [
        "--data",
        str(pictures),
        *options,
        "--stage",
        stage,
        "--steps",
        "20",
        "--output",
        str(tmp_path / "rate"),
    ]
    done = CliRunner().invoke(app, ["learning-rate", *arguments])
    assert done.exit_code == 0, done.output
    assert f"{last} learning-rate done in" in done.output
    assert {path.name for path in (tmp_path / "rate").iterdir()} == {"learning_rate.csv", "learning_rate.html"}
    setting = done.output.split("--set ")[1].strip()
    assert setting in (tmp_path / "rate" / "learning_rate.html").read_text(encoding="utf-8")
    name, rate = setting.split("=")
    assert getattr(load_recipe(settings={name: float(rate)}), stage).learning_rate == float(rate)


def test_options_without_effect_are_unknown() -> None:
    done = CliRunner().invoke(app, ["learning-rate", "--data", "pictures", "--checkpoint-uri", "checkpoints"])
    assert done.exit_code == 2 and "No such option" in done.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stage", "haed"], "unknown stage 'haed'; known: head, fine_tuning, from_scratch"),
        (["--output", __file__], "cannot be written (File exists); name another folder with --output"),
        (["--set", "head.optimiser=sgd"], "unknown key 'head.optimiser'"),
        (["--data", "nowhere"], "nowhere' does not exist"),
    ],
)
def test_wrong_input_is_one_error_line(options: list[str], message: str, pictures: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(pictures)] if "--data" not in options else []
    rest = ["--output", str(tmp_path)] if "--output" not in options else []
    done = CliRunner().invoke(app, ["learning-rate", *arguments, *options, *rest])
    assert isinstance(done.exception, HeadstartError)
    assert message in str(done.exception)
