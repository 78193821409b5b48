"""Process of a step on this machine, which reads its inputs from standard input.

Every user of the machine can read the arguments of a process with `ps`, and an input may be an address with a
password or a signature. `python -m headstart.pipelines.local.step_process` takes the arguments of kfp's executor,
except the inputs themselves.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterable, Mapping
from os import environ

_EXECUTOR, _INPUT, _GIVEN = "kfp.dsl.executor_main", "--executor_input", "-"


def run_step(full_command: list[str], env_vars: Mapping[str, str] | None = None) -> int:
    """Runs a step as kfp's local runner does, and prints its output.

    Args:
        full_command: Command and arguments made by kfp.
        env_vars: Environment variables in addition to those of this process.

    Returns:
        Exit status of the step.
    """
    at = full_command.index(_INPUT) + 1
    inputs = full_command[at]
    command = [part.replace(_EXECUTOR, __name__) for part in full_command[:at]] + [_GIVEN, *full_command[at + 1 :]]
    with subprocess.Popen(  # noqa: S603 - what kfp would start
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
        env={**environ, **(env_vars or {})},
    ) as process:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101 - for the type checker
        # A process that is gone already says why in its output.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(inputs)
            process.stdin.close()
        print_output(process.stdout)
        return process.wait()


def print_output(lines: Iterable[str]) -> None:
    """Prints the output of a step as kfp's local runner does."""
    for line in lines:
        print(line, end="")
    print("\n")


def main() -> None:
    """Runs kfp's executor with the inputs that standard input holds."""
    from kfp.dsl.executor_main import executor_main

    sys.argv[sys.argv.index(_INPUT) + 1] = sys.stdin.read()
    executor_main()


if __name__ == "__main__":
    main()
