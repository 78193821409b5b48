"""The notebooks run from a clean environment, and their committed outputs are small, whole and of no machine."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from support import ROOT
from support.notebooks import NOTEBOOKS, run_notebook

LARGEST = 300_000
_ABSOLUTE = re.compile(r"(?<![\w.:<])/(?:tmp|home|root|work|usr|var|private|Users|opt)/[\w.-]+")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook: nbformat.NotebookNode) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shapes(cell: Any) -> set[tuple[str, ...]]:
    """Kinds of a cell's outputs, whatever they say."""
    return {(each.output_type, *sorted(each.get("data", {}))) for each in cell.outputs}


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) == 3


@pytest.mark.slow
@every_notebook
def test_notebook_runs_and_shows_what_is_committed(path: Path, tmp_path: Path) -> None:
    committed = nbformat.read(path, as_version=4)
    run = run_notebook(path, tmp_path)
    assert [shapes(cell) for cell in code_cells(run)] == [shapes(cell) for cell in code_cells(committed)], (
        "run make notebooks"
    )
    # What a kernel writes itself is no output of ours.
    assert not [each for cell in code_cells(run) for each in cell.outputs if each.get("name") == "stderr"]


@every_notebook
def test_committed_outputs_are_small_and_say_nothing_of_this_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < LARGEST
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert not _ABSOLUTE.findall(path.read_text(encoding="utf-8"))
    for cell in code_cells(notebook):
        assert not {each.output_type for each in cell.outputs} & {"error"}, cell.source


def test_readme_of_the_examples_names_them_all() -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    for name in [*(path.name for path in NOTEBOOKS), "minimal.py", "gitops/", "serving/"]:
        assert f"]({name})" in text
