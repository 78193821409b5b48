"""Steps in forked processes: their inputs, output and exit statuses are those of processes that start anew."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kfp.local.subprocess_task_handler import replace_python_executable

from headstart.components.find_champion.component import find_champion
from headstart.pipelines.local import step_server
from headstart.pipelines.local.step_server import StepServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="steps are forked on Linux alone")

Command = Callable[[str], list[str]]

SECRET = "https://host/x?code=hunter2"


@pytest.fixture(scope="module")
def server() -> Iterator[StepServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONUNBUFFERED", "1")
        with StepServer() as started:
            yield started


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """A function that makes kfp's command for a step with this body."""
    (shell, option, script, _) = find_champion.component_spec.implementation.container.command

    def make(body: str) -> list[str]:
        source = "import kfp\nfrom kfp.dsl import *\ndef tiny(address: str):\n    import os, sys, time\n" + body
        inputs = {
            "inputs": {"parameterValues": {"address": SECRET}},
            "outputs": {"outputFile": str(tmp_path / "outputs.json")},
            "more": "x" * 200_000,
        }
        whole = [
            shell,
            option,
            script,
            source,
            "--executor_input",
            json.dumps(inputs),
            "--function_to_execute",
            "tiny",
        ]
        return replace_python_executable(whole, sys.executable)

    return make


def test_step_runs_in_a_forked_process(
    server: StepServer, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    body = (
        "    print('given', address, sys.modules['__main__'].__spec__.name, flush=True)\n"
        "    os.system('echo said by a child')\n"
        "    print('told', file=sys.stderr)\n"
        "    import pathlib\n"
        "    every = [each.read_bytes() for each in pathlib.Path('/proc').glob('[0-9]*/cmdline')]\n"
        "    print('secret' if any(b'code=hunter' + b'2' in each for each in every) else 'nothing to see')\n"
        "    print(len(os.listdir('/proc/self/task')), os.environ['_KFP_RUNTIME'], repr(sys.stdin.read()))\n"
    )
    assert server.run_step(command(body)) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index(f"given {SECRET} {step_server.__name__}")
    assert lines[at + 1 : at + 5] == ["said by a child", "told", "nothing to see", "1 true ''"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("    sys.exit(3)\n", 3, ""),
        ("    raise ValueError('wrong ' + 'number')\n", 1, "ValueError: wrong number"),
        ("    os.kill(os.getpid(), 9)\n", -9, ""),
        ("    import atexit; atexit.register(print, 'at the' + ' end')\n", 0, "at the end"),
    ],
)
def test_ends_are_those_of_a_process(
    body: str, status: int, said: str, server: StepServer, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server.run_step(command(body)) == status
    assert said in capsys.readouterr().out


def test_steps_run_at_the_same_time(
    server: StepServer, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first one ends only after the second one has written what it waits for."""
    file = str(tmp_path / "written")
    waits = f"    while not os.path.exists({file!r}): time.sleep(0.01)\n    sys.exit(5)\n"
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(server.run_step, command(waits))
        second = pool.submit(server.run_step, command(f"    open({file!r}, 'w').close()\n    sys.exit(6)\n"))
        assert (first.result(60), second.result(60)) == (5, 6)


@pytest.mark.parametrize(("change", "variables"), [("", {"FURTHER": "value"}), ("# another script\n", {})])
def test_other_commands_get_a_process_that_starts_anew(
    change: str, variables: dict[str, str], server: StepServer, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    body = "    print(sys.modules['__main__'].__spec__.name, os.environ.get('FURTHER'))\n    sys.exit(4)\n"
    whole = command(body)
    whole[2] = change + whole[2]
    assert server.run_step(whole, variables) == 4
    said = f"headstart.pipelines.local.step_process {variables.get('FURTHER')}"
    assert said in capsys.readouterr().out.splitlines()


def test_nothing_is_under_way_when_a_step_with_a_network_is_forked() -> None:
    code = (
        "import os, sys\n"
        "from headstart.pipelines.local import step_server\n"
        "step_server._import_for('evaluate_model')\n"
        "from tensorflow.python.eager import context\n"
        "if child := os.fork():\n"
        "    os.waitpid(child, 0)\n"
        "    started = context._context is not None and context._context._initialized\n"
        "    print(len(os.listdir('/proc/self/task')), started, 'keras' in sys.modules)\n"
    )
    environment = os.environ | step_server._ENVIRONMENT
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False", "True"]


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_server_ends_with_its_block_and_time_of_steps_counts(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    before = children_seconds()
    with StepServer() as server:
        body = "    while time.process_time() < 2: pass\n    print('server', os.getpid(), os.getppid())\n"
        assert server.run_step(command(body)) == 0
    assert children_seconds() - before > 1.9
    (_, *numbers), *_ = (line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("server"))
    assert not any((Path("/proc") / number).exists() for number in numbers)


def test_server_ends_with_the_process_that_started_it(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    server = StepServer()
    assert server.run_step(command("    print('server', os.getppid())\n")) == 0
    process = server._process
    # As where that process is killed.
    server._channel.close()
    assert process.wait(20) == 0
