"""Fine-tuning by low-rank updates of attention projections."""

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support.hub_presets import SIZE, save_preset

from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.classifier import build_classifier, unfreeze
from headstart.components.core.networks.lora import LowRankCopy, freeze_all_but_projections
from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone
from headstart.components.core.networks.saving import load_model
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import Recipe, apply_settings, load_recipe
from headstart.components.core.training.end_to_end import cut_at_pixels
from headstart.components.core.training.resume import CheckpointWriter
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError
from headstart.components.fine_tune.step import fine_tune
from headstart.components.train_head.step import train_head

RANK = 2
LORA = {"fine_tuning.method": "lora", "fine_tuning.lora_rank": RANK}
BRIEFLY = {"head.epochs": 2, "head.augmented_views": 1, "fine_tuning.epochs": 3, "fine_tuning.augmented_views": 1}


def inputs_of(splits: dict[str, Path], recipe: Recipe, **more: Any) -> TrainingInputs:
    return TrainingInputs(splits["train"], splits["validation"], recipe, 0, **more)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    preset = save_preset("vit", tmp_path_factory.mktemp("preset"))
    more = {"backbone": f"hub:{preset}", "deterministic": True, "fine_tuning.learning_rate": 1e-2}
    return load_recipe(settings=LORA | BRIEFLY | more)


@pytest.fixture(scope="module")
def head(recipe: Recipe, splits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("head") / "model"
    train_head(inputs_of(splits, recipe), folder)
    return folder


@pytest.fixture(scope="module")
def tuned(head: Path, recipe: Recipe, splits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned") / "model"
    fine_tune(head, inputs_of(splits, recipe), folder)
    return folder


def weights(model: Path) -> dict[str, np.ndarray]:
    return {each.path: np.asarray(each) for each in load_model(model).weights}


def test_only_queries_values_and_the_head_have_moved(head: Path, tuned: Path) -> None:
    assert read_model_info(tuned).metrics["fine_tuned_share"] > 0, "or nothing below is tested"
    before, after = weights(head), weights(tuned)
    assert [*before] == [*after], "the saved network is an ordinary one"
    moved = {path for path in before if not np.array_equal(before[path], after[path])}
    kernels = {path for path in moved if path.endswith(("query/kernel", "value/kernel"))}
    assert len(kernels) == 2 and all("block_3_mha" in path for path in kernels)
    assert moved - kernels == {"output/kernel", "output/bias"}
    for path in kernels:
        # (width, heads, size): an update for each head, whose second factor the heads share.
        update = after[path] - before[path]
        singular = np.linalg.svd(update.reshape(-1, update.shape[-1]), compute_uv=False)
        assert singular[RANK - 1] > 1e-4 and singular[RANK] < 1e-5 * singular[0]


def test_it_is_never_worse_than_the_head_and_says_how_it_was_made(head: Path, tuned: Path) -> None:
    info = read_model_info(tuned)
    assert info.metrics["validation_loss"] <= read_model_info(head).metrics["validation_loss"]
    assert (info.recipe["fine_tuning"]["method"], info.recipe["fine_tuning"]["lora_rank"]) == ("lora", RANK)
    with zipfile.ZipFile(tuned / "model.keras") as file:
        assert "lora" not in json.dumps(json.loads(file.read("config.json")))


def test_interrupted_training_resumes_exactly(
    head: Path,
    tuned: Path,
    recipe: Recipe,
    splits: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
) -> None:
    again = inputs_of(splits, recipe, checkpoint_uri=str(tmp_path / "checkpoints"))
    begin = CheckpointWriter.on_epoch_begin

    def stop_at_the_third(writer: CheckpointWriter, epoch: int, logs: dict[str, float] | None = None) -> None:
        begin(writer, epoch, logs)
        if epoch == 2:
            writer._checkpoint.close()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointWriter, "on_epoch_begin", stop_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            fine_tune(head, again, tmp_path / "model")
    fine_tune(head, again, tmp_path / "model")
    assert any("event=checkpoint_resumed" in line and "epochs=2" in line for line in logged.messages)
    for one, other in zip(weights(tuned).values(), weights(tmp_path / "model").values(), strict=True):
        assert np.array_equal(one, other)


def test_end_to_end_the_copy_begins_at_the_original_and_is_merged_into_it(head: Path, recipe: Recipe) -> None:
    network, backbone = load_model(head), read_model_info(head).backbone
    parts = unfreeze(network, backbone, "all")
    freeze_all_but_projections(network.get_layer(backbone), "all")
    tail = cut_at_pixels(parts, Plan.of(recipe, "fine_tuning", 0)).tail
    copy = LowRankCopy.of(tail, RANK)
    assert len(copy.model.trainable_weights) == 3 * 2 * 2 + 2
    pixels = np.random.default_rng(0).uniform(0, 255, (4, SIZE, SIZE, 3)).astype(np.float32)
    before, head_kernel = np.asarray(tail(pixels, training=False)), network.get_layer("output").get_weights()
    assert np.allclose(np.asarray(copy.model(pixels, training=False)), before, atol=1e-6)
    copy.model.compile(keras.optimizers.SGD(1.0), "binary_crossentropy")
    copy.model.fit(pixels, np.array([[0], [1], [1], [0]]), epochs=2, verbose=0)
    assert not np.allclose(network.get_layer("output").get_weights()[0], head_kernel[0]), "the head is shared"
    copy.merge()
    after = np.asarray(tail(pixels, training=False))
    assert np.abs(after - before).max() > 1e-3
    assert np.allclose(np.asarray(copy.model(pixels, training=False)), after, atol=1e-5)
    assert np.allclose(np.asarray(network(pixels, training=False)), after, atol=1e-5)


@pytest.mark.parametrize(("name", "projections"), [("dinov3", 3 * 2), ("swin", 5 * 2), ("mobilenetv5", 2)])
def test_attention_that_is_put_together_from_layers_is_adapted(name: str, projections: int, tmp_path: Path) -> None:
    backbone = get_backbone(f"hub:{save_preset(name, tmp_path / 'preset')}")
    load_recipe(settings=LORA | {"backbone": f"hub:{tmp_path / 'preset'}"})
    base = build_pretrained_backbone(backbone, SIZE, "")
    network = build_classifier(base, "none", backbone.head, 2, SIZE)
    base.trainable = False
    parts = unfreeze(network, base.name, "all")
    freeze_all_but_projections(base, "all")
    assert len(base.trainable_weights) == projections
    copy = LowRankCopy.of(parts.tail, RANK)
    assert len(copy.model.trainable_weights) == 2 * projections + 2
    given = parts.front(np.random.default_rng(0).uniform(0, 255, (4, SIZE, SIZE, 3)).astype(np.float32))
    before = np.asarray(parts.tail(given, training=False))
    assert np.allclose(np.asarray(copy.model(given, training=False)), before, atol=1e-6)
    copy.model.compile(keras.optimizers.Adam(0.1), "binary_crossentropy")
    copy.model.fit(given, np.array([[0], [1], [1], [0]]), epochs=2, verbose=0)
    copy.merge()
    after = np.asarray(parts.tail(given, training=False))
    assert np.abs(after - before).max() > 1e-3
    assert np.allclose(np.asarray(copy.model(given, training=False)), after, atol=1e-5)


def test_lora_needs_attention(recipe: Recipe, splits: dict[str, Path], tmp_path: Path) -> None:
    own = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3, 2)])
    own.save(tmp_path / "own.keras")
    for backbone in (
        "mobilenet_v2",
        f"hub:{save_preset('resnet', tmp_path / 'resnet')}",
        str(tmp_path / "own.keras"),
    ):
        with pytest.raises(
            HeadstartError, match=r"method lora: backbone .* no attention.*method=full.*dinov2"
        ) as caught:
            train_head(inputs_of(splits, load_recipe(settings=LORA | {"backbone": backbone})), tmp_path / "model")
        assert backbone in str(caught.value) and "\n" not in str(caught.value)
    above = apply_settings(recipe, {"fine_tuning.unfreeze_from": "vit_encoder_transformer_block_3_ln_2"})
    with pytest.raises(HeadstartError, match=r"no MultiHeadAttention of Keras from 'vit_.*_3_ln_2' on"):
        train_head(inputs_of(splits, above), tmp_path / "model")
    assert not (tmp_path / "model").exists()
