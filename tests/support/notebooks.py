"""The notebooks in examples/, run from a clean environment.

python tests/support/notebooks.py runs them and writes their outputs anew.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))

_TIMEOUT_SECONDS = 900


def run_notebook(path: Path, folder: Path) -> nbformat.NotebookNode:
    """Runs a notebook from its beginning.

    Args:
        path: The notebook, which stays as it is.
        folder: Empty folder that it runs in; caches and settings lie there as well.

    Returns:
        The notebook with its outputs.
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    places = {
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / ".cache"),
        "IPYTHONDIR": str(folder / ".ipython"),
        "HEADSTART_CACHE": str(folder / ".cache" / "headstart"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HEADSTART_", "JUPYTER_"))}
    client = NotebookClient(
        notebook,
        timeout=_TIMEOUT_SECONDS,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=kept | places)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


if __name__ == "__main__":
    for each in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as place:
            nbformat.write(run_notebook(each, Path(place)), each)
        print(each.relative_to(ROOT), f"{each.stat().st_size / 1000:.0f} kB")
