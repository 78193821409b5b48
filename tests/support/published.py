"""Folders of published versions, with a model file that needs no network to be built."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np

from headstart.components.core.artifacts.evaluation import METRICS, METRICS_FORMAT
from headstart.components.core.artifacts.history import HISTORY
from headstart.components.core.artifacts.model import MODEL, SEEN, ModelInfo, write_model_info
from headstart.components.core.registry.versions import Version
from headstart.components.core.storage.stores import open_tree
from headstart.components.core.util.errors import HeadstartError


def version_folder(folder: Path, seed: int = 0, classes: tuple[str, ...] = ("cat", "dog"), size: int = 1000) -> Path:
    """Makes the folder of a version; its content depends on the seed alone.

    Args:
        folder: Folder to make.
        seed: Seed of the content; another one is another model.
        classes: Class names of the model.
        size: Least size of the model in bytes.
    """
    model = folder / "model"
    for each in (model, folder / "evaluation", folder / "saved_model" / "1"):
        each.mkdir(parents=True)
    write_network(model / MODEL, len(classes), seed, size)
    (model / HISTORY).write_text("epoch\n")
    (model / SEEN).write_bytes(b"ids")
    data = {"train": f"train{seed}", "validation": f"validation{seed}"}
    write_model_info(model, ModelInfo("fine_tuning", list(classes), 64, "sketchnet", {}, data, {}, {}, seed))
    test = {"images": 200, "accuracy": 0.9, "accuracy_interval": [0.85, 0.94]}
    metrics = {
        "format": METRICS_FORMAT,
        "classes": list(classes),
        "test": test,
        "test_data": "test",
        "calibration": None,
    }
    metrics["abstention"] = []
    (folder / "evaluation" / METRICS).write_text(json.dumps(metrics))
    (folder / "saved_model" / "1" / "saved_model.pb").write_bytes(b"graph%d" % seed)
    return folder


def write_network(file: Path, classes: int, seed: int, size: int) -> None:
    """Writes a file that looks like a classifier of 64 pixels without being loaded; the same for the same seed."""
    outputs = 1 if classes == 2 else classes
    layers = [("Resizing", {"name": "resize", "height": 64, "width": 64}), ("Dense", {"name": "output"})]
    layers[1][1]["units"] = outputs
    parts = [{"module": "keras.layers", "class_name": kind, "config": config} for kind, config in layers]
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as store:
        store["layers/dense/vars/0"] = np.full((2, outputs), seed, np.float32)
    config = {"module": "keras.src.models.functional", "class_name": "Functional", "config": {"layers": parts}}
    members = {"config.json": json.dumps(config).encode(), "model.weights.h5": buffer.getvalue()}
    members["assets/padding"] = (b"%d," % seed * size)[:size]
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)


def check_version(uri: str, version: Version) -> None:
    """Reads every file of a published version; raises `HeadstartError` if one is missing or altered."""
    tree = open_tree(uri)
    for name, stored in version.files.items():
        content, _ = tree.read(f"{version.version}/{name}")
        if hashlib.sha256(content).hexdigest() != stored.sha256:
            raise HeadstartError(f"{name} of version {version.version} is altered")
