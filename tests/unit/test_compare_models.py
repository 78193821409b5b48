import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from headstart.components.compare_models.step import Floors, Gate, compare_models, decide
from headstart.components.core.comparison import compare
from headstart.components.core.errors import HeadstartError
from headstart.components.core.predictions import Predictions, read_predictions, write_predictions

CLASSES = ["cat", "dog"]


def predictions(right: np.ndarray, sure: float = 0.9, **others: object) -> Predictions:
    """A model that gets some of alternating cats and dogs right, and is as sure of all its answers."""
    labels = np.arange(len(right)) % 2
    probabilities = np.full((len(right), 2), 1 - sure)
    probabilities[np.arange(len(right)), np.where(right, labels, 1 - labels)] = sure
    ids = [f"{number:032x}" for number in range(len(right))]
    values = {
        "classes": CLASSES,
        "ids": ids,
        "groups": ids,
        "paths": ids,
        "labels": labels,
        "probabilities": probabilities,
        "slices": {},
        "seen": np.zeros(len(right), bool),
    }
    return Predictions(**(values | others))  # type: ignore[arg-type]


def right(of: int, wrong: range) -> np.ndarray:
    array = np.ones(of, bool)
    array[list(wrong)] = False
    return array


def test_better_worse_and_cannot_tell() -> None:
    good, bad = predictions(right(500, range(10))), predictions(right(500, range(40)))
    better = compare(good, bad)
    assert (better.verdict, better.only_candidate, better.only_champion) == ("better", 30, 0)
    assert better.accuracy_difference == pytest.approx(30 / 500)
    assert better.accuracy_interval is not None and better.accuracy_interval[0] > 0
    assert better.log_loss_interval is not None and better.log_loss_interval[1] < 0
    assert compare(bad, good).verdict == "worse"
    assert compare(good, good).verdict == "cannot tell"
    assert compare(good, predictions(right(500, range(13)))).verdict == "cannot tell", "3 images are no proof"


def test_a_model_that_became_surer_of_its_mistakes_is_not_called_better() -> None:
    candidate = predictions(right(500, range(30)), sure=0.9999999)
    champion = predictions(right(500, range(42)), sure=0.9)
    found = compare(candidate, champion)
    assert found.p_better < 0.05 and found.log_loss_difference is not None and found.log_loss_difference > 0
    assert found.verdict == "cannot tell" and "surer of its mistakes" in found.reason


def test_images_that_the_champion_saw_are_left_out_and_counted() -> None:
    seen = np.zeros(500, bool)
    seen[:400] = True
    candidate = predictions(right(500, range(50)))
    champion = predictions(right(500, range(400, 460)), seen=seen)
    found = compare(candidate, champion)
    assert (found.verdict, found.images, found.seen) == ("better", 100, 400)
    assert (found.accuracy, found.champion_accuracy) == (1.0, 0.4)
    few = compare(candidate, champion, min_images=101)
    assert few.verdict == "cannot tell" and "only 100 of 500 test images are left" in few.reason
    none = compare(candidate, dataclasses.replace(champion, seen=np.ones(500, bool)), min_images=0)
    assert (none.verdict, none.images, none.accuracy) == ("cannot tell", 0, None)


def test_predictions_of_other_images_are_refused() -> None:
    with pytest.raises(HeadstartError, match="answer different images"):
        compare(predictions(right(5, range(0))), predictions(right(6, range(0))))


def test_first_publication_needs_only_the_floors() -> None:
    model = predictions(right(100, range(0, 20, 2)))
    assert decide(model, None, Gate()).verdict == "better"
    assert decide(model, None, Gate(floors=Floors(min_accuracy=0.9))).verdict == "better"
    below = decide(model, None, Gate(floors=Floors(min_accuracy=0.91)))
    assert below.verdict == "worse" and below.reasons == ["accuracy 0.9000 is below min_accuracy 0.91"]
    recall = decide(model, None, Gate(floors=Floors(min_recall=0.85)))
    assert recall.verdict == "worse" and recall.reasons == ["recall 0.8000 of cat is below min_recall 0.85"]


def test_a_drop_on_one_slice_outweighs_a_gain_on_the_others() -> None:
    sites = {"site": ["north"] * 100 + ["south"] * 400}
    candidate = predictions(right(500, range(30)), slices=sites)
    champion = predictions(right(500, range(200, 280)), slices=sites)
    assert decide(candidate, champion, Gate()).verdict == "better"
    decision = decide(candidate, champion, Gate(floors=Floors(max_slice_drop=0.1)))
    assert decision.verdict == "worse"
    assert decision.reasons[0].startswith("on site = north accuracy is 0.3000 lower than the champion's")
    assert decide(candidate, champion, Gate(floors=Floors(max_slice_drop=0.3))).verdict == "better"


def test_a_slice_of_which_the_champion_saw_all_but_a_few_images_decides_nothing() -> None:
    sites = {"site": ["north"] * 20 + ["south"] * 480}
    candidate = predictions(right(500, range(1)), slices=sites)
    seen = np.isin(np.arange(500), range(1, 20))
    champion = predictions(right(500, range(200, 280)), slices=sites, seen=seen)
    assert decide(candidate, champion, Gate(floors=Floors(max_slice_drop=0.1))).verdict == "better"


def test_step_leaves_its_reasons_as_json_and_in_words(tmp_path: Path) -> None:
    write_predictions(tmp_path / "predictions.parquet", predictions(right(500, range(10))))
    write_predictions(tmp_path / "champion.parquet", predictions(right(500, range(40))))
    verdict = compare_models(tmp_path, tmp_path / "out" / "decision.json", tmp_path / "out" / "summary.md", Gate())
    decision = json.loads((tmp_path / "out" / "decision.json").read_text())
    assert verdict == decision["verdict"] == "better"
    assert decision["comparison"]["images"] == 500 and decision["gate"]["level"] == 0.05
    text = (tmp_path / "out" / "summary.md").read_text()
    assert text.startswith("# Better\n") and "| accuracy | +0.0600 |" in text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gate(level=0.7), "level 0.7: give a share above 0"),
        (lambda: Floors(min_accuracy=95), "min_accuracy 95: give a share from 0 to 1"),
    ],
)
def test_wrong_settings_are_refused(make: object, message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        make()  # type: ignore[operator]


def test_predictions_survive_their_file(tmp_path: Path) -> None:
    model = predictions(right(6, range(2)), slices={"site": ["a", "", "b", "ü", "$x", "a"]})
    write_predictions(tmp_path / "predictions.parquet", model)
    again = read_predictions(tmp_path / "predictions.parquet")
    for field in dataclasses.fields(Predictions):
        assert np.array_equal(getattr(model, field.name), getattr(again, field.name)), field.name
    (tmp_path / "predictions.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(HeadstartError, match="holds no predictions"):
        read_predictions(tmp_path / "predictions.parquet")
    with pytest.raises(HeadstartError, match="does not exist"):
        read_predictions(tmp_path / "none.parquet")


def test_gate_needs_no_tensorflow() -> None:
    code = "import sys, headstart.components.compare_models.step as step; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
