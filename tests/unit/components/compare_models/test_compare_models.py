import dataclasses
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from headstart.components.compare_models.step import compare_models, decide
from headstart.components.core.artifacts.predictions import Predictions, read_predictions, write_predictions
from headstart.components.core.metrics.comparison import compare_predictions, compare_with_chance
from headstart.components.core.metrics.gate import Floors, Gate
from headstart.components.core.util.errors import HeadstartError

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
    better = compare_predictions(good, bad)
    assert (better.verdict, better.only_candidate, better.only_champion) == ("better", 30, 0)
    assert better.accuracy_difference == pytest.approx(30 / 500)
    assert better.accuracy_interval is not None and better.accuracy_interval[0] > 0
    assert better.log_loss_interval is not None and better.log_loss_interval[1] < 0
    assert compare_predictions(bad, good).verdict == "worse"
    assert compare_predictions(good, good).verdict == "cannot tell"
    assert compare_predictions(good, predictions(right(500, range(13)))).verdict == "cannot tell", (
        "3 images are no proof"
    )


def test_images_of_one_patient_are_one_proof() -> None:
    good, bad = right(500, range(10)), right(500, range(40))
    alone = compare_predictions(predictions(good), predictions(bad))
    assert (alone.verdict, alone.groups) == ("better", None)
    # All 30 images that only the candidate gets right are of two patients.
    patient = [f"{max(0, number - 9) // 20}" for number in range(500)]
    of_few = compare_predictions(predictions(good, groups=patient, grouping="patient"), predictions(bad))
    assert (of_few.verdict, of_few.groups, of_few.differing_groups) == ("cannot tell", 25, 2)
    assert of_few.p_better == pytest.approx(0.25)
    assert "the models differ on 2 of 25 patients" in of_few.reason
    each = [f"{number // 2}" for number in range(500)]
    of_many = compare_predictions(predictions(good, groups=each, grouping="patient"), predictions(bad))
    assert of_many.verdict == "better" and of_many.p_better > alone.p_better


def test_a_first_model_must_beat_chance_on_patients_not_images(tmp_path: Path) -> None:
    wrong = right(60, range(18))
    assert decide(predictions(wrong), None, Gate()).verdict == "better"
    grouped = predictions(wrong, groups=[f"{number // 10}" for number in range(60)], grouping="patient")
    found = decide(grouped, None, Gate())
    assert found.verdict == "cannot tell" and "on 60 test images of 6 patients (90 % interval" in found.reasons[0]
    write_predictions(tmp_path / "predictions.parquet", grouped)
    read = read_predictions(tmp_path / "predictions.parquet")
    assert read.grouping == "patient" and read.clusters is not None and len(np.unique(read.clusters)) == 6
    write_predictions(tmp_path / "predictions.parquet", predictions(wrong))
    assert read_predictions(tmp_path / "predictions.parquet").clusters is None


def test_a_model_that_became_surer_of_its_mistakes_is_not_called_better() -> None:
    candidate = predictions(right(500, range(30)), sure=0.9999999)
    champion = predictions(right(500, range(42)), sure=0.9)
    found = compare_predictions(candidate, champion)
    assert found.p_better < 0.05 and found.log_loss_difference is not None and found.log_loss_difference > 0
    assert found.verdict == "cannot tell" and "surer of its mistakes" in found.reason


def test_images_that_the_champion_saw_are_left_out_and_counted() -> None:
    seen = np.zeros(500, bool)
    seen[:400] = True
    candidate = predictions(right(500, range(50)))
    champion = predictions(right(500, range(400, 460)), seen=seen)
    found = compare_predictions(candidate, champion)
    assert (found.verdict, found.images, found.seen) == ("better", 100, 400)
    assert (found.accuracy, found.champion_accuracy) == (1.0, 0.4)
    few = compare_predictions(candidate, champion, min_images=101)
    assert few.verdict == "cannot tell" and "only 100 of 500 test images are left" in few.reason
    none = compare_predictions(candidate, dataclasses.replace(champion, seen=np.ones(500, bool)), min_images=0)
    assert (none.verdict, none.images, none.accuracy) == ("cannot tell", 0, None)


def test_predictions_of_other_images_are_refused() -> None:
    with pytest.raises(HeadstartError, match="answer different images"):
        compare_predictions(predictions(right(5, range(0))), predictions(right(6, range(0))))


def test_first_publication_needs_the_floors() -> None:
    model = predictions(right(100, range(0, 20, 2)))
    assert decide(model, None, Gate()).verdict == "better"
    assert decide(model, None, Gate(floors=Floors(min_accuracy=0.9))).verdict == "better"
    below = decide(model, None, Gate(floors=Floors(min_accuracy=0.91)))
    assert below.verdict == "worse" and below.reasons == ["accuracy 0.9000 is below min_accuracy 0.91"]
    recall = decide(model, None, Gate(floors=Floors(min_recall=0.85)))
    assert recall.verdict == "worse" and recall.reasons == ["recall 0.8000 of cat is below min_recall 0.85"]


def test_first_publication_has_to_be_better_than_chance_unless_any_accuracy_will_do() -> None:
    coin = predictions(right(9, range(5)))
    decision = decide(coin, None, Gate())
    assert decision.verdict == "cannot tell"
    assert decision.reasons == [
        "accuracy 0.4444 on 9 test images (90 % interval 0.1688 to 0.7486) is not shown to be above the 0.5556 that "
        "always predicting 'cat' reaches; add test images, or publish it anyway with --min-accuracy 0"
    ]
    said = decide(coin, None, Gate(floors=Floors(min_accuracy=0)))
    assert said.verdict == "better" and "is not shown to be above" in said.reasons[1]
    # A floor above 0 is another floor, and no word on chance.
    assert decide(coin, None, Gate(floors=Floors(min_accuracy=0.4))).verdict == "cannot tell"
    good = decide(predictions(right(9, range(0))), None, Gate())
    assert good.verdict == "better" and "is above the 0.5556 that always predicting 'cat' reaches" in good.reasons[1]
    assert good.chance is not None and good.chance.interval[0] == pytest.approx(0.05 ** (1 / 9))


def test_answering_the_most_frequent_class_is_chance_however_often_it_is_right() -> None:
    labels = np.r_[np.zeros(180, np.int64), np.ones(20, np.int64)]
    always = dataclasses.replace(
        predictions(right(200, range(0))), labels=labels, probabilities=np.eye(2)[labels * 0]
    )
    assert decide(always, None, Gate()).verdict == "cannot tell"
    knows = dataclasses.replace(always, probabilities=np.eye(2)[labels])
    assert decide(knows, None, Gate()).verdict == "better"
    one_class = dataclasses.replace(always, labels=labels * 0)
    assert decide(one_class, None, Gate()).verdict == "cannot tell", "nothing is told apart"


@pytest.mark.parametrize(("images", "classes"), [(4, 2), (9, 2), (50, 2), (500, 2), (300, 100)])
def test_of_models_that_guess_no_more_than_the_level_is_published(images: int, classes: int) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(images) % classes
    most = Counter(labels.tolist()).most_common(1)[0][1]
    per_class = {str(name): number for name, number in Counter(labels.tolist()).items()}
    draws = 2_000
    passed = sum(
        compare_with_chance(correct, per_class).excluded for correct in random.binomial(images, most / images, draws)
    )
    # 0.05, and three standard deviations of the simulation.
    assert passed / draws < 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)


def test_floor_on_recall_says_of_which_classes_it_knows_nothing() -> None:
    model = predictions(
        right(100, range(0)), classes=["cat", "dog", "fox"], probabilities=np.eye(3)[np.arange(100) % 2]
    )
    decision = decide(model, None, Gate(floors=Floors(min_recall=0.5)))
    assert decision.verdict == "better"
    assert decision.reasons[-1] == "min_recall 0.5 could not be checked for 'fox': there is no test image"
    assert len(decide(model, None, Gate()).reasons) == 2


def test_of_a_hundred_classes_below_a_floor_the_first_are_named() -> None:
    names = [f"class {number}" for number in range(100)]
    model = predictions(right(200, range(200)), classes=names, labels=np.arange(200) // 2)
    model = dataclasses.replace(model, probabilities=np.eye(100)[(np.arange(200) // 2 + 1) % 100])
    decision = decide(model, None, Gate(floors=Floors(min_recall=0.5)))
    assert len(decision.below) == 100
    assert decision.reasons[0] == "recall 0.0000 of class 0 is below min_recall 0.5"
    assert len(decision.reasons) == 6 and decision.reasons[-1] == "95 more floors are missed"


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
