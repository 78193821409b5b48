"""Running a pipeline on this machine, from images to a folder of results."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

from headstart.components.core.recipes.variants import FINE_TUNED, Method
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.storage.manifests import read_manifest
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.definitions.tasks import TRANSFER_LEARNING
from headstart.pipelines.local.interruption import raise_on_signals
from headstart.pipelines.local.masking import find_secrets, mask_secrets
from headstart.pipelines.local.output_folder import LOG, Products, check_output, move_results, open_work_folder
from headstart.pipelines.local.temporary_folder import temporary_folder
from headstart.pipelines.progress.events import Event, Raised, TaskEnded, TaskStarted, parse, strip_ansi

_GRACE_SECONDS = 5
_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    # A folder in the working folder must not stand for a package: `docker/` would, for one that kfp looks for.
    "PYTHONSAFEPATH": "1",
    # TensorFlow's own chatter; a user's setting goes before.
    "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
}


class Display(Protocol):
    """Display of a run's events."""

    def show(self, event: Event) -> None:
        """Shows an event."""


@dataclasses.dataclass(frozen=True)
class RunRequest:
    """A run on this machine.

    Attributes:
        parameters: Parameters of the pipeline.
        from_scratch: Whether to train without transfer as well.
        output: Folder that receives the results.
        products: Results of the run.
        pipeline: Name of the pipeline, of `PIPELINES`.
        method: Method that trains the model of `transfer_learning`.
    """

    parameters: dict[str, Any]
    from_scratch: bool
    output: Path
    products: Products
    pipeline: str = TRANSFER_LEARNING
    method: Method = FINE_TUNED


def run(request: RunRequest, display: Display) -> dict[str, Any]:
    """Runs the pipeline and, after all of it has succeeded, moves its results into the output folder.

    Until then the output folder has `run.log`, a hidden work folder, and the results of an earlier run. The last of
    the products, `metrics.json`, is the last file to appear, and the first of an earlier run's to go: a folder with
    it is complete. Earlier results are moved aside, not deleted, until all of the new products are there. If a run is
    killed in between, the next one first puts them back.

    Args:
        request: The run.
        display: Display of its progress.

    Returns:
        Content of the last of the products.

    Raises:
        HeadstartError: If a step failed, or the output folder cannot be written, is in use, lies in the data, or has
            the results of another command.
        Interrupted: If SIGINT, SIGTERM or SIGHUP came; every process of the run has ended.
    """
    output, products = request.output, request.products
    check_output(output, products, request.parameters["data"])
    with (
        explain_full_disk(output),
        raise_on_signals(),
        open_work_folder(output) as work,
        temporary_folder(),
    ):
        root = work / "artifacts"
        _run_pipeline(request, root, output / LOG, display)
        move_results(root, work, output, products)
        return read_manifest(output / products.names[-1], "run", dict[str, Any])[0]


def _run_pipeline(request: RunRequest, root: Path, log: Path, display: Display) -> None:
    child = _start_runner()
    try:
        _send_request(child, request, root)
        task, raised, failed = _show_output(child, log, find_secrets(request.parameters), display)
        status = 1 if failed else child.wait()
    finally:
        _end(child)
    if status:
        reason = raised.message if raised else f"the process ended with status {status}"
        where = f"{task}: " if task else ""
        hint = "" if raised and raised.expected else f"; see {log}"
        raise HeadstartError(f"{where}{reason}{hint}")


def _start_runner() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "headstart.pipelines.local.runner"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=os.environ | _ENVIRONMENT,
        start_new_session=True,
    )


def _send_request(child: "subprocess.Popen[str]", request: RunRequest, root: Path) -> None:
    assert child.stdin is not None  # noqa: S101 - for the type checker
    message = {
        "root": str(root),
        "pipeline": request.pipeline,
        "from_scratch": request.from_scratch,
        "method": request.method,
        "parameters": request.parameters,
    }
    # A child that is gone already says why in its output.
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(json.dumps(message) + "\n")
        child.stdin.flush()


def _show_output(
    child: "subprocess.Popen[str]", log: Path, secrets: dict[str, str], display: Display
) -> tuple[str, Raised | None, bool]:
    """Logs and shows the output of the runner to its end, or up to the first failure.

    Returns:
        Name of the task that began last, the error that explains a failure, and whether a task has failed.
    """
    assert child.stdout is not None  # noqa: S101 - for the type checker
    task, raised = "", None
    with log.open("w", encoding="utf-8") as file:
        for line in child.stdout:
            line = mask_secrets(strip_ansi(line), secrets)
            file.write(line)
            event = parse(line)
            if event is None:
                continue
            if isinstance(event, Raised):
                # kfp's own tracebacks follow the step's, and say less.
                if event.expected or not (raised and raised.expected):
                    raised = event
                continue
            display.show(event)
            if isinstance(event, TaskStarted):
                task = event.task
            if isinstance(event, TaskEnded) and not event.succeeded:
                # The failure has been shown; other iterations of a loop would still go on.
                return task, raised, True
    return task, raised, False


def _end(child: "subprocess.Popen[str]") -> None:
    """Ends every process of the run: the runner, and the step that is running."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_SECONDS)
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
