"""What a release is made of: the check before it, its compiled files, and what the repository says of its address."""

import hashlib
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, components, dsl
from kfp.dsl import Dataset
from support import ROOT

from headstart import __version__

CHECK = runpy.run_path(str(ROOT / "release" / "check.py"))
NotReadyError: type[Exception] = CHECK["NotReadyError"]
check_release: Callable[[str, Path], str] = CHECK["check_release"]
REPOSITORY: str = CHECK["read_repository"]()
REGISTRY = "registry.example/team"

PAGES = [ROOT / "README.md", *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"]
TEXTS = [
    *PAGES,
    *(ROOT / ".github").rglob("*.yml"),
    *(path for name in ("components", "pipelines", "headstart") for path in (ROOT / name).rglob("*.py")),
    ROOT / "CITATION.cff",
    ROOT / "mkdocs.yml",
    ROOT / "pyproject.toml",
]

CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-01-31

### Added

- Something.

## [1.1.0] - 2025-12-31

- Something else.

[1.2.0]: https://example.com
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the check reads of a checkout that is ready for version 1.2.0."""
    (tmp_path / "headstart").mkdir()
    (tmp_path / "headstart" / "__init__.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "pyproject.toml").write_text('[project.urls]\nRepository = "https://github.com/team/headstart"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def test_the_text_of_a_release_is_its_section(checkout: Path) -> None:
    assert check_release("v1.2.0", checkout) == "### Added\n\n- Something.\n"


@pytest.mark.parametrize(
    ("tag", "file", "old", "new", "message"),
    [
        ("v1.2.1", "CHANGELOG.md", "", "", "tag v1.2.1: headstart.__version__ is 1.2.0; tag v1.2.0"),
        ("1.2.0", "CHANGELOG.md", "", "", "tag 1.2.0: headstart.__version__ is 1.2.0; tag v1.2.0"),
        ("v1.2.0", "CHANGELOG.md", "## [1.2.0]", "## [1.3.0]", r"section \[1.2.0\] is missing"),
        ("v1.2.0", "CHANGELOG.md", " - 2026-01-31", "", r"section \[1.2.0\] has no date"),
        ("v1.2.0", "CHANGELOG.md", "[Unreleased]\n", "[Unreleased]\n\n- Late.\n", r"\[Unreleased\] has entries"),
        ("v1.2.0", "pyproject.toml", "/team/", "/OWNER/", "write the account that holds the repository"),
    ],
)
def test_a_release_that_is_not_ready_is_refused(
    checkout: Path, tag: str, file: str, old: str, new: str, message: str
) -> None:
    (checkout / file).write_text((checkout / file).read_text().replace(old, new))
    with pytest.raises(NotReadyError, match=message):
        check_release(tag, checkout)


def test_the_check_is_a_command_that_says_why_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "release" / "check.py", "v0.0.0"], cwd="/", capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"tag v0.0.0: headstart.__version__ is {__version__}; tag v{__version__}, or change it\n"


def test_the_changelog_has_this_version_and_the_next() -> None:
    sections = CHECK["read_sections"]()
    assert next(iter(sections)) == "Unreleased"
    assert sections[__version__][1]
    dates = [rest for name, (rest, _) in sections.items() if name not in ("Unreleased", __version__)]
    assert all(re.fullmatch(r" - \d{4}-\d{2}-\d{2}", each) for each in dates)


def test_a_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert citation["repository-code"] == REPOSITORY


def test_the_repository_has_one_address() -> None:
    found = {
        (path.name, address)
        for path in TEXTS
        for address in re.findall(r"https://github\.com/[\w-]+/headstart\b", path.read_text(encoding="utf-8"))
        if address != REPOSITORY
    }
    assert found == set()


def test_nobody_is_sent_to_an_index_for_a_package_that_is_not_there() -> None:
    """Extras of the package that is installed already are another matter: pip finds those in it."""
    named = re.compile(r"pip install (?:-\S+ )*['\"]?headstart(?P<extra>\[?)")
    found = {
        (path.name, match[0]) for path in TEXTS for match in named.finditer(path.read_text()) if not match["extra"]
    }
    assert found == set()
    assert named.search((ROOT / "README.md").read_text()) is None


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    (folder / "headstart-1.whl").write_text("a wheel")
    subprocess.run(
        [sys.executable, ROOT / "release" / "assets.py", "--registry", REGISTRY, folder],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    return folder


def test_checksums_are_those_of_all_files(assets: Path) -> None:
    lines = [line.split("  ") for line in (assets / "SHA256SUMS").read_text().splitlines()]
    listed = {name: digest for digest, name in lines}
    files = [path for path in assets.iterdir() if path.name != "SHA256SUMS"]
    assert listed == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert "headstart-1.whl" in listed


def test_every_component_is_loaded_and_runs_in_the_released_image(assets: Path) -> None:
    steps = {path.parent.name for path in (ROOT / "components").glob("*/component.py")}
    files = {path.stem.removeprefix("component-").replace("-", "_"): path for path in assets.glob("component-*.yaml")}
    assert set(files) == steps
    for name, path in files.items():
        loaded = components.load_component_from_file(str(path))
        assert loaded.name == name.replace("_", "-")
        specification: dict[str, Any] = yaml.safe_load(path.read_text())["deploymentSpec"]["executors"]
        (executor,) = specification.values()
        assert executor["container"]["image"] == f"{REGISTRY}/headstart:{__version__}"


def test_a_loaded_component_is_part_of_a_pipeline_of_ones_own(assets: Path, tmp_path: Path) -> None:
    split = components.load_component_from_file(str(assets / "component-split-dataset.yaml"))

    @dsl.pipeline(name="mine")
    def mine() -> None:
        data = dsl.importer(artifact_uri="gs://bucket/dataset", artifact_class=Dataset)
        split(dataset=data.output)

    compiler.Compiler().compile(mine, str(tmp_path / "mine.yaml"))
    assert f"{REGISTRY}/headstart:{__version__}" in (tmp_path / "mine.yaml").read_text()


def test_every_pipeline_is_there_for_every_profile_and_names_the_released_images(assets: Path) -> None:
    names = {path.stem for path in assets.glob("pipeline-*.yaml")}
    profiles = ("cpu", "gke-gpu", "gke-spot", "onprem-nvidia")
    assert names == {
        f"pipeline-{name}-{profile}"
        for name in ("transfer-learning", "compare-methods", "choose-backbone", "search-recipe")
        for profile in profiles
    }
    for name in names:
        parameters = next(yaml.safe_load_all((assets / f"{name}.yaml").read_text()))["root"]["inputDefinitions"][
            "parameters"
        ]
        network = "headstart" if name.endswith("-cpu") else "headstart-gpu"
        assert parameters["data_image"]["defaultValue"] == f"{REGISTRY}/headstart:{__version__}"
        assert parameters["network_image"]["defaultValue"] == f"{REGISTRY}/{network}:{__version__}"
