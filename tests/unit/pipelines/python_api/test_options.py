"""Options in Python are those of the command line, and so are their errors."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import headstart
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.definitions.given_options import (
    CLASS_COUNTS,
    DATA_CHECK_PARAMETERS,
    EVALUATION_PARAMETERS,
    make_parameters,
)
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.python_api.options import (
    DataCheckOptions,
    EvaluationOptions,
    PathLike,
    TrainingOptions,
    describe_call,
    in_python_words,
    name_option,
    read_options,
)

FIELDS = Parameters.model_fields
AS_IN_PYTHON: dict[Any, tuple[Any, ...]] = {
    # Numbers that are given as text, too, such as folds.
    str: (str, PathLike, int | str),
    dict[str, Any]: (Mapping[str, Any],),
    list[str]: (Sequence[str],),
    list[float]: (Sequence[float],),
    list[int]: (Sequence[int] | Mapping[str, Sequence[int]],),
}
"""Types of options in Python by those of their parameters; others are the same."""


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        (TrainingOptions, set(FIELDS)),
        (DataCheckOptions, {*DATA_CHECK_PARAMETERS}),
        (EvaluationOptions, {*EVALUATION_PARAMETERS}),
    ],
)
def test_every_parameter_is_an_option_of_its_type(options: type, parameters: set[str]) -> None:
    hints = get_type_hints(options)
    expected = {name_option(name): FIELDS[name].annotation for name in parameters - {"data", CLASS_COUNTS}}
    assert hints.keys() == expected.keys()
    for name, kind in expected.items():
        assert hints[name] in AS_IN_PYTHON.get(kind, (kind,)), name


@pytest.mark.parametrize(
    ("options", "inherited"),
    [(TrainingOptions, DataCheckOptions), (DataCheckOptions, EvaluationOptions), (EvaluationOptions, None)],
)
def test_every_option_is_documented(options: type, inherited: type | None) -> None:
    known = inherited.__annotations__ if inherited else {}
    documented = re.findall(r"^    (\w+): ", inspect.getdoc(options) or "", re.MULTILINE)
    assert documented == [name for name in options.__annotations__ if name not in known]


def test_values_are_those_of_the_command_line(tmp_path: Path) -> None:
    read = read_options(
        "train",
        [tmp_path, "gs://bucket/more"],
        {
            "counts": (40, 10, 10),
            "settings": {"head.epochs": 3},
            "deterministic": False,
            "publish": tmp_path / "pets",
        },
    )
    assert read.data == [str(tmp_path), "gs://bucket/more"]
    assert read.counts == [40, 10, 10]
    assert read.settings == {"head.epochs": 3, "deterministic": False}
    assert read.publish_uri == str(tmp_path / "pets")
    by_class = read_options("train", tmp_path, {"counts": {"cat": (4, 1, 1), "dog": [5, 1, 1]}})
    assert by_class.class_counts == {"cat": [4, 1, 1], "dog": [5, 1, 1]}
    assert read_options("train", tmp_path, {}) == make_parameters({"data": [str(tmp_path)]})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: headstart.train("p", epochs=3), "'epochs'. Did you mean settings={'head.epochs': …}?"),
        (lambda: headstart.train("p", backbonne="x"), "train has no option 'backbonne'. Did you mean backbone=?"),
        (lambda: headstart.train("p", publish_uri="x"), "train has no option 'publish_uri'. Did you mean publish=?"),
        (lambda: headstart.train("p", unknown_classes="x"), "It is an option of headstart.evaluate."),
        (lambda: headstart.evaluate("m", "p", seed=1), "no option 'seed'. It is an option of headstart.train."),
        (lambda: headstart.check_data("p", seed=1), "check_data has no option 'seed'."),
        (lambda: headstart.train("p", settings={"head.epocs": 3}), "did you mean 'head.epochs'?"),
        (lambda: headstart.train("p", backbone="resnet"), "unknown backbone 'resnet'; known: mobilenet_v2, "),
        (lambda: headstart.train("p", notify="hooks.example.com"), "notify= is not the address of a webhook"),
        (lambda: headstart.train("p", method="none"), "unknown method 'none'; known: head, fine_tuned"),
        (lambda: headstart.train("p", method="from_scratch"), "method='from_scratch': a run trains a head"),
        (lambda: headstart.train("p", image_size="big"), "image_size 'big': input should be a valid integer"),
        (lambda: headstart.train("p", counts=[1.5, 1, 1]), "counts [1.5, 1, 1]: input should be a valid integer"),
        (lambda: headstart.train("p", counts={"cat": [1]}), "counts [1] of class 'cat': give three whole numbers"),
        (lambda: headstart.train("p", min_accuracy=0.9), "without publish= there is no use for min_accuracy"),
        (lambda: headstart.train("p", backbone="sketchnet"), "data '"),
        (lambda: headstart.train([]), "data []: give a folder"),
        (lambda: headstart.evaluate("m", "p", unknown_classes="x"), "unknown treatment of unknown classes 'x'"),
        (lambda: headstart.load("nowhere"), "model 'nowhere': there is no model.json"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line_in_the_words_of_python(
    call: Callable[[], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HeadstartError) as refused:
        call()
    text = str(refused.value)
    assert message in text
    assert "\n" not in text and not re.search(r"--(?!methods)", text)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("message", "in_python"),
    [
        ("Did you mean --image-size?", "Did you mean image_size=?"),
        ("use for --set fine_tuning.epochs; leave", "use for settings={'fine_tuning.epochs': …}; leave"),
        ("train its own: --backbone sketchnet", "train its own: backbone='sketchnet'"),
        ("without --publish there is", "without publish= there is"),
        ("headstart compare --methods head", "headstart compare --methods head"),
        ("photos--output/x", "photos--output/x"),
    ],
)
def test_words_of_the_command_line_become_those_of_python(message: str, in_python: str) -> None:
    assert in_python_words(message) == in_python


def test_the_call_is_described_without_secrets() -> None:
    address = "https://user:hunter22@host/photos.zip"
    call = describe_call("train", {"data": address, "seed": 1}, {"data": [address]})
    assert call == "headstart.train(data='https://host/photos.zip', seed=1)"
    assert describe_call("train", {"data": "{{x}}"}, {}) == ""


def test_a_notebook_shows_an_error_in_one_line() -> None:
    error = HeadstartError("data 'x' does not exist")
    error.add_note("The log of the run is out/run.log.")
    assert error._render_traceback_() == [
        "HeadstartError: data 'x' does not exist",
        "The log of the run is out/run.log.",
    ]
