"""Groups that the user names, from `headstart run` to the published card: one small run."""

import csv
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.commands import QUICK_HEAD, headstart, headstart_here

from headstart.components.core.artifacts.predictions import read_predictions
from headstart.components.core.registry.registry import read_champion
from headstart.components.download_dataset.step import download_dataset

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def manifest(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn cats and dogs of thirty patients, each with images of both."""
    path = tmp_path_factory.mktemp("groups") / "patients.csv"
    rows = [
        (str(each), each.name.split(".")[0], f"p{int(each.name.split('.')[1]) % 30:02}")
        for each in sorted(pictures.glob("*.*.jpg"))
    ]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label", "Patient ID"), *rows])
    return path


@pytest.fixture(scope="module")
def output(manifest: Path) -> Path:
    """The output folder of a run of the head alone; what it printed and published lies beside it."""
    folder = manifest.parent / "out"
    publish = ("--publish", folder.parent / "models", "--min-accuracy", "0")
    groups = ("--group-column", "Patient ID")
    done = headstart(
        "run", "--data", manifest, *QUICK_HEAD, "--method", "head", *groups, *publish, "--output", folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder.parent / "stdout").write_text(done.stdout)
    (folder.parent / "stderr").write_text(done.stderr)
    return folder


def test_figures_are_those_of_whole_patients_and_say_so(output: Path, manifest: Path) -> None:
    metrics = json.loads((output / "metrics.json").read_text())
    predictions = read_predictions(output / "predictions.parquet")
    with manifest.open(newline="") as file:
        patient = {Path(row["image"]).name: row["Patient ID"] for row in csv.DictReader(file)}
    tested = {patient[Path(path).name] for path in predictions.paths}
    final = metrics["test"]
    assert metrics["grouping"] == predictions.grouping == "patient"
    assert 1 < final["groups"] == len(set(predictions.groups)) <= len(tested)
    assert 1 <= final["effective_images"] <= final["images"]
    learnt = pq.read_table(output / "model" / "probe" / "out_of_fold.parquet")["path"].to_pylist()
    assert not tested & {patient[Path(path).name] for path in learnt}, "no patient is tested and trained on"
    of_patients = f"{final['images']} test images of {final['groups']} patients"
    assert f"On {of_patients}" in (output.parent / "stdout").read_text()
    assert (
        f"The {final['images']} test images are of {final['groups']} patients" in (output / "report.html").read_text()
    )
    assert "with fewer than 20 patients intervals are rough" in (output / "run.log").read_text()
    if metrics["unfamiliarity"]:
        assert metrics["unfamiliarity"]["unit"] == "patient"


def test_the_card_counts_patients(output: Path) -> None:
    champion = read_champion(str(output.parent / "models"))
    assert champion is not None
    card = Path(champion.address, "model_card.md").read_text()
    assert re.search(r"on \d+ images of \d+ patients that were not used in training", card)
    assert json.loads(Path(champion.address, "model_card.json").read_text())["grouping"] == "patient"


def test_a_column_of_patients_that_nobody_named_is_pointed_out(
    manifest: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    download_dataset([str(manifest)], tmp_path / "data", tmp_path / "data.html")
    page = (tmp_path / "data.html").read_text()
    assert "Columns that may name groups" in page
    assert "Column 'Patient ID' has 30 values" in logged.text and "--group-column 'Patient ID'" in logged.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--group-from", "patient"), "captures nothing"),
        (("--group-from", "(nowhere)"), "matches none of"),
        (("--group-column", "pateint"), "has no column 'pateint'"),
    ],
)
def test_rules_that_name_no_group_are_refused(
    manifest: Path, tmp_path: Path, options: tuple[str, str], message: str
) -> None:
    done = headstart_here("run", "--data", manifest, *QUICK_HEAD, *options, "--output", tmp_path / "out")
    assert done.returncode in (1, 2)
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ") and message in line
