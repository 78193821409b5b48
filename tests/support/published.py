"""What is published, without a network in it."""

import hashlib
import json
from pathlib import Path

from headstart.components.core.errors import HeadstartError
from headstart.components.core.evaluation import FORMAT, METRICS
from headstart.components.core.history import HISTORY
from headstart.components.core.model import MODEL, SEEN, ModelInfo, write_model_info
from headstart.components.core.registry import Version
from headstart.components.core.stores import open_tree


def version_folder(folder: Path, seed: int = 0, classes: tuple[str, ...] = ("cat", "dog"), size: int = 1000) -> Path:
    """Makes the folder of a version; its bytes hang on the seed alone.

    Args:
        folder: To make.
        seed: Another one is another model.
        classes: The model's.
        size: Of the model in bytes.
    """
    model = folder / "model"
    for each in (model, folder / "evaluation", folder / "saved_model" / "1"):
        each.mkdir(parents=True)
    (model / MODEL).write_bytes((b"%d," % seed * size)[:size])
    (model / HISTORY).write_text("epoch\n")
    (model / SEEN).write_bytes(b"ids")
    data = {"train": f"train{seed}", "validation": f"validation{seed}"}
    write_model_info(model, ModelInfo("fine_tuning", list(classes), 64, "sketchnet", {}, data, {}, {}, seed))
    test = {"images": 200, "accuracy": 0.9, "accuracy_interval": [0.85, 0.94]}
    metrics = {"format": FORMAT, "test": test, "test_data": "test"}
    (folder / "evaluation" / METRICS).write_text(json.dumps(metrics))
    (folder / "saved_model" / "1" / "saved_model.pb").write_bytes(b"graph%d" % seed)
    return folder


def check_version(uri: str, version: Version) -> None:
    """Reads every file of a version that is published; raises `HeadstartError` if one is missing or altered."""
    tree = open_tree(uri)
    for name, stored in version.files.items():
        content, _ = tree.read(f"{version.version}/{name}")
        if hashlib.sha256(content).hexdigest() != stored.sha256:
            raise HeadstartError(f"{name} of version {version.version} is altered")
