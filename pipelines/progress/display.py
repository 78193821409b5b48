"""Display of a run: its tasks with progress and time on a terminal, plain lines elsewhere."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from headstart.components.core.registry.registry import OVERTAKEN, PUBLISHED
from headstart.components.core.util.printable import escape_unprintable
from headstart.pipelines.progress.console import say
from headstart.pipelines.progress.events import (
    AttemptFailed,
    ClassesFound,
    ClassNoted,
    Decided,
    Event,
    Published,
    TaskEnded,
    TaskProgress,
    TaskSkipped,
    TaskStarted,
    VariantStarted,
    Warned,
)

_NAMED_CLASSES = 5
"""Classes that a line names; the others are counted."""

_EVALUATION = "evaluate-model"
_SECONDS_BETWEEN_LINES = 60.0
_MODELS = {"from_scratch": "from scratch", "head": "head alone", "test": "fine-tuned"}


@dataclasses.dataclass(frozen=True)
class _ShownTask:
    """A task on the display.

    Attributes:
        title: Title before its bar or line.
        bar: Id of its bar.
        started: Time at which it began.
        reported: Time at which a line last reported its progress; 0: none did.
    """

    title: str
    bar: TaskID
    started: float
    reported: float = 0.0


class RunDisplay:
    """Display of a run on a console.

    Args:
        console: Console to print to.
        tasks: Number of tasks of the pipeline.
    """

    def __init__(self, console: Console, tasks: int) -> None:
        self._console = console
        self._tasks = tasks
        self._shown: dict[str, _ShownTask] = {}
        self._latest = ""
        self._variant = ""
        self._begun = 0
        self._noted: dict[bool, list[ClassNoted]] = {False: [], True: []}
        self._outcome: list[str] = []
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[detail]}"),
            console=console,
            disable=not console.is_terminal,
        )

    @property
    def outcome(self) -> list[str]:
        """Lines on classes that are not evaluated, on the gate's verdict, and on the publication."""
        titles = {False: "in training, and not evaluated", True: "left out"}
        lines = [_classes(titles[left_out], noted) for left_out, noted in self._noted.items() if noted]
        return [*lines, *self._outcome]

    def __enter__(self) -> "RunDisplay":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Shows an event."""
        match event:
            case TaskStarted(task, ago):
                shown = self._add(task, ago)
                self._latest = task
                self._line(f"{shown.title} ...")
            case TaskSkipped(task):
                shown = self._add(task)
                self._progress.update(shown.bar, completed=1, total=1, detail="skipped")
                self._line(f"{shown.title} skipped")
            case TaskEnded():
                self._show_end(event)
            case TaskProgress():
                self._show_progress(event)
            case VariantStarted(variant):
                self._name_variant(variant)
            case ClassesFound(line):
                self._say(line)
            case AttemptFailed(task, attempt, attempts, reason):
                self._say(f"{self._shown[task].title} attempt {attempt} of {attempts} failed: {reason}")
            case Warned(text):
                self._say(f"note: {text}")
            case Decided() | Published() | ClassNoted():
                self._note(event)

    def _note(self, event: Decided | Published | ClassNoted) -> None:
        """Keeps an event for `outcome`."""
        if isinstance(event, ClassNoted):
            self._noted[event.left_out].append(event)
        else:
            self._outcome.append(describe_outcome(event))

    def _name_variant(self, variant: str) -> None:
        self._variant = variant
        shown = self._shown[self._latest]
        self._shown[self._latest] = dataclasses.replace(shown, title=f"{shown.title} {variant}")
        self._progress.update(shown.bar, description=_escaped(f"{shown.title} {variant}"))

    def _add(self, task: str, ago: float = 0.0) -> "_ShownTask":
        self._begun += 1
        # Only the training names the variant that is evaluated next.
        variant = f" {self._variant}" if self._variant and task == _EVALUATION else ""
        title = f"[{self._begun}/{self._tasks}] {task}{variant}"
        bar = self._progress.add_task(_escaped(title), total=None, detail="")
        self._progress.tasks[-1].start_time = self._progress.get_time() - ago
        self._shown[task] = _ShownTask(title, bar, time.monotonic() - ago)
        return self._shown[task]

    def skip(self, tasks: Sequence[str]) -> None:
        """Shows as skipped those of the tasks that have not been shown."""
        for task in tasks:
            if task not in self._shown:
                self.show(TaskSkipped(task))

    def _show_progress(self, event: TaskProgress) -> None:
        """Moves the bar; where no bar shows a task on a cluster, prints its progress, at most once a minute."""
        shown = self._shown[event.task or self._latest]
        detail = _escaped(f"{event.what} {event.detail}")
        self._progress.update(shown.bar, completed=event.done, total=event.total, detail=detail)
        now = time.monotonic()
        if event.task and now - (shown.reported or shown.started) >= _SECONDS_BETWEEN_LINES:
            self._shown[event.task] = dataclasses.replace(shown, reported=now)
            self._line(f"{shown.title}: {event.what} {event.done} of {event.total} {event.detail}".strip())

    def _show_end(self, event: TaskEnded) -> None:
        shown = self._shown[event.task]
        seconds = time.monotonic() - shown.started if event.seconds is None else event.seconds
        bar = next(each for each in self._progress.tasks if each.id == shown.bar)
        bar.start_time = self._progress.get_time() - seconds
        whole = bar.total or 1
        end = "done" if event.succeeded else "cancelled" if event.cancelled else "failed"
        if event.cached:
            end = "cached"
        mark = {"done": "", "failed": "[red]failed"}.get(end, end)
        self._progress.update(shown.bar, completed=whole, total=whole, detail=mark)
        duration = "" if event.cached else f" {'after' if event.cancelled else 'in'} {seconds:.1f} s"
        self._line(f"{shown.title} {end}{duration}")

    def _line(self, text: str) -> None:
        if not self._console.is_terminal:
            self._say(text)

    def _say(self, line: str) -> None:
        say(line, console=self._console)


def _classes(title: str, noted: Sequence[ClassNoted]) -> str:
    named = "; ".join(each.why for each in noted[:_NAMED_CLASSES])
    more = f"; and {len(noted) - _NAMED_CLASSES} more" if len(noted) > _NAMED_CLASSES else ""
    return f"{len(noted)} {'class' if len(noted) == 1 else 'classes'} {title}: {named}{more}"


def _escaped(title: str) -> str:
    return escape_unprintable(title).replace("[", r"\[")


def describe_outcome(event: Decided | Published) -> str:
    """A line on the gate's verdict, or on the publication."""
    match event:
        case Decided(verdict, why):
            return f"verdict {verdict}: {why}"
        case Published(status, address) if status == PUBLISHED:
            return f"in use  {address}"
        case Published(status, address, in_use) if status == OVERTAKEN:
            return f"in use  {in_use}, which was published in the meantime; the new model is kept at {address}"
        case Published(_, address):
            return f"in use  {address}, as before: the model is the same"


def show_results(
    console: Console, metrics: dict[str, Any], output: Path, quarantined: int, outcome: Sequence[str] = ()
) -> None:
    """Prints the metrics, the places of model and reports, the gate's verdict, and the publication.

    Args:
        console: Console to print to.
        metrics: Content of `metrics.json`.
        output: Output folder.
        quarantined: Number of files that were left out.
        outcome: Lines of `RunDisplay.outcome`.
    """
    show_metrics(console, metrics)
    lines = [f"model   {output / 'model'}", f"report  {output / 'report.html'}", f"data    {output / 'data.html'}"]
    say(*lines, *_count_left_out(output, quarantined), *outcome, console=console)


def show_comparison(console: Console, comparison: dict[str, Any], output: Path, quarantined: int) -> None:
    """Prints the table of a comparison, the chosen variant, and the place of the report.

    Args:
        console: Console to print to.
        comparison: Content of `comparison.json`.
        output: Output folder.
        quarantined: Number of files that were left out.
    """
    table = Table(title=f"On {comparison['images']:,} test images", title_justify="left")
    table.add_column("variant")
    for name in ("accuracy", "95 % interval", "log loss", "to the chosen", "training"):
        table.add_column(name, justify="right")
    for row in comparison["rows"]:
        low, high = row["accuracy_interval"]
        difference = row["difference"]
        table.add_row(
            _escaped(row["name"]),
            f"{row['accuracy']:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{row['log_loss']:.3f}",
            f"{difference['accuracy']:+.3f}, {difference['verdict']}" if difference else "chosen",
            f"{row['seconds']:.1f} s",
        )
    console.print(table)
    lines = [
        f"chosen  {comparison['chosen']}, by {comparison['validation_images']:,} validation images",
        *_note_disagreement(comparison),
        f"model   {output / 'models' / comparison['chosen']}",
        f"report  {output / 'comparison.html'}",
        f"data    {output / 'data.html'}",
        *_count_left_out(output, quarantined),
    ]
    say(*lines, console=console)


def _note_disagreement(comparison: dict[str, Any]) -> list[str]:
    found = comparison.get("test_disagreement")
    if not found:
        return []
    low, high = found["log_loss_interval"]
    return [
        f"note    {found['variant']} has a lower log loss on the test images: {found['log_loss']:+.4f} "
        f"({low:+.4f} to {high:+.4f})"
    ]


def _count_left_out(output: Path, quarantined: int) -> list[str]:
    return [f"{quarantined} files were left out: {output / 'quarantine.csv'}"] if quarantined else []


def show_metrics(console: Console, metrics: dict[str, Any]) -> None:
    """Prints a table of the models' figures.

    Args:
        console: Console to print to.
        metrics: Figures by model, as in `metrics.json`: `images`, `accuracy`, `accuracy_interval` and `log_loss`; of
            a comparison by variant.
    """
    titles = _MODELS if "test" in metrics else {name: name for name in metrics}
    images = next(metrics[name]["images"] for name in titles if name in metrics)
    table = Table(title=f"On {images:,} test images", title_justify="left")
    table.add_column("model")
    for name in ("accuracy", "95 % interval", "log loss"):
        table.add_column(name, justify="right")
    for key, title in titles.items():
        if key in metrics:
            figures = metrics[key]
            low, high = figures["accuracy_interval"]
            table.add_row(
                _escaped(title),
                f"{figures['accuracy']:.3f}",
                f"{low:.3f} to {high:.3f}",
                f"{figures['log_loss']:.3f}",
            )
    console.print(table)
