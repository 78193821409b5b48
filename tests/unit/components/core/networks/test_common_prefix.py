from pathlib import Path

import keras
import numpy as np
import pytest

from headstart.components.core.backbones.table import Preprocessing, get_backbone
from headstart.components.core.networks.classifier import build_backbone, build_classifier
from headstart.components.core.networks.common_prefix import group_by_common_prefix
from headstart.components.core.networks.convnet import build_convnet
from headstart.components.core.networks.dataset_predictions import predict_proba, predict_proba_and_features


def classifier(seed: int = 0, size: int = 32, preprocessing: Preprocessing = "tf") -> keras.Model:
    keras.utils.set_random_seed(seed)
    backbone = get_backbone("sketchnet")
    return build_classifier(build_backbone(backbone, size), preprocessing, backbone.head, 2, size)


def tuned(layer: str) -> keras.Model:
    """The classifier with other weights in one layer, and another head."""
    model = classifier()
    base = model.get_layer("sketchnet")
    for changed in (base.get_layer(layer), model.get_layer("output")):
        changed.set_weights([weight + 0.1 for weight in changed.get_weights()])
    return model


def depths(*models: keras.Model) -> list[tuple[list[int], int]]:
    return [(group.members, len(group.front.weights)) for group in group_by_common_prefix(models)]


def test_classifiers_share_what_is_below_the_first_layer_that_differs() -> None:
    whole = len(classifier().get_layer("sketchnet").weights)
    first, second = classifier(), tuned("block4_conv1")
    ((members, shared),) = depths(first, second)
    assert members == [0, 1] and 0 < shared < whole
    other_head = classifier()
    other_head.get_layer("output").set_weights([w + 1 for w in first.get_layer("output").get_weights()])
    assert depths(first, other_head) == [([0, 1], whole)]
    ((members, three),) = depths(first, tuned("block3_conv1"), second)
    assert members == [0, 1, 2] and 0 < three < shared


def test_classifiers_that_begin_otherwise_share_nothing() -> None:
    convnet = build_classifier(build_convnet(32), "tf", get_backbone("sketchnet").head, 2, 32)
    others = [classifier(seed=1), classifier(size=40), classifier(preprocessing="unit"), convnet]
    models = [classifier(), *others, tuned("block4_conv1")]
    assert [members for members, _ in depths(*models)] == [[0, 5], [1], [2], [3], [4]]


def test_shared_layers_give_the_same_predictions(splits: dict[str, Path]) -> None:
    models = [classifier(), classifier(seed=1), tuned("block4_conv1")]
    together = predict_proba(models, splits["test"], "test")
    for model, predictions in zip(models, together, strict=True):
        (alone,) = predict_proba([model], splits["test"], "test")
        assert predictions == pytest.approx(alone, abs=1e-6)
    assert np.abs(together[0] - together[2]).max() > 1e-3


@pytest.mark.parametrize("member", [0, 2])
def test_features_are_what_the_output_layer_gets(splits: dict[str, Path], member: int) -> None:
    models = [classifier(), classifier(seed=1), tuned("block4_conv1")]
    rows = np.array([0, 3, 19])
    predicted = predict_proba_and_features(models, splits["test"], "test", member, rows)
    probabilities, features = predicted.probabilities, predicted.features
    kernel, bias = models[member].get_layer("output").get_weights()
    assert features.shape == (3, len(kernel))
    dog = 1 / (1 + np.exp(-(features @ kernel + bias)[:, 0]))
    assert dog == pytest.approx(probabilities[member][rows, 1], abs=1e-5)
