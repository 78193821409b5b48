"""What a local run's output says of its progress: kfp's own lines about tasks, and the steps' `event=` lines."""

import dataclasses
import re
import shlex
from typing import Any

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_STARTED = re.compile(r"Executing task '(?P<task>[^']+)'")
_ENDED = re.compile(r"Task '(?P<task>[^']+)' finished with status (?P<status>\w+)")
_OURS = "headstart."
_RAISED = re.compile(
    r"(?P<kind>headstart\.[\w.]+|[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)): (?P<message>.+)"
)


@dataclasses.dataclass(frozen=True)
class StageStarted:
    """A task began.

    Attributes:
        stage: Its name.
        ago: Seconds since then.
    """

    stage: str
    ago: float = 0.0


@dataclasses.dataclass(frozen=True)
class StageEnded:
    """A task ended, well or not.

    Attributes:
        stage: Its name.
        succeeded: Whether all went well.
        seconds: How long it took, where somebody else has measured it.
        cached: Whether an earlier run's result was taken.
        cancelled: Whether it did not succeed because the run was ended.
    """

    stage: str
    succeeded: bool
    seconds: float | None = None
    cached: bool = False
    cancelled: bool = False


@dataclasses.dataclass(frozen=True)
class AttemptFailed:
    """One attempt of a task failed, and the task goes on.

    Attributes:
        stage: The task's name.
        attempt: Number of the attempt, from 1.
        attempts: How many there may be.
        reason: Why it failed, in one line.
    """

    stage: str
    attempt: int
    attempts: int
    reason: str


@dataclasses.dataclass(frozen=True)
class StageSkipped:
    """A task that a condition left out.

    Attributes:
        stage: Its name.
    """

    stage: str


@dataclasses.dataclass(frozen=True)
class VariantStarted:
    """The present task, and what follows up to the next one of its kind, is about a variant.

    Attributes:
        variant: Its name.
    """

    variant: str


@dataclasses.dataclass(frozen=True)
class StageProgress:
    """How far the present task's work is.

    Attributes:
        what: The piece of work.
        done: Units done.
        total: Units in all.
        detail: Figures to show beside it.
        stage: Whose work it is; empty: the task's that began last.
    """

    what: str
    done: int
    total: int
    detail: str
    stage: str = ""


@dataclasses.dataclass(frozen=True)
class ClassesFound:
    """What the classes are, before anything is trained.

    Attributes:
        line: The classes with their counts and where they came from, or something to look at.
    """

    line: str


@dataclasses.dataclass(frozen=True)
class Measured:
    """A model's figures on the test images.

    Attributes:
        model: Its key in `metrics.json`.
        figures: `images`, `accuracy`, `accuracy_interval` and `log_loss`, as they stand there.
    """

    model: str
    figures: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Decided:
    """What the gate decided.

    Attributes:
        verdict: ``better``, ``worse`` or ``cannot tell``.
        why: In words.
    """

    verdict: str
    why: str


@dataclasses.dataclass(frozen=True)
class Published:
    """What came of a publication.

    Attributes:
        status: As `core.registry.registry` calls it.
        address: Of the version.
        in_use: Name of the version that is in use now.
    """

    status: str
    address: str
    in_use: str


@dataclasses.dataclass(frozen=True)
class ClassNoted:
    """A class that has no part in the evaluation.

    Attributes:
        label: Its name.
        left_out: Whether it is left out of training, too.
        why: The reason, in words.
    """

    label: str
    left_out: bool
    why: str


@dataclasses.dataclass(frozen=True)
class Raised:
    """The last line of a traceback.

    Attributes:
        message: What to tell the user.
        expected: Whether it is an error meant for the user.
    """

    message: str
    expected: bool


@dataclasses.dataclass(frozen=True)
class Warned:
    """Something that a step wants people to look at.

    Attributes:
        text: In words.
    """

    text: str


Event = (
    StageStarted
    | StageEnded
    | AttemptFailed
    | StageSkipped
    | VariantStarted
    | StageProgress
    | ClassesFound
    | Measured
    | Decided
    | Published
    | ClassNoted
    | Raised
    | Warned
)


def parse(line: str) -> Event | None:
    """Reads one line of output; None for lines that say nothing of the kind."""
    text = _ANSI.sub("", line).strip()
    if text.startswith("event=progress "):
        return _progress(_fields(text))
    if text.startswith("event=variant "):
        return VariantStarted(_fields(text)["variant"])
    if text.startswith("event=classes "):
        fields = _fields(text)
        return ClassesFound(f"{fields['classes']}; from {fields['told']}")
    if text.startswith("event=metrics "):
        return _measured(_fields(text))
    if text.startswith("event=decision "):
        fields = _fields(text)
        return Decided(fields["verdict"], fields["why"])
    if text.startswith("event=publication "):
        fields = _fields(text)
        return Published(fields["status"], fields["address"], fields["in_use"])
    for name, left_out in (("class_not_evaluated", False), ("class_left_out", True)):
        if text.startswith(f"event={name} "):
            fields = _fields(text)
            return ClassNoted(fields["label"], left_out, fields["why"])
    if text.startswith("event=warning "):
        return Warned(_fields(text)["text"])
    if match := _STARTED.search(text):
        return StageStarted(match["task"])
    if match := _ENDED.search(text):
        return StageEnded(match["task"], match["status"] == "SUCCESS")
    if match := _RAISED.fullmatch(text):
        expected = match["kind"].startswith(_OURS)
        return Raised(match["message"] if expected else f"{match['kind']}: {match['message']}", expected)
    return None


def _fields(text: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(text))


def _progress(fields: dict[str, str]) -> StageProgress:
    for name in ("event", "unit"):
        fields.pop(name, None)
    what, done, total = fields.pop("what"), int(fields.pop("done")), int(fields.pop("total"))
    return StageProgress(what, done, total, " ".join(f"{name} {value}" for name, value in fields.items()))


def _measured(fields: dict[str, str]) -> Measured:
    figures = {
        "images": int(fields["images"]),
        "accuracy": float(fields["accuracy"]),
        "accuracy_interval": [float(fields["low"]), float(fields["high"])],
        "log_loss": float(fields["log_loss"]),
    }
    return Measured(fields["model"], figures)
