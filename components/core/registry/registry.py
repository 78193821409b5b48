"""Published models: versions below an address, and the champion, which is the version in use.

    URI/champion.json         names the champion and all earlier champions
    URI/VERSION/…             files of a version, each written once
    URI/VERSION/version.json  checksums of the files; written last: without it there is no version

What deployments of a version have shown lies beside its files, see `deployments`.

A version is named for the bytes of its files. Two writers of one name therefore write the same, and the next writer
finishes what a killed one has left. `champion.json` is replaced only if it is still the one that was read. A reader
sees the old version or the new one, and of two publications at once one wins.
"""

import dataclasses
import datetime
from pathlib import Path
from typing import Any

from headstart.components.core.artifacts.evaluation import FINAL, METRICS, read_metrics
from headstart.components.core.artifacts.model import ModelInfo, read_model_info
from headstart.components.core.registry.verification import damaged_version, is_intact, verify_version
from headstart.components.core.registry.versions import (
    EVALUATION,
    INFERENCE_SERVICE,
    MODEL_FOLDER,
    VERSION_FORMAT,
    VERSION_JSON,
    DamagedVersion,
    PublishedFile,
    Version,
    VersionFacts,
    list_files,
    name_version,
    parse_version,
)
from headstart.components.core.storage.atomic import json_bytes
from headstart.components.core.storage.manifests import parse_manifest
from headstart.components.core.storage.stores import Conflict, NotFound, Tree, open_tree
from headstart.components.core.storage.stores.tree import check_name
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, log_phase, track_progress

CHAMPION_JSON = "champion.json"
CHAMPION_FORMAT = "headstart-champion/1"

PUBLISHED, ROLLED_BACK = "published", "rolled back"
UNCHANGED, OVERTAKEN = "unchanged", "overtaken"


@dataclasses.dataclass(frozen=True)
class Change:
    """A change of the champion.

    Attributes:
        version: Name of the new champion.
        when: Time of the change in UTC, as ISO 8601.
        how: `PUBLISHED` or `ROLLED_BACK`.
        replaced: Name of the champion before; empty: there was none.
        facts: Facts about the new champion.
    """

    version: str
    when: str
    how: str
    replaced: str
    facts: VersionFacts


@dataclasses.dataclass(frozen=True)
class Champion:
    """The version in use.

    Attributes:
        address: Address of its folder.
        version: Content of its `version.json`.
        history: All changes of the champion, the latest last.
    """

    address: str
    version: Version
    history: list[Change]

    @property
    def model(self) -> str:
        """Address of its model artifact."""
        return f"{self.address}/{MODEL_FOLDER}"


@dataclasses.dataclass(frozen=True)
class Listing:
    """All versions at an address.

    Attributes:
        in_use: Name of the champion; empty: there is none.
        versions: Complete versions, the oldest first.
        damaged: Versions that cannot be read, with the reason, by name; a champion that is missing is among them.
    """

    in_use: str
    versions: list[Version]
    damaged: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of a publication.

    Attributes:
        status: `PUBLISHED`; `UNCHANGED`: the version already was the champion; `OVERTAKEN`: the version is there, but
            the champion was no longer the expected one and stays.
        version: Name of the version.
        address: Address of its folder.
        replaced: Name of the champion before; if overtaken, of the present one.
        registered: Name of the model in Kubeflow's Model Registry; empty: the version was not registered there.
    """

    status: str
    version: str
    address: str
    replaced: str
    registered: str = ""


@dataclasses.dataclass(frozen=True)
class _ChampionFile:
    version: str
    history: list[Change]


def read_champion(uri: str) -> Champion | None:
    """Reads the champion; None if nothing has been published.

    Args:
        uri: Folder, or `gs://` or `s3://` address.

    Raises:
        HeadstartError: If it cannot be read, `champion.json` is another program's, or the version is damaged.
    """
    tree = open_tree(uri)
    state, _ = _read_state(tree)
    if state is None:
        return None
    return Champion(f"{tree.address}/{state.version}", _read_version(tree, state.version), state.history)


def read_version(uri: str, name: str) -> Version:
    """Reads a version.

    Args:
        uri: Folder, or `gs://` or `s3://` address.
        name: Name of the version.

    Raises:
        HeadstartError: If it cannot be read, is missing or damaged.
    """
    return _read_version(open_tree(uri), name)


def list_versions(uri: str) -> Listing:
    """Lists all versions; a damaged one does not hide the others.

    Raises:
        HeadstartError: If they cannot be listed or read, or `champion.json` is another program's.
    """
    log_phase("listing versions")
    tree = open_tree(uri)
    state, _ = _read_state(tree)
    in_use = state.version if state else ""
    ending = f"/{VERSION_JSON}"
    names = {name.removesuffix(ending) for name in tree.names() if name.endswith(ending) and name.count("/") == 1}
    versions, damaged = [], {}
    every = sorted(names | {in_use} - {""})
    for name in track_progress(every, "reading versions", len(every), unit="versions"):
        try:
            versions.append(_read_version(tree, name))
        except DamagedVersion as error:
            damaged[name] = str(error)
    return Listing(in_use, sorted(versions, key=lambda version: version.created), damaged)


def check_classes(uri: str, classes: list[str]) -> None:
    """Refuses a model whose classes differ from the champion's.

    Args:
        uri: Folder, or `gs://` or `s3://` address.
        classes: Class names of the model that is to be published there.

    Raises:
        HeadstartError: If the classes differ, or the champion cannot be read.
    """
    tree = open_tree(uri)
    state, _ = _read_state(tree)
    _check_classes(tree, state, classes)


def publish_folder(folder: Path, uri: str, run: str = "", instead_of: str | None = None) -> Outcome:
    """Publishes a model: writes its version, reads it back, and makes it the champion.

    A model of which there is a version already, with the same figures and files of the same names, is not written
    again: exported twice, it is the same model. If this is killed at any moment, the old champion stays or the new
    one is in use.

    Args:
        folder: Files of the version; `model/` and `evaluation/` are artifacts.
        uri: Folder, or `gs://` or `s3://` address.
        run: Description of the run that made it, for the history.
        instead_of: Name of the champion that it was found better than; empty: there was none; None: any.

    Raises:
        HeadstartError: If the folder has no complete model or evaluation, its classes differ from the champion's, or
            the version cannot be written.
    """
    info = read_model_info(folder / MODEL_FOLDER)
    tree = open_tree(uri)
    state, token = _read_state(tree)
    _check_classes(tree, state, info.classes)
    facts = _make_facts(info, read_metrics(folder / EVALUATION), run)
    files = list_files(folder)
    version = _find_equal_version(tree, state, facts.model, files) or _write_version(tree, folder, files, facts)
    name, in_use = version.version, state.version if state else ""
    address = f"{tree.address}/{name}"
    if name == in_use:
        event("publication", status=UNCHANGED, version=name, address=address, in_use=name)
        return Outcome(UNCHANGED, name, address, in_use)
    overtaken_by = in_use
    if instead_of in (None, in_use):
        overtaken_by = _replace_champion(tree, state, token, Change(name, _now(), PUBLISHED, in_use, version.facts))
    status = OVERTAKEN if overtaken_by else PUBLISHED
    event("publication", status=status, version=name, address=address, in_use=overtaken_by or name)
    return Outcome(status, name, address, overtaken_by or in_use)


def roll_back(uri: str, version: str = "") -> Champion:
    """Makes an earlier version the champion again.

    Args:
        uri: Folder, or `gs://` or `s3://` address.
        version: Name of the version; empty: the one that the present champion replaced when it was published.

    Raises:
        HeadstartError: If there is no such version, a file of it is missing or altered, or somebody else has changed
            the champion at the same time.
    """
    tree = open_tree(uri)
    state, token = _read_state(tree)
    if state is None:
        raise HeadstartError(f"nothing is published at {tree.address}; check the address")
    name = version or _find_replaced(state)
    if not name:
        raise HeadstartError(f"{state.version} is the first version at {tree.address}; name one to go to")
    if name == state.version:
        raise HeadstartError(f"{name} is in use at {tree.address} already; name another version")
    if not tree.names(name):
        raise HeadstartError(
            f"there is no version {name!r} at {tree.address}; see headstart models list {tree.address}"
        )
    found = _read_version(tree, name)
    verify_version(tree, found)
    change = Change(name, _now(), ROLLED_BACK, state.version, found.facts)
    if overtaken_by := _replace_champion(tree, state, token, change):
        raise HeadstartError(
            f"{overtaken_by} came into use at {tree.address} in the meantime; check whether to roll that back"
        )
    event("rollback", version=name, replaced=state.version)
    return Champion(f"{tree.address}/{name}", found, [*state.history, change])


def _read_state(tree: Tree) -> tuple[_ChampionFile | None, str]:
    """Reads `champion.json` and the version token of the file; None and empty if there is no such file."""
    address = f"{tree.address}/{CHAMPION_JSON}"
    try:
        content, token = tree.read(CHAMPION_JSON)
    except NotFound:
        return None, ""
    try:
        state, _ = parse_manifest(content, _ChampionFile, CHAMPION_FORMAT)
    except ValueError as error:
        raise HeadstartError(f"{address} {error}; publish to another address, or move the file away") from None
    if not state.history or state.history[-1].version != state.version:
        raise HeadstartError(f"{address} is damaged: its history does not end with {state.version!r}; restore it")
    return state, token


def _check_classes(tree: Tree, state: _ChampionFile | None, classes: list[str]) -> None:
    if state and sorted(state.history[-1].facts.classes) != sorted(classes):
        raise HeadstartError(
            f"the model has classes {classes}, the one in use at {tree.address} has "
            f"{state.history[-1].facts.classes}; publish it to an address of its own"
        )


def _read_version(tree: Tree, name: str) -> Version:
    try:
        content, _ = tree.read(check_name(f"{name}/{VERSION_JSON}"))
        version = parse_version(content)
    except NotFound:
        raise damaged_version(tree, name, f"{VERSION_JSON} is missing") from None
    except ValueError as error:
        raise damaged_version(tree, name, f"{VERSION_JSON} {error}") from None
    if version.version != name:
        raise damaged_version(tree, name, f"{VERSION_JSON} is of version {version.version!r}")
    return version


def _make_facts(info: ModelInfo, metrics: dict[str, Any], run: str) -> VersionFacts:
    data = {**info.dataset, "test": metrics["test_data"]}
    figures, (low, high) = metrics[FINAL], metrics[FINAL]["accuracy_interval"]
    return VersionFacts(info.sha256, info.classes, data, run, figures["images"], figures["accuracy"], (low, high))


def _find_equal_version(
    tree: Tree, state: _ChampionFile | None, model: str, files: dict[str, PublishedFile]
) -> Version | None:
    """Finds an undamaged former champion with the same model and figures, and with files of the same names."""
    figures = f"{EVALUATION}/{METRICS}"
    changes = reversed(state.history) if state else ()
    for name in dict.fromkeys(change.version for change in changes if change.facts.model == model):
        try:
            version = _read_version(tree, name)
            if set(version.files) == set(files) and version.files[figures] == files[figures]:
                verify_version(tree, version)
                return version
        except HeadstartError as error:
            event("damaged_version", version=name, reason=error)
    return None


def _write_version(tree: Tree, folder: Path, files: dict[str, PublishedFile], facts: VersionFacts) -> Version:
    """Writes the files that are missing or damaged, reads each back, and completes the version."""
    name = name_version(files)
    there = set(tree.names(name))
    for file, published in track_progress(files.items(), "publishing files", len(files), unit="files"):
        if f"{name}/{file}" in there and is_intact(tree, name, file, published):
            continue
        tree.write(f"{name}/{file}", folder / file)
        if not is_intact(tree, name, file, published):
            raise HeadstartError(
                f"{tree.address}/{name}/{file} was read back altered: {folder} is being changed, or the store has a "
                "fault; publish the model again"
            )
    if (folder / INFERENCE_SERVICE).is_file():
        tree.write(f"{name}/{INFERENCE_SERVICE}", folder / INFERENCE_SERVICE)
    manifest, token = f"{name}/{VERSION_JSON}", ""
    if manifest in there:
        try:
            return _read_version(tree, name)
        except DamagedVersion:
            _, token = tree.read(manifest)
    version = Version(name, _now(), facts, files)
    try:
        tree.replace(manifest, json_bytes({"format": VERSION_FORMAT, **dataclasses.asdict(version)}), token)
    except Conflict:
        return _read_version(tree, name)
    return version


def _replace_champion(tree: Tree, state: _ChampionFile | None, token: str, change: Change) -> str:
    """Writes `champion.json` if it is still the one that was read; else returns the name of the new champion."""
    history = [*(state.history if state else ()), change]
    content: dict[str, Any] = {"format": CHAMPION_FORMAT, "version": change.version}
    content["history"] = [dataclasses.asdict(each) for each in history]
    try:
        tree.replace(CHAMPION_JSON, json_bytes(content), token)
    except Conflict:
        now, _ = _read_state(tree)
        if now is None:
            raise
        # Ours may have been the champion until somebody replaced it, before the answer to our own write came.
        return "" if change in now.history else now.version
    return ""


def _find_replaced(state: _ChampionFile) -> str:
    """The version that the champion replaced when it was published; empty if there was none."""
    published = [each for each in state.history if each.version == state.version and each.how == PUBLISHED]
    return published[-1].replaced if published else ""


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
