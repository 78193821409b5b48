"""Networks of timm as backbones, which KerasHub converts."""

import json
import shutil
from pathlib import Path

import keras
import keras_hub
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from support.timm_checkpoints import RESNET, SMALL, save_timm

from headstart.components.core.backbones.hub_families import FAMILIES, TIMM_FAMILIES
from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.classifier import PREPROCESS
from headstart.components.core.networks.pretrained_weights import build_with_weights_file
from headstart.components.core.recipes.licence import find_licence
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.recipes.resolve import resolve_recipe
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.util.errors import HeadstartError

PHOTOS = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)


@pytest.mark.parametrize("architecture", [SMALL, RESNET])
def test_features_are_those_of_the_checkpoint(
    architecture: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / f"{architecture}.a1_in1k"
    network = save_timm(folder, architecture)
    capfd.readouterr()
    base, digest = build_with_weights_file(get_backbone(f"hub:{folder}"), 64, "")
    assert capfd.readouterr().out == "", "what the converter prints is no output of this program"
    assert digest == sha256_of_file(folder / "model.safetensors")
    scaled = np.asarray(keras_hub.layers.ImageConverter.from_preset(str(folder))(PHOTOS))
    assert np.abs(np.asarray(base.get_layer(PREPROCESS)(PHOTOS)) - scaled).max() < 1e-5
    features = np.asarray(network(scaled))
    loaded = keras_hub.models.Backbone.from_preset(str(folder))
    assert np.array_equal(np.asarray(loaded(scaled)), features)
    assert np.allclose(np.asarray(base(PHOTOS)), features, rtol=1e-4, atol=1e-5 * np.abs(features).max())
    assert "keras_hub" not in json.dumps(base.get_config(), default=str)


def test_size_and_licence_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    save_timm(folder)
    recipe = load_recipe(settings={"backbone": f"hub:{folder}"})
    assert resolve_recipe(recipe).image_size == 64
    assert find_licence(recipe) == "apache-2.0"
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: a-licence\n---\n")
    assert find_licence(recipe) == "a-licence"
    (folder / "README.md").unlink()
    assert find_licence(recipe) == "bsd-3-clause"


def test_every_family_is_one_of_kerashub() -> None:
    from keras_hub.src.utils.timm.preset_loader import TimmPresetLoader

    for start, name in TIMM_FAMILIES.items():
        assert name in FAMILIES
        assert TimmPresetLoader("", {"architecture": f"{start}1"}).check_backbone_class().__name__ == name


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    save_timm(whole)
    config = json.loads((whole / "config.json").read_text())
    tensors = load_file(whole / "model.safetensors")

    def changed(name: str, **settings: object) -> Path:
        folder = shutil.copytree(whole, tmp_path / name)
        (folder / "config.json").write_text(json.dumps(config | settings))
        return folder

    pickled = changed("pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    damaged = changed("damaged")
    (damaged / "model.safetensors").write_bytes(b"\x80\x02}q\x00." * 9)
    infinite, lacking, misfit = changed("infinite"), changed("lacking"), changed("misfit")
    stem = tensors["conv_stem.weight"]
    save_file(tensors | {"conv_stem.weight": stem * np.inf}, infinite / "model.safetensors")
    save_file({name: value for name, value in tensors.items() if "stem" not in name}, lacking / "model.safetensors")
    save_file(tensors | {"conv_stem.weight": stem[:2].copy()}, misfit / "model.safetensors")
    wrong = {
        r"is timm's 'convnext_tiny', which KerasHub does not convert": changed(
            "convnext", architecture="convnext_tiny"
        ),
        r"cannot be built \(Currently, the architecture resnet18d": changed("resnet18d", architecture="resnet18d"),
        r"has no pretrained_cfg with input_size, mean and std": changed("unscaled", pretrained_cfg={}),
        r"no usable mean and std": changed(
            "scaled", pretrained_cfg={"input_size": [3, 64, 64], "mean": [0, 0], "std": [1]}
        ),
        r"has no model.safetensors \(of timm's formats only this one is read\)": pickled,
        r"model.safetensors cannot be read": damaged,
        r"'conv_stem.weight' have NaN or infinite values": infinite,
        r"cannot be built .*conv_stem": lacking,
        r"misfit' cannot be built": misfit,
    }
    for says, folder in wrong.items():
        with pytest.raises(HeadstartError, match=says) as caught:
            recipe = resolve_recipe(load_recipe(settings={"backbone": f"hub:{folder}"}))
            build_with_weights_file(get_backbone(f"hub:{folder}"), recipe.image_size, "")
        assert "\n" not in str(caught.value), says
        assert folder.name in str(caught.value), says


def test_nothing_of_keras_is_left_in_16_bits(tmp_path: Path) -> None:
    save_timm(tmp_path / "half")
    file = tmp_path / "half" / "model.safetensors"
    save_file({name: value.astype(np.float16) for name, value in load_file(file).items()}, file)
    base, _ = build_with_weights_file(get_backbone(f"hub:{tmp_path / 'half'}"), 64, "")
    assert {str(each.dtype) for each in base.weights if "seed" not in each.path} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
