"""Results read from an output folder, one of an earlier version, without computing anything."""

import json
import shutil
from pathlib import Path

import pytest
from support import ROOT

import headstart
from headstart.components.core.sources.quarantine import QuarantinedFile, read_quarantine, write_quarantine
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.progress.events import Decided, Published

ARTIFACTS = ROOT / "tests" / "compatibility" / "artifacts"
LEFT_OUT = [QuarantinedFile("=1+1.jpg", "empty", "no bytes"), QuarantinedFile("a, b.jpg", "damaged", "'quoted'")]


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "out"
    for name in ("model", "evaluation"):
        shutil.copytree(ARTIFACTS / name, folder / name)
    shutil.copyfile(ARTIFACTS / "head" / "probe" / "label_errors.csv", folder / "label_errors.csv")
    write_quarantine(folder / "quarantine.csv", LEFT_OUT)
    monkeypatch.chdir(tmp_path)
    return folder


def test_an_estimate_has_its_interval_wherever_it_goes() -> None:
    estimate = headstart.Estimate(0.95, 0.9, 0.975)
    assert (str(estimate), f"{estimate:.1%}", float(estimate)) == (
        "0.950 (0.900 to 0.975)",
        "95.0% (90.0% to 97.5%)",
        0.95,
    )
    assert f"{headstart.Estimate(0.5):.2f}" == "0.50"


def test_a_result_is_read_from_its_folder(output: Path) -> None:
    result = headstart.TrainingResult("out")
    assert (result.decision, result.published) == (None, None)
    assert result.rejected == LEFT_OUT
    assert {error.given for error in result.label_errors} <= set(result.classes)
    # That version wrote no confidence.
    assert {error.confidence for error in result.label_errors} == {None}
    assert len(result.predictions) == result.images == 12
    assert [each.probability for each in result.mistakes] == sorted(
        (each.probability for each in result.mistakes), reverse=True
    )
    assert result.models[-1].accuracy == result.accuracy


def test_outcome_and_paths_are_shown_relative_to_the_working_folder(output: Path) -> None:
    why = "accuracy 0.9 is above 0.5"
    address = str(output.parent / "models" / "pets" / "0f")
    result = headstart.TrainingResult("out", [Decided("better", why), Published("published", address, "0f")])
    assert (result.decision, result.published) == (Decided("better", why), Published("published", address, "0f"))
    for shown in (repr(result), result._repr_html_()):
        assert "models/pets/0f" in shown and f"verdict better: {why}" in shown
        assert str(output.parent) not in shown
    headings = ("head alone", "fine-tuned", "champion")
    assert any(title in repr(result) for title in headings)


def test_groups_of_images_are_counted_where_they_are_named(output: Path) -> None:
    path = output / "evaluation" / "metrics.json"
    metrics = json.loads(path.read_text())
    assert "on 12 test images\n" in repr(headstart.TrainingResult("out"))
    grouped = metrics | {"grouping": "patient", "test": metrics["test"] | {"groups": 3, "effective_images": 4.5}}
    path.write_text(json.dumps(grouped))
    result = headstart.TrainingResult("out")
    for shown in (repr(result), result._repr_html_()):
        assert "12 test images of 3 patients" in shown
    for damaged in (metrics | {"grouping": "patient"}, grouped | {"grouping": "<b>"}):
        path.write_text(json.dumps(damaged))
        with pytest.raises(HeadstartError, match=r"metrics\.json"):
            headstart.TrainingResult("out")


@pytest.mark.parametrize("name", ["quarantine.csv", "label_errors.csv", "evaluation/metrics.json"])
def test_what_is_missing_or_damaged_is_one_line(output: Path, name: str) -> None:
    (output / name).write_text("file\nx\n")
    with pytest.raises(HeadstartError, match=name.rpartition("/")[2]):
        result = headstart.TrainingResult(output)
        assert not (result.rejected and result.label_errors)


def test_a_quarantine_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_quarantine(tmp_path / "quarantine.csv", LEFT_OUT)
    assert read_quarantine(tmp_path / "quarantine.csv") == LEFT_OUT
