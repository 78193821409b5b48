"""GitHub's workflows: pinned, with no more rights than they need, and in step with the rest of the repository."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ROOT

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
PINNED = re.compile(r"(?P<action>[\w-]+/[\w-]+)@(?P<commit>[0-9a-f]{40}) # (?P<version>v\d+(\.\d+)+)")
# Rights with which something leaves the repository, by the jobs that may have them.
WRITERS = {
    ("docs", "deploy"): {"pages", "id-token"},
    ("release", "images"): {"packages", "id-token", "attestations"},
    ("release", "assets"): {"id-token", "attestations"},
    ("release", "pypi"): {"id-token"},
    ("release", "github"): {"contents"},
}

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every step of every job, with the names of its workflow and job."""
    for path in WORKFLOWS:
        for name, job in load(path)["jobs"].items():
            for step in job.get("steps", []):
                yield f"{path.stem}: {name}", step


def used() -> list[str]:
    """What stands behind every `uses:` that is not in this repository."""
    lines = [line for path in WORKFLOWS for line in path.read_text().splitlines() if re.match(r"\s*(- )?uses:", line)]
    found = [line.partition("uses:")[2].strip() for line in lines]
    return [each for each in found if not each.startswith("./")]


def test_every_action_is_pinned_by_its_commit() -> None:
    assert len(used()) > 20
    assert [each for each in used() if not PINNED.fullmatch(each)] == []


def test_an_action_has_one_version() -> None:
    found: dict[str, set[str]] = {}
    for each in used():
        action, _, pin = each.partition("@")
        found.setdefault(action, set()).add(pin)
    assert {action: pins for action, pins in found.items() if len(pins) > 1} == {}


@every_workflow
def test_rights_are_stated_and_are_no_more_than_needed(path: Path) -> None:
    workflow = load(path)
    jobs = workflow["jobs"]
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for name, job in jobs.items():
        rights = job.get("permissions", workflow["permissions"])
        writes = {scope for scope, right in rights.items() if right != "read"}
        assert writes == WRITERS.get((path.stem, name), set()), name


@every_workflow
def test_every_workflow_ends_in_time_and_in_turn(path: Path) -> None:
    workflow = load(path)
    assert "group" in workflow["concurrency"]
    for name, job in workflow["jobs"].items():
        assert "uses" in job or job["timeout-minutes"] <= 90, name


def test_no_checkout_leaves_its_credentials_behind() -> None:
    found = [(where, step) for where, step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert len(found) >= len(WORKFLOWS) - 1
    assert [where for where, step in found if step["with"]["persist-credentials"] is not False] == []


def test_no_expression_is_part_of_a_script() -> None:
    """A value goes into a script by its environment: a title of a pull request could hold commands."""
    assert [where for where, step in steps() if "${{" in step.get("run", "")] == []


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {
        name for _, step in steps() for name in re.findall(r"^make ([a-z-]+)", step.get("run", ""), re.MULTILINE)
    }
    called |= set(load(FOLDER / "images.yml")["jobs"]["build"]["strategy"]["matrix"]["target"])
    assert {"check", "dist", "docs", "image", "release-assets"} <= called
    assert called <= targets


def test_versions_of_python_are_those_that_the_package_names() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    named = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", each) for each in project["classifiers"]]
    versions = [found[1] for found in named if found]
    first, last = (int(version.partition(".")[2]) for version in (versions[0], versions[-1]))
    assert project["requires-python"] == f">=3.{first},<3.{last + 1}"
    assert versions == [f"3.{minor}" for minor in range(first, last + 1)]
    assert load(FOLDER / "tests.yml")["jobs"]["test"]["strategy"]["matrix"]["python"] == versions
    installed = load(FOLDER / "packages.yml")["jobs"]["install"]["strategy"]["matrix"]["include"]
    assert {each["python"] for each in installed if each["package"] == "*.whl"} == set(versions)
    check = re.search(r"\(3, (\d+)\) <= sys.version_info < \(3, (\d+)\)", (ROOT / "Makefile").read_text())
    assert check and [int(each) for each in check.groups()] == [first, last + 1]


def find_tool(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed here")
    return found


def test_actionlint_finds_nothing() -> None:
    done = subprocess.run([find_tool("actionlint")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_zizmor_finds_nothing() -> None:
    done = subprocess.run([find_tool("zizmor"), "--offline", ".github"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
