"""The package works from a wheel, and beside a foreign `components` folder."""

import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from support import ROOT


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
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    (made,) = folder.glob("*.whl")
    return made


def test_wheel_holds_the_package_whole_and_nothing_else(wheel: Path) -> None:
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    kept = (".py", ".j2", ".h5", ".typed", ".yaml")
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


def test_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import sys\n"
        "sys.meta_path = [finder for finder in sys.meta_path if 'editable' not in str(finder)]\n"
        f"sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "from headstart.pipelines.cli.main import app\n"
        "import headstart\n"
        "import headstart.components.core.artifacts.dataset as module\n"
        f"assert headstart.__file__.startswith({str(tmp_path / 'site')!r}), headstart.__file__\n"
        f"assert module.__file__.startswith({str(tmp_path / 'site')!r}), module.__file__\n"
        f"app(['compile', '--output', {str(tmp_path / 'pipeline.yaml')!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pipeline.yaml").is_file()
