import io
import re
import types
from collections.abc import Iterator, Sequence

import pytest
from rich.console import Console
from support.recorded_runs import read_recorded_run
from support.screens import Terminal, open_terminal

from headstart.pipelines.progress.display import RunDisplay
from headstart.pipelines.progress.events import (
    AttemptFailed,
    Event,
    Raised,
    TaskEnded,
    TaskProgress,
    TaskSkipped,
    TaskStarted,
    VariantStarted,
    parse,
)

WIDTHS = (60, 80, 120)
RUN = (
    "list-data",
    "download-dataset",
    "split-dataset",
    "train-head",
    "fine-tune",
    "train-from-scratch",
    "evaluate-model",
)

COMPARISON = ("list-data", "download-dataset", "split-dataset", "train-variant", "evaluate-model", "compare-variants")

LINE = re.compile(
    r"(?P<mark>\S) +(?P<number>\d+)/(?P<of>\d+) (?P<name>[a-z-]+)(?: (?P<variant>[\w.…-]+))? +(?P<rest>.*\S)"
)
RUNNING = re.compile(
    r"(?P<phase>[a-zA-Z][a-zA-Z -]*?)(?: (?P<done>[\d,]+)(?:/(?P<total>[\d,]+))?)?"
    r"(?:  ?(?:\d+:\d\d|\d+ h) left)?(?:  ?(?:val )?loss \S+)?(?:  ?[\d.,]+(?: MB)?/s)?"
    r" +(?P<bar>[━─]+)? +(?P<elapsed>\d+:\d\d)(?: +(?:\d+:\d\d|\d+ h) left)?"
)
ENDED = re.compile(r"(?:.* )?\d+:\d\d")


class Clock:
    """A clock that shows the time that it is set to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("headstart.pipelines.progress.display.time", types.SimpleNamespace(monotonic=clock.monotonic))
    # No thread draws between the frames that a test asks for.
    monkeypatch.setattr("headstart.pipelines.progress.display._FRAMES_PER_SECOND", 0.01)
    return clock


def frames(
    terminal: Terminal, tasks: Sequence[str], events: list[tuple[float, Event]], clock: Clock
) -> Iterator[tuple[list[str], set[str], set[str]]]:
    """Every screen of a run, with the tasks that have begun and those that have ended by then."""
    started: set[str] = set()
    ended: set[str] = set()
    clock.now = 0.0
    with RunDisplay(terminal.console, tasks) as display:

        def look() -> tuple[list[str], set[str], set[str]]:
            display._live.refresh()
            return terminal.read(), set(started), set(ended)

        for seconds, event in events:
            while clock.now + 2 < seconds:
                clock.now += 2
                yield look()
            clock.now = seconds
            display.show(event)
            if isinstance(event, TaskStarted):
                started.add(event.task)
                ended.discard(event.task)
            if isinstance(event, TaskEnded):
                ended.add(event.task)
            yield look()
    yield terminal.read(), started, ended


def recorded(name: str) -> list[tuple[float, Event]]:
    pairs = ((seconds, parse(line)) for seconds, line in read_recorded_run(name))
    return [(seconds, event) for seconds, event in pairs if event is not None and not isinstance(event, Raised)]


def check_frame(
    lines: list[str], width: int, names: Sequence[str], started: set[str], ended: set[str]
) -> dict[str, re.Match[str]]:
    """Holds a screen against the rules, and returns the running tasks' lines by task."""
    found = [match for line in lines if (match := LINE.fullmatch(line.strip()))]
    running: dict[str, re.Match[str]] = {}
    for match in found:
        assert match["name"] in names, match[0]
        assert len(match[0]) < width, match[0]
        if match["mark"] in "✓✗-":
            assert match["name"] in ended | {each["name"] for each in found[found.index(match) + 1 :]}, lines
            assert ENDED.fullmatch(match["rest"]), match[0]
            assert width < 70 or "━" in match["rest"], match[0]
        else:
            line = RUNNING.fullmatch(match["rest"])
            assert line, f"{match['rest']!r} at {width} columns"
            assert line["phase"].strip(), match[0]
            assert not line["total"] or width < 70 or line["bar"], match[0]
            assert match["name"] not in running, lines
            running[match["name"]] = line
    if started:
        assert set(running) == started - ended, lines
    return running


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("name", "tasks"), [("run", RUN), ("compare", COMPARISON)])
def test_every_screen_of_a_real_run_tells_the_truth(
    name: str, tasks: Sequence[str], width: int, clock: Clock
) -> None:
    events = recorded(name)
    begun = [event.task for _, event in events if isinstance(event, TaskStarted)]
    before: dict[str, tuple[str, float]] = {}
    phases: set[str] = set()
    with open_terminal(width) as terminal:
        for lines, started, ended in frames(terminal, begun, events, clock):
            running = check_frame(lines, width, tasks, started, ended)
            for task, line in running.items():
                done = float((line["done"] or "0").replace(",", ""))
                phase, least = before.get(task, ("", 0.0))
                if phase == line["phase"] and line["total"]:
                    assert done >= least, f"{task}: {phase} went back from {least} to {done}"
                before[task] = line["phase"], done
                phases.add(line["phase"])
            before = {task: at for task, at in before.items() if task in running}
        last = terminal.read()
    assert {"starting TensorFlow", "features", "val features", "checking", "saving the model"} <= phases
    assert [line.split()[2] for line in last if line[0] == "✓"] == begun
    assert re.fullmatch(r" +total +\d+:\d\d", last[-1])


def draw(
    width: int, tasks: Sequence[str], *events: tuple[float, Event], clock: Clock, encoding: str = "utf-8"
) -> list[str]:
    """The screen after events at some seconds."""
    clock.now = 0.0
    with open_terminal(width, encoding) as terminal, RunDisplay(terminal.console, tasks) as display:
        for seconds, event in events:
            clock.now = seconds
            display.show(event)
        display._live.refresh()
        return terminal.read()


@pytest.mark.parametrize(
    ("end", "shown"),
    [
        (TaskEnded("train-head", True), r"✓ 1/2 train-head +3 epochs  val loss 0.125 +━+ +0:30"),
        (TaskEnded("train-head", True, 3700.0), r"✓ 1/2 train-head +3 epochs  val loss 0.125 +━+ 1:01:40"),
        (TaskEnded("train-head", True, cached=True), r"✓ 1/2 train-head +cached"),
        (TaskEnded("train-head", False), r"✗ 1/2 train-head +failed  epoch 4/20 +0:30"),
        (TaskEnded("train-head", False, cancelled=True), r"- 1/2 train-head +cancelled  epoch 4/20 +0:30"),
    ],
)
def test_the_end_of_a_task_says_how_it_ended(end: TaskEnded, shown: str, clock: Clock) -> None:
    progress = TaskProgress("head", 3, 20, "epochs", "val loss 0.125")
    events = (0, TaskStarted("train-head")), (20, progress), (30, end)
    line = draw(80, ["train-head", "fine-tune"], *events, clock=clock)[0]
    assert re.fullmatch(shown, line), line


def test_a_phase_has_rate_and_time_left_and_the_next_starts_anew(clock: Clock) -> None:
    reports = [(20.0 + at, TaskProgress("features", 100 * at, 1000, "images")) for at in range(6)]
    events = (0, TaskStarted("train-head")), *reports
    tasks = ["train-head", "fine-tune"]
    line = draw(100, tasks, *events, clock=clock)[0]
    assert re.search(r"features 500/1,000  100/s +━+─+ +0:25 +0:05 left$", line), line
    line = draw(100, tasks, *events, (26, TaskProgress("checking labels", 0, 0)), clock=clock)[0]
    assert re.search(r"train-head  checking labels +0:26$", line), line


def test_time_left_is_unknown_where_a_phase_takes_longer_than_expected(clock: Clock) -> None:
    reports = [(float(at), TaskProgress("features", at, 10, "images")) for at in range(9)]
    late = TaskProgress("features", 8, 10, "images")
    line = draw(100, ["a", "b"], (0, TaskStarted("a")), *reports, (60, late), clock=clock)[0]
    assert "left" not in line


def test_tasks_of_a_comparison_have_their_variant(clock: Clock) -> None:
    tasks = ["split-dataset", "train-variant convnext_tiny", "evaluate-model convnext_tiny"]
    lines = draw(
        80,
        tasks,
        (0, TaskStarted("train-variant")),
        (1, VariantStarted("convnext_tiny")),
        (2, TaskEnded("train-variant", True)),
        (2, TaskStarted("evaluate-model")),
        (3, TaskProgress("predictions", 400, 1200, "images")),
        clock=clock,
    )
    assert [line.split()[1:4] for line in lines[:2]] == [
        ["1/3", "train-variant", "convnext_tiny"],
        ["2/3", "evaluate-model", "convnext_tiny"],
    ]
    assert "predictions 400/1,200" in lines[1] and "━" in lines[1]


@pytest.mark.parametrize("width", [30, 45, *WIDTHS])
def test_a_long_variant_is_cut_before_the_name_of_the_task(width: int, clock: Clock) -> None:
    variant = "efficientnet_v2_b0-fine_tuning-with-a-long-name"
    started = (0, TaskStarted("train-variant")), (0, VariantStarted(variant))
    progress = TaskProgress("features", 1200, 120_000, "images")
    line = draw(width, ["train-variant", "b"], *started, (3, progress), clock=clock)[0]
    assert "train-variant" in line and line.endswith("0:03") and len(line) < width
    assert width < 60 or "… 1,200/120,000" in line or "features 1,200/120,000" in line


def test_retried_attempts_skipped_tasks_and_what_had_not_ended_stay_on_the_screen(clock: Clock) -> None:
    lines = draw(
        80,
        ["train-head", "publish-model"],
        (0, TaskStarted("train-head")),
        (5, AttemptFailed("train-head", 1, 3, "no space left")),
        (6, TaskSkipped("publish-model")),
        clock=clock,
    )
    assert lines[0] == "[1/2] train-head attempt 1 of 3 failed: no space left"
    assert re.fullmatch(r"- 2/2 publish-model  skipped", lines[1])
    assert re.fullmatch(r"\S 1/2 train-head     starting +0:06", lines[2])


def test_a_task_that_had_failed_may_run_and_end_again(clock: Clock) -> None:
    events = (0, TaskStarted("train-head")), (5, TaskEnded("train-head", False, 5.0))
    again = (9, TaskProgress("head", 1, 4, "epochs", task="train-head"))
    lines = draw(80, ["train-head", "b"], *events, again, clock=clock)
    assert re.match(r"✗ 1/2 train-head +failed", lines[0]) and re.match(r"\S 1/2 train-head +epoch 2/4", lines[1])
    lines = draw(80, ["train-head", "b"], *events, again, (12, TaskEnded("train-head", True, 3.0)), clock=clock)
    assert re.fullmatch(r"✓ 1/2 train-head +1 epoch +━+ +0:03", lines[1])
    lines = draw(80, ["train-head", "b"], *events, (12, TaskEnded("train-head", True, 3.0)), clock=clock)
    assert lines[1].startswith("✓ 1/2 train-head")


def test_a_terminal_without_unicode_gets_ascii(clock: Clock) -> None:
    reports = [(float(at), TaskProgress("features", at, 4, "images")) for at in range(3)]
    lines = draw(80, ["a", "b"], (0, TaskStarted("a")), *reports, clock=clock, encoding="ascii")
    assert "===" in lines[0] and "\n".join(lines).isascii(), lines


def test_a_single_task_has_no_number_and_leaves_no_line_after_a_moment(clock: Clock) -> None:
    started = (0, TaskStarted("publish")), (0.2, TaskProgress("listing versions", 0, 0))
    assert re.fullmatch(r"\S publish  listing versions +0:00", draw(80, ["publish"], *started, clock=clock)[0])
    assert draw(80, ["publish"], *started, (0.5, TaskEnded("publish", True)), clock=clock) == []
    (line,) = draw(80, ["publish"], *started, (9, TaskEnded("publish", True)), clock=clock)
    assert re.fullmatch(r"✓ publish +━+ +0:09", line)


def test_elsewhere_than_on_a_terminal_there_are_lines(clock: Clock) -> None:
    output = io.StringIO()
    events = [
        (0.0, TaskStarted("train-head")),
        (59.0, TaskProgress("features", 1100, 2000, "images")),
        (61.0, TaskProgress("features", 1200, 2000, "images")),
        (62.0, TaskProgress("features", 1300, 2000, "images")),
        (130.0, TaskProgress("head", 2, 20, "epochs", "val loss 0.125")),
        (140.0, TaskEnded("train-head", True)),
    ]
    with RunDisplay(Console(file=output), ["train-head", "publish-model"]) as display:
        for clock.now, event in events:
            display.show(event)
        display.skip(["train-head", "publish-model"])
    assert output.getvalue().splitlines() == [
        "[1/2] train-head ...",
        "[1/2] train-head: features 1,200 of 2,000",
        "[1/2] train-head: epoch 3 of 20, val loss 0.125",
        "[1/2] train-head done in 140.0 s",
        "[2/2] publish-model skipped",
        "total 140.0 s",
    ]


def test_elsewhere_than_on_a_terminal_a_single_task_says_nothing_for_a_minute(clock: Clock) -> None:
    output = io.StringIO()
    with RunDisplay(Console(file=output), ["publish"]) as display:
        display.show(TaskStarted("publish"))
        clock.now = 61
        display.show(TaskProgress("exporting onnx", 0, 0))
        display.show(TaskEnded("publish", True))
    assert output.getvalue() == "publish: exporting onnx\n"
