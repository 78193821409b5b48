"""Display of a run: one line a task with its phase, progress and time on a terminal, plain lines elsewhere."""

import dataclasses
import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.table import Table
from rich.text import Text

from headstart.components.core.artifacts.backbone_ranking import Ranking
from headstart.components.core.registry.registry import OVERTAKEN, PUBLISHED
from headstart.components.core.reports.backbone_words import conclude, describe_backbone, ranking_titles
from headstart.components.core.reports.unfamiliarity_words import describe_promise
from headstart.components.core.util.printable import describe_groups, escape_unprintable
from headstart.pipelines.progress.console import print_table, say
from headstart.pipelines.progress.events import (
    AttemptFailed,
    ClassesFound,
    ClassNoted,
    Decided,
    EndpointDeployed,
    Event,
    FoldStarted,
    Published,
    SearchEnded,
    TaskEnded,
    TaskProgress,
    TaskSkipped,
    TaskStarted,
    VariantStarted,
    Warned,
)
from headstart.pipelines.progress.notebook import NotebookConsole, NotebookLines
from headstart.pipelines.progress.phase import EPOCHS, Phase, summarize
from headstart.pipelines.progress.task_line import Layout, TaskLine, format_left, format_seconds, render_line

_NAMED_CLASSES = 5
"""Classes that a line names; the others are counted."""

_EVALUATION = "evaluate-model"
_SECONDS_BETWEEN_LINES = 60.0
_SECONDS_WORTH_A_LINE = 1.0
"""Time from which on a single task leaves a line on a terminal."""

_FRAMES_PER_SECOND = 8
PHASE_TITLES = {"from_scratch": "from scratch", "head": "head alone", "fine_tuning": "fine-tuned"}
"""Titles of models by the phase that ended their training, in the order of the table."""

_FINAL = "test"
_SPINNER, _PLAIN_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
_STARTING = "starting"


@dataclasses.dataclass(frozen=True)
class _RunningTask:
    """A task on the display that has not ended.

    Attributes:
        number: Number among all tasks, from 1.
        name: Name of the task.
        started: Time at which it began.
        variant: Variant that it is about; empty: none.
        phase: Its present phase; None: none was reported yet.
        work: Last report of what counts as its work: epochs, else the most units; None: there was none.
        reported: Time at which a line last reported its progress; 0: none did.
    """

    number: int
    name: str
    started: float
    variant: str = ""
    phase: Phase | None = None
    work: TaskProgress | None = None
    reported: float = 0.0

    @property
    def title(self) -> str:
        """Name of the task and its variant."""
        return f"{self.name} {self.variant}".strip()


class RunDisplay:
    """Display of a run on a console.

    On a terminal the tasks that run have a line each, which changes; a task that has ended leaves its last line above
    them. Elsewhere the start and the end of each task are lines, and once a minute the progress of one that runs.
    A display of a single task has neither a number nor, elsewhere than on a terminal, a line for start and end.

    Args:
        console: Console to print to.
        tasks: Names of the pipeline's tasks, once for each time that they run, with the variant if it is known.
    """

    def __init__(self, console: Console, tasks: Sequence[str]) -> None:
        self._console = console
        self._tasks = tasks
        self._alone = len(tasks) == 1
        self._running: dict[str, _RunningTask] = {}
        self._ended: dict[str, _RunningTask] = {}
        self._shown: dict[str, str] = {}
        self._latest = ""
        self._variant = ""
        self._begun = 0
        self._closed = False
        self._beginning = time.monotonic()
        self._noted: dict[bool, list[ClassNoted]] = {False: [], True: []}
        self._outcome: list[str] = []
        self._unicode = console.encoding.lower().startswith("utf")
        self._live: Live | NotebookLines = (
            NotebookLines(console, self.lines)
            if isinstance(console, NotebookConsole)
            else Live(
                _Lines(self),
                console=console,
                refresh_per_second=_FRAMES_PER_SECOND,
                transient=True,
                # Standard output may be data.
                redirect_stdout=False,
                redirect_stderr=False,
            )
        )

    @property
    def outcome(self) -> list[str]:
        """Lines on classes that are not evaluated, on the gate's verdict, and on the publication."""
        titles = {False: "in training, and not evaluated", True: "left out"}
        lines = [_classes(titles[left_out], noted) for left_out, noted in self._noted.items() if noted]
        return [*lines, *self._outcome]

    def __enter__(self) -> "RunDisplay":
        self._beginning = time.monotonic()
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops changing lines, and leaves those of tasks that have not ended as they are; the total time comes last.

        A second call does nothing.
        """
        if self._closed:
            return
        self._closed = True
        if isinstance(self._live, Live):
            self._live.stop()
        self._leave_last_lines()
        if isinstance(self._live, NotebookLines):
            self._live.stop()

    def _leave_last_lines(self) -> None:
        for task in self._running.values():
            self._leave_line(self._line_of(task, time.monotonic(), "-" if self._alone else " "))
        self._running = {}
        if self._alone or not self._begun:
            return
        total = time.monotonic() - self._beginning
        self._leave_line(TaskLine(" ", "", "", "total", elapsed=format_seconds(total)))
        self._line(f"total {total:.1f} s")

    def show(self, event: Event) -> None:
        """Shows an event."""
        self._show(event)
        if isinstance(self._live, NotebookLines):
            # No thread draws there; a terminal has one, so that its clock goes on.
            self._live.draw()

    def _show(self, event: Event) -> None:
        match event:
            case TaskStarted(task, ago):
                started = self._add(task, ago)
                self._latest = task
                self._line(f"{self._shown[task]} ...", of_task=True)
                self._beginning = min(self._beginning, started.started)
            case TaskSkipped(task):
                skipped = self._add(task)
                del self._running[task]
                self._leave_line(TaskLine("-", "", self._number(skipped.number), task, phase="skipped", dim=True))
                self._line(f"{self._shown[task]} skipped")
            case TaskEnded():
                self._show_end(event)
            case TaskProgress():
                self._show_progress(event)
            case VariantStarted(variant):
                self._variant = variant
                self._name_variant(variant)
            case FoldStarted(fold):
                self._name_variant(f"{self._variant} {fold}".strip())
            case ClassesFound(line):
                self._say(line)
            case AttemptFailed(task, attempt, attempts, reason):
                self._say(f"{self._shown[task]} attempt {attempt} of {attempts} failed: {reason}")
            case Warned(text):
                self._say(f"note: {text}")
            case Decided() | Published() | EndpointDeployed() | ClassNoted():
                self._note(event)

    def skip(self, tasks: Sequence[str]) -> None:
        """Shows as skipped those of the tasks that have not been shown."""
        for task in tasks:
            if task not in self._shown:
                self.show(TaskSkipped(task))

    def lines(self, width: int) -> Iterator[Text]:
        """Lines of the tasks that run, and of the time since the beginning.

        Args:
            width: Columns of the terminal.
        """
        now = time.monotonic()
        running = tuple(self._running.values())
        spinner = _SPINNER if self._unicode else _PLAIN_SPINNER
        mark = spinner[int(now * _FRAMES_PER_SECOND) % len(spinner)]
        for task in running:
            yield self._render(self._line_of(task, now, mark), width)
        if not self._alone:
            name = "total" if self._begun else _STARTING
            elapsed = format_seconds(now - self._beginning)
            yield self._render(TaskLine(" " if running else mark, "", "", name, elapsed=elapsed), width)

    def _note(self, event: Decided | Published | EndpointDeployed | ClassNoted) -> None:
        """Keeps an event for `outcome`."""
        if isinstance(event, ClassNoted):
            self._noted[event.left_out].append(event)
        else:
            self._outcome.append(describe_outcome(event))

    def _name_variant(self, variant: str) -> None:
        task = dataclasses.replace(self._running[self._latest], variant=escape_unprintable(variant))
        self._running[self._latest] = task
        self._shown[self._latest] = self._plain_title(task)

    def _add(self, task: str, ago: float = 0.0) -> _RunningTask:
        self._begun += 1
        # Only the training names the variant that is evaluated next.
        variant = self._variant if task == _EVALUATION else ""
        added = _RunningTask(self._begun, task, time.monotonic() - ago, escape_unprintable(variant))
        self._running = {**self._running, task: added}
        self._shown[task] = self._plain_title(added)
        return added

    def _plain_title(self, task: _RunningTask) -> str:
        return task.title if self._alone else f"[{task.number}/{len(self._tasks)}] {task.title}"

    def _number(self, number: int) -> str:
        return "" if self._alone else f"{number}/{len(self._tasks)}"

    def _show_progress(self, event: TaskProgress) -> None:
        """Moves the bar; where there is none, prints the progress of a task at most once a minute."""
        name = event.task or self._latest
        if event.task and event.task in self._ended:
            # On a cluster another attempt has begun.
            self._running = {**self._running, name: self._ended.pop(name)}
        task = self._running.get(name)
        if task is None:
            return
        now = time.monotonic()
        phase = task.phase.advance(name, event, now) if task.phase else Phase.begin(name, event, now)
        self._running[name] = task = dataclasses.replace(task, phase=phase, work=_choose_work(task.work, event))
        if now - (task.reported or task.started) >= _SECONDS_BETWEEN_LINES:
            self._running[name] = dataclasses.replace(task, reported=now)
            count = phase.count.replace("/", " of ")
            text = " ".join(filter(None, [phase.name, count]))
            self._line(f"{self._shown[name]}: {', '.join(filter(None, [text, event.metric]))}")

    def _show_end(self, event: TaskEnded) -> None:
        # What had ended may end again, with another attempt.
        task = self._running.pop(event.task, None) or self._ended[event.task]
        self._ended[event.task] = task
        seconds = time.monotonic() - task.started if event.seconds is None else event.seconds
        end = "done" if event.succeeded else "cancelled" if event.cancelled else "failed"
        if event.cached:
            end = "cached"
        if not self._alone or seconds >= _SECONDS_WORTH_A_LINE:
            self._leave_line(self._last_line(task, end, seconds))
        duration = "" if event.cached else f" {'after' if event.cancelled else 'in'} {seconds:.1f} s"
        self._line(f"{self._shown[event.task]} {end}{duration}", of_task=True)

    def _last_line(self, task: _RunningTask, end: str, seconds: float) -> TaskLine:
        """Line of a task that has ended."""
        tick, cross = ("✓", "✗") if self._unicode else ("+", "x")
        line = TaskLine(
            tick, "green", self._number(task.number), task.name, task.variant, elapsed=format_seconds(seconds)
        )
        if end == "cached":
            return dataclasses.replace(line, phase=end, elapsed="")
        if end == "done":
            figures = (task.work.metric,) if task.work and task.work.metric else ()
            return dataclasses.replace(
                line, phase=summarize(task.work) if task.work else "", figures=figures, share=1.0
            )
        where = f"{task.phase.name} {task.phase.count}".strip() if task.phase else ""
        if end == "failed":
            return dataclasses.replace(line, mark=cross, style="red", phase=end, figures=(where,))
        return dataclasses.replace(line, mark="-", style="yellow", phase=end, figures=(where,))

    def _line_of(self, task: _RunningTask, now: float, mark: str) -> TaskLine:
        """Line of a task that runs."""
        line = TaskLine(
            mark,
            "cyan",
            self._number(task.number),
            task.name,
            task.variant,
            _STARTING,
            elapsed=format_seconds(now - task.started),
        )
        if not (phase := task.phase):
            return line
        left = phase.seconds_left(now)
        return dataclasses.replace(
            line,
            phase=phase.name,
            count=phase.count,
            figures=tuple(filter(None, [phase.progress.metric, phase.rate_in_words])),
            share=phase.share,
            left="" if left is None else format_left(left),
        )

    def _leave_line(self, line: TaskLine) -> None:
        """Prints the line of a task that changes no more, above those that do."""
        if self._console.is_terminal:
            self._console.print(self._render(line, self._console.width))

    def _render(self, line: TaskLine, width: int) -> Text:
        names = [*self._tasks, *(task.title for task in tuple(self._running.values())), line.name]
        numbers = len(self._number(len(self._tasks)))
        layout = Layout.fit(width, numbers, max(len(name.partition(" ")[0]) for name in names), max(map(len, names)))
        return render_line(line, layout, self._unicode)

    def _line(self, text: str, of_task: bool = False) -> None:
        """Prints a line where no terminal shows the tasks; those of start and end only if there are several."""
        if not self._console.is_terminal and not (of_task and self._alone):
            self._say(text)

    def _say(self, line: str) -> None:
        say(line, console=self._console)


class _Lines:
    """Lines of a display as rich draws them, again and again."""

    def __init__(self, display: RunDisplay) -> None:
        self._display = display

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield from self._display.lines(options.max_width)


def _choose_work(before: TaskProgress | None, now: TaskProgress) -> TaskProgress | None:
    """The report that says what a task does: epochs go before images, and more images before fewer."""
    if not now.unit or (before and before.unit == EPOCHS != now.unit):
        return before
    if before and before.unit != EPOCHS == now.unit:
        return now
    return now if before is None or now.unit == EPOCHS or now.done >= before.done else before


def _classes(title: str, noted: Sequence[ClassNoted]) -> str:
    named = "; ".join(each.why for each in noted[:_NAMED_CLASSES])
    more = f"; and {len(noted) - _NAMED_CLASSES} more" if len(noted) > _NAMED_CLASSES else ""
    return f"{len(noted)} {'class' if len(noted) == 1 else 'classes'} {title}: {named}{more}"


def _escaped(title: str) -> str:
    return escape_unprintable(title).replace("[", r"\[")


def describe_outcome(event: SearchEnded | Decided | Published | EndpointDeployed) -> str:
    """A line on the end of a search, the gate's verdict, the publication, or the deployment."""
    match event:
        case SearchEnded(best, conclusion):
            return f"search  trial {best} is the best: {conclusion}"
        case Decided(verdict, why):
            return f"verdict {verdict}: {why}"
        case Published(status, address) if status == PUBLISHED:
            return f"in use  {address}"
        case Published(status, address, in_use) if status == OVERTAKEN:
            return f"in use  {in_use}, which was published in the meantime; the new model is kept at {address}"
        case Published(_, address):
            return f"in use  {address}, as before: the model is the same"
        case EndpointDeployed(version, address):
            return f"answers {address} by version {version}"


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
    say(*_describe_alarms(metrics), console=console)
    lines = [f"model   {output / 'model'}", f"report  {output / 'report.html'}", f"data    {output / 'data.html'}"]
    say(*lines, *_count_left_out(output, quarantined), *outcome, console=console)
    say(*_suggest_next(output / "report.html", output), console=console)


def show_evaluation(console: Console, metrics: dict[str, Any], output: Path, quarantined: int) -> None:
    """Prints the metrics of an evaluation on other images, and the places of its reports.

    Args:
        console: Console to print to.
        metrics: Content of `metrics.json`.
        output: Output folder.
        quarantined: Number of files and images that were left out.
    """
    show_metrics(console, metrics)
    say(*_describe_alarms(metrics), console=console)
    lines = [f"report  {output / 'report.html'}", f"data    {output / 'data.html'}"]
    say(*lines, *_count_left_out(output, quarantined), console=console)


def _describe_alarms(metrics: dict[str, Any]) -> list[str]:
    """A line on what the threshold of unfamiliar images promises; none where there is no threshold."""
    found = metrics.get("unfamiliarity")
    return [f"alarms  {describe_promise(found)}"] if found else []


def show_comparison(console: Console, comparison: dict[str, Any], output: Path, quarantined: int) -> None:
    """Prints the table of a comparison, the chosen variant, and the place of the report.

    Args:
        console: Console to print to.
        comparison: Content of `comparison.json`.
        output: Output folder.
        quarantined: Number of files that were left out.
    """
    of_groups = describe_groups(comparison.get("groups"), comparison.get("grouping", ""))
    _print_images(console, comparison["images"], of_groups, comparison.get("folds"))
    table = _make_table("variant", "accuracy", "95 % interval", "log loss", "to the chosen", "training")
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
        f"chosen  {comparison['chosen']}, by {_name_choosing_images(comparison)}",
        *_note_disagreement(comparison),
        f"model   {output / 'models' / comparison['chosen']}",
        f"report  {output / 'comparison.html'}",
        f"data    {output / 'data.html'}",
        *_count_left_out(output, quarantined),
        *_suggest_next(output / "comparison.html", output / "models" / comparison["chosen"]),
    ]
    say(*lines, console=console)


def _name_choosing_images(comparison: dict[str, Any]) -> str:
    if folds := comparison.get("folds"):
        return f"the validation images of {folds} folds"
    return f"{comparison['validation_images']:,} validation images"


def _note_disagreement(comparison: dict[str, Any]) -> list[str]:
    found = comparison.get("test_disagreement")
    if not found:
        return []
    low, high = found["log_loss_interval"]
    return [
        f"note    {found['variant']} has a lower log loss on the test images: {found['log_loss']:+.4f} "
        f"({low:+.4f} to {high:+.4f})"
    ]


def _suggest_next(report: Path, model: Path) -> list[str]:
    """Lines on what to do with the results that are there."""
    steps = []
    if report.is_file():
        steps.append(f"open {shlex.quote(str(report))} in a browser")
    if model.is_dir():
        steps.append(f"headstart predict {shlex.quote(str(model))} IMAGES …")
    return [f"{'' if number else 'next':<7} {step}" for number, step in enumerate(steps)]


def _count_left_out(output: Path, quarantined: int) -> list[str]:
    return [f"{quarantined} files were left out: {output / 'quarantine.csv'}"] if quarantined else []


def show_metrics(console: Console, metrics: dict[str, Any]) -> None:
    """Prints a table of the models' figures.

    Args:
        console: Console to print to.
        metrics: Figures by model, as in `metrics.json`: `images`, `accuracy`, `accuracy_interval` and `log_loss`; of
            a comparison by variant. `stage` is the training phase of the final model; without it: fine-tuning.
            `grouping` is what a group is that the user names, and then models have their number in `groups`.
            `cross_validation` is given where the images are predicted out of fold.
    """
    titles = {name: name for name, figures in metrics.items() if isinstance(figures, dict) and "accuracy" in figures}
    if _FINAL in metrics:
        # The phases but that of the final model, which comes last.
        titles = {phase: title for phase, title in PHASE_TITLES.items() if phase in metrics}
        titles[_FINAL] = PHASE_TITLES.get(metrics.get("stage", ""), PHASE_TITLES["fine_tuning"])
    first = next(metrics[name] for name in titles if name in metrics)
    of_groups = describe_groups(first.get("groups"), metrics.get("grouping", ""))
    _print_images(console, first["images"], of_groups, metrics.get("cross_validation"))
    table = _make_table("model", "accuracy", "95 % interval", "log loss")
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


def show_ranking(console: Console, ranking: Ranking, command: str) -> None:
    """Prints a ranking of backbones, what it says, and the command that trains with the chosen one.

    Args:
        console: Console to print to.
        ranking: The ranking.
        command: Command that trains; empty: none.
    """
    print_table(ranking_titles(), map(describe_backbone, ranking.backbones), console)
    say(*conclude(ranking), *([f"to train it    {command}"] if command else []), console=console)


def _print_images(console: Console, images: int, of_groups: str, folds: Any) -> None:
    """Prints the images of the figures: test images, or all of them if there are folds.

    As the title of the table it would be broken where the table is narrower.
    """
    text = f"images{of_groups}, each predicted out of fold" if folds else f"test images{of_groups}"
    console.print(Text(f"On {images:,} {text}", "table.title"))


def _make_table(name: str, *figures: str) -> Table:
    """A table of figures without a frame, whose room the columns of a comparison need at 80 columns."""
    table = Table(box=None, pad_edge=False)
    table.add_column(name)
    for each in figures:
        table.add_column(each, justify="right")
    return table
