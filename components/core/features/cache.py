"""Records kept from run to run: what was computed once from the same front and the same images is not computed again.

An entry is a folder, named by a digest of everything that its content hangs on, with the activations and a manifest.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from headstart.components.core.artifacts.dataset import read_columns, read_info
from headstart.components.core.features.compute import Record, Recorder, load_record
from headstart.components.core.networks.identity import model_digest, nameless
from headstart.components.core.networks.image_batches import augmentation
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import AUTO, END_TO_END
from headstart.components.core.storage.cache import (
    CACHE,
    building,
    cache_folder,
    discard,
    keep,
    make_room,
    touch,
)
from headstart.components.core.storage.files import read_json, sha256_of_file, write_json
from headstart.components.core.storage.stores import NotFound, Tree, open_tree
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event
from headstart.components.core.util.resources import memory

FORMAT = "headstart-record/2"

_ACTIVATIONS = "activations.npy"
_MANIFEST = "record.json"
_CACHE_BYTES = 20 * 2**30
_BYTES = np.dtype(np.float16).itemsize
# Of what is free, since the disk has other uses, and of the memory, which caches what is read from the disk.
_DISK_SHARE, _MEMORY_SHARE = 0.8, 0.5


@dataclasses.dataclass(frozen=True)
class InPassing:
    """What a later stage will ask of the same images, and a front has at hand on its way.

    Attributes:
        front: Resized pixels (n, size, size, 3), 0-255, to the activations that it will ask for.
        rest: Those activations to what the front itself ends with.
        views: That it will ask for; no others are recorded in passing.
    """

    front: keras.Model
    rest: keras.Model
    views: int


@contextlib.contextmanager
def recorded(
    front: keras.Model,
    train: Path,
    validation: Path,
    plan: Plan,
    uri: str = "",
    in_passing: InPassing | None = None,
) -> Iterator[tuple[Record, Record]]:
    """Records a training set in the plan's views and a validation set in one, or finds what was recorded before.

    For a plan of no views, which trains end to end, the plain one is recorded. Where the cache cannot be used, or has
    no room, the records vanish at the block's end.

    Args:
        front: Resized pixels (n, size, size, 3), 0-255, to activations.
        train: Dataset artifact.
        validation: Dataset artifact.
        plan: Its views, augmentation and seed are used.
        uri: A folder, or a `gs://` or `s3://` address, where records are shared with other machines; empty: none.
        in_passing: What to record besides, for whoever asks next, where it can be kept; None: nothing.

    Raises:
        HeadstartError: There is no room for the record anywhere, or the address is none.
    """
    tree = open_tree(uri) if uri else None
    views = max(1, plan.training.views(read_info(train).images))
    way = _Way([front], [model_digest(front)], plan)
    if in_passing and in_passing.views == views and (tree or cache_folder("records")):
        richer = _Way([in_passing.front, in_passing.rest], [model_digest(in_passing.front), *way.digests], plan)
    else:
        richer = None
    with contextlib.ExitStack() as stack:
        yield (
            _record(way, richer, Split.of("train", train, views), tree, stack),
            _record(way, richer, Split.of("validation", validation, 1), tree, stack),
        )


def with_room(front: keras.Model, train: Path, validation: Path, plan: Plan) -> Plan:
    """The plan with as many views as there is room for, where their number is left open; 0, end to end, if for none.

    A record has to fit on the disk; of several views all of it has to fit into memory, too, since an epoch reads it
    in random order. Where the disk has no room for one view, training goes end to end if the resized pixels, which
    are kept for that, are smaller than what the front makes of them.

    Args:
        front: Resized pixels (n, size, size, 3), 0-255, to activations.
        train: Dataset artifact.
        validation: Dataset artifact.
        plan: How the stage trains.
    """
    images, others = (read_info(each).images for each in (train, validation))
    wanted = plan.training.views(images)
    if plan.training.augmented_views != AUTO:
        return plan
    numbers, pixels = (math.prod(tensor.shape[1:]) for tensor in (front.output, front.input))
    a_view, more = images * numbers * _BYTES, others * numbers * _BYTES
    cache = cache_folder("records")
    places = [Path(tempfile.gettempdir()), *([cache] if cache else [])]
    disk = int(_DISK_SHARE * max(shutil.disk_usage(place).free for place in places))
    cached = int(_MEMORY_SHARE * memory())
    views = max(1, min(wanted, (min(disk, cached) - more) // a_view))
    if a_view + more > disk and pixels < numbers:
        views = END_TO_END
    if views == wanted or (
        cache and (cache / _key(_facts(model_digest(front), Split.of("train", train, wanted), plan))).is_dir()
    ):
        return plan
    event(
        "too_little_room",
        stage=plan.stage,
        views=views,
        instead_of=wanted,
        bytes=wanted * a_view + more,
        room_on_disk=disk,
        room_in_memory=cached,
    )
    return dataclasses.replace(plan, training=plan.training.model_copy(update={"augmented_views": views}))


@dataclasses.dataclass(frozen=True)
class Split:
    """A dataset artifact.

    Attributes:
        name: What it is called in the log.
        folder: Of the artifact.
        views: To record.
        ids_sha256: Over the ids of the images, in their order.
    """

    name: str
    folder: Path
    views: int
    ids_sha256: str

    @classmethod
    def of(cls, name: str, folder: Path, views: int) -> "Split":
        """Reads the ids."""
        ids = "\n".join(read_columns(folder, ["id"])["id"].to_pylist())
        return cls(name, folder, views, hashlib.sha256(ids.encode()).hexdigest())


class _Way:
    """Fronts that one pass over the images records, each on what the one before it says; the last is wanted now."""

    def __init__(self, fronts: list[keras.Model], digests: list[str], plan: Plan) -> None:
        self.digests = digests
        self._fronts = fronts
        self._plan = plan

    @functools.cached_property
    def recorder(self) -> Recorder:
        """Made when it is needed: that takes a third of a second."""
        return Recorder(self._fronts, self._plan)

    def facts(self, split: Split) -> list[dict[str, Any]]:
        """Of each front's record."""
        return [_facts(digest, split, self._plan) for digest in self.digests]


def _record(way: _Way, richer: _Way | None, split: Split, tree: Tree | None, stack: contextlib.ExitStack) -> Record:
    """Finds a record in the cache, or at the address, or makes it; kept in the cache, or else until `stack` ends.

    Args:
        way: What is wanted.
        richer: The same, and something else in passing, as far as there is room for it; None: nothing else.
        split: The images.
        tree: Where records are shared.
        stack: At whose end a record is removed that cannot be kept.
    """
    started = time.monotonic()
    cache = cache_folder("records")
    entry = cache / _key(way.facts(split)[-1]) if cache else None
    if entry and (record := _kept(entry, split)):
        _tell("record_reused", record, split, started)
        _share(entry, tree)
        return record

    def scratch() -> Path:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headstart-")))

    if richer:
        try:
            return _obtained(richer, split, cache or scratch(), tree, started)
        except OSError as error:
            event("not_recorded_in_passing", split=split.name, reason=error)
    try:
        if cache:
            try:
                return _obtained(way, split, cache, tree, started)
            except OSError as error:
                event("cache_not_used", folder=cache, reason=error, way_out=f"name another folder in {CACHE}")
        return _obtained(way, split, scratch(), tree, started)
    except OSError as error:
        raise HeadstartError(
            f"no room for the record of {split.name} ({split.views} views): {error}; name folders with room in "
            f"{CACHE} and TMPDIR, or ask for fewer views or smaller images"
        ) from None


def _facts(front: str, split: Split, plan: Plan) -> dict[str, Any]:
    """Whatever the content of a record hangs on."""
    facts = {
        "format": FORMAT,
        "front_sha256": front,
        "images_sha256": split.ids_sha256,
        "views": split.views,
        "deterministic": plan.deterministic,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
    if split.views > 1:
        facts |= {
            "seed": plan.seed,
            "augmentation": nameless(augmentation(plan.augmentation, plan.seed).get_config()),
        }
    return facts


def _key(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _kept(entry: Path, split: Split) -> Record | None:
    if not entry.is_dir():
        return None
    try:
        record = _checked(entry, split)
    except (HeadstartError, KeyError, OSError, ValueError) as error:
        event("record_discarded", split=split.name, reason=error)
        discard(entry)
        return None
    touch(entry)
    return record


def _checked(entry: Path, split: Split) -> Record:
    if sha256_of_file(entry / _ACTIVATIONS) != read_json(entry / _MANIFEST, "record")["sha256"]:
        raise HeadstartError(f"{entry} is not what was written")
    return load_record(entry / _ACTIVATIONS, split.folder)


def _obtained(way: _Way, split: Split, folder: Path, tree: Tree | None, started: float) -> Record:
    """Downloads a record into a folder of them, or makes it, and whatever is recorded in passing."""
    facts = way.facts(split)
    with building(folder) as place:
        made = [place / _key(each) for each in facts]
        for each in made:
            each.mkdir()
        found = tree is not None and _downloaded(tree, made[-1], split)
        if found:
            made = made[-1:]
        else:
            files = [each / _ACTIVATIONS for each in made]
            way.recorder.record(split.folder, split.views, files, f"record {split.name}")
            for each, file, of_it in zip(made, files, facts, strict=True):
                write_json(each / _MANIFEST, of_it | {"sha256": sha256_of_file(file)})
        entries = [keep(each, folder / each.name) for each in made]
    record = load_record(entries[-1] / _ACTIVATIONS, split.folder)
    _tell("record_reused" if found else "recorded", record, split, started)
    if not found:
        for entry in entries:
            _share(entry, tree)
    make_room(folder, _CACHE_BYTES, entries[-1])
    return record


def _downloaded(tree: Tree, made: Path, split: Split) -> bool:
    try:
        for name in (_MANIFEST, _ACTIVATIONS):
            tree.download(f"{made.name}/{name}", made / name)
        _checked(made, split)
    except NotFound:
        return False
    except (HeadstartError, KeyError, ValueError) as error:
        event("record_not_fetched", split=split.name, address=tree.address, reason=error)
        return False
    return True


def _share(entry: Path, tree: Tree | None) -> None:
    """Uploads a record unless it is there, the manifest last."""
    if tree is None:
        return
    try:
        try:
            tree.read(f"{entry.name}/{_MANIFEST}")
        except NotFound:
            for name in (_ACTIVATIONS, _MANIFEST):
                tree.write(f"{entry.name}/{name}", entry / name)
    except HeadstartError as error:
        event("record_not_shared", address=tree.address, reason=error)


def _tell(what: str, record: Record, split: Split, started: float) -> None:
    event(
        what,
        split=split.name,
        images=record.images,
        views=record.views,
        bytes=record.activations.nbytes,
        seconds=time.monotonic() - started,
    )
