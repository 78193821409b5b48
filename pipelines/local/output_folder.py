"""Output folder of a run: its results appear together, and those before are kept until then."""

import contextlib
import dataclasses
import datetime
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from headstart.components.core.artifacts.dataset import DATASET_JSON, read_dataset_info
from headstart.components.core.artifacts.evaluation import FINAL, read_models
from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.recipes.recipe import dump_recipe
from headstart.components.core.recipes.variants import FINE_TUNED, HEAD, Method
from headstart.components.core.reports.links import link_pages
from headstart.components.core.reports.training_words import describe_training
from headstart.components.core.storage.atomic import flush_files, flush_folder, write_json
from headstart.components.core.storage.manifests import parse_json, read_manifest
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.local.interruption import ignore_signals
from headstart.pipelines.local.output import check_outside, explain_write_errors

LOG = "run.log"
METRICS = "metrics.json"
COMPARISON = "comparison.json"
RECIPE = "recipe.yaml"
"""Complete recipe of the model, in the form that `--recipe` takes."""
TRAIN, TEST = "splits/train", "splits/test"
"""Dataset artifacts, with which the model can be published later."""

EVALUATED = "evaluated.yaml"
"""The model that `headstart evaluate` evaluated."""

CHECKED = "checked.yaml"
"""The sources and the classes of data that were checked without a training."""

RUN_PAGES = {"report.html": "Report", "data.html": "Data"}
"""Titles of the HTML pages of a run by path in the output folder."""

_COMMANDS = {
    EVALUATED: "headstart evaluate",
    CHECKED: "headstart.check_data",
    COMPARISON: "headstart compare",
    RECIPE: "headstart run",
    METRICS: "headstart run",
}
"""Command whose results a folder holds, by a file among them; the first one that is there tells."""

_MOST_NAMES = 3
"""Most names that a message lists."""

_WORK = ".work"
_PREVIOUS = "previous"
"""Folder in the work folder with the previous results, while new ones take their place."""
_SWAP = "swap.json"
"""File in the work folder while results are swapped: names in the output folder, and whether each existed before."""


@dataclasses.dataclass(frozen=True)
class Products:
    """Results of a run in the output folder.

    Attributes:
        artifacts: Paths of artifacts below the run's own folder, by path in the output folder, in the order in which
            they appear; the last one marks the results as complete.
        text: Name of a text file that appears before them.
        write: Function that makes its content, given the folder of the artifacts.
        pages: Titles of the HTML pages among the artifacts, which are linked with each other, by their path.
    """

    artifacts: Mapping[str, str]
    text: str
    write: Callable[[Path], str]
    pages: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names in the output folder itself, in the order in which they appear."""
        return list(dict.fromkeys([self.text, *(path.split("/")[0] for path in self.artifacts)]))


def list_products(from_scratch: bool, method: Method = FINE_TUNED) -> Products:
    """Results of a run of `transfer_learning`.

    Args:
        from_scratch: Whether the run trains without transfer as well.
        method: Method that trains the model.
    """
    trained = {"head": "train-head"}
    if method != HEAD:
        trained["fine_tuning"] = "fine-tune"
    last = list(trained.values())[-1]
    if from_scratch:
        trained["from_scratch"] = "train-from-scratch"
    return Products(
        {
            TRAIN: "split-dataset/train",
            TEST: "split-dataset/test",
            "model": f"{last}/model",
            "report.html": "evaluate-model/report",
            "evaluation": "evaluate-model/evaluation",
            "predictions.parquet": "evaluate-model/evaluation/predictions.parquet",
            "label_errors.csv": "evaluate-model/evaluation/label_errors.csv",
            "data.html": "download-dataset/hygiene",
            "quarantine.csv": "download-dataset/dataset/quarantine.csv",
            **{f"tensorboard/{phase}": f"{task}/tensorboard/{phase}" for phase, task in trained.items()},
            METRICS: "evaluate-model/evaluation/metrics.json",
        },
        RECIPE,
        _dump_model_recipe,
        RUN_PAGES,
    )


def list_evaluation_products(model: str) -> Products:
    """Results of an evaluation of a trained model on other images.

    Args:
        model: Address of the model, without secrets.
    """
    return Products(
        {
            "report.html": "evaluate-model/report",
            "evaluation": "evaluate-model/evaluation",
            "predictions.parquet": "evaluate-model/evaluation/predictions.parquet",
            "data.html": "download-dataset/hygiene",
            "quarantine.csv": "select-test-images/test/quarantine.csv",
            METRICS: "evaluate-model/evaluation/metrics.json",
        },
        EVALUATED,
        lambda output: _describe_evaluated(output, model),
        RUN_PAGES,
    )


def list_data_check_products(data: Sequence[str]) -> Products:
    """Results of a check of the data.

    Args:
        data: Sources, without secrets.
    """
    return Products(
        {
            "dataset": "download-dataset/dataset",
            "data.html": "download-dataset/hygiene",
            "quarantine.csv": "download-dataset/dataset/quarantine.csv",
            DATASET_JSON: f"download-dataset/dataset/{DATASET_JSON}",
        },
        CHECKED,
        lambda output: _describe_checked(output, data),
    )


def _describe_checked(output: Path, data: Sequence[str]) -> str:
    info = read_dataset_info(output / "dataset")
    classes = dict(zip(info.classes, info.counts, strict=True))
    return yaml.safe_dump(
        {"data": list(data), "digest": info.digest, "classes": classes}, sort_keys=False, allow_unicode=True
    )


def _describe_evaluated(output: Path, model: str) -> str:
    evaluated = read_models(output / "evaluation")["models"][FINAL]
    facts = {"model": model, "sha256": evaluated["sha256"], "stage": evaluated["stage"]}
    return yaml.safe_dump(facts | {"classes": evaluated["classes"]}, sort_keys=False, allow_unicode=True)


def _dump_model_recipe(output: Path) -> str:
    info = read_model_info(output / "model")
    method = f" --method {HEAD}" if info.stage == HEAD else ""
    folds = f" --folds {info.folds}" if info.folds else ""
    lines = [f"# headstart run{method}{folds} --recipe {RECIPE} --seed {info.seed} ..."]
    if not info.recipe["weights"] and not info.recipe["weights_sha256"] and info.backbone_sha256:
        lines += [
            "# weights_sha256 is empty, as weights names no file or address that it could be checked against.",
            f"# The SHA-256 of their values is backbone_sha256 in model/model.json: {info.backbone_sha256}",
        ]
    lines += ["# " + describe_training(dataclasses.asdict(info))]
    if info.stage == HEAD:
        lines += ["# The section fine_tuning was not used."]
    return "\n".join([*lines, dump_recipe(info.recipe)])


def check_output(output: Path, products: Products, data: Sequence[str]) -> str:
    """Refuses an output folder that would be read as data, or with files that no earlier run of the command left.

    Args:
        output: Path of the folder.
        products: Results that the folder is to receive.
        data: Sources of the data.

    Returns:
        Description of the earlier results that the new ones will replace: their time, place and command; empty if
        there are none.

    Raises:
        HeadstartError: If the folder lies in the data, has the results of another command, or has other files under
            the names of results.
    """
    check_outside(output, data)
    for name, command in _COMMANDS.items():
        if name not in products.names and (output / name).exists():
            raise HeadstartError(
                f"output {str(output)!r} holds the results of {command}; name another folder with --output"
            )
    last = output / products.names[-1]
    made_by = next((command for name, command in _COMMANDS.items() if name in products.names), "an earlier run")
    if _is_ours(last):
        moment = datetime.datetime.fromtimestamp(last.stat().st_mtime)
        return f"the results of {moment:%Y-%m-%d %H:%M} ({made_by}) in {output}"
    # A run that was killed while it swapped results has moved its last file aside; the next one puts it back.
    in_the_way = [name for name in products.names if os.path.lexists(output / name)]
    if in_the_way and not (output / _WORK / _SWAP).exists():
        raise HeadstartError(
            f"output {str(output)!r} holds {_join(in_the_way)}, which {made_by} did not "
            "leave there; move that, or name another folder with --output"
        )
    return ""


def _is_ours(last: Path) -> bool:
    """Whether the file that marks results as complete is one of this package."""
    try:
        values = parse_json(last.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and str(values.get("format", "")).startswith("headstart")


def _join(names: Sequence[str]) -> str:
    """Names in a sentence, at most three of them."""
    few = [*names[:_MOST_NAMES], *(["other files"] if len(names) > _MOST_NAMES else [])]
    return " and ".join([", ".join(few[:-1]), few[-1]]) if len(few) > 1 else few[0]


@contextlib.contextmanager
def open_work_folder(output: Path) -> Iterator[Path]:
    """Makes a hidden folder in the output folder, locked during the run and removed after it.

    Where a run was killed while it swapped results, the previous results are put back first.

    Args:
        output: Path of the output folder.

    Raises:
        HeadstartError: If the folder cannot be written, or another run uses it.
    """
    work = output / _WORK
    with explain_write_errors(output, "folder"):
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


def move_results(root: Path, work: Path, output: Path, products: Products) -> None:
    """Moves the results from the artifacts to the output folder.

    Args:
        root: Folder of the run's artifacts.
        work: Work folder.
        output: Output folder.
        products: Results of the run.

    Raises:
        HeadstartError: If the run left not all of them.
    """
    ready = work / "ready"
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
    link_pages(ready, products.pages)
    (ready / products.text).write_text(products.write(ready), encoding="utf-8")
    flush_files(ready)
    # The swap takes milliseconds; half of one run and half of another would be worse than a late answer.
    ignore_signals()
    swap_results(ready, output, work, products.names)


def swap_results(ready: Path, output: Path, work: Path, names: Sequence[str]) -> None:
    """Moves new results into the place of the previous ones, which can be put back until the last is there.

    Args:
        ready: Folder of the new results.
        output: Output folder.
        work: Work folder, which keeps the previous results.
        names: Names of the results, in the order in which they appear.
    """
    (work / _PREVIOUS).mkdir()
    write_json(work / _SWAP, {name: os.path.lexists(output / name) for name in names})
    for name in reversed(names):
        if os.path.lexists(output / name):
            (output / name).rename(work / _PREVIOUS / name)
    for name in names:
        (ready / name).rename(output / name)
    flush_folder(output)


def _undo_swap(output: Path, work: Path) -> None:
    """Puts back the previous results, if a run was killed before its own were all there."""
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
