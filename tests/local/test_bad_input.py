"""What is wrong with the input is told in one line, without a traceback: status 2 for options, and 1 otherwise."""

import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import pytest
from support.commands import QUICK, headstart, headstart_here
from support.servers import serve_folder

Start = Callable[..., "subprocess.CompletedProcess[str]"]


def refusal(*arguments: str | Path, command: str = "run", status: int = 1, start: Start = headstart_here) -> str:
    done = start(command, *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    root = tmp_path_factory.mktemp("bad")
    (root / "empty").mkdir()
    (root / "one" / "cats").mkdir(parents=True)
    shutil.copy(pictures / "cat.1.jpg", root / "one" / "cats")
    (root / "text.zip").write_text("not an archive")
    with zipfile.ZipFile(root / "cut.zip", "w") as archive:
        archive.write(pictures / "cat.1.jpg", "cats/1.jpg")
        archive.write(pictures / "dog.1.jpg", "dogs/1.jpg")
    (root / "cut.zip").write_bytes((root / "cut.zip").read_bytes()[:-40])
    (root / "file").write_text("no folder")
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(5, 3)]).save_weights(root / "other.weights.h5")
    return root


WRONG_OPTIONS = [
    (["--data", "{good}", "--counts", "a,b,c"], "counts 'a,b,c': give three numbers with commas between them"),
    (["--data", "{good}", "--counts", "1,2"], "give three numbers of at least 1"),
    (["--data", "{good}", "--counts", "", "--fractions", "1,1,1"], "add up to at most 1"),
    (["--data", "{good}", "--order", "random"], "unknown order 'random'; known: hash, name, given"),
    (["--data", "{good}", "--backbone", "vgg61"], "unknown backbone 'vgg61'; known: mobilenet_v2, mobilenet,"),
    (
        ["--data", "{good}", "--image-size", "8"],
        "image size 8 is too small for backbone sketchnet: it needs at least",
    ),
    (["--data", "{good}", "--weights", "{bad}/none.h5"], "none.h5' of backbone sketchnet: no such file; pass"),
    (["--data", "{good}", "--set", "fine_tuning.learning_rate=0"], "learning_rate is 0: input should be greater"),
    (["--data", "{good}", "--set", "head.epoch=3"], "unknown key 'head.epoch'; did you mean 'head.epochs'?"),
    (["--data", "{good}/{{x}}"], "KFP substitutes"),
    (["--data", "{good}", "--labels", "guess"], "unknown rule for labels 'guess'; known: auto, given"),
    (["--data", "{good}", "--max-side", "8"], "max_side 8: give at least 32 pixels"),
    (["--data", "{good}", "--sha256", "abc"], "sha256 'abc': give 64 hexadecimal digits"),
]
"""Told before anything is read."""

WRONG_INPUT = [
    (
        ["--data", "ftp://host/pets.zip"],
        "no store for 'ftp://host/pets.zip'; known are http://, https://, gs://, s3://",
    ),
    (["--data", "{bad}/nowhere"], "nowhere' does not exist; pass a folder of class folders, or an archive"),
    (["--data", "{bad}/empty"], "holds no files"),
    (["--data", "{bad}/one"], "shows only one class, 'cats' in 1 files"),
    (["--data", "{bad}/text.zip"], "neither a folder nor a zip or tar archive"),
    (["--data", "{bad}/cut.zip"], "neither a folder nor a zip or tar archive"),
    (["--data", "{good}", "--counts", "100,10,10"], "files, and counts 100,10,10 ask for 120"),
    (["--data", "{good}", "--weights", "{bad}/file"], "is no HDF5 file and no .keras file by its first bytes"),
    (
        ["--data", "{good}", "--weights", "{bad}/other.weights.h5"],
        "do not fit backbone sketchnet: layer 'stem_conv' needs",
    ),
    (["--data", "{good}", "--weights", "{web}/none.h5"], "404"),
    (
        ["--data", "{good}", "--set", "fine_tuning.unfreeze_from=block99"],
        "has no layer or block 'block99'; unfreeze from",
    ),
    (["--data", "{good}", "--output", "{bad}/file/out"], "cannot be written (Not a directory)"),
    (["--data", "{good}", "--output", "/proc/out"], "cannot be written"),
    (["--data", "{good}", "--max-bad-fraction", "0.01"], "more than 1% of"),
    (["--data", "{good}", "--sha256", "0" * 64], "is a folder; sha256 is for a single file"),
    (["--data", "{good}", "--order", "given"], "the data has no ready-made split"),
    (["--data", "{web}/none.zip"], "none.zip"),
]


@pytest.mark.parametrize(
    ("options", "message", "status"),
    [(*each, 2) for each in WRONG_OPTIONS] + [(*each, 1) for each in WRONG_INPUT],
)
def test_one_line(
    options: list[str], message: str, status: int, pictures: Path, folders: Path, tmp_path: Path
) -> None:
    with serve_folder(folders) as address:
        places = {"{bad}": str(folders), "{good}": str(pictures), "{web}": address}
        for mark, place in places.items():
            options = [option.replace(mark, place) for option in options]
        # What is told before anything is read starts no process.
        start = headstart_here if status == 2 else headstart
        assert message in refusal(*QUICK, "--output", tmp_path / "out", *options, status=status, start=start)
    assert not (tmp_path / "out" / "metrics.json").exists()


@pytest.mark.parametrize("command", ["run", "compare", "learning-rate"])
def test_output_in_the_data_is_refused_before_anything_is_there(
    command: str, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(pictures.iterdir())
    monkeypatch.chdir(pictures)
    assert f"lies in the data '{pictures}', and would be read" in refusal("--data", ".", command=command)
    assert "lies in the data" in refusal("--data", f"file://{pictures}", "--output", ".", command=command)
    assert sorted(pictures.iterdir()) == before


@pytest.mark.parametrize(
    ("command", "last", "other"),
    [("run", "comparison.json", "headstart compare"), ("compare", "metrics.json", "headstart run")],
)
def test_results_of_two_commands_are_not_mixed(
    command: str, last: str, other: str, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / last).touch()
    message = f"output '{tmp_path}' holds the results of {other}; name another folder"
    assert message in refusal("--data", pictures, "--output", tmp_path, command=command)
    assert [path.name for path in tmp_path.iterdir()] == [last]


def test_files_of_others_are_not_replaced(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "report.html").write_text("somebody's")
    for content in (None, '{"accuracy": 1}', "no JSON"):
        if content:
            (tmp_path / "metrics.json").write_text(content)
        message = refusal("--data", pictures, "--output", tmp_path)
        assert f"output '{tmp_path}' holds" in message and "report.html" in message
        assert "which headstart run did not leave there; move that, or name another folder with --output" in message
    assert (tmp_path / "report.html").read_text() == "somebody's"
