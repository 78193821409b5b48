"""`headstart choose-backbone` on drawn pictures, and the run that it leads to."""

import json
import shlex
from pathlib import Path

import pytest
from kfp import local
from support.commands import headstart, headstart_here
from support.hub_presets import save_preset
from support.own_networks import save_usual

from headstart.components.core.artifacts.backbone_ranking import RANKING_FORMAT
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.storage.cache import CACHE
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.train_head.step import train_head
from headstart.pipelines.definitions.choose_backbone import build_choice
from headstart.pipelines.definitions.profile import NetworkResources, Profile, Retries

BRIEFLY = ("--counts", "40,10,10", "--image-size", "32", "--set", "head.epochs=1")


@pytest.mark.slow
def test_the_ranking_ends_with_a_run_that_has_the_features(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    own, preset = save_usual(tmp_path / "own.keras"), f"hub:{save_preset('vit', tmp_path / 'vit')}"
    options = ("--data", pictures, *BRIEFLY)
    done = headstart("choose-backbone", *options, "--backbones", f"sketchnet,{own},{preset}", "--budget", "1h")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    titles = next(at for at, line in enumerate(lines) if line.startswith("backbone"))
    assert {line.split()[0] for line in lines[titles + 1 : titles + 4]} == {"sketchnet", str(own), preset}
    assert "on all 100 training and validation images, predicted out of fold" in done.stdout
    _, _, command = lines[-1].partition("headstart run ")
    again = headstart("run", *shlex.split(command), "--method", "head", "--output", tmp_path / "out")
    assert again.returncode == 0, again.stdout + again.stderr
    log = (tmp_path / "out" / "run.log").read_text()
    assert log.count("event=record_reused") == 2
    assert "event=recorded" not in log


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_pipeline_ranks_and_leaves_features_where_runs_on_other_machines_find_them(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    own, records = save_usual(tmp_path / "own.keras"), str(tmp_path / "records")
    settings = {"head.epochs": 1, "head.augmented_views": 2}
    once = Profile(retries=Retries(count=0), network=NetworkResources(accelerator_limit=0))
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "root"))
    build_choice(once, parallelism=1)(
        data=[str(pictures)],
        backbones=["sketchnet", str(own)],
        counts=[40, 10, 10],
        image_size=32,
        settings=settings,
        record_uri=records,
        command="headstart submit --data x",
    )
    (tasks,) = (tmp_path / "root").iterdir()
    ranking = json.loads((tasks / "rank-backbones" / "ranking").read_text())
    assert ranking["format"] == RANKING_FORMAT and ranking["kept"] is True
    assert {each["name"] for each in ranking["backbones"]} == {"sketchnet", str(own)}
    assert (ranking["images"], ranking["available"]) == (100, 100)
    command = f"headstart submit --data x --backbone {ranking['chosen']}"
    assert command in (tasks / "rank-backbones" / "report").read_text()

    monkeypatch.setenv(CACHE, str(tmp_path / "another machine's"))
    recipe = load_recipe(settings=settings).override(backbone="sketchnet", image_size=32)
    splits = tasks / "split-dataset"
    train_head(TrainingInputs(splits / "train", splits / "validation", recipe, 0, records), tmp_path / "model")
    found = {line for line in logged.messages if line.startswith("event=record")}
    assert len(found) == 2 and all(line.startswith("event=record_reused ") for line in found), found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--backbones", "sketchnet"), "backbones 'sketchnet': name two or more, each once"),
        (("--backbones", "sketchnet,sketchnet"), "name two or more, each once"),
        (("--backbones", "sketchnet,vgg61"), "unknown backbone 'vgg61'"),
        (("--backbones", "sketchnet,vgg16", "--budget", "10"), "--budget '10': give a time such as 90s, 10m or 1h"),
    ],
)
def test_wrong_options_are_refused_at_once(options: tuple[str, ...], message: str, pictures: Path) -> None:
    done = headstart_here("choose-backbone", "--data", pictures, *options)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
