"""`headstart search` on drawn pictures: stopped, continued, and the run that it leads to."""

import json
import shlex
import signal
from pathlib import Path

import pytest
from kfp import local
from support.commands import Started, headstart, headstart_here

from headstart.components.core.artifacts.search_trials import read_search
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.recipes.search_space import parse_dimension
from headstart.components.core.storage.cache import CACHE
from headstart.components.core.storage.stores import open_tree
from headstart.components.propose_trials.step import plan_search
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.profile import NetworkResources, Profile, Retries
from headstart.pipelines.definitions.search_recipe import build_search

pytest.importorskip("optuna", reason="a search needs optuna: pip install 'headstart[search]'")

OPTIONS = ("--backbone", "sketchnet", "--counts", "40,10,10", "--image-size", "32", "--set", "head.epochs=1")
VARIED = "fine_tuning.unfreeze_from"
SPACE = ("--vary", "fine_tuning.epochs=1,2", "--vary", "fine_tuning.label_smoothing=0,0.1")


@pytest.mark.slow
def test_a_search_that_is_stopped_goes_on_and_ends_with_a_run_of_what_it_found(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    output = tmp_path / "search"
    command = ("search", "--data", pictures, *OPTIONS, "--set", "fine_tuning.epochs=1", *SPACE, "--output", output)
    started = Started(*command, "--budget", "1h")
    started.wait_for_line("trial 1: ")
    started.process.send_signal(signal.SIGINT)
    printed, _ = started.process.communicate(timeout=60)
    assert started.process.returncode == 128 + signal.SIGINT, printed
    assert "interrupted by SIGINT; the trials that have ended are in" in printed
    assert not (output / "recipe.yaml").exists()
    before = {path.name: path.read_bytes() for path in (output / "trials").iterdir()}
    assert len(before) >= 2

    done = headstart(*command, "--budget", "1h")
    assert done.returncode == 0, done.stdout + done.stderr
    files = sorted((output / "trials").iterdir())
    assert {path.name: path.read_bytes() for path in files if path.name in before} == before
    trials = [json.loads(path.read_text()) for path in files]
    assert "4 trials" in done.stdout, "each combination once, the recipe as it is among them"
    assert trials[0]["settings"] == {}
    assert len({json.dumps(each["settings"]) for each in trials}) == 4
    best = min(trials, key=lambda each: each["loss"])
    recipe = load_recipe(str(output / "recipe.yaml"))
    assert recipe.fine_tuning.epochs == best["settings"].get("fine_tuning.epochs", 1)
    assert recipe.fine_tuning.label_smoothing == best["settings"].get("fine_tuning.label_smoothing", 0)

    _, _, again = done.stdout.splitlines()[-1].partition("headstart run ")
    run = headstart("run", *shlex.split(again), "--output", tmp_path / "out")
    assert run.returncode == 0, run.stdout + run.stderr
    metrics = json.loads((tmp_path / "out" / "evaluation" / "metrics.json").read_text())
    model = json.loads((tmp_path / "out" / "model" / "model.json").read_text())
    assert metrics["test"]["images"] == 20
    assert model["metrics"]["validation_loss"] == pytest.approx(best["loss"], abs=1e-3)

    other = headstart(*command, "--budget", "1h", "--seed", "1")
    assert (other.returncode, "holds a search with other" in other.stderr) == (1, True), other.stderr


@pytest.mark.slow
def test_a_search_ends_with_the_command_that_compares_what_it_found_as_it_was_found(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "1000")
    brief = ("--counts", "30,15,15", "--set", "head.epochs=1", "--set", "fine_tuning.epochs=1", "--image-size", "32")
    # Drawings of this size are hard to tell apart, larger ones are not.
    command = ("search", "--data", pictures, "--backbone", "sketchnet", *brief, "--vary", "image_size=32,96")
    done = headstart(*command, "--output", tmp_path / "found")
    assert done.returncode == 0, done.stdout + done.stderr
    assert load_recipe(str(tmp_path / "found" / "varied.yaml")).image_size == 32
    assert load_recipe(str(tmp_path / "found" / "recipe.yaml")).image_size == 96
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("to compare it  headstart ")]
    compared = headstart(*shlex.split(line)[4:])
    assert compared.returncode == 0, compared.stdout + compared.stderr
    table = json.loads((tmp_path / "found" / "compared" / "comparison.json").read_text())
    assert [(row["name"], row["image_size"]) for row in table["rows"]] == [("varied", 32), ("recipe", 96)]
    assert table["rows"][1]["validation_log_loss"] < table["rows"][0]["validation_log_loss"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_pipeline_learns_from_round_to_round_and_evaluates_the_best_recipe(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial that fails is a result, and the place of the trials is one that the command goes on from."""
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    kept, root = tmp_path / "kept", tmp_path / "root"
    once = Profile(retries=Retries(count=0), network=NetworkResources(accelerator_limit=0))
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(root), raise_on_error=True)
    settings = {"head.epochs": 1, "fine_tuning.epochs": 1}
    build_search(once, rounds=2, parallelism=1)(
        data=[str(pictures)],
        vary=[f"{VARIED}=top,no_such_layer"],
        trials_per_round=1,
        trials_uri=str(kept),
        backbone="sketchnet",
        counts=[40, 10, 10],
        image_size=32,
        settings=settings | {VARIED: "top"},
        record_uri=str(tmp_path / "records"),
    )
    (tasks,) = root.glob("search-recipe-*")
    trials = [json.loads(path.read_text()) for path in sorted((kept / "trials").iterdir())]
    assert [each["state"] for each in trials] == ["complete", "failed"]
    assert trials[1]["settings"] == {VARIED: "no_such_layer"}
    for path in (tasks / "choose-trial" / "trials" / "trials").iterdir():
        assert path.read_bytes() == (kept / "trials" / path.name).read_bytes()
    assert (tasks / "choose-trial" / "report").read_text().startswith("# Trial 0\n")
    model = json.loads((tasks / "fine-tune" / "model" / "model.json").read_text())
    assert model["metrics"]["validation_loss"] == pytest.approx(trials[0]["loss"], abs=1e-3)
    metrics = json.loads((tasks / "evaluate-model" / "evaluation" / "metrics.json").read_text())
    assert metrics["test"]["images"] == 20

    # The command takes the same trials for its own.
    parameters = Parameters(backbone="sketchnet", image_size=32, settings=settings | {VARIED: "top"})
    search, _ = read_search(open_tree(str(kept)))
    plan = plan_search(parameters.read_recipe(), [parse_dimension(f"{VARIED}=top,no_such_layer")], seed=0)
    assert plan.identify(tasks / "split-dataset" / "train", tasks / "split-dataset" / "validation") == search


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--budget", "10"), "--budget '10': give a time such as 90s, 10m or 1h"),
        (("--vary", "epochs=1,2"), "--vary 'epochs=1,2': no such key"),
        (("--output", "{data}/search"), "lies in the data"),
        (("--trials", "ftp://host/search"), "ftp"),
    ],
)
def test_wrong_options_are_refused_at_once(options: tuple[str, ...], message: str, pictures: Path) -> None:
    options = tuple(each.format(data=pictures) for each in options)
    done = headstart_here("search", "--data", pictures, *options)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_a_value_that_the_recipe_does_not_take_is_refused_before_any_image_is_read(pictures: Path) -> None:
    done = headstart_here("search", "--data", pictures, *OPTIONS, "--vary", "fine_tuning.epochs=0,2")
    assert (done.returncode, "fine_tuning.epochs" in done.stderr) == (2, True), done.stderr
