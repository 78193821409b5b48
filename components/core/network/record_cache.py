"""Records kept from run to run: what was computed once from the same front and the same images is not computed again.

An entry is a folder, named by a digest of everything that its content hangs on, with the activations and a manifest.
"""

import contextlib
import dataclasses
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

from headstart.components.core.cache import CACHE, building, cache_folder, discard, keep, make_room, touch
from headstart.components.core.cores import memory
from headstart.components.core.dataset import read_columns, read_info
from headstart.components.core.errors import HeadstartError
from headstart.components.core.files import read_json, sha256_of_file, write_json
from headstart.components.core.logs import event
from headstart.components.core.network.images import augmentation
from headstart.components.core.network.record import Record, Recorder, load_record
from headstart.components.core.network.weights import weights_digest
from headstart.components.core.plan import Plan
from headstart.components.core.recipe import AUTO, END_TO_END
from headstart.components.core.stores import NotFound, Tree, open_tree

FORMAT = "headstart-record/1"

_ACTIVATIONS = "activations.npy"
_MANIFEST = "record.json"
_CACHE_BYTES = 20 * 2**30
_BYTES = np.dtype(np.float16).itemsize
# Of what is free, since the disk has other uses, and of the memory, which caches what is read from the disk.
_DISK_SHARE, _MEMORY_SHARE = 0.8, 0.5
# Names are numbered through a process, and what is trainable does not matter to a front.
_LEFT_OUT = ("name", "trainable", "build_config")


@contextlib.contextmanager
def recorded(
    front: keras.Model, train: Path, validation: Path, plan: Plan, uri: str = ""
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

    Raises:
        HeadstartError: There is no room for the record anywhere, or the address is none.
    """
    tree = open_tree(uri) if uri else None
    recorder, known = Recorder(front, plan), model_digest(front)
    views = max(1, plan.training.views(read_info(train).images))
    with contextlib.ExitStack() as stack:
        yield (
            _record(recorder, _facts(known, train, views, plan), Split("train", train), tree, stack),
            _record(recorder, _facts(known, validation, 1, plan), Split("validation", validation), tree, stack),
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
    if views == wanted or (cache and (cache / _key(_facts(model_digest(front), train, wanted, plan))).is_dir()):
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
    """A dataset artifact, and what it is called in the log."""

    name: str
    folder: Path


def _record(
    recorder: Recorder, facts: dict[str, Any], split: Split, tree: Tree | None, stack: contextlib.ExitStack
) -> Record:
    """Finds a record in the cache, or at the address, or makes it; kept in the cache, or else until `stack` ends."""
    started = time.monotonic()
    key = _key(facts)
    cache = cache_folder("records")
    if cache and (record := _kept(cache / key, split)):
        _tell("record_reused", record, split, started)
        _share(cache / key, tree)
        return record
    try:
        if cache:
            try:
                return _obtained(recorder, facts, split, cache / key, tree, started)
            except OSError as error:
                event("cache_not_used", folder=cache, reason=error, way_out=f"name another folder in {CACHE}")
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headstart-")))
        return _obtained(recorder, facts, split, scratch / key, tree, started)
    except OSError as error:
        raise HeadstartError(
            f"no room for the record of {split.name} ({facts['views']} views): {error}; name folders with room in "
            f"{CACHE} and TMPDIR, or ask for fewer views or smaller images"
        ) from None


def model_digest(model: keras.Model) -> str:
    """SHA-256 over a model's weights and its architecture, however its layers happen to be called."""
    architecture = json.dumps(_nameless(model.get_config()), sort_keys=True, default=str)
    return hashlib.sha256(f"{weights_digest(model)}\n{architecture}".encode()).hexdigest()


def _facts(front: str, dataset: Path, views: int, plan: Plan) -> dict[str, Any]:
    """Whatever the content of a record hangs on."""
    ids = hashlib.sha256("\n".join(read_columns(dataset, ["id"])["id"].to_pylist()).encode())
    facts = {
        "format": FORMAT,
        "front_sha256": front,
        "images_sha256": ids.hexdigest(),
        "views": views,
        "deterministic": plan.deterministic,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
    if views > 1:
        facts |= {
            "seed": plan.seed,
            "augmentation": _nameless(augmentation(plan.augmentation, plan.seed).get_config()),
        }
    return facts


def _key(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _nameless(config: Any) -> Any:
    """A layer's configuration with layers numbered, in the order in which they are told, instead of named."""
    numbers: dict[str, int] = {}

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            if "config" in value and "name" in value:
                numbers.setdefault(value["name"], len(numbers))
            return {key: walk(each) for key, each in value.items() if key not in _LEFT_OUT}
        if isinstance(value, (list, tuple)):
            return [walk(each) for each in value]
        return numbers.get(value, value) if isinstance(value, str) else value

    return walk(config)


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


def _obtained(
    recorder: Recorder, facts: dict[str, Any], split: Split, entry: Path, tree: Tree | None, started: float
) -> Record:
    """Downloads a record, or makes it."""
    with building(entry.parent) as place:
        made = place / entry.name
        made.mkdir()
        found = tree is not None and _downloaded(tree, made, split)
        if not found:
            recorder.record(split.folder, facts["views"], made / _ACTIVATIONS, f"record {split.name}")
            write_json(made / _MANIFEST, facts | {"sha256": sha256_of_file(made / _ACTIVATIONS)})
        keep(made, entry)
    record = load_record(entry / _ACTIVATIONS, split.folder)
    _tell("record_reused" if found else "recorded", record, split, started)
    if not found:
        _share(entry, tree)
    make_room(entry.parent, _CACHE_BYTES, entry)
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
