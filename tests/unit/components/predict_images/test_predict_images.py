import contextlib
import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from PIL import Image
from support.commands import Started
from typer.testing import CliRunner

from headstart.components.core.artifacts.evaluation import METRICS, MODELS
from headstart.components.core.artifacts.predictions import PREDICTIONS, Predictions, read_predictions
from headstart.components.core.metrics.calibration import apply_temperature
from headstart.components.core.registry.model_files import ModelFiles, download_model
from headstart.components.core.registry.registry import publish_folder
from headstart.components.core.sources import Unreadable
from headstart.components.core.sources.folder import walk_folder
from headstart.components.core.util.errors import HeadstartError
from headstart.components.predict_images.named_images import NamedImage, find_images
from headstart.components.predict_images.predict import predict
from headstart.components.predict_images.step import PredictionInputs, open_model, predict_images
from headstart.pipelines.cli.main import app
from headstart.pipelines.local.output import open_output


@pytest.fixture(scope="module")
def evaluated(run_output: Path) -> Predictions:
    return read_predictions(run_output / "evaluation" / PREDICTIONS)


def sure(run_output: Path) -> tuple[float, float]:
    """A threshold between the probabilities of test images that the evaluation is made to have for 0.95."""
    metrics = json.loads((run_output / "evaluation" / METRICS).read_text())
    predictions = read_predictions(run_output / "evaluation" / PREDICTIONS)
    temperature = metrics["calibration"]["temperature"]
    confidence = np.sort(apply_temperature(predictions.probabilities, temperature).max(axis=1))
    return float(confidence[4:6].mean()), temperature


def run(*arguments: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["predict", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def probabilities(rows: list[dict[str, object]]) -> np.ndarray:
    return np.array([[row["probability_cat"], row["probability_dog"]] for row in rows], float)


def test_original_files_get_the_answers_of_the_evaluation(
    run_output: Path, evaluated: Predictions, pictures: Path
) -> None:
    files = [pictures / path for path in evaluated.paths]
    alone = run(run_output / "model", *files)
    assert "probabilities are not calibrated" in alone.stderr
    assert np.abs(probabilities(lines(alone)) - evaluated.probabilities).max() < 1e-3
    calibrated = run(run_output, *files)
    assert calibrated.stderr == ""
    rows = lines(calibrated)
    _, temperature = sure(run_output)
    assert np.abs(probabilities(rows) - apply_temperature(evaluated.probabilities, temperature)).max() < 1e-3
    assert [row["label"] for row in rows] == [evaluated.classes[label] for label in evaluated.predicted]
    assert [row["file"] for row in rows] == list(map(str, files))


def test_a_dataset_gets_the_answers_of_the_evaluation_to_the_bit_of_the_resizing(
    run_output: Path, evaluated: Predictions, splits: dict[str, Path], tmp_path: Path
) -> None:
    tally = predict_images(
        PredictionInputs([str(splits["test"])], run_output / "model"), tmp_path / "new" / "predictions"
    )
    table = pq.read_table(tmp_path / "new" / "predictions")
    assert tally.images == len(table) == 20
    assert table["file"].to_pylist() == evaluated.paths
    assert np.abs(probabilities(table.to_pylist()) - evaluated.probabilities).max() < 1e-5


def test_what_cannot_be_read_is_listed_and_stops_no_other(run_output: Path, pictures: Path, tmp_path: Path) -> None:
    good = sorted(pictures.iterdir(), key=lambda path: path.name)[0]
    folder = tmp_path / "new"
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / ".hidden.jpg").write_bytes(b"junk")
    shutil.copy(good, folder / "deep" / "deeper" / "10.jpg")
    (folder / "deep" / "2.jpg").write_text("<html>")
    (folder / "deep" / "11.jpg").symlink_to("nowhere")
    Image.new("1", (12_000, 12_000)).save(folder / "bomb.png")
    shutil.copy(good, folder / "with space, and comma.jpg")
    stdin = f"{folder}/with space, and comma.jpg\r\n\n{folder}/nothing.jpg\n"
    result = CliRunner().invoke(
        app, ["predict", str(run_output), str(folder), f"{folder}/*/**/10.jp?", f"{folder}/*.gif", "-"], input=stdin
    )
    assert result.exit_code == 3
    rows = lines(result)
    assert [(Path(str(row["file"])).name, row["label"], row["reason"]) for row in rows] == [
        ("bomb.png", None, "too large"),
        ("2.jpg", None, "not an image"),
        ("10.jpg", "cat", None),
        ("with space, and comma.jpg", "cat", None),
        ("11.jpg", None, "broken link"),
        ("10.jpg", "cat", None),
        ("*.gif", None, "missing"),
        ("with space, and comma.jpg", "cat", None),
        ("nothing.jpg", None, "missing"),
    ]
    assert result.stderr == (
        f"passed over 1 file that is not an image: {folder}/.hidden.jpg\n"
        "5 of 9 images could not be read: 2 missing, 1 too large, 1 not an image, 1 broken link\n"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert lines(run(run_output, empty, "ftp://x/y.jpg", code=3)) == [
        {"file": str(empty), "label": None, "abstained": False, "probability_cat": None, "probability_dog": None}
        | {"reason": "empty", "detail": "the folder has no files"}
        | {"unfamiliarity": None, "unfamiliar": None, "abstention": None},
        {"file": "ftp://x/y.jpg", "label": None, "abstained": False, "probability_cat": None, "probability_dog": None}
        | {
            "reason": "unreadable",
            "detail": "no store for 'ftp://x/y.jpg'; known are http://, https://, gs://, s3://",
        }
        | {"unfamiliarity": None, "unfamiliar": None, "abstention": None},
    ]


def test_files_in_a_folder_that_are_not_images_are_passed_over_and_named(
    run_output: Path, pictures: Path, tmp_path: Path
) -> None:
    good = sorted(pictures.iterdir(), key=lambda path: path.name)[0].read_bytes()
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "cat.jpg").write_bytes(good)
    (folder / "cat-without-suffix").write_bytes(good)
    for stray in ("readme.txt", "labels.csv", "LICENSE", "notes.docx", ".DS_Store", "Thumbs.db"):
        (folder / stray).write_text("A few words about the images.")
    result = run(run_output, folder)
    assert [Path(str(row["file"])).name for row in lines(result)] == ["cat-without-suffix", "cat.jpg"]
    passed, names = result.stderr.rstrip().split(": ")
    assert passed == "passed over 6 files, not images"
    assert len(names.split(", ")) == 3 and names.endswith(" and 3 more")
    by_pattern = run(run_output, f"{folder}/*t*")
    assert [Path(str(row["file"])).name for row in lines(by_pattern)] == ["cat-without-suffix", "cat.jpg"]
    assert by_pattern.stderr == f"passed over 2 files, not images: {folder}/notes.docx, {folder}/readme.txt\n"
    # What the user names is meant, and where nothing is an image nothing is passed over.
    assert lines(run(run_output, folder / "LICENSE", code=3))[0]["reason"] == "not an image"
    assert lines(run(run_output, f"{folder}/*.docx", code=3))[0]["reason"] == "not an image"
    # Broken images, and data that may hold images, are not passed over.
    (folder / "broken").write_bytes(good[:200])
    (folder / "broken.jpg").write_text("no image")
    (folder / "scan.dcm").write_text("no image")
    (folder / "more.zip").write_text("no archive")
    listed = lines(run(run_output, folder, code=3))
    assert {Path(str(row["file"])).name for row in listed if row["reason"]} == {
        *("broken", "broken.jpg", "scan.dcm", "more.zip")
    }


def with_threshold(run_output: Path, threshold: float | None, folder: Path) -> Path:
    shutil.copytree(run_output, folder)
    path = folder / "evaluation" / METRICS
    metrics = json.loads(path.read_text())
    metrics["abstention"][0]["threshold"] = threshold
    metrics["unfamiliarity"] = None
    path.write_text(json.dumps(metrics))
    return folder


def test_it_abstains_below_the_threshold_of_the_wanted_precision(
    run_output: Path, evaluated: Predictions, pictures: Path, tmp_path: Path
) -> None:
    threshold, temperature = sure(run_output)
    folder = with_threshold(run_output, threshold, tmp_path / "run")
    files = [pictures / path for path in evaluated.paths]
    table = tmp_path / "answers.parquet"
    assert run(folder, *files, "--precision", "0.95", "--output", table).stdout == ""
    known = apply_temperature(evaluated.probabilities, temperature).max(axis=1) >= threshold
    assert known.sum() == 15
    rows = pq.read_table(table).to_pylist()
    assert [row["abstained"] for row in rows] == (~known).tolist()
    assert [row["label"] for row in rows] == [
        evaluated.classes[label] if sure else None for label, sure in zip(evaluated.predicted, known, strict=True)
    ]
    run(folder, *files, "--precision", "0.95", "--output", tmp_path / "answers.csv")
    with (tmp_path / "answers.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["label"] for row in read] == [row["label"] or "" for row in rows]
    assert [float(row["probability_dog"]) for row in read] == [row["probability_dog"] for row in rows]
    assert {path.name for path in tmp_path.iterdir()} == {"run", "answers.csv", "answers.parquet"}
    shown = run(folder, files[0], tmp_path / "no.jpg", "--format", "table", code=3).stdout.splitlines()
    assert shown[0] == "label  probability  file"
    assert shown[1].endswith(str(files[0])) and shown[2].endswith("no.jpg: missing: no such file")
    assert len(shown) == 3 and not shown[1].startswith("?")
    *_, legend = run(folder, *files, "--precision", "0.95", "--format", "table").stdout.splitlines()
    assert legend == (
        f"?: no label for 5 of 20 images, as the probability is below {threshold:.3f}, the threshold for a precision "
        "of 0.95, chosen on 20 validation images"
    )


def test_unfamiliar_images_are_flagged_and_get_no_label_where_a_precision_is_wanted(
    run_output: Path, evaluated: Predictions, pictures: Path, tmp_path: Path
) -> None:
    folder = with_threshold(run_output, 0.0, tmp_path / "run")
    scores = evaluated.unfamiliarity
    assert scores is not None
    # A quarter of the test images is above it, and so is noise; no image is unsure.
    threshold = float(np.sort(scores)[14])
    path = folder / "evaluation" / METRICS
    metrics = json.loads(path.read_text())
    metrics["unfamiliarity"] = json.loads((run_output / "evaluation" / METRICS).read_text())["unfamiliarity"]
    metrics["unfamiliarity"]["threshold"] = threshold
    path.write_text(json.dumps(metrics))
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(noise)
    files = [*(pictures / path for path in evaluated.paths), noise]
    labelled = lines(run(folder, *files))
    assert [row["unfamiliarity"] for row in labelled[:-1]] == pytest.approx(scores.tolist(), abs=1e-3)
    clear = np.abs(scores - threshold) > 1e-3
    expected = [*(scores > threshold).tolist(), True]
    flags = [row["unfamiliar"] for row in labelled]
    assert np.array_equal(np.array(flags)[[*clear, True]], np.array(expected)[[*clear, True]])
    assert all(row["label"] and not row["abstained"] and row["abstention"] is None for row in labelled)
    for chosen in (files, files[-1:]):
        rows = lines(run(folder, *chosen, "--precision", "0.95"))
        flagged = flags[-len(chosen) :]
        assert [row["unfamiliar"] for row in rows] == flagged
        assert [row["abstained"] for row in rows] == flagged
        assert [row["abstention"] for row in rows] == ["unfamiliar" if each else None for each in flagged]
        assert [row["label"] is None for row in rows] == flagged
    *shown, legend = run(folder, *files, "--format", "table").stdout.splitlines()
    assert [line.split("  ")[-1].startswith(("0", "1")) for line in shown[1:]] == flags
    assert shown[-1].split()[1].endswith("*")
    assert legend == (
        f"*: {sum(flags)} of 21 images are unfamiliar and keep a label that means little, as their unfamiliarity is "
        f"above {threshold:.4f}, chosen on 20 validation images"
    )
    *_, legend = run(folder, *files, "--format", "table", "--precision", "0.95").stdout.splitlines()
    assert "are unfamiliar and get no label, as" in legend


def refused(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["predict", *map(str, arguments)])
    assert isinstance(result.exception, HeadstartError)
    return str(result.exception)


def test_what_is_wrong_is_said_in_a_line_before_any_image_is_read(
    run_output: Path, pictures: Path, tmp_path: Path
) -> None:
    assert "has no evaluation beside it" in refused(run_output / "model", pictures, "--precision", "0.95")
    assert "thresholds for 0.95, 0.99" in refused(run_output, pictures, "--precision", "0.9")
    never = with_threshold(run_output, None, tmp_path / "never")
    assert "no threshold holds it on the 20 validation images; it takes 59" in refused(
        never, pictures, "--precision", "0.95"
    )
    assert "there is no model.json, no model/model.json and no published model" in refused(pictures, pictures)
    other = with_threshold(run_output, None, tmp_path / "other")
    models = json.loads((other / "evaluation" / MODELS).read_text())
    models["models"]["test"]["sha256"] = "0" * 64
    (other / "evaluation" / MODELS).write_text(json.dumps(models))
    assert "is of another model" in refused(other, pictures)
    damaged = with_threshold(run_output, None, tmp_path / "damaged")
    (damaged / "model" / "model.keras").write_bytes(b"")
    assert "is not the file that model.json describes" in refused(damaged, pictures)
    assert "must end in .jsonl, .csv, .parquet" in refused(run_output, pictures, "--output", tmp_path / "x.txt")
    assert "unknown format 'xml'" in refused(run_output, pictures, "--format", "xml")
    assert "cannot be written (No such file or directory)" in refused(
        run_output, pictures, "--output", tmp_path / "no" / "x.csv"
    )
    assert "path '' names no image" in refused(run_output, pictures, "")
    with pytest.raises(HeadstartError, match="path '' names no image"):
        predict_images(PredictionInputs([""], run_output / "model"), tmp_path / "x")
    with pytest.raises(HeadstartError, match="one of the two"):
        predict_images(
            PredictionInputs([str(pictures)], run_output / "model", address=str(run_output)), tmp_path / "x"
        )
    with pytest.raises(HeadstartError, match="no images are named"):
        predict_images(PredictionInputs([], run_output / "model"), tmp_path / "x")


def test_of_what_is_published_the_model_in_use_is_taken(run_output: Path, tmp_path: Path) -> None:
    published = tmp_path / "models"
    version = publish_folder(run_output, str(published)).version
    with download_model(str(published)) as found:
        assert found == ModelFiles(published / version / "model", published / version / "evaluation")


def test_images_are_taken_as_they_are_needed(run_output: Path, pictures: Path) -> None:
    content = next(path for path in pictures.iterdir() if path.name.startswith("cat.1.")).read_bytes()
    taken = 0

    def endless() -> Iterator[NamedImage]:
        nonlocal taken
        while True:
            taken += 1
            yield NamedImage(f"{taken}.jpg", lambda: content)

    model = open_model(ModelFiles(run_output / "model"), 0)
    with contextlib.closing(predict(model, endless())) as batches:
        rows = [name for _ in range(5) for name in next(batches)["file"].to_pylist()]
    assert rows == [f"{number}.jpg" for number in range(1, len(rows) + 1)]
    assert taken < 1000


@pytest.mark.slow
def test_ends_quietly_when_nobody_reads_on_and_with_ctrl_c(run_output: Path, pictures: Path, tmp_path: Path) -> None:
    command = [Path(sys.executable).parent / "headstart", "predict", run_output, "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(f"{pictures}\n" * 20)
        process.stdin.close()
        assert json.loads(process.stdout.readline())["file"].startswith(str(pictures))
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
    target = tmp_path / "out.csv"
    started = Started("predict", run_output, *[pictures] * 2000, "--output", target)
    while not any(partial.stat().st_size > 4096 for partial in tmp_path.glob(".out.csv.*.partial")):
        assert started.process.poll() is None, started.process.communicate()
    started.process.send_signal(signal.SIGINT)
    assert started.process.communicate()[0] == "interrupted\n"
    assert started.process.returncode == 130
    assert list(tmp_path.iterdir()) == []
    assert started.survivors() == []


def test_named_images_are_found_one_after_the_other(splits: dict[str, Path]) -> None:
    asked = iter(["nothing.jpg", str(splits["test"])])
    found = find_images(asked)
    assert next(found).file == "nothing.jpg"
    assert list(asked) == [str(splits["test"])]


def reason(image: NamedImage) -> tuple[str, str]:
    with pytest.raises(Unreadable) as raised:
        image.load()
    return raised.value.reason, raised.value.detail


def test_a_name_that_is_too_long_stops_no_other(tmp_path: Path) -> None:
    image = tmp_path / "cat.jpg"
    image.write_bytes(b"a cat")
    long, pattern, good = find_images(["x" * 300, f"{'x' * 300}/*", str(image)])
    assert (long.file, reason(long)) == ("x" * 300, ("unreadable", "File name too long"))
    assert reason(pattern)[0] == "unreadable"
    assert good.load() == b"a cat"


def test_a_folder_that_cannot_be_looked_into_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"a cat")
    monkeypatch.chdir(tmp_path)
    for _ in range(20):
        # Deeper than a path may say.
        Path("d" * 250).mkdir()
        os.chdir("d" * 250)
    good, closed = find_images([str(tmp_path)])
    assert good.load() == b"a cat"
    assert closed.file.startswith(f"{tmp_path}/ddd")
    assert reason(closed) == ("unreadable", "the folder may not be read (File name too long)")
    with pytest.raises(HeadstartError, match=r"cannot be read by user .* \(File name too long\)"):
        list(walk_folder(tmp_path))


def test_a_file_is_named_as_it_is_on_disk(tmp_path: Path) -> None:
    decomposed = tmp_path / "Cafe\u0301 \u202e.jpg"
    decomposed.write_bytes(b"a cat")
    for path in (tmp_path, decomposed, tmp_path / "*.jpg"):
        (found,) = find_images([str(path)])
        assert found.file == str(decomposed)
        assert found.load() == b"a cat"


def test_a_file_whose_name_is_no_utf_8_is_found_by_the_name_that_is_told(tmp_path: Path) -> None:
    latin, spelled = tmp_path / os.fsdecode(b"caf\xe9.jpg"), tmp_path / r"caf\xe9.jpg"
    latin.write_bytes(b"a cat")
    spelled.write_bytes(b"a dog")
    told = {found.file: found.load() for found in find_images([str(tmp_path)])}
    assert told == {rf"{tmp_path}/caf\xe9.jpg": b"a cat", rf"{tmp_path}/caf\x5cxe9.jpg": b"a dog"}
    spelled.rename(tmp_path / "dog.jpg")
    (found,) = find_images([rf"{tmp_path}/caf\xe9.jpg"])
    assert found.load() == b"a cat"


def test_an_output_is_blamed_for_what_is_its_own(tmp_path: Path) -> None:
    target = tmp_path / "answers.csv"
    with pytest.raises(PermissionError, match="a picture"), open_output(target):
        raise PermissionError("a picture")
    with pytest.raises(HeadstartError, match=r"no space left on the disk of .*answers"), open_output(target):
        raise OSError(errno.ENOSPC, "full")
    assert list(tmp_path.iterdir()) == []
    target.mkdir()
    with pytest.raises(HeadstartError, match=r"cannot be written \(Is a directory\)"), open_output(target) as file:
        file.write(b"all of it")
    assert list(tmp_path.iterdir()) == [target]


def test_deep_pictures_are_read_by_the_ranges_of_the_model(run_output: Path, pictures: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(run_output / "model", model)
    info = json.loads((model / "model.json").read_text())
    assert info["ranges"] == {}, "the model saw ordinary pictures only"
    (model / "model.json").write_text(json.dumps(info | {"ranges": {"PNG gray uint16": [0, 16_383]}}))
    gray = np.asarray(Image.open(pictures / "cat.1.jpg").convert("L")).astype(np.float64)
    Image.fromarray(gray.astype(np.uint8)).save(tmp_path / "8.png")
    Image.fromarray(np.round(gray / 255 * 16_383).astype(np.uint16)).save(tmp_path / "14.png")
    Image.fromarray(np.round(gray / 255 * 1023).astype(np.uint16)).save(tmp_path / "10.png")
    result = run(model, tmp_path / "8.png", tmp_path / "14.png", tmp_path / "10.png")
    shallow, deep, dark = probabilities(lines(result))
    assert np.abs(shallow - deep).max() < 1e-4
    assert np.abs(shallow - dark).max() > 1e-4
    warned = [line for line in result.stderr.splitlines() if "hardly any contrast" in line]
    assert len(warned) == 1
    assert str(tmp_path / "10.png") in warned[0] and "0 to 16383 as black to white" in warned[0]
    (own,) = probabilities(lines(run(run_output / "model", tmp_path / "14.png")))
    assert np.abs(shallow - own).max() < 1e-4, "of a form that the data did not have, the picture's own range"
