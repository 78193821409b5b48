"""Throughput of a network: images per second of a forward pass on this machine."""

import dataclasses
import time

import keras
import tensorflow as tf

from headstart.components.core.backbones.table import NO_WEIGHTS, get_backbone
from headstart.components.core.networks.batchnorm_folding import fold_batchnorm
from headstart.components.core.networks.classifier import BACKBONE_END, build_classifier, cut_classifier
from headstart.components.core.networks.devices import inference_batch_size
from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone

_SECONDS = 1.0
_FEWEST_RUNS = 2


def measure_throughput(front: keras.Model) -> float:
    """Measures how many images a second pass a network, in batches as features are computed and in float32.

    The first batch, which is traced, does not count. Of those after it, for a second or more, the fastest counts.

    Args:
        front: Resized pixels (n, size, size, 3), 0-255, to activations.
    """
    network, images = fold_batchnorm(front), inference_batch_size()
    pixels = tf.zeros((images, *front.input.shape[1:]))
    run = tf.function(lambda batch: network(batch, training=False))
    run(pixels).numpy()
    seconds: list[float] = []
    while len(seconds) < _FEWEST_RUNS or sum(seconds) < _SECONDS:
        started = time.perf_counter()
        run(pixels).numpy()
        seconds.append(time.perf_counter() - started)
    return images / min(seconds)


@dataclasses.dataclass(frozen=True)
class Throughput:
    """Size and speed of a backbone.

    Attributes:
        parameters: Number of its weights.
        images_per_second: Images per second of a forward pass.
    """

    parameters: int
    images_per_second: float


def measure_backbone(name: str, image_size: int) -> Throughput:
    """Measures how many images a second pass a backbone; one of the table gets random weights, which are as fast.

    Args:
        name: Name of the backbone, see `get_backbone`.
        image_size: Side of the images in pixels.

    Raises:
        HeadstartError: If there is no such backbone, or a network of the user's own cannot be used.
    """
    backbone = get_backbone(name)
    base = build_pretrained_backbone(backbone, image_size, "" if backbone.is_own else NO_WEIGHTS)
    network = build_classifier(base, backbone.preprocessing, backbone.head, 2, image_size)
    front = cut_classifier(network, base.name, BACKBONE_END).front
    return Throughput(base.count_params(), measure_throughput(front))
