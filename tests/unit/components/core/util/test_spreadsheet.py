"""CSV files that people open: nothing in them is a formula, and what is read back is what was written."""

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.sources.corrections import read_corrections
from headstart.components.core.sources.quarantine import QuarantinedFile, write_quarantine
from headstart.components.core.util.spreadsheet import escape_cell, unescape_cell
from headstart.components.train_head.label_errors import LabelSuspects, write_label_errors
from headstart.pipelines.cli.prediction_formats import write_csv

WIDE = "\N{FULLWIDTH EQUALS SIGN}"
FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    WIDE + "1",
    "'=1",
    "''=1",
]
PLAIN = ["cats", "", "'quoted'", "'", "a=b", "1.5", "柴犬", " =1"]


@pytest.mark.parametrize("text", [*FORMULAS, *PLAIN])
def test_every_text_comes_back(text: str) -> None:
    assert unescape_cell(escape_cell(text)) == text


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_begins_like_a_formula(text: str) -> None:
    assert escape_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", PLAIN)
def test_other_cells_stay(text: str) -> None:
    assert escape_cell(text) == text


def begins_like_a_formula(content: str) -> bool:
    return any(
        cell[:1] in tuple("=+-@\t\r\n" + WIDE)
        for row in csv.reader(io.StringIO(content, newline=""))
        for cell in row
        if cell
    )


def test_quarantine_is_safe(tmp_path: Path) -> None:
    write_quarantine(tmp_path / "quarantine.csv", [QuarantinedFile(text, "damaged", text) for text in FORMULAS])
    content = (tmp_path / "quarantine.csv").read_bytes().decode()
    assert not begins_like_a_formula(content)
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    assert [unescape_cell(row["file"]) for row in rows] == FORMULAS


def test_predictions_are_safe() -> None:
    texts = [*FORMULAS, *PLAIN, None]
    schema = pa.schema([("file", pa.string()), ("probability_=1", pa.float64())])
    batch = pa.RecordBatch.from_arrays([pa.array(texts), pa.array([-0.5] * len(texts))], schema=schema)
    file = io.BytesIO()
    write_csv([batch], schema, file)
    rows = list(csv.reader(io.StringIO(file.getvalue().decode(), newline="")))[1:]
    assert [cell for cell, _ in rows] == [escape_cell(text or "") for text in texts]
    assert {number for _, number in rows} == {"-0.5"}


def test_label_errors_go_back_as_corrections_whatever_the_classes_are_called(tmp_path: Path) -> None:
    classes = ["=cat", "'=cat", "-dog", "@owl", "plain"]
    count = len(classes)
    labels = np.arange(count)
    probabilities = np.roll(np.eye(count), 1, axis=1)
    predictions = Predictions(
        classes,
        [f"id{number}" for number in range(count)],
        [""] * count,
        [f"=path{number}" for number in range(count)],
        labels,
        probabilities,
        {},
        np.zeros(count, bool),
    )
    path = tmp_path / "label_errors.csv"
    write_label_errors(path, predictions, ["train"] * count, LabelSuspects(labels, np.ones(count)))
    assert not begins_like_a_formula(path.read_bytes().decode())
    assert read_corrections(str(path), classes).classes == {f"id{number}": classes[number] for number in labels}
    accepted = read_corrections(str(path), classes, accept_suggestions=1.0)
    assert accepted.classes == {f"id{number}": classes[(number + 1) % count] for number in labels}


def test_class_that_is_written_by_hand_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "corrections.csv"
    path.write_text("id,label\n1,'=cat\n2,-dog\n3,'tis\n")
    assert read_corrections(str(path), ["'=cat", "-dog", "'tis"]).classes == {"1": "'=cat", "2": "-dog", "3": "'tis"}
