import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils
from numpy.typing import NDArray

from headstart.components.core.backbones.table import BACKBONES, NO_WEIGHTS, Head, get_backbone
from headstart.components.core.networks.classifier import build_backbone, build_classifier, unfreeze
from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone
from headstart.components.core.util.errors import HeadstartError

SIZE = 75
PIXELS = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3)).astype(np.float32)
FAMILIES = ["mobilenet_v2", "mobilenet_v3_small", "resnet50", "efficientnet_v2_b0", "convnext_tiny", "sketchnet"]
"""One of each way to build; `benchmarks/backbones.py --check` goes through the whole table."""

PREPROCESSED_BY = {
    "mobilenet_v2": keras.applications.mobilenet_v2,
    "mobilenet": keras.applications.mobilenet,
    "vgg16": keras.applications.vgg16,
    "vgg19": keras.applications.vgg19,
    "resnet50": keras.applications.resnet50,
    "inception_v3": keras.applications.inception_v3,
    "xception": keras.applications.xception,
    "sketchnet": keras.applications.mobilenet_v2,
}


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(HeadstartError, match=r"unknown backbone 'vgg61'; known: mobilenet_v2, .*vgg16, vgg19"):
        get_backbone("vgg61")


@pytest.mark.parametrize("name", BACKBONES)
def test_image_size_is_the_backbones_own_or_the_one_asked_for(name: str) -> None:
    backbone = get_backbone(name)
    assert backbone.resolve_image_size(0) == backbone.image_size
    least = backbone.min_image_size
    assert backbone.resolve_image_size(least) == least
    for size in (least - 1, -1):
        with pytest.raises(HeadstartError, match=f"image size {size} is too small .* at least {least} pixels"):
            backbone.resolve_image_size(size)


@pytest.mark.parametrize("name", [name for name, row in BACKBONES.items() if row.pretrained == "imagenet"])
def test_facts_of_a_row_are_those_of_the_network_that_keras_downloads_weights_for(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def ask(file: str, address: str, **_: object) -> str:
        asked.append((file, address))
        return file

    monkeypatch.setattr(file_utils, "get_file", ask)
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_, **__: None)
    row = BACKBONES[name]
    base = build_backbone(row, row.min_image_size, weights="imagenet")
    assert (base.count_params(), base.output.shape[-1]) == (row.parameters, row.width)
    ((file, address),) = asked
    assert address == f"https://storage.googleapis.com/tensorflow/keras-applications/{row.keras_file}"
    assert address.endswith(f"/{file}")


def test_facts_of_the_small_backbone_are_those_of_the_network() -> None:
    row = BACKBONES["sketchnet"]
    base = build_backbone(row, row.min_image_size)
    assert (base.count_params(), base.output.shape[-1]) == (row.parameters, row.width)


def test_weights_that_can_be_nothing_are_refused() -> None:
    for weights in ("", "none", "imagenet", "https://host/x.h5", "gs://bucket/x.h5", "s3://bucket/x.h5", __file__):
        get_backbone("vgg16").check_weights(weights)
    with pytest.raises(
        HeadstartError, match="weights 'imagenet' of backbone sketchnet: no such file; pass 'drawings'"
    ):
        get_backbone("sketchnet").check_weights("imagenet")


def ours(name: str) -> NDArray[np.float32]:
    """What the preprocessing inside a classifier makes of the pixels."""
    base = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.GlobalAveragePooling2D(keepdims=True)])
    model = build_classifier(base, get_backbone(name).preprocessing, Head("average"), 2, SIZE)
    inside = keras.Model(model.input, model.get_layer("preprocess").output)
    return np.asarray(inside(PIXELS))


@pytest.mark.parametrize("name", PREPROCESSED_BY)
def test_preprocessing_is_that_of_keras_applications(name: str) -> None:
    assert np.abs(ours(name) - PREPROCESSED_BY[name].preprocess_input(PIXELS.copy())).max() < 1e-5


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_v2_b0", "efficientnet_v2_s", "convnext_tiny"])
def test_preprocessing_is_what_keras_applications_builds_in(name: str) -> None:
    constructor = getattr(keras.applications, get_backbone(name).constructor.partition(":")[2])
    theirs = constructor(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3), include_preprocessing=True)
    build = (keras.layers.Rescaling, keras.layers.Normalization)
    last = [layer for layer in theirs.layers if isinstance(layer, (*build, keras.Sequential))]
    preprocessing = last[: next((at for at, layer in enumerate(last) if not isinstance(layer, build)), len(last))]
    assert preprocessing
    wanted = PIXELS
    for layer in preprocessing:
        wanted = layer(wanted)
    assert np.abs(ours(name) - np.asarray(wanted)).max() < 1e-5


def test_every_size_of_a_family_is_preprocessed_alike() -> None:
    families = [("mobilenet_v3", "small"), ("efficientnet_v2", "b"), ("convnext", "tiny")]
    for family, size in families:
        rows = [row for name, row in BACKBONES.items() if name.startswith(family) and name != "efficientnet_v2_s"]
        assert {row.preprocessing for row in rows} == {
            get_backbone(f"{family}_{size}".replace("_b", "_b0")).preprocessing
        }


def normalise(base: keras.Model, model: keras.Model) -> None:
    """Gives every BatchNorm the statistics of the pixels: through random weights alone no signal passes."""
    norms = [layer for layer in base.layers if isinstance(layer, keras.layers.BatchNormalization)]
    usual = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(PIXELS, training=True)
    for layer, momentum in zip(norms, usual, strict=True):
        layer.momentum = momentum


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, NDArray[np.float32]]:
    """Models that were fine-tuned for one step from the default point, saved, and what they say of the pixels."""
    folder = tmp_path_factory.mktemp("models")
    predictions = {}
    for name in FAMILIES:
        keras.utils.set_random_seed(0)
        backbone = get_backbone(name)
        base = build_pretrained_backbone(backbone, SIZE, NO_WEIGHTS)
        model = build_classifier(base, backbone.preprocessing, backbone.head, 3, SIZE)
        normalise(base, model)
        parts = unfreeze(model, name, backbone.unfreeze_from)
        before = {weight.path: weight.numpy() for weight in model.weights}
        activations = np.asarray(parts.front(PIXELS, training=False))
        parts.tail.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
        parts.tail.train_on_batch(activations, np.array([0, 1, 2, 2]))
        wanted = {weight.path for weight in model.trainable_weights}
        moved = {weight.path for weight in model.weights if not np.array_equal(weight.numpy(), before[weight.path])}
        assert moved <= wanted, f"{name}: {sorted(moved - wanted)[:3]} moved"
        assert len(moved) > len(wanted) / 2, f"{name}: only {len(moved)} of {len(wanted)} moved"
        model.save(folder / f"{name}.keras")
        predictions[folder / f"{name}.keras"] = np.asarray(parts.tail(activations, training=False))
    return predictions


@pytest.mark.slow
def test_each_family_loads_without_our_code_and_answers_as_front_and_tail_do(
    trained: dict[Path, NDArray[np.float32]], tmp_path: Path
) -> None:
    np.save(tmp_path / "pixels.npy", PIXELS)
    (tmp_path / "models.json").write_text(json.dumps([str(path) for path in trained]))
    code = (
        "import json, sys, keras, numpy as np\n"
        "pixels = np.load('pixels.npy')\n"
        "models = [keras.models.load_model(path, safe_mode=True) for path in json.load(open('models.json'))]\n"
        "assert not [name for name in sys.modules if name.startswith('headstart')]\n"
        "np.save('predictions.npy', [np.asarray(model(pixels, training=False)) for model in models])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=tmp_path)
    predictions = np.load(tmp_path / "predictions.npy")
    assert np.isfinite(predictions).all()
    for (path, here), there in zip(trained.items(), predictions, strict=True):
        assert np.abs(there - here).max() < 1e-5, path.name
