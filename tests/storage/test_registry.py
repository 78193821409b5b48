"""Publishing: on disk, in fake-gcs-server and in MinIO."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from support.faults import Fault, Request
from support.published import check_version, version_folder
from support.stores import Stored, remove_file

from headstart.components.core.registry import registry
from headstart.components.core.registry.registry import OVERTAKEN, PUBLISHED, ROLLED_BACK, UNCHANGED
from headstart.components.core.registry.versions import list_files, name_version
from headstart.components.core.storage.stores import open_tree
from headstart.components.core.util.errors import HeadstartError


@pytest.fixture
def disk(tmp_path: Path) -> str:
    return str(tmp_path / "published")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Versions' folders of four models."""
    root = tmp_path_factory.mktemp("versions")
    return [version_folder(root / str(seed), seed) for seed in range(4)]


def test_versions_follow_each_other(folder: str, models: list[Path]) -> None:
    assert registry.read_champion(folder) is None
    assert registry.list_versions(folder).versions == []
    first = registry.publish_folder(models[0], folder, "monday", instead_of="")
    assert (first.status, first.replaced) == (PUBLISHED, "")
    second = registry.publish_folder(models[1], folder, "tuesday", instead_of=first.version)
    assert (second.status, second.replaced) == (PUBLISHED, first.version)
    champion = registry.read_champion(folder)
    assert champion is not None
    assert champion.address == second.address == f"{folder}/{second.version}"
    assert [(each.version, each.how, each.replaced, each.facts.run) for each in champion.history] == [
        (first.version, PUBLISHED, "", "monday"),
        (second.version, PUBLISHED, first.version, "tuesday"),
    ]
    facts = champion.version.facts
    assert facts.data == {"train": "train1", "validation": "validation1", "test": "test"}
    assert (facts.images, facts.accuracy, facts.accuracy_interval) == (200, 0.9, (0.85, 0.94))
    assert [each.version for each in registry.list_versions(folder).versions] == [first.version, second.version]
    for path in (path for path in models[1].rglob("*") if path.is_file()):
        name = path.relative_to(models[1]).as_posix()
        assert open_tree(champion.address).read(name)[0] == path.read_bytes()


def test_the_same_model_changes_nothing(folder: str, models: list[Path], tmp_path: Path) -> None:
    first = registry.publish_folder(models[0], folder)
    before = {name: open_tree(folder).read(name) for name in open_tree(folder).names()}
    again = shutil.copytree(models[0], tmp_path / "again")
    # Exported again, its graph has other bytes.
    (again / "saved_model" / "1" / "saved_model.pb").write_bytes(b"another graph")
    for version in (models[0], again):
        outcome = registry.publish_folder(version, folder, "again", instead_of=first.version)
        assert (outcome.status, outcome.version) == (UNCHANGED, first.version)
    assert {name: open_tree(folder).read(name) for name in open_tree(folder).names()} == before
    # In another form it is something new.
    (again / "onnx").mkdir()
    (again / "onnx" / "model.onnx").write_bytes(b"onnx")
    assert registry.publish_folder(again, folder).status == PUBLISHED


def test_a_model_that_was_evaluated_again_is_a_version_of_its_own(
    disk: str, models: list[Path], tmp_path: Path
) -> None:
    first = registry.publish_folder(models[0], disk)
    again = shutil.copytree(models[0], tmp_path / "again")
    path = again / "evaluation" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"calibration": {"temperature": 2.0}}))
    second = registry.publish_folder(again, disk)
    assert (second.status, second.replaced) == (PUBLISHED, first.version)
    assert Path(second.address, "evaluation", "metrics.json").read_bytes() == path.read_bytes()


def test_a_model_that_was_in_use_comes_back_without_being_written(disk: str, models: list[Path]) -> None:
    first = registry.publish_folder(models[0], disk)
    registry.publish_folder(models[1], disk)
    names = open_tree(disk).names()
    outcome = registry.publish_folder(models[0], disk)
    assert (outcome.status, outcome.version) == (PUBLISHED, first.version)
    assert open_tree(disk).names() == names


def test_rollback_goes_back_step_by_step(disk: str, models: list[Path]) -> None:
    names = [registry.publish_folder(model, disk).version for model in models[:3]]
    assert registry.roll_back(disk).version.version == names[1]
    assert registry.roll_back(disk).version.version == names[0]
    with pytest.raises(HeadstartError, match=rf"{names[0]} is the first version at .*; name one to go to"):
        registry.roll_back(disk)
    assert registry.roll_back(disk, names[2]).version.version == names[2]
    champion = registry.read_champion(disk)
    assert champion is not None
    assert [each.version for each in champion.history] == [*names, names[1], names[0], names[2]]
    assert [each.how for each in champion.history] == [PUBLISHED] * 3 + [ROLLED_BACK] * 3
    with pytest.raises(HeadstartError, match=r"is in use at .* already"):
        registry.roll_back(disk, names[2])
    with pytest.raises(HeadstartError, match=r"there is no version 'none' at .*; see headstart models list /"):
        registry.roll_back(disk, "none")


def test_whoever_compared_with_another_champion_is_overtaken(disk: str, models: list[Path]) -> None:
    first = registry.publish_folder(models[0], disk, instead_of="")
    late = registry.publish_folder(models[1], disk, instead_of="")
    assert (late.status, late.replaced) == (OVERTAKEN, first.version)
    champion = registry.read_champion(disk)
    assert champion is not None
    assert champion.version.version == first.version
    assert {each.version for each in registry.list_versions(disk).versions} == {first.version, late.version}


def test_of_publications_at_once_one_wins_and_the_others_say_so(folder: str, models: list[Path]) -> None:
    barrier = Barrier(4)

    def publish(model: Path) -> registry.Outcome:
        barrier.wait()
        return registry.publish_folder(model, folder, instead_of="")

    with ThreadPoolExecutor(4) as pool:
        outcomes = [*pool.map(publish, models)]
    (winner,) = [each.version for each in outcomes if each.status == PUBLISHED]
    assert all(each.status == OVERTAKEN and each.replaced == winner for each in outcomes if each.version != winner)
    champion = registry.read_champion(folder)
    assert champion is not None
    assert champion.version.version == winner
    assert {each.version for each in registry.list_versions(folder).versions} == {each.version for each in outcomes}
    for version in registry.list_versions(folder).versions:
        check_version(folder, version)


def test_the_same_model_published_at_once_is_one_version(folder: str, models: list[Path]) -> None:
    with ThreadPoolExecutor(3) as pool:
        outcomes = [*pool.map(lambda _: registry.publish_folder(models[0], folder), range(3))]
    assert len({each.version for each in outcomes}) == 1
    (version,) = registry.list_versions(folder).versions
    check_version(folder, version)


def test_what_a_killed_publication_left_is_no_version_and_is_finished(folder: str, models: list[Path]) -> None:
    name = name_version(list_files(models[0]))
    tree = open_tree(folder)
    tree.write(f"{name}/model/model.keras", b"half")
    tree.write(f"{name}/evaluation/metrics.json", models[0] / "evaluation" / "metrics.json")
    assert registry.list_versions(folder).versions == []
    with pytest.raises(HeadstartError, match="nothing is published"):
        registry.roll_back(folder, name)
    registry.publish_folder(models[0], folder)
    (version,) = registry.list_versions(folder).versions
    assert version.version == name
    check_version(folder, version)


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_damaged_version_is_told_and_published_anew(disk: str, models: list[Path], damage: str) -> None:
    first = registry.publish_folder(models[0], disk)
    registry.publish_folder(models[1], disk)
    tree, name = open_tree(disk), f"{first.version}/model/model.keras"
    remove_file(tree, name) if damage == "missing" else tree.write(name, b"other")
    (version, _) = registry.list_versions(disk).versions
    said = rf"^version {first.version} at .* is damaged: model/model.keras is .*; publish the model again"
    with pytest.raises(HeadstartError, match=said):
        registry.roll_back(disk)
    outcome = registry.publish_folder(models[0], disk)
    assert (outcome.status, outcome.version) == (PUBLISHED, first.version)
    check_version(disk, version)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"GIF89a", "champion.json is damaged"),
        (b"{}", "is not in the format headstart-champion/1, but in None"),
        (
            b'{"format": "mlflow/1", "version": "3", "history": []}',
            "is not in the format headstart-champion/1, but in 'mlflow/1'",
        ),
        (b'{"format": "headstart-champion/1", "version": "3", "history": []}', "its history does not end with '3'"),
    ],
)
def test_foreign_champion_is_left_alone(tmp_path: Path, models: list[Path], content: bytes, said: str) -> None:
    (tmp_path / "champion.json").write_bytes(content)
    for attempt in (
        lambda: registry.read_champion(str(tmp_path)),
        lambda: registry.publish_folder(models[0], str(tmp_path)),
        lambda: registry.roll_back(str(tmp_path)),
    ):
        with pytest.raises(HeadstartError, match=said):
            attempt()
    assert [path.name for path in tmp_path.iterdir()] == ["champion.json"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "version.json is missing"),
        (b"GIF89a", "version.json is damaged"),
        (b"of another", "version.json is of version"),
    ],
)
def test_damaged_version_in_use_is_told_hides_no_other_and_is_mended(
    disk: str, models: list[Path], content: bytes | None, said: str
) -> None:
    first, second = (registry.publish_folder(model, disk).version for model in models[:2])
    tree, name = open_tree(disk), f"{second}/version.json"
    if content == b"of another":
        content, _ = tree.read(f"{first}/version.json")
    remove_file(tree, name) if content is None else tree.write(name, content)
    told = rf"^version {second} at .* is damaged: {said}.*; publish the model again, or roll back"
    with pytest.raises(HeadstartError, match=told):
        registry.read_champion(disk)
    listing = registry.list_versions(disk)
    assert (listing.in_use, list(listing.damaged)) == (second, [second])
    assert [each.version for each in listing.versions] == [first]
    assert registry.roll_back(disk, first).version.version == first
    with pytest.raises(HeadstartError, match=told):
        registry.roll_back(disk, second)
    assert registry.publish_folder(models[1], disk).version == second
    assert registry.list_versions(disk).damaged == {}


def test_other_classes_and_unfinished_models_are_refused(tmp_path: Path, models: list[Path]) -> None:
    uri = str(tmp_path / "published")
    registry.publish_folder(models[0], uri)
    birds = version_folder(tmp_path / "birds", classes=("cat", "dog", "owl"))
    with pytest.raises(HeadstartError, match=r"classes \['cat', 'dog', 'owl'\], the one in use at .* has \['ca"):
        registry.publish_folder(birds, uri)
    for name, said in (("model.keras", "lacks model.keras"), ("model.json", "model.json is missing")):
        broken = shutil.copytree(models[1], tmp_path / name)
        (broken / "model" / name).unlink()
        with pytest.raises(HeadstartError, match=said):
            registry.publish_folder(broken, uri)
    altered = shutil.copytree(models[1], tmp_path / "altered")
    (altered / "model" / "model.keras").write_bytes(b"other")
    with pytest.raises(HeadstartError, match=r"is not the file that model\.json describes"):
        registry.publish_folder(altered, uri)
    assert len(registry.list_versions(uri).versions) == 1


def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, models: list[Path]) -> None:
    uri = tmp_path / "published"
    name = registry.publish_folder(models[0], str(uri)).version
    path = uri / name / "version.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["model/../../../up"] = manifest["files"]["model/model.keras"]
    # A version of its own right: its name is that of this list.
    listed = [[each, stored["sha256"]] for each, stored in sorted(manifest["files"].items())]
    name = manifest["version"] = hashlib.sha256(json.dumps(listed).encode()).hexdigest()[: len(name)]
    shutil.copytree(path.parent, uri / name)
    (uri / name / "version.json").write_text(json.dumps(manifest))
    registry.publish_folder(models[1], str(uri))
    with pytest.raises(HeadstartError, match="is not a file name relative to a folder"):
        registry.roll_back(str(uri), name)


def test_switch_whose_answer_was_lost_and_that_was_then_replaced_counts(gcs: Stored, models: list[Path]) -> None:
    uri = gcs.uri("models")
    registry.publish_folder(models[0], uri)
    # The version is written before, so that only the switch is left.
    name = registry.publish_folder(models[1], uri, instead_of="another").version
    switches: list[Request] = []

    def fault(request: Request) -> Fault | None:
        switches.append(request)
        if len(switches) == 2:
            blob = gcs.server.client.bucket(gcs.bucket).blob("models/champion.json")
            state = json.loads(blob.download_as_bytes())
            state["history"].append(state["history"][0])
            state["version"] = state["history"][0]["version"]
            blob.upload_from_string(json.dumps(state))
        return Fault("lose") if len(switches) == 1 else None

    gcs.proxy.spoil(fault, only=lambda request: request.method == "POST" and "ifGenerationMatch" in request.path)
    # What is read back first has been written already, on the condition that it was not there.
    outcome = registry.publish_folder(models[1], uri)
    assert (outcome.status, outcome.version) == (PUBLISHED, name)
    champion = registry.read_champion(uri)
    assert champion is not None
    assert [each.version for each in champion.history][1:] == [name, champion.version.version]
