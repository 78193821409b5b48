from pathlib import Path

import keras
import numpy as np
import pytest

from headstart.components.core.backbones.table import Head, get_backbone
from headstart.components.core.features.compute import FeatureExtractor, Features
from headstart.components.core.networks import precision
from headstart.components.core.networks.classifier import (
    BACKBONE_END,
    build_backbone,
    build_classifier,
    cut_classifier,
    unfreeze,
)
from headstart.components.core.networks.devices import inference_batch_size
from headstart.components.core.networks.precision import use_precision
from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.training.batches import PlainBatches, to_tf_dataset
from headstart.components.core.training.end_to_end import cut_at_pixels
from headstart.components.core.training.fit import fit


@pytest.fixture(scope="module")
def front() -> keras.Model:
    backbone = get_backbone("sketchnet")
    base = build_pretrained_backbone(backbone, 64, "")
    return cut_classifier(
        build_classifier(base, backbone.preprocessing, backbone.head, 2, 64), base.name, BACKBONE_END
    ).front


def test_the_backbone_computes_in_bfloat16_and_what_is_around_it_in_float32(front: keras.Model) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3)).astype(np.float32)
    inner = front.get_layer("sketchnet")
    wanted = np.asarray(front(pixels, training=False), np.float32)
    with use_precision(front, "bfloat16"):
        output = np.asarray(front(pixels, training=False), np.float32)
        assert {layer.compute_dtype for layer in inner.layers[1:]} == {"bfloat16"}
        assert front.get_layer("preprocess").compute_dtype == front.get_layer("pool").compute_dtype == "float32"
    assert not np.array_equal(wanted, output)
    assert np.sqrt(np.square(wanted - output).mean()) < 0.02 * np.sqrt(np.square(wanted).mean())
    assert np.array_equal(front(pixels, training=False), wanted)
    assert {weight.dtype for weight in front.weights} == {"float32"}


@pytest.mark.parametrize("cut_at", ["pixels", "inside"])
def test_output_that_losses_and_features_are_made_of_stays_in_float32(cut_at: str) -> None:
    """Also where the last layer lies in a network inside the network: end to end, and below a cut in the backbone."""
    base = build_backbone(get_backbone("sketchnet"), 32)
    parts = unfreeze(build_classifier(base, "tf", Head("average"), 2, 32), "sketchnet", "block4")
    plan = Plan.of(load_recipe(), "head", 0)
    model = cut_at_pixels(parts, plan).tail if cut_at == "pixels" else parts.front
    with use_precision(model, "bfloat16"):
        output = model(np.zeros((2, *model.input.shape[1:]), np.float32), training=False)
        assert output.dtype == "float32"
        assert "bfloat16" in {layer.compute_dtype for layer in base.layers[1:]}


@pytest.mark.parametrize(
    ("gain", "harmless", "deterministic", "chosen"),
    [(0.0, 1.0, False, True), (1e9, 1.0, False, False), (0.0, 1e-9, False, False), (0.0, 1.0, True, False)],
)
def test_bfloat16_is_chosen_where_it_is_faster_and_harmless_and_nothing_has_to_be_repeatable(
    gain: float,
    harmless: float,
    deterministic: bool,
    chosen: bool,
    front: keras.Model,
    splits: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = Plan.of(load_recipe(settings={"deterministic": deterministic}), "head", 0)
    plain = np.array(
        FeatureExtractor([front], plan).extract(splits["train"], 1, [tmp_path / "plain.npy"])[0].activations
    )
    for name, value in (("_SECONDS_WORTH_A_TRIAL", 0.0), ("_GAIN", gain), ("_HARMLESS", harmless)):
        monkeypatch.setattr(precision, name, value)
    tried = np.array(
        FeatureExtractor([front], plan).extract(splits["train"], 1, [tmp_path / "tried.npy"])[0].activations
    )
    assert np.array_equal(plain[:, : inference_batch_size()], tried[:, : inference_batch_size()])
    assert np.array_equal(plain, tried) != chosen
    assert np.allclose(plain, tried, atol=0.02 * np.abs(plain).max())


def trained(setting: str, deterministic: bool = False) -> tuple[keras.Model, Features, float]:
    base = build_backbone(get_backbone("sketchnet"), 32)
    tail = unfreeze(build_classifier(base, "tf", Head("average"), 2, 32), "sketchnet", "block4").tail
    inputs = np.random.default_rng(0).normal(size=(1, 32, *tail.input.shape[1:])).astype(np.float16)
    features = Features(inputs, np.arange(32) % 2)
    settings = {"head.precision": setting, "head.epochs": 1, "deterministic": deterministic}
    (epoch,) = fit(tail, features, features, Plan.of(load_recipe(settings=settings), "head", 0))
    return tail, features, epoch.validation_loss


@pytest.mark.parametrize(
    ("setting", "deterministic", "reduced"),
    [("bfloat16", False, True), ("auto", False, True), ("auto", True, False)],
)
def test_training_in_bfloat16_leaves_a_network_of_float32(
    setting: str, deterministic: bool, reduced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_SECONDS_WORTH_A_TRIAL", 0.0), ("_GAIN", 0.0), ("_HARMLESS", 1.0)):
        monkeypatch.setattr(precision, name, value)
    tail, features, logged = trained(setting, deterministic)
    loss, _ = tail.evaluate(to_tf_dataset(PlainBatches(features, units=1)), verbose=0)
    assert loss == pytest.approx(logged, rel=0.02) and (loss != logged) == reduced
    assert {weight.dtype for weight in tail.weights} == {"float32"}
    assert {layer.compute_dtype for layer in tail.layers[1].layers} == {"float32"}
