"""`headstart choose-backbone` on drawn pictures, and the run that it leads to."""

import shlex
from pathlib import Path

import pytest
from support.commands import headstart, headstart_here
from support.own_networks import save_usual

from headstart.components.core.storage.cache import CACHE

BRIEFLY = ("--counts", "40,10,10", "--image-size", "32", "--set", "head.epochs=1")


def test_the_ranking_ends_with_a_run_that_has_the_features(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    own = save_usual(tmp_path / "own.keras")
    options = ("--data", pictures, *BRIEFLY)
    done = headstart("choose-backbone", *options, "--backbones", f"sketchnet,{own}", "--budget", "1h")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    titles = next(at for at, line in enumerate(lines) if line.startswith("backbone"))
    assert {line.split()[0] for line in lines[titles + 1 : titles + 3]} == {"sketchnet", str(own)}
    assert "on all 100 training and validation images, predicted out of fold" in done.stdout
    _, _, command = lines[-1].partition("headstart run ")
    again = headstart("run", *shlex.split(command), "--method", "head", "--output", tmp_path / "out")
    assert again.returncode == 0, again.stdout + again.stderr
    log = (tmp_path / "out" / "run.log").read_text()
    assert log.count("event=record_reused") == 2
    assert "event=recorded" not in log


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--backbones", "sketchnet"), "--backbones 'sketchnet': name two or more, each once"),
        (("--backbones", "sketchnet,sketchnet"), "name two or more, each once"),
        (("--backbones", "sketchnet,vgg61"), "unknown backbone 'vgg61'"),
        (("--backbones", "sketchnet,vgg16", "--budget", "10"), "--budget '10': give a time such as 90s, 10m or 1h"),
    ],
)
def test_wrong_options_are_refused_at_once(options: tuple[str, ...], message: str, pictures: Path) -> None:
    done = headstart_here("choose-backbone", "--data", pictures, *options)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
