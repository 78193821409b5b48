"""The process that runs the pipeline with kfp's local runner; `headstart run` starts it and reads its output.

Its standard input carries one line of JSON, and then stays open for as long as the parent lives: when it closes,
whatever the reason, this process ends itself and every step with it.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from kfp import local
from kfp.local import subprocess_task_handler

from headstart.pipelines.definitions.check_data import check_data
from headstart.pipelines.definitions.compare_methods import build_comparison
from headstart.pipelines.definitions.evaluate_images import evaluate_images
from headstart.pipelines.definitions.profile import NetworkResources, Profile, Retries
from headstart.pipelines.definitions.tasks import CHECK_DATA, COMPARE_METHODS, EVALUATE_IMAGES, Uses
from headstart.pipelines.definitions.transfer_learning import build_pipeline
from headstart.pipelines.local.step_process import run_step
from headstart.pipelines.local.step_server import StepServer


def main() -> None:
    """Runs a request: JSON with `root`, `pipeline`, `from_scratch`, `method` and the pipeline's `parameters`."""
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _keep_python3_in_arguments()
    # Retries cost a cluster's user nothing and a laptop's user minutes: here the first failure is final.
    # This machine computes on whatever it has.
    once = Profile(retries=Retries(count=0), network=NetworkResources(accelerator_limit=0))
    if request["pipeline"] == COMPARE_METHODS:
        # In parallel they would take each other's cores, and the costs of each would be unknown.
        pipeline = build_comparison(once, parallelism=1)
    elif request["pipeline"] == EVALUATE_IMAGES:
        pipeline = evaluate_images
    elif request["pipeline"] == CHECK_DATA:
        pipeline = check_data
    else:
        uses = Uses.of(request["parameters"], request["method"])
        # One process for all folds: there is one line of progress.
        pipeline = build_pipeline(once, request["from_scratch"], uses, folds_in_task=0)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=request["root"])
    with _open_step_runner() as subprocess_task_handler.run_local_subprocess:
        pipeline(**request["parameters"])


@contextlib.contextmanager
def _open_step_runner() -> Iterator[Callable[..., int]]:
    # Elsewhere a process that has imported much cannot be forked safely.
    if sys.platform != "linux":
        yield run_step
        return
    with StepServer() as server:
        yield server.run_step


def _end_with_parent() -> None:
    # The descriptor itself, not sys.stdin: a thread that waits inside its buffer blocks the interpreter's exit.
    while os.read(0, 1024):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _keep_python3_in_arguments() -> None:
    """Makes kfp's replacement of "python3" by the interpreter's path change nothing, which it does in every argument.

    Otherwise a folder called `python3-images` would not be found.
    """
    folder = Path(sys.executable).parent
    if shutil.which("python3", path=str(folder)):
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
        sys.executable = "python3"


if __name__ == "__main__":
    main()
