"""Records kept from run to run: what was computed once from the same front and the same images is not computed again.

An entry is a folder, named by a digest of everything that its content hangs on, with the activations and a manifest.
"""

import contextlib
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from headstart.components.core.cache import CACHE, building, cache_folder, discard, keep, make_room, touch
from headstart.components.core.dataset import read_columns, read_info
from headstart.components.core.errors import HeadstartError
from headstart.components.core.files import read_json, sha256_of_file, write_json
from headstart.components.core.logs import event
from headstart.components.core.network.images import augmentation
from headstart.components.core.network.record import Record, Recorder, load_record
from headstart.components.core.network.weights import weights_digest
from headstart.components.core.plan import Plan

FORMAT = "headstart-record/1"

_ACTIVATIONS = "activations.npy"
_MANIFEST = "record.json"
_CACHE_BYTES = 20 * 2**30
# Names are numbered through a process, and what is trainable does not matter to a front.
_LEFT_OUT = ("name", "trainable", "build_config")


@contextlib.contextmanager
def recorded(front: keras.Model, train: Path, validation: Path, plan: Plan) -> Iterator[tuple[Record, Record]]:
    """Records a training set in the plan's views and a validation set in one, or finds what was recorded before.

    For a plan of no views, which trains end to end, the plain one is recorded. Where the cache cannot be used, or has
    no room, the records vanish at the block's end.

    Args:
        front: Resized pixels (n, size, size, 3), 0-255, to activations.
        train: Dataset artifact.
        validation: Dataset artifact.
        plan: Its views, augmentation and seed are used.

    Raises:
        HeadstartError: There is no room for the record anywhere.
    """
    recorder, known = Recorder(front, plan), _digest_of_front(front)
    views = max(1, plan.training.views(read_info(train).images))
    wanted = (("train", train, views), ("validation", validation, 1))
    with contextlib.ExitStack() as stack:
        records = []
        for name, dataset, views in wanted:
            facts = _facts(known, dataset, views, plan)
            record = _kept(facts, dataset, name) or _made(recorder, facts, dataset, name, stack)
            records.append(record)
        yield records[0], records[1]


def _facts(front: str, dataset: Path, views: int, plan: Plan) -> dict[str, Any]:
    """Whatever the content of a record hangs on."""
    ids = hashlib.sha256("\n".join(read_columns(dataset, ["id"])["id"].to_pylist()).encode())
    facts = {
        "format": FORMAT,
        "front_sha256": front,
        "images_sha256": ids.hexdigest(),
        "views": views,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
    if views > 1:
        facts |= {
            "seed": plan.seed,
            "augmentation": _nameless(augmentation(plan.augmentation, plan.seed).get_config()),
        }
    return facts


def _digest_of_front(front: keras.Model) -> str:
    """SHA-256 over a model's weights and its architecture, however its layers happen to be called."""
    architecture = json.dumps(_nameless(front.get_config()), sort_keys=True, default=str)
    return hashlib.sha256(f"{weights_digest(front)}\n{architecture}".encode()).hexdigest()


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


def _entry(folder: Path, facts: dict[str, Any]) -> Path:
    text = json.dumps(facts, sort_keys=True, default=str)
    return folder / hashlib.sha256(text.encode()).hexdigest()


def _kept(facts: dict[str, Any], dataset: Path, name: str) -> Record | None:
    folder = cache_folder("records")
    if folder is None or not (entry := _entry(folder, facts)).is_dir():
        return None
    started = time.monotonic()
    try:
        manifest = read_json(entry / _MANIFEST, "record")
        if sha256_of_file(entry / _ACTIVATIONS) != manifest["sha256"]:
            raise HeadstartError(f"{entry} is not what was written")
        record = load_record(entry / _ACTIVATIONS, dataset)
    except (HeadstartError, KeyError, OSError, ValueError) as error:
        event("record_discarded", split=name, reason=error)
        discard(entry)
        return None
    touch(entry)
    event("record_reused", split=name, images=record.images, views=record.views, seconds=time.monotonic() - started)
    return record


def _made(recorder: Recorder, facts: dict[str, Any], dataset: Path, name: str, stack: contextlib.ExitStack) -> Record:
    """Records into the cache, or else into a folder that goes with `stack`."""
    started = time.monotonic()
    folder = cache_folder("records")
    if folder is not None:
        entry = _entry(folder, facts)
        try:
            with building(folder) as place:
                made = place / entry.name
                made.mkdir()
                record = recorder.record(dataset, facts["views"], made / _ACTIVATIONS, f"record {name}")
                manifest = facts | {"sha256": sha256_of_file(made / _ACTIVATIONS), "bytes": record.activations.nbytes}
                write_json(made / _MANIFEST, manifest)
                keep(made, entry)
            record = load_record(entry / _ACTIVATIONS, dataset)
            make_room(folder, _CACHE_BYTES, entry)
            _tell(record, name, started)
            return record
        except OSError as error:
            event("cache_not_used", folder=folder, reason=error, way_out=f"name another folder in {CACHE}")
    try:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headstart-")))
        record = recorder.record(dataset, facts["views"], scratch / f"{name}.npy", f"record {name}")
    except OSError as error:
        raise HeadstartError(
            f"no room for the record of {name} ({facts['views']} views): {error}; name folders with room in {CACHE} "
            "and TMPDIR, or ask for fewer views or smaller images"
        ) from None
    _tell(record, name, started)
    return record


def _tell(record: Record, name: str, started: float) -> None:
    event(
        "recorded",
        split=name,
        images=record.images,
        views=record.views,
        bytes=record.activations.nbytes,
        seconds=time.monotonic() - started,
    )
