"""Presets of KerasHub as backbones."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import keras_hub
import numpy as np
import pytest
from support import ROOT
from support.hub_presets import BUILDERS, SIZE, build, image_converter_of, save_preset

from headstart.components.core.backbones.hub_families import FAMILIES
from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.classifier import CONSTANT, PREPROCESS, build_classifier, get_blocks, unfreeze
from headstart.components.core.networks.hub_network import build_hub_network
from headstart.components.core.networks.pretrained_weights import build_with_weights_file
from headstart.components.core.recipes.hub_preset import open_hub_preset
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.recipes.resolve import resolve_recipe
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.util.errors import HeadstartError

PHOTOS = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)
COARSE = 1e-5


def built(folder: Path, size: int = SIZE) -> keras.Model:
    backbone = get_backbone(f"hub:{folder}")
    with open_hub_preset(backbone) as files:
        return build_hub_network(files, backbone, size)


def expected(name: str, folder: Path, scaled: np.ndarray) -> np.ndarray:
    """Features by KerasHub itself."""
    network = keras_hub.models.Backbone.from_preset(str(folder))
    network = network.vision_encoder if name.startswith(("clip", "siglip")) else network
    inputs = dict.fromkeys(network.input, scaled) if isinstance(network.input, dict) else scaled
    output = network(inputs)
    output = np.asarray(output["stage2"] if name.startswith("hgnetv2") else output)
    if name in ("vit", "deit") or name.startswith("clip"):
        return output[:, 0]
    if name == "vit_without_class_token":
        return output.mean(axis=1)
    if name.startswith(("dinov2", "dinov3")):
        first = 3 if name.endswith("_with_registers") else 1
        return np.concatenate([output[:, 0], output[:, first:].mean(axis=1)], axis=1)
    if name.startswith("swin"):
        side = int(output.shape[1] ** 0.5)
        return output.reshape(len(output), side, side, -1)
    return output


@pytest.mark.parametrize("name", list(BUILDERS))
def test_features_are_those_of_kerashub(name: str, tmp_path: Path) -> None:
    base = built(save_preset(name, tmp_path / "preset"))
    converter = keras_hub.layers.ImageConverter.from_preset(str(tmp_path / "preset"))
    scaled = np.asarray(converter(PHOTOS))
    assert np.abs(np.asarray(base.get_layer(PREPROCESS)(PHOTOS)) - scaled).max() < COARSE
    features = expected(name, tmp_path / "preset", scaled)
    if features.ndim == 2:
        features = features[:, None, None]
    assert base.output.shape[1:] == features.shape[1:]
    assert np.allclose(np.asarray(base(PHOTOS)), features, rtol=1e-4, atol=COARSE * np.abs(features).max())
    # Nothing of KerasHub is left in it.
    assert "keras_hub" not in json.dumps(base.get_config(), default=str)


def test_every_family_has_a_test() -> None:
    kinds = {type(build(name)).__name__ for name in BUILDERS}
    assert kinds | {"CLIPVisionEncoder", "SigLIPVisionEncoder"} == set(FAMILIES)


@pytest.mark.parametrize(
    "settings",
    [
        {"scale": 1 / 127.5, "offset": -1.0},
        {"scale": None, "offset": None},
        {"scale": 1 / 255, "offset": None},
        {"scale": 1 / 255, "mean": [0.4, 0.5, 0.6], "variance": [0.04, 0.05, 0.06]},
    ],
)
def test_every_form_of_scaling_is_that_of_the_converter(settings: dict[str, object], tmp_path: Path) -> None:
    folder = save_preset("resnet", tmp_path / "preset")
    file = folder / "image_converter.json"
    content = json.loads(file.read_text())
    del content["config"]["scale"], content["config"]["offset"]
    file.write_text(json.dumps(content | {"config": content["config"] | settings}))
    converter = keras_hub.layers.ImageConverter.from_preset(str(folder))
    layer = built(folder).get_layer(PREPROCESS)
    assert np.abs(np.asarray(layer(PHOTOS)) - np.asarray(converter(PHOTOS))).max() < COARSE


@pytest.mark.parametrize(
    ("name", "blocks", "tokens"),
    [
        ("dinov2", ["encoder_layers_0", "encoder_layers_1", "encoder_layers_2"], 65),
        ("dinov3", ["encoder_layers_0", "encoder_layers_1", "encoder_layers_2"], 65),
    ],
)
def test_a_transformer_is_cut_at_its_blocks(name: str, blocks: list[str], tokens: int, tmp_path: Path) -> None:
    base = built(save_preset(name, tmp_path / "preset"))
    assert [*get_blocks(base)][1:] == blocks
    model = build_classifier(base, "none", get_backbone(base.name).head, 3, SIZE)
    base.trainable = False
    before = np.asarray(model(PHOTOS))
    parts = unfreeze(model, base.name, "coarsest")
    assert parts.front.output.shape[1:] == (tokens, 16)
    assert np.allclose(np.asarray(parts.tail(parts.front(PHOTOS))), before, atol=1e-6)
    trained = {each.path.split("/")[-2] for each in base.trainable_variables}
    assert trained and not any("layers_1" in each or "layers_0" in each for each in trained)


def test_constants_are_not_trained(tmp_path: Path) -> None:
    for name in ("dinov3", "swin"):
        base = built(save_preset(name, tmp_path / name))
        model = build_classifier(base, "none", get_backbone(base.name).head, 3, SIZE)
        unfreeze(model, base.name, "all")
        constants = [each for each in base.layers if each.name.endswith(CONSTANT)]
        assert constants and not any(each.trainable_weights for each in constants)


@pytest.mark.parametrize(
    ("name", "size", "used"),
    [
        ("dinov3", 48, 48),
        ("swin", 0, 32),
        ("mobilenetv5", 48, 48),
        ("dinov2", 0, 32),
        ("dinov2", 48, 48),
        ("vit", 0, 32),
        ("siglip", 32, 32),
        ("resnet", 48, 48),
    ],
)
def test_image_sizes_that_a_preset_takes(name: str, size: int, used: int, tmp_path: Path) -> None:
    folder = save_preset(name, tmp_path / "preset")
    recipe = load_recipe(settings={"backbone": f"hub:{folder}", "image_size": size})
    assert resolve_recipe(recipe).image_size == used
    assert built(folder, used).output.shape[1] >= 1


def test_weights_are_those_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_preset("mobilenet", tmp_path / "weights" / "mobile_tiny")
    digest = sha256_of_file(folder / "model.weights.h5")
    base, found = build_with_weights_file(get_backbone(f"hub:{folder}"), SIZE, "", digest.upper())
    assert (base.name, found) == ("mobile_tiny.hub", digest)
    with pytest.raises(HeadstartError, match=f"have sha256 {digest}, not 0000"):
        build_with_weights_file(get_backbone(f"hub:{folder}"), SIZE, "", "0" * 64)
    with pytest.raises(HeadstartError, match=r"backbone mobile_tiny.hub has its own weights"):
        build_with_weights_file(get_backbone(f"hub:{folder}"), SIZE, "none")
    # A preset of this name in the folder of weights is used without a download.
    monkeypatch.setenv("HEADSTART_WEIGHTS", str(tmp_path / "weights"))
    again, _ = build_with_weights_file(get_backbone("hub:mobile_tiny"), SIZE, "")
    assert np.array_equal(again(PHOTOS), base(PHOTOS))


def wrong_presets(folder: Path) -> dict[str, tuple[Path, dict[str, object]]]:
    """Presets and settings that do not go together, by what is said of them."""
    vit, dinov2 = save_preset("vit", folder / "vit"), save_preset("dinov2", folder / "dinov2")
    text = folder / "text"
    keras_hub.models.BertBackbone(
        vocabulary_size=9, num_layers=1, num_heads=1, hidden_dim=2, intermediate_dim=2, max_sequence_length=3
    ).save_to_preset(str(text))
    foreign = folder / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text(json.dumps({"model_type": "vit"}))
    broken = shutil.copytree(vit, folder / "broken")
    (broken / "config.json").write_text("{")
    unscaled = shutil.copytree(vit, folder / "unscaled")
    (unscaled / "image_converter.json").unlink()
    custom = shutil.copytree(vit, folder / "custom")
    config = json.loads((custom / "config.json").read_text())
    config["config"]["dtype"] = {"module": "os", "class_name": "system", "config": {}}
    (custom / "config.json").write_text(json.dumps(config))
    empty = shutil.copytree(vit, folder / "empty")
    (empty / "model.weights.h5").unlink()
    damaged = shutil.copytree(vit, folder / "damaged")
    (damaged / "model.weights.h5").write_bytes((dinov2 / "model.weights.h5").read_bytes())
    return {
        r"is a BertBackbone, which is no backbone for images": (text, {}),
        r"is not in KerasHub's format": (foreign, {}),
        r"config.json cannot be read": (broken, {}),
        r"has no image_converter.json, so the scaling": (unscaled, {}),
        r"names os.system": (custom, {}),
        r"has no model.weights.h5": (empty, {}),
        r"cannot be built": (damaged, {}),
        r"takes images of 32 x 32 pixels only": (vit, {"image_size": 64}),
        r"takes multiples of its patches of 4 pixels only, such as 32": (dinov2, {"image_size": 33}),
        r"brings its own image converter; leave scaling out": (vit, {"scaling": "tf"}),
        r"no such folder": (folder / "gone", {}),
    }


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    for says, (place, settings) in wrong_presets(tmp_path).items():
        with pytest.raises(HeadstartError, match=rf"hub:{place}.*{says}|{says}") as caught:
            recipe = resolve_recipe(load_recipe(settings={"backbone": f"hub:{place}"} | settings))
            built(place, recipe.image_size)
        assert "\n" not in str(caught.value), says
        assert place.name in str(caught.value), says


def test_the_build_of_an_image_refuses_presets_that_no_step_could_build(tmp_path: Path) -> None:
    def refusal() -> str:
        command = [sys.executable, ROOT / "docker" / "check_weights.py"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stderr.splitlines()[-1]

    save_preset("vit", tmp_path / "a_vit")
    damaged = shutil.copytree(tmp_path / "a_vit", tmp_path / "b_vit")
    (damaged / "model.weights.h5").write_bytes(b"no weights")
    assert refusal().startswith("cannot bake the weights in: backbone 'hub:./b_vit': model.weights.h5")
    (tmp_path / "a_vit" / "config.json").unlink()
    assert refusal() == (
        "cannot bake the weights in: a_vit/ is no preset: it has no config.json; put in what KerasHub's "
        "save_to_preset writes, with the preset's name as the folder's"
    )


def test_names_of_presets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    for name, says in {
        "hub:dinov2_smal": r"knows no preset of this name; the nearest are dinov2_small",
        "hub:mit_b0_ade20k_512": r"is a preset of mit, which is no backbone for images",
        "hub:bert_base_en": r"is a preset of bert, which is no backbone for images",
        "hub:dinov2_small": r"cannot download .*hub:path.* or name in HEADSTART_WEIGHTS a folder with dinov2_small/$",
        "kaggle://keras/vit/keras/vit_base_patch16_224_imagenet/2": r"cannot download .*hub:path",
    }.items():
        with pytest.raises(HeadstartError, match=says) as caught:
            resolve_recipe(load_recipe(settings={"backbone": name}))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "known_as"),
    [
        ("hub:dinov2_small", "dinov2_small.hub"),
        ("hub:./presets/my vit/", "my_vit.hub"),
        ("hub:gs://bucket/presets/vit", "vit.hub"),
        ("kaggle://keras/vit/keras/vit_base/2", "vit_base.hub"),
        ("hf://google/vit-base", "vit_base.hub"),
        ("vit_base.hub", "vit_base.hub"),
    ],
)
def test_the_name_that_a_model_knows(name: str, known_as: str) -> None:
    assert get_backbone(name).name == known_as


def test_converters_are_found() -> None:
    assert image_converter_of(build("vit")).__name__ == "ViTImageConverter"
