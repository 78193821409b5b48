"""Runs whose backbone is a preset of KerasHub."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import headstart, headstart_here
from support.hub_presets import save_preset

BRIEFLY = ("--counts", "40,10,10", "--set", "head.epochs=1", "--set", "head.augmented_views=1")
TUNED = ("--set", "fine_tuning.epochs=1", "--set", "fine_tuning.augmented_views=1")

_LOAD = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("keras_hub", "headstart"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hidden())
import keras
import numpy as np

model = keras.models.load_model(sys.argv[1], safe_mode=True)
assert np.isfinite(np.asarray(model(np.zeros((1, 40, 50, 3), np.float32)))).all()
"""


# LiteRT does not run the first two.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "exports"),
    [
        ("dinov2", ["onnx"]),
        ("dinov3", ["onnx"]),
        ("swin", ["litert", "onnx"]),
        ("mobilenetv5", ["litert", "onnx"]),
        ("mobilenet", ["litert", "onnx"]),
    ],
)
def test_a_preset_is_trained_published_and_needed_no_more(
    name: str, exports: list[str], pictures: Path, tmp_path: Path
) -> None:
    preset = save_preset(name, tmp_path / "preset")
    options = ("--data", pictures, "--backbone", f"hub:{preset}", *BRIEFLY, *TUNED, "--output", tmp_path / "out")
    wanted = [word for each in exports for word in ("--export", each)]
    done = headstart("run", *options, "--publish", tmp_path / "models", "--min-accuracy", "0", *wanted)
    assert done.returncode == 0, done.stdout + done.stderr
    (network,) = (tmp_path / "models").rglob("model.keras")
    assert {path.name for path in (tmp_path / "models").rglob("*")} >= {*exports, "saved_model"}
    loaded = subprocess.run([sys.executable, "-c", _LOAD, str(network)], capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr
    predicted = headstart(
        "predict", tmp_path / "models", pictures / "cat.1.jpg", "--output", tmp_path / "predictions.csv"
    )
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr


def test_presets_are_listed(tmp_path: Path) -> None:
    preset = save_preset("vit", tmp_path / "vit")
    (preset / "README.md").write_text("---\nlibrary_name: keras-hub\nlicense: apache-2.0\n---\nA network.\n")
    done = headstart_here("backbones", f"hub:{preset}", "hub:dinov2_small", "sketchnet")
    assert done.returncode == 0, done.stderr
    assert "apache-2.0" in done.stdout
    assert "in a folder" in done.stdout
    assert "to download" in done.stdout
