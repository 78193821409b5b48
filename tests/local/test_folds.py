"""`headstart run --folds`: every image predicted by a model that has not seen it, and one model trained on all."""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.commands import headstart, headstart_here

from headstart.components.core.artifacts.cross_validation import CROSS_VALIDATION
from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.artifacts.model import read_model_info, read_seen
from headstart.components.core.registry.registry import read_champion

pytestmark = pytest.mark.slow

QUICK = ("--backbone", "sketchnet", "--method", "head", "--set", "head.epochs=2", "--folds", "3")


@pytest.fixture(scope="module")
def output(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a run that published its model; what it printed lies beside it."""
    folder = tmp_path_factory.mktemp("folds") / "out"
    publish = ("--publish", folder.parent / "models", "--min-accuracy", "0")
    done = headstart("run", "--data", pictures, *QUICK, *publish, "--output", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder.parent / "stdout").write_text(done.stdout)
    return folder


def test_figures_are_of_all_images_out_of_fold_and_say_so(output: Path) -> None:
    shown = (output.parent / "stdout").read_text()
    metrics = json.loads((output / "metrics.json").read_text())
    images = read_dataset_info(output / "splits/train").images
    assert f"On {images} images, each predicted out of fold" in shown
    assert re.search(r"\[\d/\d+\] train-folds done", shown) and shown.count("train-folds ...") == 1, "one line"
    found = metrics["cross_validation"]
    assert found["folds"] == 3 == len(found["by_fold"])
    assert sum(each["images"] for each in found["by_fold"]) == metrics["test"]["images"] == images
    assert sum(each["correct"] for each in found["by_fold"]) == metrics["test"]["correct"]
    report = (output / "report.html").read_text()
    assert "Cross-validated in 3 folds" in report and "ross-validated accuracy" in report
    assert metrics["calibration"]["validation_images"] == images and metrics["validation_data"] is None


def test_the_model_is_trained_on_all_images_and_carries_its_predictions(output: Path) -> None:
    info = read_model_info(output / "model")
    predicted = pq.read_table(output / "evaluation/predictions.parquet").to_pylist()
    assert info.folds == 3 and {row["id"] for row in predicted} <= read_seen(output / "model")
    record = {row["id"]: row for row in pq.read_table(output / "model" / CROSS_VALIDATION).to_pylist()}
    assert all(row["probability_dog"] == record[row["id"]]["probability_dog"] for row in predicted)
    own = pq.read_table(output / "evaluation/final_model.parquet").to_pylist()
    differ = [a["probability_dog"] != b["probability_dog"] for a, b in zip(own, predicted, strict=True)]
    assert sum(differ) > len(differ) / 2, "those of the model itself are others"
    assert (output / "recipe.yaml").read_text().startswith("# headstart run --method head --folds 3 ")


def test_the_published_model_serves_what_it_predicts_itself(output: Path) -> None:
    champion = read_champion(str(output.parent / "models"))
    assert champion is not None
    assert (Path(champion.model) / CROSS_VALIDATION).is_file()
    card = (Path(champion.address) / "model_card.md").read_text()
    assert "Cross-validated accuracy" in card and "out of fold" in card


def test_the_next_model_is_compared_out_of_fold_on_the_images_that_both_were_trained_on(
    output: Path, pictures: Path, tmp_path: Path
) -> None:
    done = headstart(
        *("run", "--data", pictures, *QUICK, "--seed", "1", "--set", "head.epochs=1"),
        *("--publish", output.parent / "models", "--output", tmp_path / "out"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    comparison = json.loads((tmp_path / "out/metrics.json").read_text())["comparison"]
    images = read_dataset_info(output / "splits/train").images
    assert comparison["images"] == images and comparison["seen"] == 0
    before = json.loads((output / "metrics.json").read_text())["test"]
    assert comparison["champion_accuracy"] == pytest.approx(before["accuracy"]), "by its own record"
    assert re.search(r"verdict (better|worse|cannot tell): .*out of fold, of 3 folds", done.stdout)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--folds", "1"), "folds '1': give a whole number of at least 2, 'auto', or 0 for none"),
        (("--folds", "3", "--counts", "40,10,10"), "folds 3 and counts exclude one another"),
        (("--folds", "3", "--order", "given"), "folds 3 and order 'given' exclude one another"),
        (("--folds", "3", "--from-scratch"), "--folds 3 cross-validates one model; leave --from-scratch out"),
    ],
)
def test_what_does_not_go_together_is_refused_at_once(
    pictures: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    done = headstart_here("run", "--data", pictures, *options, "--output", tmp_path / "out")
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()


def test_an_evaluation_has_no_folds(output: Path, pictures: Path) -> None:
    done = headstart_here("evaluate", output, "--data", pictures, "--folds", "3")
    assert done.returncode == 2 and "--folds" in done.stderr
