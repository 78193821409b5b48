"""Tables that the report offers as CSV."""

import base64
import csv
import io

import numpy as np
from support.evaluations import draw_predictions

from headstart.components.evaluate_model.csv_tables import ranking_table, to_csv_url


def read(url: str) -> list[list[str]]:
    kind, _, content = url.partition(",")
    assert kind == "data:text/csv;base64"
    return list(csv.reader(io.StringIO(base64.b64decode(content).decode())))


def test_table_is_read_back_and_formulas_are_text() -> None:
    url = to_csv_url(["class", "images"], [["=1+1", 3], ['a "b", c\nd', 0.5], ["猫", ""]])
    assert read(url) == [["class", "images"], ["'=1+1", "3"], ['a "b", c\nd', "0.5"], ["猫", ""]]


def test_curves_run_from_corner_to_corner() -> None:
    predictions = draw_predictions(2_000, ["cat", "dog"], 0, strength=1)
    header, *rows = read(ranking_table(predictions, ["dog"]))
    assert header[:2] == ["class", "curve"]
    roc = np.array([row[2:4] for row in rows if row[1] == "roc"], float)
    assert 50 < len(roc) <= 402
    assert roc[0].tolist() == [0, 0] and roc[-1].tolist() == [1, 1]
    assert (np.diff(roc, axis=0) >= 0).all()
