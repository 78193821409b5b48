import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.local.tensorflow_import import hold_back_library_output

with hold_back_library_output() as console:
    os.write(2, b"W0000 from C++\\n")
    print("WARNING:absl: from Python", file=sys.stderr)
    console.print("from the command")
    {then}
print("after it", file=sys.stderr)
"""
NOISE = ["W0000 from C++", "WARNING:absl: from Python"]


def run(then: str, **environment: str) -> list[str]:
    names = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", SCRIPT.format(then=then)]
    return subprocess.run(command, capture_output=True, text=True, env=names | environment).stderr.splitlines()


@pytest.mark.parametrize("level", ["", "2", "3"])
def test_only_what_the_command_says_reaches_standard_error(level: str) -> None:
    environment = {"TF_CPP_MIN_LOG_LEVEL": level} if level else {}
    assert run("pass", **environment) == ["from the command", "after it"]


def test_an_unexpected_error_brings_the_rest_to_light() -> None:
    shown = run("raise RuntimeError('out of memory')")
    assert shown[:3] == ["from the command", *NOISE]
    assert shown[-1] == "RuntimeError: out of memory"


def test_an_error_for_the_user_does_not() -> None:
    assert not set(NOISE) & set(run("raise HeadstartError('no such model')"))


def test_a_user_may_ask_for_the_log() -> None:
    assert set(run("pass", TF_CPP_MIN_LOG_LEVEL="0")) == {*NOISE, "from the command", "after it"}
