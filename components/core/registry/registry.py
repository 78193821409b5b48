"""Published models: versions below an address, and which of them is in use.

    URI/champion.json         names the version in use, and every one that was
    URI/VERSION/…             a version's files, written once
    URI/VERSION/version.json  what they are, with the checksum of each; the last to appear; without it there is none

A version is named for the bytes of its files, so that of two who write the same name both write the same, and what a
killed one has left is finished by the next. `champion.json` changes only if it is still the one that was read: a
reader sees the old version or the new one, and of two publications at once one wins.
"""

import dataclasses
import datetime
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from headstart.components.core.artifacts.evaluation import FINAL, METRICS, read_metrics
from headstart.components.core.artifacts.model import ModelInfo, read_model_info
from headstart.components.core.storage.atomic import json_bytes
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.storage.manifests import Count, Finite, Fraction, Names, parse_manifest
from headstart.components.core.storage.stores import (
    Conflict,
    NotFound,
    Tree,
    is_remote,
    open_store,
    open_tree,
    without_secrets,
)
from headstart.components.core.storage.stores.tree import checked
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event

CHAMPION = "champion.json"
VERSION = "version.json"
MODEL_FOLDER = "model"
EVALUATION = "evaluation"
INFERENCE_SERVICE = "inference_service.yaml"
"""Tells a server where the version is: its name cannot hang on it, nor does `version.json` list it."""

CHAMPION_FORMAT = "headstart-champion/1"
VERSION_FORMAT = "headstart-version/1"

PUBLISHED, ROLLED_BACK = "published", "rolled back"
UNCHANGED, OVERTAKEN = "unchanged", "overtaken"

_NAME_LETTERS = 16
_VERSION_FAMILY = b"headstart-version/"
"""In every `version.json` of ours; a file of that name may be another program's."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What there is to say of a version.

    Attributes:
        model: SHA-256 of its `model.keras`.
        classes: Class names in the order of the model's probabilities.
        data: Digests of the training, the validation and the test set.
        run: What made it, as the one who published it says.
        images: Test images that it was evaluated on.
        accuracy: On them.
        accuracy_interval: Its 95 % interval.
    """

    model: str
    classes: Names
    data: dict[str, str]
    run: str
    images: Count
    accuracy: Fraction
    accuracy_interval: tuple[Finite, Finite]


@dataclasses.dataclass(frozen=True)
class Stored:
    """One file of a version: the SHA-256 of its bytes, and how many there are."""

    sha256: str
    size: int


@dataclasses.dataclass(frozen=True)
class Version:
    """What `version.json` says.

    Attributes:
        version: Its name.
        created: When it was complete, in UTC, as ISO 8601 writes it.
        facts: What there is to say of it.
        files: By name, relative to its folder.
    """

    version: str
    created: str
    facts: Facts
    files: dict[str, Stored]


@dataclasses.dataclass(frozen=True)
class Change:
    """A version became the one in use.

    Attributes:
        version: Its name.
        when: In UTC, as ISO 8601 writes it.
        how: `PUBLISHED` or `ROLLED_BACK`.
        replaced: The version before; empty: there was none.
        facts: What there is to say of it.
    """

    version: str
    when: str
    how: str
    replaced: str
    facts: Facts


@dataclasses.dataclass(frozen=True)
class Champion:
    """The version in use.

    Attributes:
        address: Of its folder.
        version: What its `version.json` says.
        history: Every change up to it, the latest last.
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
    """All that is published at an address.

    Attributes:
        in_use: Name of the version in use; empty: there is none.
        versions: All complete versions, the oldest first, whether in use or not.
        damaged: Why others cannot be read, by name; the version in use is among them where it is gone.
    """

    in_use: str
    versions: list[Version]
    damaged: dict[str, str]


class Damaged(HeadstartError):
    """A version lacks a file, or one is not what was published."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a publication.

    Attributes:
        status: `PUBLISHED`; `UNCHANGED`: the version is in use already; `OVERTAKEN`: it is there, but another one
            than expected was in use by then, and stays so.
        version: Name of the version.
        address: Of its folder.
        replaced: The version that was in use before; the one that is in use, where it was overtaken.
    """

    status: str
    version: str
    address: str
    replaced: str


@dataclasses.dataclass(frozen=True)
class _ChampionFile:
    version: str
    history: list[Change]


def champion(uri: str) -> Champion | None:
    """The version in use; None where nothing has been published.

    Args:
        uri: A folder, or a `gs://` or `s3://` address.

    Raises:
        HeadstartError: It cannot be read, `champion.json` is another program's, or the version is damaged.
    """
    tree = open_tree(uri)
    state, _ = _read_state(tree)
    return _champion(tree, state) if state else None


def listing(uri: str) -> Listing:
    """All versions; a damaged one keeps none of the others from being seen.

    Raises:
        HeadstartError: They cannot be listed or read, or `champion.json` is another program's.
    """
    tree = open_tree(uri)
    state, _ = _read_state(tree)
    in_use = state.version if state else ""
    ends = f"/{VERSION}"
    names = {name.removesuffix(ends) for name in tree.names() if name.endswith(ends) and name.count("/") == 1}
    found, damaged = [], {}
    for name in sorted(names | {in_use} - {""}):
        try:
            found.append(_read_version(tree, name))
        except Damaged as error:
            damaged[name] = str(error)
    return Listing(in_use, sorted(found, key=lambda version: version.created), damaged)


def version_of(folder: Path) -> str:
    """The name that a folder has as a version, whatever its `inference_service.yaml` says."""
    return _name_of(_files_of(folder))


def check_classes(uri: str, classes: list[str]) -> None:
    """Refuses a model of other classes than the one in use has.

    Args:
        uri: A folder, or a `gs://` or `s3://` address.
        classes: Of the model that is to be published there.

    Raises:
        HeadstartError: They are others, or what is published cannot be read.
    """
    tree = open_tree(uri)
    state, _ = _read_state(tree)
    _check_classes(tree, state, classes)


def publish_folder(folder: Path, uri: str, run: str = "", instead_of: str | None = None) -> Outcome:
    """Publishes a model: writes its version, reads it back, and puts it in the place of the one in use.

    A model whose version is there already, with the same figures and with files of the same names, is not written
    again: exported twice, it is the same model. Whenever this ends or is killed, the old version is in use, or the
    new one.

    Args:
        folder: The version's files; `model/` and `evaluation/` are artifacts as they are.
        uri: A folder, or a `gs://` or `s3://` address.
        run: What made it, in words, for the history.
        instead_of: The version that it was found better than; empty: none was in use; None: never mind.

    Raises:
        HeadstartError: The folder holds no whole model or no evaluation, its classes are others than those of the
            model in use, or the version cannot be written.
    """
    info = read_model_info(folder / MODEL_FOLDER)
    tree = open_tree(uri)
    state, token = _read_state(tree)
    _check_classes(tree, state, info.classes)
    facts = _facts(info, read_metrics(folder / EVALUATION), run)
    files = _files_of(folder)
    version = _known(tree, state, facts.model, files) or _write_version(tree, folder, files, facts)
    name, in_use = version.version, state.version if state else ""
    address = f"{tree.address}/{name}"
    if name == in_use:
        event("publication", status=UNCHANGED, version=name, address=address, in_use=name)
        return Outcome(UNCHANGED, name, address, in_use)
    change = Change(name, _now(), PUBLISHED, in_use, version.facts)
    overtaken_by = in_use
    if instead_of in (None, in_use):
        overtaken_by = _switch(tree, state, token, change)
    status = OVERTAKEN if overtaken_by else PUBLISHED
    event("publication", status=status, version=name, address=address, in_use=overtaken_by or name)
    return Outcome(status, name, address, overtaken_by or in_use)


def check_published(address: str, files: dict[str, Path]) -> None:
    """Refuses files of a version that are others than those that were published.

    Args:
        address: The version's folder: a path, or an `http(s)://`, `gs://` or `s3://` address. Where it holds no
            `version.json` of ours, there is nothing to compare with.
        files: Copies on this machine, by their names relative to it.

    Raises:
        Damaged: If `version.json` does not list one of them, lists another checksum, or was changed itself.
        HeadstartError: If it cannot be read.
    """
    content = _content_of(f"{address}/{VERSION}")
    if content is None or _VERSION_FAMILY not in content:
        return
    shown = without_secrets(address)
    try:
        version = _parsed(content)
    except ValueError as error:
        raise Damaged(f"{shown}/{VERSION} {error}; publish the model again, or use another one") from None
    for name, copy in files.items():
        if not copy.exists():
            continue
        if name not in version.files or sha256_of_file(copy) != version.files[name].sha256:
            raise Damaged(
                f"{shown}/{name} is not the file that was published; publish the model again, or roll back to "
                "another version"
            )


def rollback(uri: str, version: str = "") -> Champion:
    """Puts an earlier version back in use.

    Args:
        uri: Where it is published.
        version: Its name; empty: the one that the present one replaced when it was published.

    Raises:
        HeadstartError: There is no such version, a file of it is missing or altered, or somebody else has changed
            what is in use at the same time.
    """
    tree = open_tree(uri)
    state, token = _read_state(tree)
    if state is None:
        raise HeadstartError(f"nothing is published at {tree.address}; check the address")
    name = version or _before(state)
    if not name:
        raise HeadstartError(f"{state.version} is the first version at {tree.address}; name one to go to")
    if name == state.version:
        raise HeadstartError(f"{name} is in use at {tree.address} already; name another version")
    if not tree.names(name):
        raise HeadstartError(
            f"there is no version {name!r} at {tree.address}; see headstart models list {tree.address}"
        )
    found = _read_version(tree, name)
    _check(tree, found)
    change = Change(name, _now(), ROLLED_BACK, state.version, found.facts)
    if overtaken_by := _switch(tree, state, token, change):
        raise HeadstartError(
            f"{overtaken_by} came into use at {tree.address} in the meantime; see whether to roll that back"
        )
    event("rollback", version=name, replaced=state.version)
    return Champion(f"{tree.address}/{name}", found, [*state.history, change])


def _read_state(tree: Tree) -> tuple[_ChampionFile | None, str]:
    """`champion.json`, and which version of the file that was; None and empty where there is none."""
    where = f"{tree.address}/{CHAMPION}"
    try:
        content, token = tree.read(CHAMPION)
    except NotFound:
        return None, ""
    try:
        state, _ = parse_manifest(content, _ChampionFile, CHAMPION_FORMAT)
    except ValueError as error:
        raise HeadstartError(f"{where} {error}; publish to another address, or move the file away") from None
    if not state.history or state.history[-1].version != state.version:
        raise HeadstartError(f"{where} is damaged: its history does not end with {state.version!r}; restore it")
    return state, token


def _check_classes(tree: Tree, state: _ChampionFile | None, classes: list[str]) -> None:
    if state and sorted(state.history[-1].facts.classes) != sorted(classes):
        raise HeadstartError(
            f"the model has classes {classes}, the one in use at {tree.address} has "
            f"{state.history[-1].facts.classes}; publish it to an address of its own"
        )


def _champion(tree: Tree, state: _ChampionFile) -> Champion:
    return Champion(f"{tree.address}/{state.version}", _read_version(tree, state.version), state.history)


def _read_version(tree: Tree, name: str) -> Version:
    try:
        content, _ = tree.read(checked(f"{name}/{VERSION}"))
        found = _parsed(content)
    except NotFound:
        raise _damaged(tree, name, f"{VERSION} is missing") from None
    except ValueError as error:
        raise _damaged(tree, name, f"{VERSION} {error}") from None
    if found.version != name:
        raise _damaged(tree, name, f"{VERSION} speaks of version {found.version!r}")
    return found


def _parsed(content: bytes) -> Version:
    """What a `version.json` says.

    Raises:
        ValueError: If it is damaged, or its list of files is not the one that the version is named for.
    """
    found, _ = parse_manifest(content, Version, VERSION_FORMAT)
    if _name_of(found.files) != found.version:
        raise ValueError("lists other files or checksums than were published")
    return found


def _content_of(address: str) -> bytes | None:
    """The bytes of a file; None where there is none."""
    try:
        return open_store(address).read(address) if is_remote(address) else Path(address).read_bytes()
    except (NotFound, FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HeadstartError(f"{address} cannot be read ({error}); check its rights") from None


def _damaged(tree: Tree, version: str, what: str) -> Damaged:
    return Damaged(
        f"version {version} at {tree.address} is damaged: {what}; publish the model again, or roll back to another "
        "version"
    )


def _files_of(folder: Path) -> dict[str, Stored]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / INFERENCE_SERVICE)
    return {path.relative_to(folder).as_posix(): Stored(sha256_of_file(path), path.stat().st_size) for path in paths}


def _name_of(files: dict[str, Stored]) -> str:
    listed = [[name, stored.sha256] for name, stored in sorted(files.items())]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:_NAME_LETTERS]


def _facts(info: ModelInfo, metrics: dict[str, Any], run: str) -> Facts:
    data = {**info.dataset, "test": metrics["test_data"]}
    figures, (low, high) = metrics[FINAL], metrics[FINAL]["accuracy_interval"]
    return Facts(info.sha256, info.classes, data, run, figures["images"], figures["accuracy"], (low, high))


def _known(tree: Tree, state: _ChampionFile | None, model: str, files: dict[str, Stored]) -> Version | None:
    """The version of the same model and figures with files of the same names, if one was in use and is whole."""
    figures = f"{EVALUATION}/{METRICS}"
    changes = reversed(state.history) if state else ()
    for name in dict.fromkeys(change.version for change in changes if change.facts.model == model):
        try:
            version = _read_version(tree, name)
            if set(version.files) == set(files) and version.files[figures] == files[figures]:
                _check(tree, version)
                return version
        except HeadstartError as error:
            event("damaged_version", version=name, reason=error)
    return None


def _write_version(tree: Tree, folder: Path, files: dict[str, Stored], facts: Facts) -> Version:
    """Writes files that are not there as they should be, reads each back, and completes the version."""
    name = _name_of(files)
    there = set(tree.names(name))
    for file, stored in files.items():
        if f"{name}/{file}" in there and _is_right(tree, name, file, stored):
            continue
        tree.write(f"{name}/{file}", folder / file)
        if not _is_right(tree, name, file, stored):
            raise HeadstartError(
                f"{tree.address}/{name}/{file} was read back altered; is {folder} being changed, or the store at "
                "fault? publish the model again"
            )
    if (folder / INFERENCE_SERVICE).is_file():
        tree.write(f"{name}/{INFERENCE_SERVICE}", folder / INFERENCE_SERVICE)
    manifest, token = f"{name}/{VERSION}", ""
    if manifest in there:
        try:
            return _read_version(tree, name)
        except Damaged:
            _, token = tree.read(manifest)
    version = Version(name, _now(), facts, files)
    try:
        tree.replace(manifest, json_bytes({"format": VERSION_FORMAT, **dataclasses.asdict(version)}), token)
    except Conflict:
        return _read_version(tree, name)
    return version


def _check(tree: Tree, version: Version) -> None:
    with tempfile.TemporaryDirectory(prefix="headstart-") as copies:
        for name, stored in version.files.items():
            try:
                copy = tree.download(f"{version.version}/{checked(name)}", Path(copies) / "copy")
            except NotFound:
                raise _damaged(tree, version.version, f"{name} is missing") from None
            if sha256_of_file(copy) != stored.sha256:
                raise _damaged(tree, version.version, f"{name} is not the file that was published")


def _is_right(tree: Tree, version: str, name: str, stored: Stored) -> bool:
    with tempfile.TemporaryDirectory(prefix="headstart-") as copies:
        try:
            copy = tree.download(f"{version}/{name}", Path(copies) / "copy")
        except NotFound:
            return False
        return sha256_of_file(copy) == stored.sha256


def _switch(tree: Tree, state: _ChampionFile | None, token: str, change: Change) -> str:
    """Puts a version in use, if the one that was read still is; else returns the name of the one that is."""
    history = [*(state.history if state else ()), change]
    content: dict[str, Any] = {"format": CHAMPION_FORMAT, "version": change.version}
    content["history"] = [dataclasses.asdict(each) for each in history]
    try:
        tree.replace(CHAMPION, json_bytes(content), token)
    except Conflict:
        now, _ = _read_state(tree)
        if now is None:
            raise
        # Ours may have been in use until somebody replaced it, before its own answer came.
        return "" if change in now.history else now.version
    return ""


def _before(state: _ChampionFile) -> str:
    """The version that the present one replaced when it was published."""
    published = [each for each in state.history if each.version == state.version and each.how == PUBLISHED]
    return published[-1].replaced if published else ""


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
