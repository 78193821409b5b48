"""Files of weights and networks as somebody writes them who wants more than to be read."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

SECRET = b"root:x:0:0:a secret of this machine\n" * 200

Change = Callable[[h5py.File, str], object]
"""Alters an HDF5 file that is open, at the place of one of its datasets."""


def secret_beside(file: Path) -> Path:
    """A file that no weights should be read from, as bytes and as HDF5."""
    secret = file.parent / "secret"
    secret.write_bytes(SECRET)
    with h5py.File(file.parent / "secret.h5", "w") as store:
        store["values"] = np.frombuffer(SECRET[:4], np.float32)
    return secret


def first_kernel(store: h5py.File) -> str:
    """Name of the first dataset that is the kernel of a convolution."""
    found: list[str] = []
    store.visititems(
        lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) and item.ndim == 4 else None
    )
    return found[0]


def altered(file: Path, change: Change, at: str = "") -> Path:
    """Alters weights, in a file of HDF5 or inside of a `.keras`.

    Args:
        file: The file, which is changed.
        change: What is done to it.
        at: Name of a dataset; empty: the first kernel of a convolution.

    Returns:
        The file.
    """
    inner = file
    if zipfile.is_zipfile(file):
        inner = file.with_name("inner.h5")
        inner.write_bytes(zipfile.ZipFile(file).read("model.weights.h5"))
    with h5py.File(inner, "r+") as store:
        change(store, at or first_kernel(store))
    if inner != file:
        with_member(file, "model.weights.h5", inner.read_bytes())
    return file


def with_member(file: Path, name: str, content: bytes | None, method: int = zipfile.ZIP_STORED) -> Path:
    """Puts a member in the place of the one of that name in a Zip archive; None takes it out."""
    with zipfile.ZipFile(file) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    members.pop(name, None)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for each, there in members.items():
            archive.writestr(each, there)
        if content is not None:
            archive.writestr(name, content)
    file.write_bytes(buffer.getvalue())
    return file


def reconfigured(file: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Alters the configuration of a `.keras`."""
    config = json.loads(zipfile.ZipFile(file).read("config.json"))
    change(config)
    return with_member(file, "config.json", json.dumps(config).encode())


def layer(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Settings of a layer of the outermost network."""
    return next(each["config"] for each in config["config"]["layers"] if each["config"]["name"] == name)


def external_storage(store: h5py.File, at: str) -> None:
    shape, dtype = store[at].shape, store[at].dtype
    del store[at]
    secret = Path(store.filename).parent / "secret"
    store.create_dataset(at, shape, dtype, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def external_link(store: h5py.File, at: str) -> None:
    del store[at]
    store[at] = h5py.ExternalLink(str(Path(store.filename).parent / "secret.h5"), "/values")


def external_link_of_a_group(store: h5py.File, at: str) -> None:
    group = at.rpartition("/")[0]
    del store[group]
    store[group] = h5py.ExternalLink("secret.h5", "/")


def external_link_behind_a_soft_one(store: h5py.File, at: str) -> None:
    del store[at]
    store["elsewhere"] = h5py.ExternalLink("secret.h5", "/")
    store[at] = h5py.SoftLink("/elsewhere/values")


def virtual_dataset(store: h5py.File, at: str) -> None:
    shape, dtype = store[at].shape, store[at].dtype
    del store[at]
    view = h5py.VirtualLayout(shape, dtype)
    source = h5py.VirtualSource(str(Path(store.filename).parent / "secret.h5"), "values", shape, dtype)
    view[...] = source
    store.create_virtual_dataset(at, view)


def view_of_itself(store: h5py.File, at: str) -> None:
    shape, dtype = store[at].shape, store[at].dtype
    store.move(at, "hidden")
    view = h5py.VirtualLayout(shape, dtype)
    view[...] = h5py.VirtualSource(".", "hidden", shape, dtype)
    store.create_virtual_dataset(at, view)


def filter_from_a_library(store: h5py.File, at: str) -> None:
    shape = store[at].shape
    del store[at]
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk(shape)
    made.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (1,))
    space = h5py.h5s.create_simple(shape)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    h5py.h5d.create(store.id, at.encode(), h5py.h5t.IEEE_F32LE, space, made, links)


def unused_part(change: Change) -> Change:
    """The same in a dataset that no layer asks for."""

    def alter(store: h5py.File, at: str) -> None:
        store["more/values"] = np.ones((4, 4), np.float32)
        change(store, "more/values")

    return alter


def replaced(make: Callable[[np.ndarray[Any, Any]], Any], **options: Any) -> Change:
    """Other values in the place of a dataset's."""

    def alter(store: h5py.File, at: str) -> None:
        values = make(store[at][()])
        del store[at]
        if values is not None:
            store.create_dataset(at, data=values, **options)

    return alter


def group_in_its_place(store: h5py.File, at: str) -> None:
    del store[at]
    store.create_group(at)


def far_too_large(store: h5py.File, at: str) -> None:
    del store[at]
    store.create_dataset(at, (10**12,), np.float32, chunks=(10**5,))


REACHING_OUTSIDE: dict[str, Change] = {
    "external storage": external_storage,
    "external link": external_link,
    "external link of a group": external_link_of_a_group,
    "external link behind a soft one": external_link_behind_a_soft_one,
    "virtual dataset": virtual_dataset,
    "view of itself": view_of_itself,
    "filter from a library": filter_from_a_library,
    "external storage where nobody looks": unused_part(external_storage),
    "external link where nobody looks": unused_part(external_link),
}
"""Each would have another file read, or a library loaded."""

ODD: dict[str, tuple[Change, str]] = {
    "NaN": (replaced(lambda values: values * np.nan), "has NaN or infinite values"),
    "infinite": (replaced(lambda values: values + np.inf), "has NaN or infinite values"),
    "too large for 32 bits": (replaced(lambda values: values.astype("f8") + 1e300), "has NaN or infinite values"),
    "integers": (replaced(lambda values: values.astype("i4")), "should be floating-point numbers, and is int32"),
    "complex": (replaced(lambda values: values.astype("c8")), "should be floating-point numbers, and is complex64"),
    "text": (replaced(lambda values: np.full(values.shape, b"x")), "should be floating-point numbers, and is |S1"),
    "another shape": (replaced(lambda values: values[..., :1]), "do not fit backbone"),
    "missing": (replaced(lambda values: None), ""),
    "a group": (group_in_its_place, "is not an HDF5 file, or is damaged"),
    "far too large": (far_too_large, "more than"),
}
"""Each with what the message says."""


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def setting(name: str, **settings: Any) -> Callable[[dict[str, Any]], object]:
    return lambda config: layer(config, name).update(settings)


def in_the_backbone(**settings: Any) -> Callable[[dict[str, Any]], object]:
    """Of the first layer within that has the first of these settings."""

    def change(config: dict[str, Any]) -> None:
        (first, *_) = settings
        layers = layer(config, "sketchnet")["layers"]
        next(each for each in layers if first in each["config"])["config"].update(settings)

    return change


def renamed(module: str, name: str) -> Callable[[dict[str, Any]], object]:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1] |= {"module": module, "class_name": name}

    return change


DAMAGED_NETWORKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no archive": (lambda file: file.write_bytes(b"\x00" * 5000), "is not a Keras file, or is damaged"),
    "empty": (lambda file: file.write_bytes(b""), "is not a Keras file, or is damaged"),
    "cut": (lambda file: file.write_bytes(file.read_bytes()[:-3000]), "is not a Keras file, or is damaged"),
    "no configuration": (lambda file: with_member(file, "config.json", None), r"it has no config\.json"),
    "no weights": (lambda file: with_member(file, "model.weights.h5", None), r"it has no model\.weights"),
    "configuration that is no JSON": (
        lambda file: with_member(file, "config.json", b"{"),
        r"config\.json cannot be read",
    ),
    "configuration that is a list": (
        lambda file: with_member(file, "config.json", b"[]"),
        "does not describe a network",
    ),
    "configuration of 200 levels": (
        lambda file: with_member(file, "config.json", deep(200)),
        "nested more than 64 deep",
    ),
    "configuration of 100,000 levels": (
        lambda file: with_member(file, "config.json", deep(100_000)),
        "nested more than 64 deep",
    ),
    "configuration of a gigabyte": (
        lambda file: with_member(file, "config.json", bytes(2**30), zipfile.ZIP_DEFLATED),
        r"config\.json has more than 8,388,608 bytes",
    ),
    "weights that are no HDF5": (
        lambda file: with_member(file, "model.weights.h5", b"nothing"),
        "is not an HDF5 file",
    ),
    "weights of another network": (
        lambda file: altered(file, lambda store, at: store.pop(at.split("/vars")[0])),
        "would have|cannot be loaded",
    ),
    "no weights of the last layer": (
        lambda file: altered(file, lambda store, at: store.pop("layers/dense")),
        "would have|cannot be loaded",
    ),
    "no weights of a layer, and others in their place": (
        lambda file: altered(file, lambda store, at: store.move(at.split("/vars")[0], "elsewhere")),
        "cannot be loaded",
    ),
    **{
        f"weights by {name}": (lambda file, change=change: altered(file, change), "reaches outside of itself")
        for name, change in REACHING_OUTSIDE.items()
    },
    "NaN weights": (
        lambda file: altered(file, replaced(lambda values: values * np.nan)),
        "NaN or infinite values",
    ),
}


WRONG_CONFIGURATIONS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "2e9 outputs": (setting("output", units=2_000_000_000), "2000000000 outputs"),
    "another number of outputs": (setting("output", units=5), "it has 5 outputs"),
    "images of another size": (setting("resize", height=20_000, width=20_000), "resizes images to 20000x20000"),
    "2e9 filters": (in_the_backbone(filters=2_000_000_000), "would have|cannot be loaded"),
    "a kernel of 1e5": (in_the_backbone(kernel_size=[100_000, 100_000]), "would have|cannot be loaded"),
    "a border of 1e5": (in_the_backbone(padding=[[100_000, 100_000]] * 2), "would output|cannot be loaded"),
    "a lambda": (renamed("keras.layers", "Lambda"), r"names keras\.layers\.Lambda, which is not a layer"),
    "a SavedModel": (renamed("keras.layers", "TFSMLayer"), r"names keras\.layers\.TFSMLayer"),
    "a vocabulary": (renamed("keras.layers", "StringLookup"), r"names keras\.layers\.StringLookup"),
    "a function": (renamed("os", "system"), r"names os\.system, which is not a layer"),
    "a download": (renamed("keras.utils", "get_file"), r"names keras\.utils\.get_file"),
    "an unknown layer": (renamed("keras.layers", "NoSuchLayer"), "cannot be loaded"),
    "layers that are none": (lambda config: config["config"].update(layers=7), "resizes images to NonexNone"),
    "a setting of another type": (setting("output", units=[1]), r"it has \[1\] outputs"),
}


WRONG_MANIFESTS: dict[str, tuple[dict[str, Any], str]] = {
    "a class twice": ({"classes": ["cat", "cat"]}, "classes: 'cat' is there twice"),
    "a class that is null": ({"classes": ["cat", None]}, "classes.1 is None: input should be a valid string"),
    "a class without a name": ({"classes": ["cat", ""]}, "classes.1 is '': string should have at least 1 character"),
    "one class": ({"classes": ["cat"]}, "classes is ['cat']: value should have at least 2 items"),
    "classes that are a text": ({"classes": "catdog"}, "classes is 'catdog': input should be a valid"),
    "no classes": ({"classes": None}, "classes is None: input should be a valid"),
    "size 0": ({"image_size": 0}, "image_size is 0: input should be greater than"),
    "size 1e6": ({"image_size": 1_000_000}, "image_size is 1000000: input should be less than"),
    "size as text": ({"image_size": "64"}, "image_size is '64': input should be a valid integer"),
    "side below 0": ({"max_side": -1}, "max_side is -1: input should be greater than"),
    "side as fraction": ({"max_side": 0.5}, "max_side is 0.5: input should be a valid integer"),
    "figures that are none": (
        {"metrics": {"validation_loss": "low"}},
        "metrics.validation_loss is 'low': input should be",
    ),
    "recipe that is a list": ({"recipe": []}, "recipe is []: input should be"),
    "another format": ({"format": "headstart-model/9"}, "is not in the format headstart-model/2"),
}


def table() -> list[str]:
    """The cases as Markdown, for the page of all hostile inputs."""
    refused = [
        *(f"weights: {what}, also where no layer asks for it" for what in REACHING_OUTSIDE if "nobody" not in what),
        *(f"weights: {what} in a layer" for what in ODD),
        *(f"model: {what}" for what in DAMAGED_NETWORKS if not what.startswith("weights by")),
        *(f"model: {what} in its configuration" for what in WRONG_CONFIGURATIONS),
        *(f"model.json: {what}" for what in WRONG_MANIFESTS),
        "metrics.json: a temperature that is 0, negative, infinite, no number or beyond 0.001 to 1,000",
        "a published version with an altered file, checksum or list of files",
        "a checkpoint that is damaged or that somebody else has sealed",
    ]
    lines = [
        "",
        "## Weights and models",
        "",
        "What `--weights`, `--champion`, `--publish` and `predict` make of files that somebody else has written. A",
        "refusal is one line, before anything is built. Each row is a test in `tests/unit/components/core`:",
        "`networks/test_foreign_weights.py`, `artifacts/test_foreign_models.py`, `training/test_checkpoint.py`.",
        "",
        "| input | what comes of it |",
        "| --- | --- |",
    ]
    return [
        *lines,
        *(f"| {each} | {'ignored, with a line' if 'checkpoint' in each else 'refused'} |" for each in refused),
    ]
