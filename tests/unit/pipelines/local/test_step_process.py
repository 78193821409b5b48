"""Inputs of a step reach it, and no argument of a process."""

import json
import sys

import pytest

from headstart.pipelines.local import step_process
from headstart.pipelines.local.step_process import run_step

INPUTS = json.dumps(
    {"inputs": {"parameterValues": {"address": "https://host/x?code=hunter2"}}, "more": "x" * 200_000}
)


def command(code: str) -> list[str]:
    """As kfp puts it together: a shell that starts the executor's module."""
    script = 'exec python3 -c "$0" kfp.dsl.executor_main "$@"'.replace("python3", sys.executable)
    return ["sh", "-c", script, code, "--executor_input", INPUTS, "--function_to_execute", "train_head"]


def test_inputs_come_by_standard_input_and_output_passes(capfd: pytest.CaptureFixture[str]) -> None:
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "print(json.loads(sys.stdin.read())['inputs'], sys.argv[1:])\n"
        "print('secret' if b'hunt' b'er2' in Path('/proc/self/cmdline').read_bytes() else 'nothing')\n"
        "sys.exit(3)\n"
    )
    assert run_step(command(code), {"FURTHER": "1"}) == 3
    given, seen, *_ = capfd.readouterr().out.splitlines()
    assert "hunter2" in given and seen == "nothing"
    assert f"['{step_process.__name__}', '--executor_input', '-', '--function_to_execute', 'train_head']" in given


def test_process_that_ends_before_it_reads_has_failed() -> None:
    assert run_step(command("import sys; sys.exit(4)")) == 4
