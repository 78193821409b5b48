"""The package works from a wheel, and beside a foreign `components` folder."""

import os
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from support import ROOT
from support.commands import QUICK


def test_foreign_components_folder_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "components").mkdir()
    (tmp_path / "components" / "__init__.py").write_text("raise RuntimeError('the wrong components')")
    done = subprocess.run(
        [Path(sys.executable).parent / "headstart", "compile", "--output", "pipeline.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pipeline.yaml").is_file()


def test_version_is_that_of_the_installed_package_and_its_import_is_light() -> None:
    code = (
        "import sys, headstart\n"
        "print(headstart.__version__)\n"
        "print([name for name in ('headstart.components', 'kfp', 'keras', 'numpy') if name in sys.modules])\n"
    )
    # From elsewhere: in the checkout the folder itself would be found.
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True)
    assert done.stdout.splitlines() == [version("headstart"), "[]"], done.stderr


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, as it is uploaded to an index."""
    folder = tmp_path_factory.mktemp("distribution")
    build = [sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True, cwd=folder)
    (made,) = folder.glob("*.tar.gz")
    return made


@pytest.fixture(scope="module")
def wheel(distribution: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is made of the source distribution, which therefore has all that a wheel is made of."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, distribution],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    (made,) = folder.glob("*.whl")
    return made


def test_source_distribution_holds_the_package_and_nothing_else(distribution: Path) -> None:
    with tarfile.open(distribution) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tops = {name.partition("/")[0] for name in names} - {""}
    assert tops == {
        *("headstart", "components", "pipelines", "headstart.egg-info"),
        *("LICENSE", "README.md", "pyproject.toml", "PKG-INFO", "setup.cfg"),
    }
    assert [name for name in names if "__pycache__" in name] == []


def test_wheel_holds_the_package_whole_and_nothing_else(wheel: Path) -> None:
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    kept = (".py", ".html", ".j2", ".h5", ".typed", ".yaml")
    sources = {
        f"headstart/{path.relative_to(above).as_posix()}"
        for folder, above in (
            (ROOT / "headstart", ROOT / "headstart"),
            (ROOT / "components", ROOT),
            (ROOT / "pipelines", ROOT),
        )
        for path in folder.rglob("*")
        if path.suffix in kept or path.name == "py.typed"
    }
    assert set(names) == sources


@pytest.mark.slow
def test_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Compiles the pipeline, and trains a small classifier with the weights that come with the package."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for module in ("headstart", "headstart.components.core.artifacts.dataset", "headstart.pipelines.cli.main"):
        found = run("-c", f"import {module} as module; print(module.__file__)")
        assert found.startswith(str(site)), found
    command = ("-c", "from headstart.pipelines.cli.main import main; main()")
    assert run(*command, "--version").split()[-1] == wheel.name.split("-")[1]
    run(*command, "compile", "--output", "pipeline.yaml")
    run(*command, "sample", "photos", "--per-class", "80")
    run(*command, "run", "--data", "photos", *QUICK, "--output", "out")
    assert (tmp_path / "pipeline.yaml").is_file()
    assert (tmp_path / "out" / "report.html").is_file()
