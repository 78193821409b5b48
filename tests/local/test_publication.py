"""A model's life from the command line: published, replaced by a better one, kept against a worse one."""

from pathlib import Path

import pytest
from support.commands import headstart
from support.published import version_folder
from support.retraining import FEW, MORE, QUICK, QUICK_HEAD, Drawn, deal, draw

from headstart.components.core.registry.registry import Champion, list_versions, publish_folder, read_champion

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return draw(tmp_path_factory.mktemp("drawn"))


def run(data: Path, uri: Path, *options: str) -> tuple[Champion, str]:
    """Runs and publishes; returns what is in use then, and what was shown."""
    done = headstart("run", "--data", data, *options, "--output", uri.parent / "out", "--publish", uri)
    assert done.returncode == 0, done.stdout + done.stderr
    found = read_champion(str(uri))
    assert found is not None
    return found, done.stdout


def test_a_better_model_takes_over_and_no_other(drawn: Drawn, tmp_path: Path) -> None:
    """One model is fine-tuned and three are heads alone: to the gate they are all predictions."""
    uri = tmp_path / "models"
    few = deal(drawn, tmp_path / "few", FEW, wrong=0.5)
    refused = headstart("run", "--data", few, *QUICK_HEAD, "--output", tmp_path / "out", "--publish", uri)
    assert refused.returncode == 0, refused.stdout + refused.stderr
    assert "verdict cannot tell: accuracy" in refused.stdout and "publish-model skipped" in refused.stdout
    assert read_champion(str(uri)) is None

    first, shown = run(few, uri, *QUICK_HEAD, "--min-accuracy", "0")
    assert f"in use  {first.address}" in shown
    assert "verdict better: there is no champion" in shown
    assert Path(first.model, "model.keras").is_file()

    second, shown = run(deal(drawn, tmp_path / "more", MORE), uri, *QUICK)
    assert [change.replaced for change in second.history] == ["", first.version.version]
    assert f"in use  {second.address}" in shown
    before = (uri / "champion.json").read_bytes()

    _, shown = run(deal(drawn, tmp_path / "spoiled", MORE, wrong=1.0), uri, *QUICK_HEAD)
    assert "verdict worse" in shown
    assert "publish-model skipped" in shown
    assert (uri / "champion.json").read_bytes() == before
    assert len(list_versions(str(uri)).versions) == 2


def test_other_classes_than_those_in_use_are_refused_before_training(drawn: Drawn, tmp_path: Path) -> None:
    uri = tmp_path / "models"
    publish_folder(version_folder(tmp_path / "version", classes=("cat", "wolf")), str(uri))
    data = deal(drawn, tmp_path / "few", FEW)
    done = headstart("run", "--data", data, *QUICK, "--output", tmp_path / "out", "--publish", uri)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "error: find-champion: the model in use, " in done.stderr
    assert "train-head" not in (tmp_path / "out" / "run.log").read_text()
