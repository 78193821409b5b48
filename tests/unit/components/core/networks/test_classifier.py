import keras
import numpy as np
import pytest

from headstart.components.core.backbones.table import Backbone, Head, get_backbone
from headstart.components.core.metrics.calibration import apply_temperature
from headstart.components.core.networks.classifier import (
    ALL,
    BACKBONE_END,
    TOP,
    TOP_THIRD,
    add_temperature_scaling,
    build_backbone,
    build_classifier,
    cut_classifier,
    get_blocks,
    remove_resizing,
    to_probabilities,
    unfreeze,
)
from headstart.components.core.networks.convnet import build_convnet
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.util.errors import HeadstartError

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


def test_recipe_tutorial_builds_the_tutorials_models() -> None:
    recipe = load_recipe("tutorial")
    shape, size = recipe.from_scratch, recipe.image_size
    convnet = build_convnet(size, shape.padding)
    head = Head("flatten", shape.hidden_units, feature_dropout=shape.dropout)
    small = build_classifier(convnet, shape.scaling, head, 2, size)
    sizes = [layer.output.shape[1:] for layer in convnet.layers]
    assert [side for side, _, _ in sizes] == [150, 148, 74, 72, 36, 34, 17, 15, 7]
    assert [channels for _, _, channels in sizes] == [3, 32, 32, 64, 64, 128, 128, 128, 128]
    kinds = [type(layer).__name__ for layer in small.layers[small.layers.index(convnet) + 1 :]]
    assert kinds == ["Flatten", "Dropout", "Dense", "Dense"]
    assert small.count_params() == 3_453_121
    base = build_backbone(get_backbone(recipe.backbone), size)
    model = build_classifier(base, recipe.scaling, recipe.head_shape(), 2, size)
    assert base.count_params() == 14_714_688
    assert model.get_layer("hidden").count_params() == 2_097_408
    assert model.get_layer("output").count_params() == 257
    assert model.count_params() == 16_812_353
    assert base.output.shape == (None, 4, 4, 512)
    assert len(model.trainable_variables) == 30
    base.trainable = False
    assert len(model.trainable_variables) == 4
    base.trainable = True
    parts = cut_classifier(model, "vgg16", recipe.fine_tuning.unfreeze_from)
    assert {weight.path.split("/")[0] for weight in parts.front.weights} == {
        f"block{block}_conv{conv}" for block in (1, 2) for conv in (1, 2)
    }
    assert len(parts.tail.trainable_variables) == 30 - 8


@pytest.mark.parametrize(
    ("name", "point"),
    [
        ("mobilenet_v2", BACKBONE_END),
        ("vgg16", BACKBONE_END),
        *(("sketchnet", point) for point in (BACKBONE_END, ALL, TOP_THIRD, TOP, "block2", "block4_conv2")),
    ],
)
def test_front_and_tail_make_the_whole(name: str, point: str) -> None:
    _, model = classifier(name, classes=3)
    parts = cut_classifier(model, name, point)
    wanted = model.predict(PIXELS, verbose=0)
    assert np.abs(parts.tail(parts.front(PIXELS)).numpy() - wanted).max() < 1e-5
    assert np.abs(remove_resizing(model)(PIXELS).numpy() - wanted).max() < 1e-5
    assert len(parts.front.weights) + len(parts.tail.weights) == len(model.weights)
    shared = {id(weight) for weight in model.weights}
    assert all(id(weight) in shared for weight in parts.tail.weights)


def test_unknown_point_lists_the_blocks() -> None:
    _, model = classifier("mobilenet_v2")
    with pytest.raises(
        HeadstartError,
        match=r"no layer or block 'block_99'; unfreeze from all, coarsest, top_third, top, block_1, .*16,",
    ):
        cut_classifier(model, "mobilenet_v2", "block_99")
    with pytest.raises(HeadstartError, match="backbone mobilenet_v2 has no weights to train from 'out_relu' on"):
        cut_classifier(model, "mobilenet_v2", "out_relu")


@pytest.mark.parametrize(
    ("point", "first", "cut_at"),
    [
        ("block_12", "block_12_expand", "block_11_add"),
        ("block_12_depthwise", "block_12_depthwise", "block_11_add"),
        ("block_13_depthwise", "block_13_depthwise", "block_13_pad"),
        ("top", "block_16_expand", "block_15_add"),
        ("top_third", "block_11_expand", "block_10_project_BN"),
        ("all", "Conv1", "input"),
    ],
)
def test_unfreezing_starts_at_the_layer_and_cuts_below_its_branches(point: str, first: str, cut_at: str) -> None:
    _, model = classifier("mobilenet_v2")
    base = model.get_layer("mobilenet_v2")
    base.trainable = False
    parts = unfreeze(model, "mobilenet_v2", point)
    layers = [layer for layer in base.layers if layer.weights]
    names = [layer.name for layer in layers]
    wanted = [
        layer.name for layer in layers[names.index(first) :] if not isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert [layer.name for layer in layers if layer.trainable_weights] == wanted
    below = base.layers[0] if cut_at == "input" else base.get_layer(cut_at)
    assert parts.front.output.shape == below.output.shape
    assert {id(weight) for weight in parts.front.weights} == {
        id(weight) for layer in base.layers[: base.layers.index(below) + 1] for weight in layer.weights
    }
    assert not parts.front.trainable_weights


def test_blocks_hold_every_layer_once() -> None:
    _, model = classifier("mobilenet_v2")
    base = model.get_layer("mobilenet_v2")
    blocks = get_blocks(base)
    assert list(blocks)[:2] == ["stem", "block_1"]
    assert blocks["block_13"][0].name == "block_13_expand"
    assert [layer for block in blocks.values() for layer in block] == base.layers[1:]


def test_batch_norm_stays_as_it_is_through_fit() -> None:
    _, model = classifier("mobilenet_v2")
    parts = unfreeze(model, "mobilenet_v2", "block_15")
    parts.tail.compile("sgd", "binary_crossentropy")
    before = {weight.path: weight.numpy() for weight in model.weights}
    parts.tail.fit(parts.front(PIXELS), np.array([0, 1, 1]), epochs=2, verbose=0)
    moved = {weight.path for weight in model.weights if not np.array_equal(weight.numpy(), before[weight.path])}
    assert moved
    assert not [path for path in moved if "BN" in path or "bn" in path]


def test_probabilities_have_one_column_per_class() -> None:
    assert np.allclose(to_probabilities(np.array([[0.25], [1.0]], np.float32)), [[0.75, 0.25], [0, 1]])
    softmax = np.array([[0.2, 0.3, 0.5]], np.float32)
    assert np.allclose(to_probabilities(softmax), softmax)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("temperature", [0.5, 8.0])
def test_calibrated_network_gives_the_calibrated_probabilities_of_the_evaluation(
    classes: int, temperature: float
) -> None:
    _, model = classifier("sketchnet", classes)
    head = model.get_layer("output")
    head.set_weights([300 * each for each in head.get_weights()])
    plain = to_probabilities(remove_resizing(model).predict(PIXELS, verbose=0))
    assert plain.max() > 1 - 1e-7, "surer than float32 can tell"
    probabilities = add_temperature_scaling(model, temperature).predict(PIXELS, verbose=0)
    assert np.allclose(probabilities, apply_temperature(plain, temperature), atol=2e-4)


def test_head_can_be_shaped() -> None:
    base = build_backbone(get_backbone("sketchnet"), SIZE)
    model = build_classifier(base, "tf", Head("average", hidden_units=8, dropout=0.5), 5, SIZE)
    assert model.output.shape == (None, 5)
    assert model.get_layer("hidden").units == 8
