"""Which model a new one is compared with, and that it is of the same classes, before any training."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import foreign
from support.published import version_folder
from support.servers import serve_folder

from headstart.components.core.artifacts.model import read_model_manifest, write_model_info
from headstart.components.core.registry import registry
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.util.errors import HeadstartError
from headstart.components.find_champion.step import find_champion

VALUES = "layers/dense/vars/0"


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
    with serve_folder(Path(before)) as address:
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


@pytest.mark.parametrize("name", ["model/model.keras", "model/model.json", "model/history.csv", "version.json"])
def test_altered_version_is_found_before_any_training(name: str, splits: dict[str, Path], tmp_path: Path) -> None:
    uri = str(tmp_path / "published")
    address = Path(registry.publish_folder(version_folder(tmp_path / "version"), uri).address)
    (address / name).write_bytes((address / name).read_bytes().replace(b"64", b"65") + b"\n")
    for given in ((uri, ""), ("", str(address / "model"))):
        if name != "version.json" or given[0]:
            with pytest.raises(HeadstartError, match=r"is not the file that|is damaged|resizes"):
                find_champion(splits["test"], *given)


def test_checksums_that_were_altered_with_the_files_are_found_by_the_name(
    splits: dict[str, Path], tmp_path: Path
) -> None:
    uri = str(tmp_path / "published")
    address = Path(registry.publish_folder(version_folder(tmp_path / "version"), uri).address)
    history = address / "model" / "history.csv"
    before = sha256_of_file(history)
    history.write_text("another\n")
    manifest = address / "version.json"
    manifest.write_text(manifest.read_text().replace(before, sha256_of_file(history)))
    with pytest.raises(HeadstartError, match=r"lists other files or checksums than were published"):
        find_champion(splits["test"], uri)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda file: file.write_bytes(b"no archive"), "is not a Keras file, or is damaged"),
        (lambda file: foreign.replace_member(file, "config.json", None), r"it has no config\.json"),
        (
            lambda file: foreign.alter_weights(file, foreign.replace_values(lambda values: values * np.nan), VALUES),
            "NaN or infinite",
        ),
        (lambda file: foreign.alter_weights(file, foreign.external_link, VALUES), "reaches outside of itself"),
    ],
)
def test_network_that_nobody_could_load_is_found_before_any_training(
    change: Callable[[Path], object], says: str, splits: dict[str, Path], tmp_path: Path
) -> None:
    model = version_folder(tmp_path / "before") / "model"
    change(model / "model.keras")
    write_model_info(model, read_model_manifest(model))
    with pytest.raises(HeadstartError, match=rf"^the model in use, {model}: .*{says}"):
        find_champion(splits["test"], "", str(model))
