"""`import headstart` is light, and offers the API all the same."""

import ast
import json
import subprocess
import sys

from support import ROOT

IMPORTED = """
import json, os, sys
before = dict(os.environ)
import headstart
loaded = [name for name in sys.modules if name.startswith("headstart.")]
listed = [name for name in headstart.__all__ if name not in dir(headstart)]
found = [name for name in headstart.__all__ if getattr(headstart, name).__name__ != name]
heavy = [name for name in ("tensorflow", "keras", "kfp", "typer", "IPython") if name in sys.modules]
print(json.dumps([loaded, listed, found, heavy, before == dict(os.environ)]))
"""


def test_importing_it_loads_nothing_and_leaves_the_environment_as_it_is() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    loaded, not_listed, misnamed, heavy, untouched = json.loads(done.stdout)
    assert (loaded, not_listed, misnamed) == ([], [], [])
    # Typer is what kfp is to components: the commands' interface.
    assert set(heavy) <= {"typer"}
    assert untouched


def test_type_checkers_see_the_names_that_are_found() -> None:
    import headstart

    module = ast.parse((ROOT / "headstart" / "__init__.py").read_text())
    (branch,) = (each for each in module.body if isinstance(each, ast.If))
    imported = {
        name.name: each.module for each in branch.body if isinstance(each, ast.ImportFrom) for name in each.names
    }
    assert imported == headstart._MODULES
    assert sorted(imported) == headstart.__all__
