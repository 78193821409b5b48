"""Files of weights and networks that are damaged or written by an attacker."""

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
"""Function that alters an open HDF5 file at the name of a dataset."""


def write_secret_beside(file: Path) -> Path:
    """Writes a file that must never be read as weights, as bytes and as HDF5."""
    secret = file.parent / "secret"
    secret.write_bytes(SECRET)
    with h5py.File(file.parent / "secret.h5", "w") as store:
        store["values"] = np.frombuffer(SECRET[:4], np.float32)
    return secret


def find_first_kernel(store: h5py.File) -> str:
    """Finds the name of the first dataset that is the kernel of a convolution."""
    found: list[str] = []
    store.visititems(
        lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) and item.ndim == 4 else None
    )
    return found[0]


def alter_weights(file: Path, change: Change, at: str = "") -> Path:
    """Alters weights in an HDF5 file or inside a `.keras` file.

    Args:
        file: File to change.
        change: Function that alters the weights.
        at: Name of a dataset; empty: the first kernel of a convolution.

    Returns:
        `file`.
    """
    inner = file
    if zipfile.is_zipfile(file):
        inner = file.with_name("inner.h5")
        inner.write_bytes(zipfile.ZipFile(file).read("model.weights.h5"))
    with h5py.File(inner, "r+") as store:
        change(store, at or find_first_kernel(store))
    if inner != file:
        replace_member(file, "model.weights.h5", inner.read_bytes())
    return file


def replace_member(file: Path, name: str, content: bytes | None, method: int = zipfile.ZIP_STORED) -> Path:
    """Replaces a member of a Zip archive; None removes it."""
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


def alter_config(file: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Alters the configuration in a `.keras` file."""
    config = json.loads(zipfile.ZipFile(file).read("config.json"))
    change(config)
    return replace_member(file, "config.json", json.dumps(config).encode())


def find_layer(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Finds the settings of a layer of the outermost network."""
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
    """The same change in a dataset that no layer reads."""

    def alter(store: h5py.File, at: str) -> None:
        store["more/values"] = np.ones((4, 4), np.float32)
        change(store, "more/values")

    return alter


def replace_values(make: Callable[[np.ndarray[Any, Any]], Any], **options: Any) -> Change:
    """Replaces the values of a dataset."""

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
"""Changes that would make HDF5 read another file or load a library."""

ODD: dict[str, tuple[Change, str]] = {
    "NaN": (replace_values(lambda values: values * np.nan), "has NaN or infinite values"),
    "infinite": (replace_values(lambda values: values + np.inf), "has NaN or infinite values"),
    "too large for 32 bits": (
        replace_values(lambda values: values.astype("f8") + 1e300),
        "has NaN or infinite values",
    ),
    "integers": (
        replace_values(lambda values: values.astype("i4")),
        "should be floating-point numbers, and is int32",
    ),
    "complex": (
        replace_values(lambda values: values.astype("c8")),
        "should be floating-point numbers, and is complex64",
    ),
    "text": (
        replace_values(lambda values: np.full(values.shape, b"x")),
        "should be floating-point numbers, and is |S1",
    ),
    "another shape": (replace_values(lambda values: values[..., :1]), "do not fit backbone"),
    "missing": (replace_values(lambda values: None), ""),
    "a group": (group_in_its_place, "is not an HDF5 file, or is damaged"),
    "far too large": (far_too_large, "more than"),
}
"""Changes to the values of a layer, each with a part of the message."""


def nested_json(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def set_in_layer(name: str, **settings: Any) -> Callable[[dict[str, Any]], object]:
    return lambda config: find_layer(config, name).update(settings)


def set_in_backbone(**settings: Any) -> Callable[[dict[str, Any]], object]:
    """Sets settings of the first layer in the backbone that has the first of them."""

    def change(config: dict[str, Any]) -> None:
        (first, *_) = settings
        layers = find_layer(config, "sketchnet")["layers"]
        next(each for each in layers if first in each["config"])["config"].update(settings)

    return change


def rename_class(module: str, name: str) -> Callable[[dict[str, Any]], object]:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1] |= {"module": module, "class_name": name}

    return change


DAMAGED_NETWORKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no archive": (lambda file: file.write_bytes(b"\x00" * 5000), "is not a Keras file, or is damaged"),
    "empty": (lambda file: file.write_bytes(b""), "is not a Keras file, or is damaged"),
    "cut": (lambda file: file.write_bytes(file.read_bytes()[:-3000]), "is not a Keras file, or is damaged"),
    "no configuration": (lambda file: replace_member(file, "config.json", None), r"it has no config\.json"),
    "no weights": (lambda file: replace_member(file, "model.weights.h5", None), r"it has no model\.weights"),
    "configuration that is no JSON": (
        lambda file: replace_member(file, "config.json", b"{"),
        r"config\.json cannot be read",
    ),
    "configuration that is a list": (
        lambda file: replace_member(file, "config.json", b"[]"),
        "does not describe a network",
    ),
    "configuration of 200 levels": (
        lambda file: replace_member(file, "config.json", nested_json(200)),
        "nested more than 64 deep",
    ),
    "configuration of 100,000 levels": (
        lambda file: replace_member(file, "config.json", nested_json(100_000)),
        "nested more than 64 deep",
    ),
    "configuration of a gigabyte": (
        lambda file: replace_member(file, "config.json", bytes(2**30), zipfile.ZIP_DEFLATED),
        r"config\.json has more than 8,388,608 bytes",
    ),
    "weights that are no HDF5": (
        lambda file: replace_member(file, "model.weights.h5", b"nothing"),
        "is not an HDF5 file",
    ),
    "weights of another network": (
        lambda file: alter_weights(file, lambda store, at: store.pop(at.split("/vars")[0])),
        "would have|cannot be loaded",
    ),
    "no weights of the last layer": (
        lambda file: alter_weights(file, lambda store, at: store.pop("layers/dense")),
        "would have|cannot be loaded",
    ),
    "no weights of a layer, and others in their place": (
        lambda file: alter_weights(file, lambda store, at: store.move(at.split("/vars")[0], "elsewhere")),
        "cannot be loaded",
    ),
    **{
        f"weights by {name}": (lambda file, change=change: alter_weights(file, change), "reaches outside of itself")
        for name, change in REACHING_OUTSIDE.items()
    },
    "NaN weights": (
        lambda file: alter_weights(file, replace_values(lambda values: values * np.nan)),
        "NaN or infinite values",
    ),
}


WRONG_CONFIGURATIONS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "2e9 outputs": (set_in_layer("output", units=2_000_000_000), "2000000000 outputs"),
    "another number of outputs": (set_in_layer("output", units=5), "it has 5 outputs"),
    "images of another size": (set_in_layer("resize", height=20_000, width=20_000), "resizes images to 20000x20000"),
    "2e9 filters": (set_in_backbone(filters=2_000_000_000), "would have|cannot be loaded"),
    "a kernel of 1e5": (set_in_backbone(kernel_size=[100_000, 100_000]), "would have|cannot be loaded"),
    "a border of 1e5": (set_in_backbone(padding=[[100_000, 100_000]] * 2), "would output|cannot be loaded"),
    "a lambda": (rename_class("keras.layers", "Lambda"), r"names keras\.layers\.Lambda, which is not a layer"),
    "a SavedModel": (rename_class("keras.layers", "TFSMLayer"), r"names keras\.layers\.TFSMLayer"),
    "a vocabulary": (rename_class("keras.layers", "StringLookup"), r"names keras\.layers\.StringLookup"),
    "a function": (rename_class("os", "system"), r"names os\.system, which is not a layer"),
    "a download": (rename_class("keras.utils", "get_file"), r"names keras\.utils\.get_file"),
    "an unknown layer": (rename_class("keras.layers", "NoSuchLayer"), "cannot be loaded"),
    "layers that are none": (lambda config: config["config"].update(layers=7), "resizes images to NonexNone"),
    "a setting of another type": (set_in_layer("output", units=[1]), r"it has \[1\] outputs"),
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
    """The cases as Markdown, for the page of hostile inputs."""
    refused = [
        *(f"weights: {what}, also where no layer reads it" for what in REACHING_OUTSIDE if "nobody" not in what),
        *(f"weights: {what} in a layer" for what in ODD),
        *(f"model: {what}" for what in DAMAGED_NETWORKS if not what.startswith("weights by")),
        *(f"model: {what} in its configuration" for what in WRONG_CONFIGURATIONS),
        *(f"model.json: {what}" for what in WRONG_MANIFESTS),
        "metrics.json: a temperature that is 0, negative, infinite, not a number or beyond 0.001 to 1,000",
        "a published version with an altered file, checksum or list of files",
        "a checkpoint that is damaged or that somebody else has sealed",
    ]
    lines = [
        "",
        "## Weights and models",
        "",
        "What `--weights`, `--champion`, `--publish` and `predict` do with files that somebody else has written.",
        "A refusal is one line, before anything is built. Each row is a test in",
        "`tests/unit/components/core/networks/test_foreign_weights.py`,",
        "`tests/unit/components/core/artifacts/test_foreign_models.py` or",
        "`tests/unit/components/core/training/test_checkpoint.py`.",
        "",
        "| input | what comes of it |",
        "| --- | --- |",
    ]
    return [
        *lines,
        *(f"| {each} | {'ignored, with a line' if 'checkpoint' in each else 'refused'} |" for each in refused),
    ]
