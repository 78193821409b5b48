"""The head alone, from `headstart run` to its publication, and its evaluation on other images."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from support.commands import QUICK_HEAD, headstart, headstart_here

from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.registry.registry import read_champion
from headstart.pipelines.sample.folder import draw_sample

pytestmark = pytest.mark.slow

EVALUATED = {
    "metrics.json", "predictions.parquet", "evaluation", "quarantine.csv", "report.html", "data.html",
    "evaluated.yaml", "run.log",
}  # fmt: skip


@pytest.fixture(scope="module")
def output(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a run of the head alone; what it published and printed lie beside it."""
    folder = tmp_path_factory.mktemp("head") / "out"
    publish = ("--publish", folder.parent / "models", "--min-accuracy", "0")
    done = headstart("run", "--data", pictures, *QUICK_HEAD, "--method", "head", *publish, "--output", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder.parent / "stdout").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn pictures that no run has seen, in folders by class, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("others")
    draw_sample(folder / "drawn", 30, seed=77)
    for path in sorted((folder / "drawn").iterdir()):
        name = path.name.split(".")[0]
        (folder / "new" / name).mkdir(parents=True, exist_ok=True)
        path.rename(folder / "new" / name / path.name)
    return folder / "new"


def evaluate(model: Path | str, data: Path, output: Path) -> tuple[int, str]:
    done = headstart("evaluate", model, "--data", data, "--output", output)
    return done.returncode, done.stdout + done.stderr


def refuse_to_evaluate(model: Path | str, data: Path, output: Path, *options: str) -> str:
    """The error of an evaluation that does not begin."""
    done = headstart_here("evaluate", model, "--data", data, "--output", output, *options)
    assert done.returncode != 0
    return done.stderr


def test_nothing_is_fine_tuned_and_the_results_say_so(output: Path) -> None:
    shown = (output.parent / "stdout").read_text()
    assert "fine-tune" not in shown
    assert re.search(r"head alone +\S* *[01]\.\d+", shown)
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["stage"] == "head" and "head" not in metrics and "fine_tuning" not in metrics
    assert f"{metrics['test']['accuracy']:.3f}" in shown
    assert read_model_info(output / "model").stage == "head"
    assert {path.name for path in (output / "tensorboard").iterdir()} == {"head"}
    report = (output / "report.html").read_text()
    assert "Head alone" in report and "Fine-tuned" not in report
    assert "Fine-tuning did not lower" not in report and "WiSE-FT" not in report
    recipe = (output / "recipe.yaml").read_text()
    assert recipe.startswith("# headstart run --method head --recipe recipe.yaml --seed 0 ...\n")
    assert "# The section fine_tuning was not used." in recipe and yaml.safe_load(recipe)["head"]["epochs"] == 3
    # No features were computed for a fine-tuning that never comes.
    assert (output / "run.log").read_text().count("event=recorded ") <= 2


def test_it_is_published_like_any_other_model(output: Path) -> None:
    in_use = read_champion(str(output.parent / "models"))
    assert in_use is not None
    assert f"in use  {in_use.address}" in (output.parent / "stdout").read_text()
    card = Path(in_use.address, "model_card.md").read_text()
    assert "A head was trained on the frozen backbone." in card


def test_settings_of_fine_tuning_contradict_it(pictures: Path, tmp_path: Path) -> None:
    wrong = ("--set", "fine_tuning.epochs=5")
    done = headstart_here(
        "run", "--data", pictures, *QUICK_HEAD, "--method", "head", *wrong, "--output", tmp_path / "out"
    )
    assert done.returncode != 0 and "no use for --set fine_tuning.epochs" in done.stderr
    done = headstart_here("run", "--data", pictures, "--method", "fine_tuning", "--output", tmp_path / "out")
    assert done.returncode != 0 and "known: head, fine_tuned" in done.stderr
    done = headstart_here("run", "--data", pictures, "--method", "from_scratch", "--output", tmp_path / "out")
    assert done.returncode != 0 and "--from-scratch" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_model_is_evaluated_on_other_images(output: Path, others: Path, tmp_path: Path) -> None:
    status, shown = evaluate(output, others, tmp_path / "evaluated")
    assert status == 0, shown
    assert {path.name for path in (tmp_path / "evaluated").iterdir()} == EVALUATED
    metrics = json.loads((tmp_path / "evaluated" / "metrics.json").read_text())
    own = json.loads((output / "metrics.json").read_text())
    assert metrics["selection"]["seen"] == 0
    assert f"On {metrics['test']['images']} test images" in shown and "head alone" in shown
    assert metrics["test"]["images"] >= 50
    assert metrics["calibration"]["temperature"] == own["calibration"]["temperature"]
    facts = yaml.safe_load((tmp_path / "evaluated" / "evaluated.yaml").read_text())
    assert facts["model"] == str(output) and facts["classes"] == ["cat", "dog"]
    assert "headstart evaluate" in (tmp_path / "evaluated" / "report.html").read_text()
    # A second evaluation takes the place of the first; results of another command are kept.
    before = json.loads((output / "metrics.json").read_text())
    assert "holds the results of headstart run" in refuse_to_evaluate(output, others, output)
    assert json.loads((output / "metrics.json").read_text()) == before
    done = headstart_here("run", "--data", others, *QUICK_HEAD, "--output", tmp_path / "evaluated")
    assert done.returncode != 0 and "holds the results of headstart evaluate" in done.stderr


def test_the_champion_is_evaluated_on_one_class_with_images_that_it_has_seen(
    output: Path, others: Path, pictures: Path, tmp_path: Path
) -> None:
    shutil.copytree(others / "dog", tmp_path / "new" / "dog")
    for number, path in enumerate(sorted(pictures.glob("dog.*"))[:10]):
        shutil.copy(path, tmp_path / "new" / "dog" / f"dog.{9000 + number}.jpg")
    status, shown = evaluate(f"{output.parent}/models", tmp_path / "new", tmp_path / "evaluated")
    assert status == 0, shown
    metrics = json.loads((tmp_path / "evaluated" / "metrics.json").read_text())
    assert 0 < metrics["selection"]["seen"] <= 10
    assert f"{metrics['selection']['seen']} that the model was trained or tuned on" in shown
    assert "no test image of 'cat'" in shown
    assert metrics["test"]["per_class"]["cat"]["images"] == 0
    in_use = read_champion(str(output.parent / "models"))
    facts = yaml.safe_load((tmp_path / "evaluated" / "evaluated.yaml").read_text())
    assert in_use is not None and facts["model"] == in_use.address


def test_what_cannot_be_evaluated_is_said_in_a_line(output: Path, others: Path, tmp_path: Path) -> None:
    (others / "dog").rename(tmp_path / "wolf")
    try:
        shutil.copytree(others, tmp_path / "new")
        shutil.copytree(tmp_path / "wolf", tmp_path / "new" / "wolf")
    finally:
        (tmp_path / "wolf").rename(others / "dog")
    status, shown = evaluate(output, tmp_path / "new", tmp_path / "evaluated")
    assert status != 0 and "does not know 'wolf'" in shown and "--unknown-classes leave_out" in shown
    assert not (tmp_path / "evaluated" / "metrics.json").exists()
    assert "leave_out" in refuse_to_evaluate(output, others, tmp_path / "x", "--unknown-classes", "leaveout")
    assert "there is no model.json" in refuse_to_evaluate(tmp_path, others, tmp_path / "x")
    assert not (tmp_path / "x").exists()
