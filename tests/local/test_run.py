"""`headstart run` on drawn pictures, from the command to the results."""

import contextlib
import csv
import dataclasses
import json
import os
import pty
import re
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from support.commands import QUICK, headstart
from support.servers import serve_folder

from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.recipes.recipe import Recipe, load_recipe
from headstart.components.core.registry.registry import read_champion
from headstart.components.core.reports.training_words import describe_training
from headstart.components.core.storage.cache import CACHE
from headstart.components.core.storage.files import sha256_of_file
from headstart.pipelines.progress.events import Measured, parse

WEIGHTS = Path(str(files("headstart.components.core.backbones") / "pretrained" / "sketchnet.weights.h5"))
SECRET = "hunter4hunter5"
"""The value of a parameter whose name says nothing of a secret."""

PRODUCTS = {
    "metrics.json", "model", "predictions.parquet", "label_errors.csv", "evaluation", "quarantine.csv", "report.html",
    "data.html", "recipe.yaml", "splits", "tensorboard", "run.log",
}  # fmt: skip


@pytest.fixture(scope="module")
def output(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # kfp replaces "python3" in every argument; a folder may be called so all the same.
    folder = tmp_path_factory.mktemp("python3-pets") / "out"
    scratch = ("--from-scratch", "--set", "from_scratch.epochs=2")
    refused = ("--mlflow-tracking-uri", f"http://ann:{SECRET}@127.0.0.1:9")
    done = headstart("run", "--data", pictures, *QUICK, *scratch, *refused, "--output", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder.parent / "stdout").write_text(done.stdout)
    return folder


def test_output_holds_the_results_and_nothing_else(output: Path) -> None:
    assert {path.name for path in output.iterdir()} == PRODUCTS
    assert {path.name for path in (output / "model").iterdir()} == {
        "model.keras", "model.json", "history.csv", "seen.parquet", "answers.parquet", "reference.parquet",
    }  # fmt: skip


def test_event_files_are_there_for_each_task(output: Path) -> None:
    found = {str(path.parent.relative_to(output / "tensorboard")) for path in output.rglob("*tfevents*")}
    assert found == {
        f"{task}/{run}" for task in ("head", "fine_tuning", "from_scratch") for run in ("train", "validation")
    }


def test_recipe_of_the_run_is_complete_and_can_be_given_back(output: Path) -> None:
    recipe = load_recipe(str(output / "recipe.yaml"))
    assert (recipe.backbone, recipe.head.epochs, recipe.fine_tuning.epochs) == ("sketchnet", 3, 1)
    assert recipe == recipe.resolve()
    text = (output / "recipe.yaml").read_text()
    assert set(yaml.safe_load(text)) == set(Recipe.model_fields)
    info = read_model_info(output / "model")
    assert "# weights_sha256 is empty, as" in text and info.backbone_sha256 in text
    assert f"# {describe_training(dataclasses.asdict(info))}\n" in text


def test_metrics_are_those_of_the_predictions(output: Path) -> None:
    metrics = json.loads((output / "metrics.json").read_text())
    table = pq.read_table(output / "predictions.parquet").to_pylist()
    assert len(table) == metrics["test"]["images"] == 20
    right = np.mean([row["predicted"] == row["label_name"] for row in table])
    assert metrics["test"]["accuracy"] == pytest.approx(right)
    for model in ("test", "head", "from_scratch"):
        low, high = metrics[model]["accuracy_interval"]
        assert 0 <= low <= metrics[model]["accuracy"] <= high <= 1


def test_log_has_the_figures_for_those_who_see_the_log_alone(output: Path) -> None:
    metrics = json.loads((output / "metrics.json").read_text())
    events = map(parse, (output / "run.log").read_text().splitlines())
    measured = {event.model: event.figures for event in events if isinstance(event, Measured)}
    assert set(measured) == {"test", "head", "from_scratch"}
    for model, figures in measured.items():
        for name, value in figures.items():
            assert value == pytest.approx(metrics[model][name], rel=1e-5)


def test_model_gives_the_predictions_from_the_files_of_the_user(output: Path, pictures: Path) -> None:
    model = keras.models.load_model(output / "model" / "model.keras", safe_mode=True)
    for row in pq.read_table(output / "predictions.parquet").to_pylist()[:8]:
        image = np.asarray(Image.open(pictures / row["path"]), np.float32)[None]
        assert float(model.predict(image, verbose=0)[0, 0]) == pytest.approx(row["probability_dog"], abs=1e-5)


def test_broken_files_are_listed(output: Path) -> None:
    with (output / "quarantine.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 5
    assert list(rows[0]) == ["file", "reason", "detail"]


def test_report_shows_three_models_side_by_side(output: Path) -> None:
    text = (output / "report.html").read_text()
    for title in ("From scratch", "Head alone", "Fine-tuned"):
        assert title in text
    curves = text.partition('<h2 id="training">')[2].partition("<h2")[0]
    assert curves.count("<svg") == 6


def test_pages_link_to_each_other_and_say_what_they_are_about(output: Path) -> None:
    for name in ("report.html", "data.html"):
        header, _, text = (output / name).read_text().partition("<main")
        assert re.findall('href="([^"#]+)"', header) == ["report.html", "data.html"]
        assert "<dt>Date</dt>" in header and "cat (" in header
    text = (output / "report.html").read_text()
    assert "<dt>Backbone</dt><dd>sketchnet, " in text and 'The <a href="data.html">data page</a>' in text


def test_command_says_what_it_does_and_where_the_results_are(output: Path) -> None:
    shown = (output.parent / "stdout").read_text()
    done = re.findall(r"\[(\d)/7\] ([a-z-]+) done in \d+\.\d s", shown)
    assert [number for number, _ in done] == list("1234567")
    data = [task for _, task in done if task in ("list-data", "download-dataset", "split-dataset")]
    assert data == ["list-data", "download-dataset", "split-dataset"]
    for task in ("find-champion", "compare-models", "publish-model"):
        assert task not in shown
    assert re.search(r"^total \d+\.\d s$", shown, re.M)
    assert f"headstart predict {output} IMAGES …" in shown
    assert str(output / "model") in shown and str(output / "report.html") in shown
    assert re.search(r"fine-tuned.*0?\.\d+ to", shown)


def test_a_server_of_mlflow_that_cannot_be_reached_loses_nothing_and_no_secret(output: Path) -> None:
    shown = (output.parent / "stdout").read_text()
    assert f"warning: {output} was not logged to MLflow at http://127.0.0.1:9: it cannot be reached" in shown
    assert f"headstart mlflow-log {output} http://127.0.0.1:9" in shown
    texts = [path for path in output.rglob("*") if path.suffix in (".json", ".html", ".log", ".yaml")]
    assert not [path for path in texts if SECRET in path.read_text()] and SECRET not in shown


def run_on_a_terminal(*arguments: str | Path, cache: Path) -> str:
    """Runs `headstart` to its end on a terminal of 120 columns, with a cache of its own; returns what it shows."""
    master, terminal = pty.openpty()
    command = [Path(sys.executable).parent / "headstart", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "120", "TERM": "xterm-256color", CACHE: str(cache)}
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        shown = b""
        while process.poll() is None or select.select([master], [], [], 0)[0]:
            if select.select([master], [], [], 0.2)[0]:
                try:
                    shown += os.read(master, 65536)
                except OSError:
                    break
        assert process.wait() == 0
    os.close(master)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


@dataclasses.dataclass(frozen=True)
class SecondRun:
    """A run into the output folder of another one, on a terminal, its weights from an address with secrets.

    Attributes:
        shown: What it showed, without control sequences.
        log: Content of its `run.log`.
        before: Content of `metrics.json` before it.
        weights: Address of its weights without what is secret.
    """

    shown: str
    log: str
    before: dict[str, Any]
    weights: str


@pytest.fixture(scope="module")
def second(output: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> SecondRun:
    (output / "notes.txt").write_text("mine")
    before = json.loads((output / "metrics.json").read_text())
    with serve_folder(WEIGHTS.parent) as address:
        weights = f"{address.replace('://', '://me:hunter2@')}/{WEIGHTS.name}?signature=hunter3"
        asked = (*QUICK, "--seed", "5", "--weights", weights, "--output", output)
        # With a cache of its own: nothing is recorded where a run before has left its records.
        shown = run_on_a_terminal("run", "--data", pictures, *asked, cache=tmp_path_factory.mktemp("cache"))
    return SecondRun(shown, (output / "run.log").read_text(), before, f"{address}/{WEIGHTS.name}")


def test_second_run_replaces_the_first_and_leaves_other_files_alone(second: SecondRun, output: Path) -> None:
    # Long lines are broken where there is room.
    assert re.search(r"replacing the results of \d{4}-\d\d-\d\d \d\d:\d\d \(headstart run\) in", second.shown)
    after = json.loads((output / "metrics.json").read_text())
    assert after["test_data"] != second.before["test_data"]
    assert "from_scratch" not in after
    assert {path.name for path in output.iterdir()} == PRODUCTS | {"notes.txt"}


def test_terminal_shows_task_progress_and_time(second: SecondRun) -> None:
    assert re.search(r"✓ \d/6 train-head +3 epochs  val loss \S+ +━+ +\d+:\d\d", second.shown)
    assert "features" in second.shown and "reading weights" in second.shown
    assert "\x1b" not in second.log and "Executing task 'train-head'" in second.log
    counts = second.log.count("event=recorded "), second.log.count("event=record_reused ")
    assert counts == (2, 2), "by fine-tuning, the head's"


def test_secrets_of_an_address_are_in_nothing_that_a_run_leaves(second: SecondRun, output: Path) -> None:
    recipe = load_recipe(str(output / "recipe.yaml"))
    assert (recipe.weights, recipe.weights_sha256) == (second.weights, sha256_of_file(WEIGHTS))
    assert f'"weights": "{second.weights}"' in second.log
    left = [path for path in output.rglob("*") if path.is_file()]
    assert [path for path in left if b"hunter" in path.read_bytes()] == []
    assert "hunter" not in second.log + second.shown


def test_failed_run_leaves_the_results_of_the_one_before(output: Path, pictures: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in output.iterdir() if path.name != "run.log"}
    wrong = ("--set", "fine_tuning.unfreeze_from=block99")
    done = headstart("run", "--data", pictures, *QUICK, *wrong, "--output", output)
    assert done.returncode == 1
    assert re.search(r"replacing the results of \d{4}-\d\d-\d\d \d\d:\d\d \(headstart run\) in", done.stdout)
    assert {path.name: path.stat().st_mtime_ns for path in output.iterdir() if path.name != "run.log"} == before


def test_report_is_made_again_offline(output: Path, tmp_path: Path) -> None:
    before = (output / "report.html").read_text()
    (output / "report.html").unlink()
    done = headstart("report", output)
    assert done.returncode == 0, done.stderr
    assert (output / "report.html").read_text() == before
    assert "headstart run --data" in before
    alone = headstart("report", tmp_path)
    assert alone.returncode == 1 and "is not a complete evaluation: metrics.json is missing" in alone.stderr


@contextlib.contextmanager
def arguments_of_all_processes() -> Iterator[set[bytes]]:
    """Whatever any user of the machine could read of the arguments of processes that began meanwhile."""
    seen: set[bytes] = set()
    over = threading.Event()
    before = set(Path("/proc").glob("[0-9]*"))

    def watch() -> None:
        while not over.wait(0.02):
            for process in set(Path("/proc").glob("[0-9]*")) - before:
                with contextlib.suppress(OSError):
                    seen.add((process / "cmdline").read_bytes())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        over.set()
        watching.join()


@pytest.fixture(scope="module")
def retrained(output: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[bytes]]:
    """Output of a run with corrections, a champion and a secret in its recipe, and the arguments of all processes.

    Its seed is that of no other run, so that its split is another one, whichever tests have run before.
    """
    folder = tmp_path_factory.mktemp("retrained")
    recipe = folder / "recipe.yaml"
    with serve_folder(WEIGHTS.parent) as address, arguments_of_all_processes() as seen:
        recipe.write_text(f"weights: {address}/{WEIGHTS.name}?download={SECRET}\n")
        done = headstart(
            "run", "--data", pictures, "--recipe", recipe, *QUICK, "--counts", "30,5,5", "--seed", "7",
            "--corrections", output / "label_errors.csv", "--champion", output, "--output", folder / "out",
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out", seen


@pytest.mark.slow
def test_next_run_takes_corrections_and_compares_with_the_model_in_use(retrained: tuple[Path, set[bytes]]) -> None:
    metrics = json.loads((retrained[0] / "metrics.json").read_text())
    assert metrics["champion"]["images"] == 10
    comparison = metrics["comparison"]
    assert (comparison["verdict"], comparison["images"] + comparison["seen"]) == ("cannot tell", 10)
    assert comparison["seen"] > 0, "another split of the same pictures: the model in use learned from some"


@pytest.mark.slow
def test_secret_of_a_recipe_file_is_in_no_arguments_of_a_process(retrained: tuple[Path, set[bytes]]) -> None:
    output, seen = retrained
    assert any(b"step_server" in each for each in seen), "the process of which those of the steps are forks"
    assert [each for each in seen if SECRET.encode() in each] == []
    left = [path for path in output.rglob("*") if path.is_file()]
    assert [path for path in left if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.slow
def test_run_that_exists_is_published(output: Path, tmp_path: Path) -> None:
    done = headstart("publish", output, tmp_path / "models")
    assert done.returncode == 0, done.stdout + done.stderr
    in_use = read_champion(str(tmp_path / "models"))
    assert in_use is not None and f"{in_use.version.version} is in use: {in_use.address}" in done.stdout
    assert "headstart run --data" in in_use.history[-1].facts.run


def test_folder_that_is_no_run_is_not_published(tmp_path: Path) -> None:
    done = headstart("publish", tmp_path, tmp_path / "models")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"error: '{tmp_path}' has no model/: name the output folder of a run that has succeeded" in done.stderr
