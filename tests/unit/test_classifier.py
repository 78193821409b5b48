import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from headstart.components.core.backbones import BACKBONES, Backbone, Head, get_backbone
from headstart.components.core.errors import HeadstartError
from headstart.components.core.network.classifier import (
    BACKBONE_END,
    after_resize,
    build_backbone,
    build_classifier,
    cut,
    freeze_batch_norm,
    probabilities,
)

SIZE = 64
PIXELS = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3)).astype(np.float32)


def classifier(name: str, classes: int = 2, size: int = SIZE) -> tuple[Backbone, keras.Model]:
    backbone = get_backbone(name)
    base = build_backbone(backbone, size)
    # Statistics that are not the initial 0 and 1, so that a BatchNorm in the wrong mode shows.
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(np.full(layer.moving_mean.shape, 0.1))
    return backbone, build_classifier(base, backbone.preprocessing, backbone.head, classes, size)


def test_vgg16_is_the_tutorials_model() -> None:
    _, model = classifier("vgg16", size=150)
    base = model.get_layer("vgg16")
    assert base.count_params() == 14_714_688
    assert model.get_layer("hidden").count_params() == 2_097_408
    assert model.get_layer("output").count_params() == 257
    assert model.count_params() == 16_812_353
    assert base.output.shape == (None, 4, 4, 512)
    assert len(model.trainable_variables) == 30
    base.trainable = False
    assert len(model.trainable_variables) == 4
    base.trainable = True
    parts = cut(model, "vgg16", "block3_conv1")
    assert {weight.path.split("/")[0] for weight in parts.front.weights} == {
        f"block{block}_conv{conv}" for block in (1, 2) for conv in (1, 2)
    }
    assert len(parts.tail.trainable_variables) == 30 - 8


@pytest.mark.parametrize("name", ["mobilenet_v2", "vgg16"])
def test_preprocessing_is_that_of_keras_applications(name: str) -> None:
    backbone, model = classifier(name)
    inside = keras.Model(model.input, model.get_layer("preprocess").output)
    module = {"mobilenet_v2": keras.applications.mobilenet_v2, "vgg16": keras.applications.vgg16}[name]
    wanted = module.preprocess_input(PIXELS.copy())
    assert np.abs(inside.predict(PIXELS, verbose=0) - wanted).max() < 1e-4
    assert backbone.preprocessing in ("tf", "caffe")


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("point", ["default", BACKBONE_END])
def test_front_and_tail_make_the_whole(name: str, point: str) -> None:
    backbone, model = classifier(name, classes=3)
    parts = cut(model, name, backbone.unfreeze_from if point == "default" else point)
    wanted = model.predict(PIXELS, verbose=0)
    assert np.abs(parts.tail(parts.front(PIXELS)).numpy() - wanted).max() < 1e-5
    assert np.abs(after_resize(model)(PIXELS).numpy() - wanted).max() < 1e-5
    assert len(parts.front.weights) + len(parts.tail.weights) == len(model.weights)
    shared = {id(weight) for weight in model.weights}
    assert all(id(weight) in shared for weight in parts.tail.weights)


def test_unknown_or_crossed_point_lists_the_blocks() -> None:
    _, model = classifier("mobilenet_v2")
    with pytest.raises(HeadstartError, match=r"no layer or block 'block_99'; one can unfreeze from .*block_13"):
        cut(model, "mobilenet_v2", "block_99")
    with pytest.raises(HeadstartError, match="a shortcut passes around it"):
        cut(model, "mobilenet_v2", "block_12_depthwise")


def test_batch_norm_stays_as_it_is_through_fit() -> None:
    _, model = classifier("mobilenet_v2")
    parts = cut(model, "mobilenet_v2", "block_15")
    freeze_batch_norm(parts.tail)
    parts.tail.compile("sgd", "binary_crossentropy")
    before = {weight.path: weight.numpy() for weight in model.weights}
    parts.tail.fit(parts.front(PIXELS), np.array([0, 1, 1]), epochs=2, verbose=0)
    moved = {weight.path for weight in model.weights if not np.array_equal(weight.numpy(), before[weight.path])}
    assert moved
    assert not [path for path in moved if "BN" in path or "bn" in path]


@pytest.mark.parametrize("name", BACKBONES)
def test_saved_model_loads_in_a_process_without_our_code(name: str, tmp_path: Path) -> None:
    _, model = classifier(name)
    model.save(tmp_path / "model.keras")
    image = np.random.default_rng(1).integers(0, 256, (1, 50, 90, 3)).astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    code = (
        "import sys, keras, numpy as np\n"
        f"model = keras.models.load_model({str(tmp_path / 'model.keras')!r}, safe_mode=True)\n"
        f"image = np.load({str(tmp_path / 'image.npy')!r})\n"
        "assert not [name for name in sys.modules if name.startswith('headstart')]\n"
        f"np.save({str(tmp_path / 'answer.npy')!r}, model.predict(image, verbose=0))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert np.abs(np.load(tmp_path / "answer.npy") - model.predict(image, verbose=0)).max() < 1e-6


def test_probabilities_have_one_column_per_class() -> None:
    assert np.allclose(probabilities(np.array([[0.25], [1.0]], np.float32)), [[0.75, 0.25], [0, 1]])
    softmax = np.array([[0.2, 0.3, 0.5]], np.float32)
    assert np.allclose(probabilities(softmax), softmax)


def test_head_can_be_shaped() -> None:
    base = build_backbone(get_backbone("sketchnet"), SIZE)
    model = build_classifier(base, "tf", Head("average", hidden_units=8, dropout=0.5), 5, SIZE)
    assert model.output.shape == (None, 5)
    assert model.get_layer("hidden").units == 8
