"""Which model a new one is compared with, and that it is of the same classes, before any training."""

from pathlib import Path

import pytest
from support.published import version_folder
from support.servers import serving

from headstart.components.core import registry
from headstart.components.core.errors import HeadstartError
from headstart.components.find_champion.step import find_champion


@pytest.fixture
def before(tmp_path: Path) -> str:
    """A model in use that was never published."""
    return str(version_folder(tmp_path / "before", 1) / "model")


def test_published_model_goes_before_another(splits: dict[str, Path], before: str, tmp_path: Path) -> None:
    uri = str(tmp_path / "published")
    assert find_champion(splits["test"], uri) == find_champion(splits["test"], "") == ""
    assert find_champion(splits["test"], uri, before) == before
    version = registry.publish_folder(version_folder(tmp_path / "version"), uri).version
    assert find_champion(splits["test"], uri, before) == f"{uri}/{version}/model"


def test_model_elsewhere_is_asked_for_its_classes(splits: dict[str, Path], before: str) -> None:
    with serving(Path(before)) as address:
        assert find_champion(splits["test"], "", address) == address


def test_model_of_other_classes_is_refused(splits: dict[str, Path], tmp_path: Path) -> None:
    uri = str(tmp_path / "published")
    version = version_folder(tmp_path / "version", classes=("cat", "wolf"))
    registry.publish_folder(version, uri)
    said = r"^the model in use, .*/model, has classes \['cat', 'wolf'\], the test images \['cat', 'dog'\]; publish to"
    for given in ((uri, ""), ("", f"{version}/model")):
        with pytest.raises(HeadstartError, match=said):
            find_champion(splits["test"], *given)


def test_order_of_the_classes_is_of_no_account(splits: dict[str, Path], tmp_path: Path) -> None:
    address = str(version_folder(tmp_path / "version", classes=("dog", "cat")) / "model")
    assert find_champion(splits["test"], "", address) == address
