"""Process that forks a process for each step of a run, so that one import of TensorFlow serves them all.

`python -m headstart.pipelines.local.step_server` reads from standard input, a socket. A message there is the name of
a step's function; two descriptors come with it, a socket and a pipe. The server imports what the step will import,
and forks. The new process reads its order from the socket, runs kfp's executor, and prints to the pipe; its exit
status comes by the socket. TensorFlow is imported in the server, and never started: at a fork there are neither
threads nor a GPU.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.util.logs import start_logging
from headstart.pipelines.definitions.tasks import NETWORK_TASKS
from headstart.pipelines.local.step_process import print_output, run_step

_LONGEST_NAME = 256
_ENVIRONMENT = {
    # As the script below has it: kfp's modules for steps alone.
    "_KFP_RUNTIME": "true",
    # PyArrow's import starts no thread then. OpenBLAS ends its threads before a fork, and starts them when it needs
    # them.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
_TRAINING = "headstart.components.core.training.trained_model"
"""Module that imports nearly everything that a step with a network imports."""

_SCRIPT = (
    'program_path=$(mktemp -d) printf "%s" "$0" > "$program_path/ephemeral_component.py" _KFP_RUNTIME=true '
    '{python} -m kfp.dsl.executor_main --component_module_path "$program_path/ephemeral_component.py" "$@"'
)
"""The shell script with which kfp starts its executor, with single spaces; a forked process does the same."""


class StepServer:
    """The server, as the process sees it that runs the pipeline; it ends with the block, or with this process."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", __name__], stdin=theirs.fileno(), env=os.environ | _ENVIRONMENT
            )

    def __enter__(self) -> "StepServer":
        return self

    def __exit__(self, *error: object) -> None:
        self._channel.close()
        # Waited for, so that the processor time of all steps counts as that of the command.
        self._process.wait()

    def run_step(self, full_command: list[str], env_vars: Mapping[str, str] | None = None) -> int:
        """Runs a step in a forked process, and prints its output; where that cannot be, as `run_step` does.

        Args:
            full_command: Command and arguments made by kfp.
            env_vars: Environment variables in addition to those of this process. They may count for imports: a step
                that has some gets a process that starts anew.

        Returns:
            Exit status of the step; of one that a signal ended, its number with a minus.
        """
        if not env_vars and _is_known(full_command):
            # A server that is gone says why in the log.
            with contextlib.suppress(BrokenPipeError):
                return self._run_forked(full_command[3], full_command[4:])
        return run_step(full_command, env_vars)

    def _run_forked(self, source: str, arguments: list[str]) -> int:
        ours, theirs = socket.socketpair()
        reader, writer = os.pipe()
        with ours, os.fdopen(reader) as output:
            with theirs, os.fdopen(writer, "w"):
                socket.send_fds(self._channel, [arguments[-1].encode()], [theirs.fileno(), writer])
            # A process that is gone already says why in its output.
            with contextlib.suppress(BrokenPipeError):
                ours.sendall(json.dumps({"source": source, "arguments": arguments}).encode())
                ours.shutdown(socket.SHUT_WR)
            print_output(output)
            # No status came: the server was killed.
            return int(ours.recv(16) or -signal.SIGKILL)


def _is_known(full_command: list[str]) -> bool:
    if full_command[:2] != ["sh", "-ec"] or full_command[-2] != "--function_to_execute":
        return False
    return full_command[2].split() == _SCRIPT.format(python=sys.executable).split()


def main() -> None:
    """Forks a process for each message, until the channel closes; the forked processes run a step, and end."""
    if _serve(socket.socket(fileno=os.dup(0))):
        _execute()
    else:
        # Nothing here needs an end, and all that was imported would take a second to clear.
        os._exit(0)


def _serve(channel: socket.socket) -> bool:
    """Whether this process is one for a step, with standard input and output of its own."""
    importlib.import_module("kfp.dsl.executor_main")
    while True:
        name, descriptors, _, _ = socket.recv_fds(channel, _LONGEST_NAME, 2)
        _wait_for_children(os.WNOHANG if name else 0)
        if not name:
            return False
        with _print_to(descriptors[1]):
            _import_for(name.decode())
        if not os.fork():
            channel.close()
            _report_status_of_child(*descriptors)
            for standard, descriptor in enumerate((descriptors[0], descriptors[1], descriptors[1])):
                os.dup2(descriptor, standard)
            for descriptor in descriptors:
                os.close(descriptor)
            return True
        for descriptor in descriptors:
            os.close(descriptor)


def _report_status_of_child(conversation: int, output: int) -> None:
    """Forks and returns in the child; this process waits for it, reports its exit status and ends."""
    if child := os.fork():
        os.close(output)
        _, status = os.waitpid(child, 0)
        os.write(conversation, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)


def _wait_for_children(options: int) -> None:
    """Waits for the processes that report a status; with `os.WNOHANG`, for those that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, options)[0]:
            pass


@contextlib.contextmanager
def _print_to(output: int) -> Iterator[None]:
    before = os.dup(1), os.dup(2)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        yield
    finally:
        for standard, descriptor in enumerate(before, 1):
            os.dup2(descriptor, standard)
            os.close(descriptor)


def _import_for(function: str) -> None:
    """Imports what a step imports, up to its use of TensorFlow."""
    # What fails here fails in the step once more, which says why.
    with contextlib.suppress(Exception):
        importlib.import_module(f"headstart.components.{function}.step")
        if function in NETWORK_TASKS:
            start_logging()
            start_tensorflow()
            importlib.import_module(_TRAINING)
    # The steps' garbage collections pass over all of this, and do not copy it.
    gc.freeze()


def _execute() -> None:
    """Runs kfp's executor with the order that standard input holds."""
    from kfp.dsl.executor_main import executor_main

    order = json.load(sys.stdin)
    module = Path(tempfile.mkdtemp()) / "ephemeral_component.py"
    module.write_text(order["source"], encoding="utf-8")
    sys.argv[1:] = ["--component_module_path", str(module), *order["arguments"]]
    executor_main()


if __name__ == "__main__":
    main()
