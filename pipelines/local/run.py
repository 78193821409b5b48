"""`headstart run`: the pipeline on this machine, from pictures to a folder of results."""

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.recipes.recipe import dump_recipe
from headstart.components.core.storage.atomic import flush_files, flush_folder, write_json
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.storage.manifests import read_manifest
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.definitions.tasks import TRANSFER_LEARNING
from headstart.pipelines.local.interruption import ignore_signals, interruptible
from headstart.pipelines.local.masking import masked, secrets_of
from headstart.pipelines.local.output import check_outside, written
from headstart.pipelines.local.temporary_folder import temporary_folder
from headstart.pipelines.progress.events import Event, Raised, StageEnded, StageStarted, parse

LOG = "run.log"
METRICS = "metrics.json"
COMPARISON = "comparison.json"
RECIPE = "recipe.yaml"
"""The complete recipe of the model, which `--recipe` takes back."""
TRAIN, TEST = "splits/train", "splits/test"
"""Dataset artifacts, with which a model can be published later."""

_COMMANDS = {METRICS: "headstart run", COMPARISON: "headstart compare"}
"""Which command's results a folder holds, by the last file to appear."""

_WORK = ".work"
_PREVIOUS = "previous"
"""In the work folder: the results before, while new ones take their place."""
_SWAP = "swap.json"
"""In the work folder while results are swapped: names in the output folder, and which of them there were before."""
_GRACE_SECONDS = 5
_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    # What lies in the working folder must not stand for a package: `docker/` would, for one that kfp looks for.
    "PYTHONSAFEPATH": "1",
    # TensorFlow's own chatter; a user's setting goes before.
    "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
}


class Display(Protocol):
    """Who is told of a run's events."""

    def show(self, event: Event) -> None:
        """Takes note of one event."""


@dataclasses.dataclass(frozen=True)
class Products:
    """What a run leaves in the output folder.

    Attributes:
        artifacts: By path there, the artifact's path below the run's own folder; in the order in which they appear,
            the last of which says that all is there.
        text: Name of a file that appears before them.
        write: Makes its content, from the folder in which the artifacts lie.
    """

    artifacts: Mapping[str, str]
    text: str
    write: Callable[[Path], str]

    @property
    def names(self) -> list[str]:
        """What appears in the output folder itself."""
        return list(dict.fromkeys([self.text, *(path.split("/")[0] for path in self.artifacts)]))


def _recipe(output: Path) -> str:
    info = read_model_info(output / "model")
    return f"# headstart run --recipe {RECIPE} --seed {info.seed} ...\n{dump_recipe(info.recipe)}"


def products_of(from_scratch: bool) -> Products:
    """What a run of `transfer_learning` leaves.

    Args:
        from_scratch: Whether it trains without transfer as well.
    """
    trained = {"head": "train-head", "fine_tuning": "fine-tune"}
    if from_scratch:
        trained["from_scratch"] = "train-from-scratch"
    return Products(
        {
            TRAIN: "split-dataset/train",
            TEST: "split-dataset/test",
            "model": "fine-tune/model",
            "report.html": "evaluate-model/report",
            "evaluation": "evaluate-model/evaluation",
            "predictions.parquet": "evaluate-model/evaluation/predictions.parquet",
            "label_errors.csv": "evaluate-model/evaluation/label_errors.csv",
            "data.html": "download-dataset/hygiene",
            "quarantine.csv": "download-dataset/dataset/quarantine.csv",
            **{f"tensorboard/{stage}": f"{task}/tensorboard/{stage}" for stage, task in trained.items()},
            METRICS: "evaluate-model/evaluation/metrics.json",
        },
        RECIPE,
        _recipe,
    )


@dataclasses.dataclass(frozen=True)
class Request:
    """What to run.

    Attributes:
        parameters: Of the pipeline.
        from_scratch: Whether to train without transfer as well.
        output: The folder that receives the results.
        products: What the results are.
        pipeline: Which one, of `PIPELINES`.
    """

    parameters: dict[str, Any]
    from_scratch: bool
    output: Path
    products: Products
    pipeline: str = TRANSFER_LEARNING


def run(request: Request, display: Display) -> dict[str, Any]:
    """Runs the pipeline and, when all of it has succeeded, puts its results into the output folder.

    Until then the output folder holds `run.log`, a hidden work folder, and whatever an earlier run left there.
    The last of the products, `metrics.json`, is the last file to appear, and the first of an earlier run's to go: a
    folder that has it is complete. What an earlier run left is moved aside, not deleted, until all of the new
    products are there: where a run is killed in between, the next one puts it back before it does anything else.

    Args:
        request: What to run.
        display: Who is told of the progress.

    Returns:
        The content of the last of the products.

    Raises:
        HeadstartError: A step failed, or the output folder cannot be written, is in use, lies in the data, or holds
            the results of another command.
        Interrupted: SIGINT, SIGTERM or SIGHUP came; every process of the run has ended.
    """
    _check_output(request)
    with (
        explain_full_disk(request.output),
        interruptible(),
        _work_folder(request.output) as work,
        temporary_folder(),
    ):
        root = work / "artifacts"
        _run_pipeline(request, root, request.output / LOG, display)
        _publish(root, work, request)
        return read_manifest(request.output / request.products.names[-1], "run", dict[str, Any])[0]


def _check_output(request: Request) -> None:
    output = request.output
    check_outside(output, request.parameters["data"])
    for last, command in _COMMANDS.items():
        if last != request.products.names[-1] and (output / last).exists():
            raise HeadstartError(
                f"output {str(output)!r} holds the results of {command}; name another folder with --output"
            )


def _run_pipeline(request: Request, root: Path, log: Path, display: Display) -> None:
    child = subprocess.Popen(
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
    assert child.stdin is not None and child.stdout is not None  # noqa: S101 - for the type checker
    stage, raised, failed = "", None, False
    secrets = secrets_of(request.parameters)
    try:
        order = {
            "root": str(root),
            "pipeline": request.pipeline,
            "from_scratch": request.from_scratch,
            "parameters": request.parameters,
        }
        # A child that is gone already says why in its output.
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(json.dumps(order) + "\n")
            child.stdin.flush()
        with log.open("w", encoding="utf-8") as file:
            for line in child.stdout:
                line = masked(line, secrets)
                file.write(line)
                event = parse(line)
                if event is None:
                    continue
                if isinstance(event, StageStarted):
                    stage = event.stage
                # kfp's own tracebacks follow the step's, and say less.
                if isinstance(event, Raised):
                    if event.expected or not (raised and raised.expected):
                        raised = event
                elif isinstance(event, StageEnded) and not event.succeeded:
                    display.show(event)
                    # What failed has been told of; other rounds of a loop would still go on.
                    failed = True
                    break
                else:
                    display.show(event)
        status = 1 if failed else child.wait()
    finally:
        _end(child)
    if status:
        reason = raised.message if raised else f"the process ended with status {status}"
        where = f"{stage}: " if stage else ""
        hint = "" if raised and raised.expected else f"; see {log}"
        raise HeadstartError(f"{where}{reason}{hint}")


def _end(child: "subprocess.Popen[str]") -> None:
    """Ends every process of the run: the runner, and whatever step is under way."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_SECONDS)
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def _publish(root: Path, work: Path, request: Request) -> None:
    """Moves the results from the artifacts to the output folder."""
    ready, output, products = work / "ready", request.output, request.products
    made: dict[str, Path] = {}
    for name, artifact in products.artifacts.items():
        found = list(root.glob(f"*/{artifact}"))
        if len(found) != 1:
            raise HeadstartError(f"the run left no {artifact}; see {output / LOG}")
        made[name] = found[0]
    # Files first: some lie in folders that are moved as a whole.
    for name, path in sorted(made.items(), key=lambda product: product[1].is_dir()):
        (ready / name).parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            path.rename(ready / name)
        else:
            shutil.copyfile(path, ready / name)
    (ready / products.text).write_text(products.write(ready), encoding="utf-8")
    flush_files(ready)
    # The swap takes milliseconds; half of one run and half of another would be worse than a late answer.
    ignore_signals()
    _swap(ready, output, work, products.names)


def _swap(ready: Path, output: Path, work: Path, names: Sequence[str]) -> None:
    """Moves new results into the place of those before, which `_undo_swap` can put back until the last is there."""
    (work / _PREVIOUS).mkdir()
    write_json(work / _SWAP, {name: os.path.lexists(output / name) for name in names})
    for name in reversed(names):
        if os.path.lexists(output / name):
            (output / name).rename(work / _PREVIOUS / name)
    for name in names:
        (ready / name).rename(output / name)
    flush_folder(output)


def _undo_swap(output: Path, work: Path) -> None:
    """Puts back the results that a run moved aside which was killed before its own were all there."""
    if not (work / _SWAP).exists():
        return
    names, _ = read_manifest(work / _SWAP, "output folder", dict[str, bool])
    last = next(reversed(names))
    # It was moved aside first, and its successor arrives last: where there is one, all there is belongs together.
    if os.path.lexists(output / last):
        return
    for name, was_there in names.items():
        kept = work / _PREVIOUS / name
        if os.path.lexists(kept) or not was_there:
            _remove(output / name)
        if os.path.lexists(kept):
            kept.rename(output / name)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _work_folder(output: Path) -> Iterator[Path]:
    """A hidden folder in the output folder, locked while the run lasts and gone afterwards."""
    work = output / _WORK
    with written(output, "folder"):
        work.mkdir(parents=True, exist_ok=True)
        lock = os.open(work, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise HeadstartError(
                f"output {str(output)!r} is in use by another run; wait for it, or name another folder"
            ) from None
        _undo_swap(output, work)
        # The list of what was swapped goes last: without it nothing could be put back.
        for leftover in sorted(work.iterdir(), key=lambda path: path.name == _SWAP):
            _remove(leftover)
        try:
            yield work
        finally:
            # Where a move has failed, results wait to be put back; where that fails, too, the next run tries again.
            with contextlib.suppress(OSError):
                _undo_swap(output, work)
                shutil.rmtree(work, ignore_errors=True)
    finally:
        os.close(lock)
