"""What a local run's output says of its progress: kfp's own lines about tasks, and the steps' `event=` lines."""

import dataclasses
import re
import shlex

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_STARTED = re.compile(r"Executing task '(?P<task>[^']+)'")
_ENDED = re.compile(r"Task '(?P<task>[^']+)' finished with status (?P<status>\w+)")
_RAISED = re.compile(r"(?P<kind>[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)): (?P<message>.+)")
_OURS = "headstart.components.core.errors.HeadstartError"


@dataclasses.dataclass(frozen=True)
class StageStarted:
    """A task began."""

    stage: str


@dataclasses.dataclass(frozen=True)
class StageEnded:
    """A task ended, well or not."""

    stage: str
    succeeded: bool


@dataclasses.dataclass(frozen=True)
class StageProgress:
    """How far the present task's work is.

    Attributes:
        what: The piece of work.
        done: Units done.
        total: Units in all.
        detail: Figures to show beside it.
    """

    what: str
    done: int
    total: int
    detail: str


@dataclasses.dataclass(frozen=True)
class Raised:
    """The last line of a traceback.

    Attributes:
        message: What to tell the user.
        expected: Whether it is an error meant for the user.
    """

    message: str
    expected: bool


Event = StageStarted | StageEnded | StageProgress | Raised


def parse(line: str) -> Event | None:
    """Reads one line of output; None for lines that say nothing of the kind."""
    text = _ANSI.sub("", line).strip()
    if text.startswith("event=progress "):
        return _progress(text)
    if match := _STARTED.search(text):
        return StageStarted(match["task"])
    if match := _ENDED.search(text):
        return StageEnded(match["task"], match["status"] == "SUCCESS")
    if match := _RAISED.fullmatch(text):
        expected = match["kind"] == _OURS
        return Raised(match["message"] if expected else f"{match['kind']}: {match['message']}", expected)
    return None


def _progress(text: str) -> StageProgress:
    fields = dict(word.split("=", 1) for word in shlex.split(text))
    for name in ("event", "unit"):
        fields.pop(name, None)
    what, done, total = fields.pop("what"), int(fields.pop("done")), int(fields.pop("total"))
    return StageProgress(what, done, total, " ".join(f"{name} {value}" for name, value in fields.items()))
