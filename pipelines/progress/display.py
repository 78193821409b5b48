"""A run on the terminal: which stage, how far, how long; plain lines where there is no terminal."""

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
from headstart.pipelines.progress.events import (
    AttemptFailed,
    ClassesFound,
    ClassNoted,
    Decided,
    Event,
    Published,
    StageEnded,
    StageProgress,
    StageSkipped,
    StageStarted,
    VariantStarted,
    Warned,
)

_NAMED = 5
"""Classes that a line names; it counts the others."""

_EVALUATION = "evaluate-model"
_SECONDS_BETWEEN_LINES = 60.0
_MODELS = {"from_scratch": "from scratch", "head": "head alone", "test": "fine-tuned"}


@dataclasses.dataclass(frozen=True)
class _Shown:
    """A stage on the display: its title, its bar, when it began, and when a line last told how far it is."""

    title: str
    bar: TaskID
    started: float
    told: float = 0.0


class RunDisplay:
    """Follows a run on a console.

    Args:
        console: Where to write.
        stages: How many stages the pipeline has.

    """

    def __init__(self, console: Console, stages: int) -> None:
        self._console = console
        self._stages = stages
        self._shown: dict[str, _Shown] = {}
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
        """Lines on classes without a part in the evaluation, and on what was decided and published."""
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
        """Draws an event."""
        match event:
            case StageStarted(stage, ago):
                shown = self._add(stage, ago)
                self._latest = stage
                self._line(f"{shown.title} ...")
            case StageSkipped(stage):
                shown = self._add(stage)
                self._progress.update(shown.bar, completed=1, total=1, detail="skipped")
                self._line(f"{shown.title} skipped")
            case VariantStarted(variant):
                self._variant = variant
                named = self._shown[self._latest]
                self._shown[self._latest] = dataclasses.replace(named, title=f"{named.title} {variant}")
                self._progress.update(named.bar, description=_escaped(f"{named.title} {variant}"))
            case StageProgress(what, done, total, detail, stage):
                bar = self._shown[stage or self._latest].bar
                self._progress.update(bar, completed=done, total=total, detail=_escaped(f"{what} {detail}"))
                if stage:
                    self._tell_progress(stage, f"{what} {done} of {total} {detail}".strip())
            case ClassesFound(line):
                self._console.print(escape_unprintable(line), markup=False, highlight=False, soft_wrap=True)
            case AttemptFailed(stage, attempt, attempts, reason):
                self._console.print(
                    escape_unprintable(
                        f"{self._shown[stage].title} attempt {attempt} of {attempts} failed: {reason}"
                    ),
                    markup=False,
                    highlight=False,
                    soft_wrap=True,
                )
            case StageEnded(stage, succeeded, seconds, cached, cancelled):
                self._end(self._shown[stage], succeeded, seconds, cached, cancelled)
            case Warned(text):
                self._console.print(
                    escape_unprintable(f"note: {text}"), markup=False, highlight=False, soft_wrap=True
                )
            case Decided() | Published():
                self._outcome.append(escape_unprintable(in_words(event)))
            case ClassNoted(left_out=left_out):
                self._noted[left_out].append(event)

    def _add(self, stage: str, ago: float = 0.0) -> "_Shown":
        self._begun += 1
        # Which variant is evaluated only its training has told.
        variant = f" {self._variant}" if self._variant and stage == _EVALUATION else ""
        title = f"[{self._begun}/{self._stages}] {stage}{variant}"
        bar = self._progress.add_task(_escaped(title), total=None, detail="")
        self._progress.tasks[-1].start_time = self._progress.get_time() - ago
        self._shown[stage] = _Shown(title, bar, time.monotonic() - ago)
        return self._shown[stage]

    def skip(self, stages: Sequence[str]) -> None:
        """Draws those of the stages as skipped that have not been shown."""
        for stage in stages:
            if stage not in self._shown:
                self.show(StageSkipped(stage))

    def _tell_progress(self, stage: str, far: str) -> None:
        """Writes how far a stage is where no bar shows it, once a minute at most."""
        shown, now = self._shown[stage], time.monotonic()
        if now - (shown.told or shown.started) >= _SECONDS_BETWEEN_LINES:
            self._shown[stage] = dataclasses.replace(shown, told=now)
            self._line(f"{shown.title}: {far}")

    def _end(
        self, shown: "_Shown", succeeded: bool, seconds: float | None, cached: bool, cancelled: bool = False
    ) -> None:
        if seconds is None:
            seconds = time.monotonic() - shown.started
        bar = next(task for task in self._progress.tasks if task.id == shown.bar)
        bar.start_time = self._progress.get_time() - seconds
        whole = bar.total or 1
        how = "cached" if cached else "done" if succeeded else "cancelled" if cancelled else "failed"
        mark = {"done": "", "failed": "[red]failed"}.get(how, how)
        self._progress.update(shown.bar, completed=whole, total=whole, detail=mark)
        ended = how if cached else f"{how} {'after' if cancelled else 'in'} {seconds:.1f} s"
        self._line(f"{shown.title} {ended}")

    def _line(self, text: str) -> None:
        if not self._console.is_terminal:
            self._console.print(escape_unprintable(text), markup=False, highlight=False, soft_wrap=True)


def _classes(title: str, noted: Sequence[ClassNoted]) -> str:
    named = "; ".join(each.why for each in noted[:_NAMED])
    more = f"; and {len(noted) - _NAMED} more" if len(noted) > _NAMED else ""
    return f"{len(noted)} {'class' if len(noted) == 1 else 'classes'} {title}: {named}{more}"


def _escaped(title: str) -> str:
    return escape_unprintable(title).replace("[", r"\[")


def in_words(event: Decided | Published) -> str:
    """A line on what was decided, or published."""
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
    """Prints the table of metrics, where the model and the report lie, and what was decided and published."""
    show_metrics(console, metrics)
    lines = [f"model   {output / 'model'}", f"report  {output / 'report.html'}", f"data    {output / 'data.html'}"]
    for line in (*lines, *_left_out(output, quarantined), *outcome):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def show_comparison(console: Console, comparison: dict[str, Any], output: Path, quarantined: int) -> None:
    """Prints the table of a comparison, which variant is chosen, and where the report lies.

    Args:
        console: Where to write.
        comparison: Content of `comparison.json`.
        output: The output folder.
        quarantined: How many files were left out.
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
        f"model   {output / 'models' / comparison['chosen']}",
        f"report  {output / 'comparison.html'}",
        f"data    {output / 'data.html'}",
        *_left_out(output, quarantined),
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _left_out(output: Path, quarantined: int) -> list[str]:
    return [f"{quarantined} files were left out: {output / 'quarantine.csv'}"] if quarantined else []


def show_metrics(console: Console, metrics: dict[str, Any]) -> None:
    """Prints a table of the models' figures.

    Args:
        console: Where to write.
        metrics: By model, as in `metrics.json`: `images`, `accuracy`, `accuracy_interval` and `log_loss`; of a
            comparison by variant.
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
