"""Training, predictions, evaluation and checks of data from Python: the same as by the commands."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support.commands import eventually, headstart
from support.webhooks import SECRET, Webhook, listening

import headstart as api
from headstart.components.core.artifacts.dataset import read_columns
from headstart.components.core.artifacts.evaluation import read_metrics
from headstart.components.core.notifications.webhook import show_host
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.local.output_folder import list_products
from headstart.pipelines.sample.folder import draw_sample

TRAIN = """
import os, sys
environment = dict(os.environ)
import headstart
result = headstart.train(
    "pictures", backbone="sketchnet", counts=[24, 8, 8], method="head", settings={"head.epochs": 2}, notify=HOOK
)
assert "tensorflow" not in sys.modules and environment == dict(os.environ)
print(repr(result))
"""
PREDICT = """
import json, sys
import headstart
model = headstart.load("out")
few = ["pictures/cat.1.jpg", "pictures/dog.1.jpg"]
print(json.dumps([model.predict(images).rows() for images in ("pictures", few)]))
# A notebook's own Keras is whole.
import keras, matplotlib.pyplot, numpy
network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
network.compile("sgd", "mse")
network.fit(numpy.zeros((4, 2)), numpy.zeros((4, 1)), verbose=0)
assert keras.wrappers.SKLearnClassifier and matplotlib.pyplot.figure
"""


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A script in a process of its own, which has to succeed."""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with `pictures`, some of which nearly agree."""
    folder = tmp_path_factory.mktemp("python")
    draw_sample(folder / "pictures", per_class=40, seed=1)
    with Image.open(folder / "pictures" / "dog.1.jpg") as image:
        image.save(folder / "pictures" / "dog.50.jpg", quality=60)
    return folder


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    with listening() as hook:
        yield hook


@pytest.fixture(scope="module")
def trained(folder: Path, hook: Webhook) -> subprocess.CompletedProcess[str]:
    return python(TRAIN.replace("HOOK", repr(hook.address)), folder)


@pytest.fixture(scope="module")
def result(folder: Path, trained: subprocess.CompletedProcess[str]) -> api.TrainingResult:
    return api.TrainingResult(folder / "out")


def test_training_leaves_what_the_command_leaves(result: api.TrainingResult, hook: Webhook) -> None:
    left = {path.name for path in result.output.iterdir()}
    assert left == {*list_products(from_scratch=False, method="head").names, "run.log"}
    models = json.loads((result.output / "evaluation" / "models.json").read_text())
    assert models["command"] == (
        f"headstart.train(data='pictures', method='head', notify={show_host(hook.address)!r}, backbone='sketchnet', "
        "counts=[24, 8, 8], settings={'head.epochs': 2})"
    )


def test_a_webhook_is_told_the_figures(result: api.TrainingResult, hook: Webhook) -> None:
    (body,) = hook.received
    told = body["headstart"]
    assert (told["result"], told["run"], told["images"]) == ("succeeded", str(result.output), 16)
    assert told["accuracy"] == result.accuracy.value
    written = [path.read_bytes() for path in result.output.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in content for content in written)


def test_a_script_is_told_the_figures(trained: subprocess.CompletedProcess[str], result: api.TrainingResult) -> None:
    lines = trained.stdout.splitlines()
    assert lines[0] == "TrainingResult in out, on 16 test images"
    assert lines[1].split()[:4] == ["head", "alone", "accuracy", f"{result.accuracy.value:.3f}"]
    assert lines[-1].split() == ["report", "out/report.html"]
    # Progress is no output of the script, and each task is two lines.
    told = trained.stderr.splitlines()
    assert "[4/5] train-head ..." in told and "2 classes: cat (43), dog (43); from the file names of pictures" in told
    assert len(told) < 25


def test_result_has_the_figures_of_metrics_json(result: api.TrainingResult) -> None:
    figures = read_metrics(result.output / "evaluation")["test"]
    assert (result.accuracy.value, (result.accuracy.low, result.accuracy.high)) == (
        figures["accuracy"],
        tuple(figures["accuracy_interval"]),
    )
    assert float(result.log_loss) == figures["log_loss"]
    assert result.confusion_matrix == figures["confusion_matrix"]
    assert sum(each.correct for each in result.predictions) == figures["correct"]
    assert len(result.mistakes) == result.images - figures["correct"]
    assert [each.name for each in result.per_class] == result.classes == ["cat", "dog"]
    assert len(result.rejected) == 5 and {each.reason for each in result.rejected} >= {"truncated", "empty"}
    assert [each.stage for each in result.history] == ["head", "head"]
    assert Path(result) == result.output and (result.report.path.is_file(), result.log.is_file()) == (True, True)


def test_a_notebook_shows_table_curves_and_links(
    folder: Path, result: api.TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    shown = result._repr_html_()
    assert f"{result.accuracy}" in shown and shown.count("<svg") == 2
    assert '<a href="out/report.html">' in shown and str(folder) not in shown
    assert result.report._repr_html_().startswith('<iframe srcdoc="&lt;!doctype html&gt;')


def test_predictions_in_another_process_are_those_of_the_command(folder: Path, result: api.TrainingResult) -> None:
    done = headstart("predict", "out", "pictures", "--output", "predictions.parquet", cwd=folder)
    assert done.returncode == 3
    rows, few = json.loads(python(PREDICT, folder).stdout)
    assert rows == pq.read_table(folder / "predictions.parquet").to_pylist()
    by_file = {row["file"]: row["probability_cat"] for row in rows}
    assert [row["probability_cat"] for row in few] == pytest.approx([by_file[row["file"]] for row in few], abs=1e-5)


def test_images_in_memory_are_predicted_as_their_files(folder: Path, result: api.TrainingResult) -> None:
    path = folder / "pictures" / "cat.1.jpg"
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    environment = {name: value for name, value in os.environ.items() if name == "TF_CPP_MIN_LOG_LEVEL"}
    with api.load(result) as model:
        given = [path, path.read_bytes(), Image.fromarray(pixels), pixels, np.stack([pixels] * 2)]
        predictions = model.predict(given, progress=False)
        assert [each.file for each in predictions] == [str(path), *(f"image {number}" for number in range(1, 6))]
        assert len({tuple(each.probabilities.items()) for each in predictions}) == 1
        assert predictions[0].label == max(predictions[0].probabilities, key=predictions[0].probabilities.__getitem__)
        assert isinstance(predictions[1:3], api.Predictions) and len(predictions[1:3]) == 2
        assert isinstance(predictions.to_arrow(), pa.Table)
        turned = Image.fromarray(np.rot90(pixels))
        turned.getexif()[0x0112] = 6
        grey = Image.fromarray(pixels).convert("L")
        upright, plain, array = model.predict([turned, grey, np.asarray(grey)], progress=False)
        assert upright.probabilities == predictions[0].probabilities
        assert plain.probabilities == array.probabilities
        assert "predictions" in repr(predictions) and predictions._repr_html_().count("<tr>") == 7
    assert environment == {name: value for name, value in os.environ.items() if name == "TF_CPP_MIN_LOG_LEVEL"}
    with pytest.raises(HeadstartError, match="was closed"):
        model.predict(path)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, "images None: give paths"),
        ([], "images is empty"),
        ([""], "path '' names no image"),
        ([3], "a value of type int is no image"),
        (np.zeros((8, 8, 3)), "an array of float64 says not what is black and white"),
        (np.zeros((8, 8, 2), np.uint8), "an array of shape 8 x 8 x 2 is no image"),
    ],
)
def test_what_is_no_image_is_refused(result: api.TrainingResult, images: object, message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        result.model.predict(images, progress=False)


def test_files_that_cannot_be_read_stop_no_others(folder: Path, result: api.TrainingResult) -> None:
    whole, broken, absent = result.model.predict(
        [folder / "pictures" / "cat.1.jpg", folder / "pictures" / "cat.41.jpg", folder / "nowhere.jpg"],
        progress=False,
    )
    assert (whole.reason, broken.reason, absent.reason) == ("", "truncated", "missing")
    assert broken.label is None and broken.probability is None and not broken.probabilities


@pytest.mark.slow
def test_evaluation_is_that_of_the_command(
    folder: Path, result: api.TrainingResult, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_sample(folder / "others", per_class=12, seed=2)
    monkeypatch.chdir(folder)
    evaluated = api.evaluate(result, "others", progress=False, max_bad_fraction=0.5)
    assert capsys.readouterr() == ("", "")
    done = headstart("evaluate", "out", "--data", "others", "--max-bad-fraction", "0.5", "--output", "again")
    assert done.returncode == 0, done.stderr
    ours, theirs = (json.loads((folder / name / "metrics.json").read_text()) for name in ("evaluated", "again"))
    assert ours == theirs
    assert evaluated.images == 24 and "accuracy" in repr(evaluated) and "<table>" in evaluated._repr_html_()


def test_data_are_checked_without_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    check = api.check_data("pictures", progress=False)
    assert check.classes == {"cat": 40, "dog": 41}
    (pair,) = check.near_duplicates
    assert sorted(pair.paths) == ["dog.1.jpg", "dog.50.jpg"] and not pair.contradictory
    assert len(check.rejected) == 5 and check.page.path.is_file()
    assert repr(check).startswith(
        "DataCheck in checked: 2 classes: cat (40), dog (41); from the file names of pictures"
    )
    assert "2 images have a near-duplicate" in check._repr_html_() and str(folder) not in check._repr_html_()
    with pytest.raises(HeadstartError, match=r"holds the results of headstart\.check_data; name another folder"):
        api.evaluate("out", "pictures", output="checked")
    again = api.check_data(folder / "pictures", progress=False, corrections=_leave_out(folder, check))
    assert again.classes == {"cat": 40, "dog": 40}


def _leave_out(folder: Path, check: api.DataCheck) -> Path:
    """Corrections that leave one of the near-duplicates out."""
    columns = read_columns(check.dataset, ["id", "image.path"]).to_pylist()
    (image,) = (row["id"] for row in columns if row["image.path"] == "dog.50.jpg")
    (folder / "corrections.csv").write_text(f"id,label\n{image},\n")
    return folder / "corrections.csv"


def test_a_step_that_fails_is_one_line_and_names_the_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir(exist_ok=True)
    with pytest.raises(HeadstartError) as failed:
        api.train("empty", backbone="sketchnet", output="failed", progress=False)
    assert str(failed.value).startswith("list-data: ") and "\n" not in str(failed.value)
    assert failed.value.__notes__ == ["The log of the run is failed/run.log."]
    assert failed.value.__cause__ is None and failed.value.__suppress_context__


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_ends_everything(folder: Path, number: signal.Signals, tmp_path: Path) -> None:
    code = "import headstart\nheadstart.train('pictures', backbone='sketchnet', output='interrupted')\n"
    mark = f"HEADSTART_TEST_MARK={tmp_path}"
    script = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | dict([mark.split("=", 1)]),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert script.stderr is not None
    for line in script.stderr:
        if "download-dataset ..." in line:
            break
    script.send_signal(number)
    _, told = script.communicate(timeout=60)
    assert script.returncode == -number
    if number == signal.SIGINT:
        assert "KeyboardInterrupt: interrupted; nothing was added to interrupted" in told
    assert {path.name for path in (folder / "interrupted").iterdir()} == {"run.log"}
    assert eventually(lambda: not _running(mark))


def _running(mark: str) -> list[Path]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and mark.encode() in (entry / "environ").read_bytes():
                found.append(entry)
        except OSError:
            continue
    return found
