"""Runs whose backbone is a preset of KerasHub."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from support.commands import headstart, headstart_here
from support.hub_presets import BUILDERS, SIZE, save_preset

from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.classifier import add_temperature_scaling, build_classifier
from headstart.components.core.networks.hub_network import build_hub_network
from headstart.components.core.recipes.hub_preset import open_hub_preset
from headstart.components.publish_model.exports import _write_litert, _write_litert_int8, _write_onnx

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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dinov2", "dinov3", "swin", "mobilenetv5", "mobilenet"])
def test_a_preset_is_trained_published_and_needed_no_more(name: str, pictures: Path, tmp_path: Path) -> None:
    preset = save_preset(name, tmp_path / "preset")
    options = ("--data", pictures, "--backbone", f"hub:{preset}", *BRIEFLY, *TUNED, "--output", tmp_path / "out")
    wanted = ("--export", "litert", "--export", "onnx")
    done = headstart("run", *options, "--publish", tmp_path / "models", "--min-accuracy", "0", *wanted)
    assert done.returncode == 0, done.stdout + done.stderr
    (network,) = (tmp_path / "models").rglob("model.keras")
    assert {path.name for path in (tmp_path / "models").rglob("*")} >= {"litert", "onnx", "saved_model"}
    loaded = subprocess.run([sys.executable, "-c", _LOAD, str(network)], capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr
    predicted = headstart(
        "predict", tmp_path / "models", pictures / "cat.1.jpg", "--output", tmp_path / "predictions.csv"
    )
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", list(BUILDERS))
def test_exports_predict_what_the_network_does(name: str, splits: dict[str, Path], tmp_path: Path) -> None:
    backbone = get_backbone(f"hub:{save_preset(name, tmp_path / 'preset')}")
    with open_hub_preset(backbone) as files:
        base = build_hub_network(files, backbone, SIZE)
    network = add_temperature_scaling(build_classifier(base, "none", backbone.head, 3, SIZE), 1.0)
    drawn = np.random.default_rng(0).uniform(0, 255, (3, SIZE, SIZE, 3))
    pixels = np.stack([*drawn, np.zeros_like(drawn[0]), np.full_like(drawn[0], 255)]).astype(np.float32)
    expected = np.asarray(network(pixels, training=False))
    for write, file in ((_write_litert, "model.tflite"), (_write_onnx, "model.onnx")):
        predict = write(network, tmp_path / file, None)
        assert np.abs(predict(pixels) - expected).max() < 1e-4, file
        assert np.abs(predict(pixels[:1]) - expected[:1]).max() < 1e-4, file
    # How far integers are off depends on the weights, and these are random.
    integers = _write_litert_int8(network, tmp_path / "int8.tflite", splits["train"])(pixels)
    assert np.abs(integers.sum(axis=1) - 1).max() < 0.02
    tensors = Interpreter(str(tmp_path / "int8.tflite")).get_tensor_details()
    assert sum(each["dtype"] is np.int8 for each in tensors) > len(tensors) / 2


def test_presets_are_listed(tmp_path: Path) -> None:
    preset = save_preset("vit", tmp_path / "vit")
    (preset / "README.md").write_text("---\nlibrary_name: keras-hub\nlicense: apache-2.0\n---\nA network.\n")
    done = headstart_here("backbones", f"hub:{preset}", "hub:dinov2_small", "sketchnet")
    assert done.returncode == 0, done.stderr
    assert "apache-2.0" in done.stdout
    assert "in a folder" in done.stdout
    assert "to download" in done.stdout
