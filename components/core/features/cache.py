"""Feature cache: features that were computed before for the same network and images are loaded, not computed again.

An entry is a folder with the activations and a manifest. Its name is a digest of everything its content depends on.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from headstart.components.core.artifacts.dataset import read_columns, read_dataset_info
from headstart.components.core.features.compute import FeatureExtractor, Features, load_features
from headstart.components.core.networks.identity import drop_layer_names, model_digest
from headstart.components.core.networks.image_batches import build_augmentation
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import AUTO_VIEWS, END_TO_END
from headstart.components.core.storage.atomic import move_into_place, temporary_folder_in, write_json
from headstart.components.core.storage.cache import (
    CACHE,
    cache_folder,
    discard_entry,
    evict_unused,
    mark_used,
)
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.storage.manifests import read_manifest
from headstart.components.core.storage.stores import NotFound, Tree, open_tree
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event
from headstart.components.core.util.resources import available_memory

FORMAT = "headstart-record/2"

_ACTIVATIONS = "activations.npy"
_PHASES = {"train": "features", "validation": "val features"}
"""Name of the phase that computes features, by `ImageSet.name`."""

_MANIFEST = "record.json"
_CACHE_FOLDER = "records"
_CACHE_BYTES = 20 * 2**30
_BYTES = np.dtype(np.float16).itemsize
# Of the free disk space, since the disk has other uses, and of the memory, which caches what is read from the disk.
_DISK_SHARE, _MEMORY_SHARE = 0.8, 0.5


@dataclasses.dataclass(frozen=True)
class IntermediateFeatures:
    """Features of an inner layer that a later phase will need, to be cached in the same pass over the images.

    Attributes:
        front: Resized pixels (n, size, size, 3), 0-255, to the activations of the inner layer.
        rest: Activations of the inner layer to the output of the front whose features are wanted now.
        views: Number of views that the later phase will need; with another number nothing is cached for it.
    """

    front: keras.Model
    rest: keras.Model
    views: int


@contextlib.contextmanager
def compute_or_load_features(
    front: keras.Model,
    train: Path,
    validation: Path,
    plan: Plan,
    uri: str = "",
    intermediate: IntermediateFeatures | None = None,
) -> Iterator[tuple[Features, Features]]:
    """Loads the features of a training and a validation set from the cache, or computes and caches them.

    The training set has the plan's number of views, the validation set one; it may have no images. A plan without
    views, which trains end to end, gets the plain view. If the cache cannot be used or is full, the features are
    deleted at the block's end.

    Args:
        front: Frozen part of the network: resized pixels (n, size, size, 3), 0-255, to activations.
        train: Dataset artifact of the training set.
        validation: Dataset artifact of the validation set.
        plan: Views, augmentation, seed and determinism.
        uri: Folder, or `gs://` or `s3://` address, where machines share features; empty: none.
        intermediate: Features to cache in the same pass for a later phase, if they can be kept; None: none.

    Yields:
        Features of the training set and of the validation set.

    Raises:
        HeadstartError: If there is no room for the features anywhere, or `uri` is not an address.
    """
    with _open_features(front, train, plan, uri, intermediate) as (train_features, load):
        yield train_features, load(validation)


@contextlib.contextmanager
def compute_or_load_whole(
    front: keras.Model,
    dataset: Path,
    plan: Plan,
    uri: str = "",
    intermediate: IntermediateFeatures | None = None,
) -> Iterator[Features]:
    """Loads the features of a dataset, or computes and caches them, as those of a training set that is all of it.

    Args:
        front: See `compute_or_load_features`, likewise the others.
        dataset: Dataset artifact.
        plan: See `front`.
        uri: See `front`.
        intermediate: See `front`.

    Yields:
        Features with the plan's number of views.

    Raises:
        HeadstartError: If there is no room for the features anywhere, or `uri` is not an address.
    """
    with _open_features(front, dataset, plan, uri, intermediate) as (features, _):
        yield features


@contextlib.contextmanager
def _open_features(
    front: keras.Model, train: Path, plan: Plan, uri: str, intermediate: IntermediateFeatures | None
) -> Iterator[tuple[Features, Callable[[Path], Features]]]:
    """Yields the features of a training set, and a function that gives those of a validation set."""
    tree = open_tree(uri) if uri else None
    views = max(1, plan.training.count_views(read_dataset_info(train).images))
    wanted = _Extraction([front], [model_digest(front)], plan)
    with_intermediate = None
    if intermediate and intermediate.views == views and (tree or cache_folder(_CACHE_FOLDER)):
        digests = [model_digest(intermediate.front), *wanted.digests]
        with_intermediate = _Extraction([intermediate.front, intermediate.rest], digests, plan)
    with contextlib.ExitStack() as stack:

        def load(validation: Path) -> Features:
            if not read_dataset_info(validation).images:
                return Features(np.empty((1, 0, *front.output.shape[1:]), np.float16), np.empty(0, np.int64))
            images = ImageSet.of("validation", validation, 1)
            return _load_or_compute(wanted, with_intermediate, images, tree, stack)

        yield _load_or_compute(wanted, with_intermediate, ImageSet.of("train", train, views), tree, stack), load


def limit_views_to_room(front: keras.Model, train: Path, validation: Path, plan: Plan) -> Plan:
    """Reduces the number of views to what there is room for, if the plan leaves the number open.

    Features have to fit on the disk. Those of several views also have to fit into memory, since an epoch reads them
    in random order. If the disk has no room for one view, training goes end to end (no views), provided that the
    resized pixels, which are kept for that, are smaller than the features.

    Args:
        front: Frozen part of the network: resized pixels (n, size, size, 3), 0-255, to activations.
        train: Dataset artifact of the training set.
        validation: Dataset artifact of the validation set.
        plan: Hyperparameters of the phase.

    Returns:
        The plan, with fewer views if need be.
    """
    images, validation_images = (read_dataset_info(each).images for each in (train, validation))
    wanted = plan.training.count_views(images)
    if plan.training.augmented_views != AUTO_VIEWS:
        return plan
    features_size, pixels_size = (math.prod(tensor.shape[1:]) for tensor in (front.output, front.input))
    view_bytes, validation_bytes = images * features_size * _BYTES, validation_images * features_size * _BYTES
    cache = cache_folder(_CACHE_FOLDER)
    places = [Path(tempfile.gettempdir()), *([cache] if cache else [])]
    disk = int(_DISK_SHARE * max(shutil.disk_usage(place).free for place in places))
    cached = int(_MEMORY_SHARE * available_memory())
    views = max(1, min(wanted, (min(disk, cached) - validation_bytes) // view_bytes))
    if view_bytes + validation_bytes > disk and pixels_size < features_size:
        views = END_TO_END
    if views == wanted or _is_cached(front, ImageSet.of("train", train, wanted), plan):
        return plan
    event(
        "too_little_room",
        stage=plan.phase,
        views=views,
        instead_of=wanted,
        bytes=wanted * view_bytes + validation_bytes,
        room_on_disk=disk,
        room_in_memory=cached,
    )
    return dataclasses.replace(plan, training=plan.training.model_copy(update={"augmented_views": views}))


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images to compute features of.

    Attributes:
        name: Name in the log: ``train`` or ``validation``.
        folder: Dataset artifact.
        views: Number of views of each image.
        ids_sha256: SHA-256 over the ids of the images, in their order.
    """

    name: str
    folder: Path
    views: int
    ids_sha256: str

    @classmethod
    def of(cls, name: str, folder: Path, views: int) -> "ImageSet":
        """Reads the ids of a dataset artifact."""
        ids = "\n".join(read_columns(folder, ["id"])["id"].to_pylist())
        return cls(name, folder, views, hashlib.sha256(ids.encode()).hexdigest())


class _Extraction:
    """Consecutive parts of a network whose features one pass computes; the last part's are those wanted now."""

    def __init__(self, fronts: list[keras.Model], digests: list[str], plan: Plan) -> None:
        self.digests = digests
        self._fronts = fronts
        self._plan = plan

    @functools.cached_property
    def extractor(self) -> FeatureExtractor:
        """Built on first use: that takes a third of a second."""
        return FeatureExtractor(self._fronts, self._plan)

    def dependencies(self, images: ImageSet) -> list[dict[str, Any]]:
        """Everything that the features of each part depend on."""
        return [_dependencies(digest, images, self._plan) for digest in self.digests]


def _load_or_compute(
    wanted: _Extraction,
    with_intermediate: _Extraction | None,
    images: ImageSet,
    tree: Tree | None,
    stack: contextlib.ExitStack,
) -> Features:
    """Loads features from the cache, downloads or computes them.

    Args:
        wanted: Extraction of the features that are wanted now.
        with_intermediate: Extraction of the same and of intermediate features, if there is room; None: none.
        images: Images to compute features of.
        tree: Store where machines share features; None: none.
        stack: Exit stack at whose end features that cannot be cached are deleted.
    """
    started = time.monotonic()
    cache = cache_folder(_CACHE_FOLDER)
    entry = cache / _key(wanted.dependencies(images)[-1]) if cache else None
    if entry and (features := _load_entry(entry, images)):
        _log("record_reused", features, images, started)
        _upload(entry, tree)
        return features

    def scratch() -> Path:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headstart-")))

    if with_intermediate:
        try:
            return _download_or_compute(with_intermediate, images, cache or scratch(), tree, started)
        except OSError as error:
            event("not_recorded_in_passing", split=images.name, reason=error)
    try:
        if cache:
            try:
                return _download_or_compute(wanted, images, cache, tree, started)
            except OSError as error:
                event("cache_not_used", folder=cache, reason=error, way_out=f"name another folder in {CACHE}")
        return _download_or_compute(wanted, images, scratch(), tree, started)
    except OSError as error:
        raise HeadstartError(
            f"no room for the features of {images.name} ({images.views} views): {error}; name folders with room in "
            f"{CACHE} and TMPDIR, or ask for fewer views or smaller images"
        ) from None


def _is_cached(front: keras.Model, images: ImageSet, plan: Plan) -> bool:
    cache = cache_folder(_CACHE_FOLDER)
    return cache is not None and (cache / _key(_dependencies(model_digest(front), images, plan))).is_dir()


def _dependencies(front_sha256: str, images: ImageSet, plan: Plan) -> dict[str, Any]:
    """Everything that the content of an entry depends on, as its manifest has it."""
    found = {
        "format": FORMAT,
        "front_sha256": front_sha256,
        "images_sha256": images.ids_sha256,
        "views": images.views,
        "deterministic": plan.deterministic,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
    if images.views > 1:
        found |= {
            "seed": plan.seed,
            "augmentation": drop_layer_names(build_augmentation(plan.augmentation, plan.seed).get_config()),
        }
    return found


def _key(dependencies: dict[str, Any]) -> str:
    """Name of an entry."""
    return hashlib.sha256(json.dumps(dependencies, sort_keys=True, default=str).encode()).hexdigest()


def _load_entry(entry: Path, images: ImageSet) -> Features | None:
    """Features of an entry of the cache; None if there is no such entry, or it was damaged and is deleted now."""
    if not entry.is_dir():
        return None
    try:
        features = _verify_and_load(entry, images)
    except (HeadstartError, KeyError, OSError, ValueError) as error:
        event("record_discarded", split=images.name, reason=error)
        discard_entry(entry)
        return None
    mark_used(entry)
    return features


@dataclasses.dataclass(frozen=True)
class _Manifest:
    sha256: str


def _verify_and_load(entry: Path, images: ImageSet) -> Features:
    manifest, _ = read_manifest(entry / _MANIFEST, "feature cache", _Manifest)
    if sha256_of_file(entry / _ACTIVATIONS) != manifest.sha256:
        raise HeadstartError(f"{entry} is damaged: its checksum is not the one it was written with")
    return load_features(entry / _ACTIVATIONS, images.folder)


def _download_or_compute(
    extraction: _Extraction, images: ImageSet, folder: Path, tree: Tree | None, started: float
) -> Features:
    """Downloads the wanted features into a folder of entries, or computes those of all parts."""
    dependencies = extraction.dependencies(images)
    with temporary_folder_in(folder) as place:
        made = [place / _key(each) for each in dependencies]
        for each in made:
            each.mkdir()
        downloaded = tree is not None and _download(tree, made[-1], images)
        if downloaded:
            made = made[-1:]
        else:
            files = [each / _ACTIVATIONS for each in made]
            extraction.extractor.extract(images.folder, images.views, files, _PHASES[images.name])
            for each, file, own in zip(made, files, dependencies, strict=True):
                write_json(each / _MANIFEST, own | {"sha256": sha256_of_file(file)})
        entries = [move_into_place(each, folder / each.name) for each in made]
    features = load_features(entries[-1] / _ACTIVATIONS, images.folder)
    _log("record_reused" if downloaded else "recorded", features, images, started)
    if not downloaded:
        for entry in entries:
            _upload(entry, tree)
    evict_unused(folder, _CACHE_BYTES, entries[-1])
    return features


def _download(tree: Tree, entry: Path, images: ImageSet) -> bool:
    """Downloads an entry from the shared store; False if it is not there, damaged or out of reach."""
    try:
        for name in (_MANIFEST, _ACTIVATIONS):
            tree.download(f"{entry.name}/{name}", entry / name)
        _verify_and_load(entry, images)
    except NotFound:
        return False
    except (HeadstartError, KeyError, ValueError) as error:
        event("record_not_fetched", split=images.name, address=tree.address, reason=error)
        return False
    return True


def _upload(entry: Path, tree: Tree | None) -> None:
    """Uploads an entry unless it is there already; the manifest comes last, so that no entry is read half."""
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


def _log(what: str, features: Features, images: ImageSet, started: float) -> None:
    event(
        what,
        split=images.name,
        images=features.images,
        views=features.views,
        bytes=features.activations.nbytes,
        seconds=time.monotonic() - started,
    )
