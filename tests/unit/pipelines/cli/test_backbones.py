from pathlib import Path

import pytest
from support.commands import headstart_here
from support.hub_presets import save_preset

from headstart.components.core.backbones.table import BACKBONES


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of weights, in which there are none."""
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("HEADSTART_WEIGHTS", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def rows(*arguments: str) -> dict[str, list[str]]:
    done = headstart_here("backbones", *arguments)
    assert done.returncode == 0, done.stderr
    return {name: facts for name, *facts in map(str.split, done.stdout.splitlines()[1:])}


def test_every_backbone_is_listed_with_the_licence_of_its_weights() -> None:
    found = rows()
    assert list(found) == list(BACKBONES)
    assert found["vgg16"] == ["224", "14.7", "M", "512", "CC-BY-4.0", "to", "download"]
    assert found["sketchnet"][-1] == "included"


def test_weights_are_looked_for_where_a_run_finds_them(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (weights / "models" / "mobilenet_1_0_224_tf_no_top.h5").touch()
    (weights / "resnet50.weights.h5").touch()
    monkeypatch.setenv("HEADSTART_WEIGHTS", str(weights))
    found = rows("mobilenet", "resnet50", "vgg19")
    assert {name: " ".join(facts[5:]) for name, facts in found.items()} == {
        "mobilenet": "in Keras' folder",
        "resnet50": "HEADSTART_WEIGHTS",
        "vgg19": "to download",
    }


def test_presets_in_the_folder_of_weights_are_listed(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_WEIGHTS", str(weights))
    save_preset("vit", weights / "tiny_vit")
    (weights / "text").mkdir()
    (weights / "text" / "config.json").write_text('{"model_type": "bert"}')
    found = rows()
    assert list(found) == [*BACKBONES, "hub:text", "hub:tiny_vit"]
    assert found["hub:tiny_vit"] == ["32", "not", "stated", "HEADSTART_WEIGHTS"]
    assert found["hub:text"] == ["cannot", "be", "used"]
    assert "hub:text" in headstart_here("backbones", "hub:text").stderr
    assert rows("hub:tiny_vit")["hub:tiny_vit"] == found["hub:tiny_vit"]


def test_licences_of_presets_are_those_of_their_weights() -> None:
    wanted = {
        "hub:dinov2_small": "Apache-2.0",
        "hub:dinov3_vit_small_lvd1689m": "LicenseRef-DINOv3",
        "hub:mobilenetv5_300m_enc_gemma3n": "LicenseRef-Gemma",
        "hub:swin_tiny_patch4_window7_224": "MIT",
        "hub:vgg_16_imagenet": "BSD-3-Clause",
        "hub:xception_41_imagenet": "MIT",
        "hub:siglip_base_patch16_224": "Apache-2.0",
        "hub:medsiglip_900m_448": "LicenseRef-Health-AI-Developer-Foundations",
        "hub:clip_vit_h_14_laion2b_s32b_b79k": "MIT",
        "hub:clip_vit_base_patch16": "not stated",
    }
    found = rows(*wanted)
    assert {name: " ".join(facts[2:-2]) for name, facts in found.items()} == wanted


def test_a_rate_is_measured_of_a_preset_too(tmp_path: Path) -> None:
    preset = f"hub:{save_preset('vit', tmp_path / 'vit')}"
    found = rows("sketchnet", preset, "--measure")
    for name in ("sketchnet", preset):
        assert float(found[name][-1].replace(",", "")) > 1


def test_an_unknown_name_is_an_error_in_the_options() -> None:
    done = headstart_here("backbones", "vgg61")
    assert done.returncode == 2
    assert "unknown backbone 'vgg61'" in done.stderr
