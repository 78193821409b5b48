"""Progress in a notebook: one block that changes in place, a line a task, whatever the number of events."""

import re
from typing import Any

import IPython.display
import pytest

from headstart.pipelines.progress import notebook
from headstart.pipelines.progress.display import RunDisplay
from headstart.pipelines.progress.events import ClassesFound, TaskEnded, TaskProgress, TaskStarted
from headstart.pipelines.progress.notebook import NotebookConsole, in_notebook


class Cell:
    """The output of a notebook's cell."""

    def __init__(self) -> None:
        self.blocks: list[dict[str, str]] = []
        self.drawings = 0

    def display(self, content: dict[str, str], raw: bool, display_id: bool) -> "Cell":
        assert raw and display_id
        self.blocks.append(content)
        self.drawings += 1
        return self

    def update(self, content: dict[str, str], raw: bool) -> None:
        assert raw
        self.blocks[-1] = content
        self.drawings += 1


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    made = Cell()
    monkeypatch.setattr(IPython.display, "display", made.display)
    return made


def test_a_run_is_one_block_with_a_line_a_task(cell: Cell) -> None:
    with RunDisplay(NotebookConsole(), ["list-data", "train-head"]) as display:
        display.show(TaskStarted("list-data"))
        for number in range(1000):
            display.show(TaskProgress("listing", number, 0, "files"))
        display.show(ClassesFound("2 classes: <cat>, dog"))
        display.show(TaskEnded("list-data", True))
        display.show(TaskStarted("train-head"))
        display.show(TaskEnded("train-head", False))
    (block,) = cell.blocks
    lines = [line.split() for line in block["text/plain"].splitlines()]
    assert [line[:3] for line in lines] == [
        ["2", "classes:", "<cat>,"],
        ["✓", "1/2", "list-data"],
        ["✗", "2/2", "train-head"],
        ["total", "0:00"],
    ]
    assert "&lt;cat&gt;" in block["text/html"] and "<cat>" not in block["text/html"]
    # A thousand reports in a moment are drawn a few times.
    assert cell.drawings < 20


def test_running_tasks_are_drawn_below_what_has_ended(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "_SECONDS_BETWEEN_DRAWINGS", 0)
    with RunDisplay(NotebookConsole(), ["list-data", "train-head"]) as display:
        display.show(TaskStarted("list-data"))
        display.show(TaskEnded("list-data", True))
        display.show(TaskStarted("train-head"))
        display.show(TaskProgress("features", 120, 400, "images"))
        text = cell.blocks[0]["text/plain"]
    assert re.search(r"✓ 1/2 list-data .*\n. 2/2 train-head +features 120/400 .*\n +total", text)


def test_only_a_kernel_is_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shell: Any = type("Shell", (), {})()
    monkeypatch.setattr(IPython, "get_ipython", lambda: None)
    assert not in_notebook()
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    assert not in_notebook()
    shell.kernel = object()
    assert in_notebook()
