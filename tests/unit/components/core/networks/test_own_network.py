"""Networks of the user's own as backbones."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from support.own_networks import FEATURES, SIZE, convolutions, pixels, save, save_usual, scale
from support.servers import serve_folder

from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.classifier import COARSEST, STEM, TOP, build_classifier, get_blocks, unfreeze
from headstart.components.core.networks.own_network import build_own_network
from headstart.components.core.networks.pretrained_weights import build_with_weights_file
from headstart.components.core.networks.saving import load_model
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.recipes.resolve import resolve_recipe
from headstart.components.core.storage.cache import CACHE
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError
from headstart.components.evaluate_model.step import EvaluationInputs, evaluate_model
from headstart.components.fine_tune.step import fine_tune
from headstart.components.train_head.step import train_head

PHOTOS = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)

Ending = Callable[[keras.KerasTensor], keras.KerasTensor]
"""What follows the last feature map in a file."""


def built(file: Path, size: int = SIZE) -> keras.Model:
    return build_own_network(file, get_backbone(str(file)), size)


def classify(features: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Dense(5, activation="softmax")(layers.Dropout(0.5)(features))


@pytest.mark.parametrize(
    "ending",
    [
        lambda features: features,
        layers.GlobalAveragePooling2D(),
        layers.Flatten(),
        lambda features: classify(layers.GlobalAveragePooling2D()(features)),
        lambda features: layers.Softmax()(layers.Dense(5)(layers.GlobalAveragePooling2D()(features))),
    ],
    ids=["map", "pooled", "flattened", "classifier", "softmax"],
)
def test_the_last_map_is_found(ending: Ending, tmp_path: Path) -> None:
    images = pixels()
    features = convolutions(scale(images))
    base = built(save(images, ending(features), tmp_path / "own.keras"))
    assert base.output.shape[1:] == (SIZE // 8, SIZE // 8, FEATURES)
    assert np.array_equal(base(PHOTOS), keras.Model(images, features)(PHOTOS))


def test_a_vector_that_is_no_plain_mean_is_kept_and_the_classifier_after_it_is_not(tmp_path: Path) -> None:
    images = pixels()
    vector = layers.Dense(7, activation="relu")(layers.GlobalMaxPooling2D()(convolutions(scale(images))))
    base = built(save(images, classify(vector), tmp_path / "own.keras"))
    assert base.output.shape[1:] == (1, 1, 7)
    assert np.array_equal(np.asarray(base(PHOTOS))[:, 0, 0], keras.Model(images, vector)(PHOTOS))


def test_nested_networks_are_taken_apart(tmp_path: Path) -> None:
    images, inside = pixels(), pixels(None)
    body = keras.Model(inside, convolutions(inside), name="body")
    whole = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Rescaling(1 / 255), body, layers.Flatten()])
    whole.save(tmp_path / "own.keras")
    base = built(tmp_path / "own.keras")
    assert not [each for each in base.layers if isinstance(each, keras.Model)]
    assert list(get_blocks(base)) == [STEM, "block1", "block2", "block3"]
    assert np.array_equal(base(PHOTOS), body(layers.Rescaling(1 / 255)(PHOTOS)))
    assert images.shape == base.input.shape


def test_blocks_are_found_by_names_and_else_by_weights(tmp_path: Path) -> None:
    images = pixels()
    unnamed = built(save(images, convolutions(scale(images), named=False), tmp_path / "unnamed.keras"))
    (last,) = get_blocks(unnamed)[list(get_blocks(unnamed))[-1]][:1]
    assert isinstance(last, layers.Conv2D)
    assert len(get_blocks(unnamed)) == 4
    for base in (unnamed, built(save_usual(tmp_path / "named.keras"))):
        for point in (COARSEST, TOP):
            model = build_classifier(base, "none", get_backbone("own.keras").head, 2, SIZE)
            base.trainable = False
            front = unfreeze(model, base.name, point).front
            assert front.output.shape[1:] == (SIZE // 4, SIZE // 4, 8)
            assert len(base.trainable_variables) == 2


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("block_13_expand_BN", "block_13"),
        ("conv4_block6_1_conv", "conv4_block6"),
        ("stage_3_block_2_layer_scale", "stage_3_block_2"),
        ("block6a_project_bn", "block6a"),
        ("layer4_1_bn2", "layer4"),
        ("conv2d_12", None),
        ("batch_normalization_12", None),
        ("stem_conv", None),
    ],
)
def test_block_of_a_layer_is_read_from_its_name(name: str, block: str | None) -> None:
    found = re.match(get_backbone("own.keras").blocks, name)
    assert (found[0] if found else None) == block


@keras.saving.register_keras_serializable("mine")
class Custom(layers.Layer):
    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return inputs


def wrong_networks(folder: Path) -> dict[str, Path]:
    """Files that are no backbone, by what is said of them."""
    images, other, wide = pixels(), keras.Input((SIZE, SIZE, 3)), keras.Input((SIZE, 48, 3))
    features = convolutions(scale(images))
    tokens = layers.Reshape((-1, FEATURES))(features)
    two = convolutions(layers.Add()([scale(images), other]), named=False)
    (folder / "text.keras").write_text("none")
    return {
        r"is not a Keras file": folder / "text.keras",
        r"names .*Custom, which is not a layer": save(images, Custom()(features), folder / "custom.keras"),
        r"takes \(32, 32, 3\) and \(32, 32, 3\), not one square RGB image": save(
            [images, other], two, folder / "2.keras"
        ),
        r"takes \(32, 48, 3\), not one square": save(wide, convolutions(wide), folder / "wide.keras"),
        r"has 2 outputs": save(images, [features, tokens], folder / "outputs.keras"),
        r"gives \(16, 12\) of float32": save(images, tokens, folder / "tokens.keras"),
        r"gives \(32, 32, 3\) of float32": save(images, scale(images), folder / "image.keras"),
        r"gives \(1\) of float32": save(images, layers.Dense(1)(layers.Flatten()(features)), folder / "one.keras"),
    }


def test_a_file_that_is_no_backbone_is_one_line_that_names_it(tmp_path: Path) -> None:
    for says, file in wrong_networks(tmp_path).items():
        with pytest.raises(
            HeadstartError, match=rf"^(backbone|image size).*{file.name}.*{says}.*pass a \.keras file"
        ):
            recipe = resolve_recipe(load_recipe(settings={"backbone": str(file)}))
            built(file, recipe.image_size)


def test_an_image_size_that_the_network_does_not_take_is_refused(tmp_path: Path) -> None:
    fixed, free = save_usual(tmp_path / "fixed.keras"), save_usual(tmp_path / "free.keras", None)
    sizes = {(str(fixed), 0): SIZE, (str(fixed), SIZE): SIZE, (str(free), 0): 224, (str(free), 48): 48}
    for (backbone, size), used in sizes.items():
        assert resolve_recipe(load_recipe(settings={"backbone": backbone, "image_size": size})).image_size == used
    with pytest.raises(
        HeadstartError, match=r"image size 48: backbone .*fixed.keras' takes images of 32 x 32 pixels"
    ):
        resolve_recipe(load_recipe(settings={"backbone": str(fixed), "image_size": 48}))
    assert built(free, 48).output.shape[1:] == (6, 6, FEATURES)


def test_a_network_that_does_not_scale_pixels_needs_a_statement(tmp_path: Path) -> None:
    images = pixels()
    file = str(save(images, convolutions(images), tmp_path / "own.keras"))
    with pytest.raises(HeadstartError, match=r"own.keras' has no Rescaling .* state .*--set scaling=none"):
        resolve_recipe(load_recipe(settings={"backbone": file}))
    resolve_recipe(load_recipe(settings={"backbone": file, "scaling": "tf"}))


def test_weights_are_those_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    (tmp_path / "served").mkdir()
    file = save_usual(tmp_path / "served" / "own.keras")
    digest = sha256_of_file(file)
    here = build_with_weights_file(get_backbone(str(file)), SIZE, "")
    with serve_folder(file.parent) as address:
        backbone = get_backbone(f"{address}/own.keras")
        assert backbone.name == "own.keras"
        there = build_with_weights_file(backbone, SIZE, "", digest.upper())
        with pytest.raises(HeadstartError, match=f"have sha256 {digest}, not 0000"):
            build_with_weights_file(backbone, SIZE, "", "0" * 64)
    assert here[1] == there[1] == digest
    assert np.array_equal(here[0](PHOTOS), there[0](PHOTOS))
    with pytest.raises(HeadstartError, match=r"weights 'none': backbone own.keras has its own weights"):
        build_with_weights_file(get_backbone(str(file)), SIZE, "none")
    with pytest.raises(HeadstartError, match=r"backbone 'gone.keras': no such file"):
        build_with_weights_file(get_backbone("gone.keras"), SIZE, "")


def test_what_was_trained_needs_nothing_of_the_file(splits: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "networks"
    folder.mkdir()
    file = save_usual(folder / "own network.keras")
    settings = {
        "head.epochs": 3,
        "head.augmented_views": 1,
        "fine_tuning.epochs": 1,
        "fine_tuning.augmented_views": 1,
    }
    recipe = load_recipe(settings=settings | {"backbone": str(file)})
    train_head(TrainingInputs(splits["train"], splits["validation"], recipe, 0), tmp_path / "head")
    digest = sha256_of_file(file)
    shutil.rmtree(folder)
    inputs = TrainingInputs(splits["train"], splits["validation"], load_recipe(settings=settings), 0)
    info = fine_tune(tmp_path / "head", inputs, tmp_path / "tuned")
    before = read_model_info(tmp_path / "head")
    assert (info.backbone, info.image_size) == ("own_network.keras", SIZE)
    assert (info.recipe["backbone"], info.recipe["weights_sha256"]) == (str(file), digest)
    assert info.metrics["validation_loss"] <= before.metrics["validation_loss"]
    evaluation = EvaluationInputs(model=tmp_path / "tuned", test=splits["test"], validation=splits["validation"])
    evaluate_model(evaluation, tmp_path / "evaluation", tmp_path / "report.html")
    assert "own_network.keras, 32 x 32 pixels" in (tmp_path / "report.html").read_text()
    network = load_model(tmp_path / "tuned")
    assert network.get_layer("own_network.keras").get_layer("block3_conv")
