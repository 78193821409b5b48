"""One place sets the image of all components, as compiled pipelines of others show."""

import importlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kfp import compiler, dsl

import headstart.components
from headstart import __version__
from headstart.components.container_image import IMAGE_VARIABLE, REGISTRY_VARIABLE, component_image
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.component import download_dataset
from headstart.components.split_dataset.component import split_dataset

TAG = __version__
LATER = "headstart.components.find_champion.component"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No image is set before a test, and none after it."""
    for variable in (IMAGE_VARIABLE, REGISTRY_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delitem(sys.modules, LATER, raising=False)
    yield
    for variable in (IMAGE_VARIABLE, REGISTRY_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        headstart.components.use_image()


def images(folder: Path) -> set[str]:
    """Images of a pipeline of components that were imported before and are imported now."""
    find_champion = importlib.import_module(LATER).find_champion

    @dsl.pipeline(name="of-others")
    def of_others() -> None:
        splits = split_dataset(dataset=download_dataset(data=["photos"]).outputs["dataset"])
        find_champion(test=splits.outputs["test"], publish_uri="", champion="")

    compiler.Compiler().compile(of_others, str(folder / "pipeline.yaml"))
    pipeline = yaml.safe_load((folder / "pipeline.yaml").read_text())
    executors = pipeline["deploymentSpec"]["executors"].values()
    assert len(executors) == 3
    return {each["container"]["image"] for each in executors}


def test_without_a_choice_it_is_the_one_of_this_version(tmp_path: Path) -> None:
    assert images(tmp_path) == {f"headstart:{TAG}"}


@pytest.mark.parametrize(
    ("image", "registry", "name"),
    [
        ("", "registry.example/team", f"registry.example/team/headstart:{TAG}"),
        ("", "registry.example/team/", f"registry.example/team/headstart:{TAG}"),
        ("headstart-gpu", "registry.example/team", f"registry.example/team/headstart-gpu:{TAG}"),
        ("mine:2", "registry.example:5000", "registry.example:5000/mine:2"),
        ("elsewhere.example/mine", "registry.example/team", f"elsewhere.example/mine:{TAG}"),
    ],
)
def test_image_is_that_of_all_components(image: str, registry: str, name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert headstart.components.use_image(image, registry) == name
    assert images(tmp_path) == {name}


def test_environment_sets_it_for_components_imported_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REGISTRY_VARIABLE, "registry.example/team")
    monkeypatch.setenv(IMAGE_VARIABLE, "mine:1")
    later = importlib.import_module(LATER).find_champion
    assert later.component_spec.implementation.container.image == "registry.example/team/mine:1"


def test_call_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(REGISTRY_VARIABLE, "registry.example/team")
    headstart.components.use_image("mine:1")
    assert images(tmp_path) == {"registry.example/team/mine:1"}
    headstart.components.use_image(registry="elsewhere.example")
    assert images(tmp_path) == {f"elsewhere.example/headstart:{TAG}"}


def test_image_without_a_registry_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=f"no registry is named before headstart:{TAG}: a node without"):
        headstart.components.use_image()


def test_latest_is_refused_and_changes_nothing() -> None:
    headstart.components.use_image("registry.example/mine:1")
    with pytest.raises(HeadstartError, match="mine:latest may be another image tomorrow"):
        headstart.components.use_image("registry.example/mine:latest")
    assert component_image() == "registry.example/mine:1"
