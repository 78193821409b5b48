"""An option that does not exist: the one that is meant is named."""

import re

import pytest
from typer.testing import CliRunner

from headstart.pipelines.cli.main import app
from headstart.pipelines.definitions.option_suggestions import suggest_option


def refused(*arguments: str) -> str:
    """What the command line writes, in one line and without the frame."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, done.output
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.output).split())


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--epochs", "--set head.epochs=? Or fine_tuning.epochs=, from_scratch.epochs="),
        ("--epochs=5", "--set head.epochs=?"),
        ("--lr", "--set head.learning_rate=?"),
        ("--learning-rate", "--set head.learning_rate=?"),
        ("--learning_rate", "--set head.learning_rate=?"),
        ("--fine_tuning.epochs", "--set fine_tuning.epochs=?"),
        ("--batch-size", "--set head.batch_size=?"),
        ("--batch", "--set head.batch_size=?"),
        ("--augment", "--set augmentation.horizontal_flip=? Or augmentation.rotation=, augmentation.width_shift=, …"),
        ("--optimiser", "--set head.optimizer=?"),
        ("--model", "--backbone?"),
        ("--backbonne", "--backbone?"),
        ("--out", "--output?"),
        ("--output-dir", "--output?"),
        ("--dataset", "--data?"),
        ("--img-size", "--image-size?"),
        ("--image_size", "--image-size?"),
        ("--validation-split", "--fractions?"),
        ("--random-state", "--seed?"),
        ("--pretrained", "--weights?"),
    ],
)
def test_option_or_key_that_is_meant_is_named(given: str, meant: str) -> None:
    option = given.partition("=")[0]
    assert f"No such option: {option}. Did you mean {meant}" in refused("run", "--data", "photos", given, "5")


def test_option_of_another_command_is_said_to_be_one() -> None:
    assert "No such option: --methods. It is an option of headstart compare and of headstart submit." in refused(
        "run", "--methods", "head"
    )


def test_command_without_a_recipe_suggests_no_key() -> None:
    assert "--set" not in refused("sample", "folder", "--epochs", "5")


def test_nothing_is_suggested_for_what_resembles_nothing() -> None:
    assert suggest_option("--qqqqqq", ["--data", "--set"], {}) == ""
    assert "No such option: --qqqqqq" in refused("run", "--qqqqqq")
