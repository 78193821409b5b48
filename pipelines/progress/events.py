"""Events of a run, read from its output: kfp's lines about tasks, and the steps' `event=` lines."""

import dataclasses
import math
import re
import shlex
from collections.abc import Callable
from typing import Any

from headstart.components.core.artifacts.backbone_ranking import RankedBackbone

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_STARTED = re.compile(r"Executing task '(?P<task>[^']+)'")
_ENDED = re.compile(r"Task '(?P<task>[^']+)' finished with status (?P<status>\w+)")
_OUR_EVENT = re.compile(r"event=(?P<name>\w+) ")
_OURS = "headstart."
_METRICS = {"validation_loss": "val loss", "loss": "loss"}
"""Figures of a progress line, the first of which is shown, with their titles."""

_RAISED = re.compile(
    r"(?P<kind>headstart\.[\w.]+|[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)): (?P<message>.+)"
)


@dataclasses.dataclass(frozen=True)
class TaskStarted:
    """A task began.

    Attributes:
        task: Name of the task.
        ago: Seconds since it began.
    """

    task: str
    ago: float = 0.0


@dataclasses.dataclass(frozen=True)
class TaskEnded:
    """A task ended.

    Attributes:
        task: Name of the task.
        succeeded: Whether it succeeded.
        seconds: Duration in seconds, where it was measured; None: since `TaskStarted`.
        cached: Whether the result came from an earlier run.
        cancelled: Whether it did not succeed because the run was terminated.
    """

    task: str
    succeeded: bool
    seconds: float | None = None
    cached: bool = False
    cancelled: bool = False


@dataclasses.dataclass(frozen=True)
class AttemptFailed:
    """One attempt of a task failed, and the task goes on.

    Attributes:
        task: Name of the task.
        attempt: Number of the attempt, from 1.
        attempts: Largest number of attempts.
        reason: Reason in one line.
    """

    task: str
    attempt: int
    attempts: int
    reason: str


@dataclasses.dataclass(frozen=True)
class TaskSkipped:
    """A condition left a task out.

    Attributes:
        task: Name of the task.
    """

    task: str


@dataclasses.dataclass(frozen=True)
class VariantStarted:
    """The present task, and what follows up to the next one of its kind, is about a variant.

    Attributes:
        variant: Name of the variant.
    """

    variant: str


@dataclasses.dataclass(frozen=True)
class FoldStarted:
    """The present task, which trains several cross-validation folds, began with one, or is done with them.

    Attributes:
        fold: The fold in words, such as ``fold 2/5``; empty: all are done.
    """

    fold: str


@dataclasses.dataclass(frozen=True)
class TaskProgress:
    """Progress of a task's present phase.

    Attributes:
        what: Name of the phase.
        done: Number of units done; of epochs with the part of the present one.
        total: Number of all units; 0: unknown.
        unit: Name of the unit in the plural, such as ``images``; empty: none.
        metric: One figure of short, fixed form, such as ``val loss 0.123``; empty: none.
        task: Name of the task; empty: the one that began last.
    """

    what: str
    done: float
    total: int
    unit: str = ""
    metric: str = ""
    task: str = ""


@dataclasses.dataclass(frozen=True)
class ClassesFound:
    """Classes of the data, before anything is trained.

    Attributes:
        line: Classes with their counts and their source.
    """

    line: str


@dataclasses.dataclass(frozen=True)
class Measured:
    """Figures of a model on the test images.

    Attributes:
        model: Key of the model in `metrics.json`.
        figures: Its `images`, `accuracy`, `accuracy_interval` and `log_loss` there; `groups` where the user names
            groups.
        stage: Training phase of the model, as in `model.json`; empty: not known.
        unit: Word for a group that the user names; empty: none are named.
        folds: Number of cross-validation folds that the images are predicted out of; 0: they are test images.
    """

    model: str
    figures: dict[str, Any]
    stage: str = ""
    unit: str = ""
    folds: int = 0


@dataclasses.dataclass(frozen=True)
class BackboneRanked:
    """A backbone in a ranking; they come one after the other, the best first.

    Attributes:
        backbone: Its figures.
    """

    backbone: RankedBackbone


@dataclasses.dataclass(frozen=True)
class RankingEnded:
    """The end of a ranking of backbones.

    Attributes:
        images: Number of images that they were assessed on.
        available: Number of training and validation images.
        kept: Whether the features that a run needs are in the cache now.
        command: Command that trains with the chosen backbone; empty: none.
    """

    images: int
    available: int
    kept: bool
    command: str


@dataclasses.dataclass(frozen=True)
class SearchEnded:
    """The end of a search for a recipe.

    Attributes:
        best: Number of the trial with the lowest validation loss.
        conclusion: Sentences on the search.
    """

    best: int
    conclusion: str


@dataclasses.dataclass(frozen=True)
class Decided:
    """Verdict of the gate.

    Attributes:
        verdict: Verdict: ``better``, ``worse`` or ``cannot tell``.
        why: Reason in words.
    """

    verdict: str
    why: str


@dataclasses.dataclass(frozen=True)
class Published:
    """Outcome of a publication.

    Attributes:
        status: Status, as in `core.registry.registry`.
        address: Address of the version.
        in_use: Name of the version that is in use now.
    """

    status: str
    address: str
    in_use: str


@dataclasses.dataclass(frozen=True)
class EndpointDeployed:
    """An endpoint answers by the champion.

    Attributes:
        version: Name of the champion.
        address: Address for requests, as pods of the cluster see it.
    """

    version: str
    address: str


@dataclasses.dataclass(frozen=True)
class ClassNoted:
    """A class that is not evaluated.

    Attributes:
        label: Name of the class.
        left_out: Whether it is left out of training, too.
        why: Reason in words.
    """

    label: str
    left_out: bool
    why: str


@dataclasses.dataclass(frozen=True)
class Raised:
    """An exception: the last line of a traceback.

    Attributes:
        message: Message for the user.
        expected: Whether it is an error meant for the user.
    """

    message: str
    expected: bool


@dataclasses.dataclass(frozen=True)
class Warned:
    """A warning of a step.

    Attributes:
        text: Warning in words.
    """

    text: str


Event = (
    TaskStarted
    | TaskEnded
    | AttemptFailed
    | TaskSkipped
    | VariantStarted
    | FoldStarted
    | TaskProgress
    | ClassesFound
    | Measured
    | BackboneRanked
    | RankingEnded
    | SearchEnded
    | Decided
    | Published
    | EndpointDeployed
    | ClassNoted
    | Raised
    | Warned
)


def strip_ansi(text: str) -> str:
    """A text without colours and other codes for terminals."""
    return _ANSI.sub("", text)


def parse(line: str) -> Event | None:
    """Reads one line of output; None for lines without an event."""
    text = strip_ansi(line).strip()
    if (match := _OUR_EVENT.match(text)) and (read := _OUR_EVENTS.get(match["name"])):
        return read(dict(word.split("=", 1) for word in shlex.split(text)))
    if match := _STARTED.search(text):
        return TaskStarted(match["task"])
    if match := _ENDED.search(text):
        return TaskEnded(match["task"], match["status"] == "SUCCESS")
    if match := _RAISED.fullmatch(text):
        expected = match["kind"].startswith(_OURS)
        return Raised(match["message"] if expected else f"{match['kind']}: {match['message']}", expected)
    return None


def _read_progress(fields: dict[str, str]) -> TaskProgress:
    done = float(fields["done"])
    if "step" in fields:
        done += float(fields["step"]) / float(fields["steps"])
    metric = next((f"{title} {_short(fields[name])}" for name, title in _METRICS.items() if name in fields), "")
    return TaskProgress(fields["what"], done, int(fields["total"]), fields.get("unit", ""), metric)


def _short(figure: str) -> str:
    """A figure in at most seven characters: three decimals, or a power of ten."""
    value = float(figure)
    return f"{value:.3f}" if abs(value) < 100 or not math.isfinite(value) else f"{value:.0e}"


def _read_metrics(fields: dict[str, str]) -> Measured:
    figures = {
        "images": int(fields["images"]),
        "accuracy": float(fields["accuracy"]),
        "accuracy_interval": [float(fields["low"]), float(fields["high"])],
        "log_loss": float(fields["log_loss"]),
    }
    if "groups" in fields:
        figures["groups"] = int(fields["groups"])
    folds = int(fields.get("folds", 0))
    return Measured(fields["model"], figures, fields.get("stage", ""), fields.get("unit", ""), folds)


def _read_ranked(fields: dict[str, str]) -> BackboneRanked:
    def difference(name: str) -> dict[str, Any]:
        if f"{name}_difference" not in fields:
            return {}
        low, high = (float(fields[f"{name}_{end}"]) for end in ("low", "high"))
        return {f"{name}_difference": float(fields[f"{name}_difference"]), f"{name}_interval": (low, high)}

    return BackboneRanked(
        RankedBackbone(
            name=fields["backbone"],
            log_loss=float(fields["log_loss"]),
            accuracy=float(fields["accuracy"]),
            parameters=int(fields["parameters"]),
            images_per_second=float(fields["images_per_second"]),
            seconds=float(fields["seconds"]),
            **difference("log_loss"),
            **difference("accuracy"),
        )
    )


def _read_ranking_end(fields: dict[str, str]) -> RankingEnded:
    kept = fields["kept"] == "True"
    return RankingEnded(int(fields["images"]), int(fields["available"]), kept, fields["command"])


_OUR_EVENTS: dict[str, Callable[[dict[str, str]], Event]] = {
    "progress": _read_progress,
    "variant": lambda fields: VariantStarted(fields["variant"]),
    "fold": lambda fields: FoldStarted(f"fold {fields['number']}/{fields['folds']}"),
    "folds_trained": lambda _: FoldStarted(""),
    "classes": lambda fields: ClassesFound(f"{fields['classes']}; from {fields['told']}"),
    "metrics": _read_metrics,
    "ranked": _read_ranked,
    "ranking": _read_ranking_end,
    "search": lambda fields: SearchEnded(int(fields["best"]), fields["conclusion"]),
    "decision": lambda fields: Decided(fields["verdict"], fields["why"]),
    "publication": lambda fields: Published(fields["status"], fields["address"], fields["in_use"]),
    "deployment": lambda fields: EndpointDeployed(fields["version"], fields["address"]),
    "class_not_evaluated": lambda fields: ClassNoted(fields["label"], False, fields["why"]),
    "class_left_out": lambda fields: ClassNoted(fields["label"], True, fields["why"]),
    "warning": lambda fields: Warned(fields["text"]),
}
"""Functions that make events of the fields of the steps' `event=` lines, by name."""
