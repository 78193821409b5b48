"""Heat maps: the places of an image that a prediction is based on."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from headstart.components.core.networks.attention_rollout import attention_rollout, find_grid
from headstart.components.core.networks.classifier import RESIZE
from headstart.components.core.networks.grad_cam import grad_cam

_BATCH = 16


def compute_heat_maps(
    model: keras.Model, backbone: str, pixels: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Computes heat maps: Grad-CAM of a convolutional network, attention rollout of a transformer.

    Features of a transformer have no places, and the gradients of its patches mark the evidence poorly: see
    benchmarks/heat_maps.py.

    Args:
        model: Classifier as it was saved.
        backbone: Name of the backbone's layer.
        pixels: Resized images, (n, size, size, 3), 0-255.
        labels: (n,), index of the class to explain in each image; a transformer's map is that of all classes.

    Returns:
        (n, height, width) of the feature map or the patches, scaled to [0, 1]; zeros if nothing speaks for the class.
    """
    names = [operation.name for operation in model.operations]
    start, end = names.index(RESIZE) + 1, names.index(backbone)
    before, (base, *head) = model.operations[start:end], model.operations[end:]
    grid = find_grid(base)
    maps = []
    for at in range(0, len(pixels), _BATCH):
        preprocessed: Any = pixels[at : at + _BATCH]
        for operation in before:
            preprocessed = operation(preprocessed)
        if grid:
            maps.append(attention_rollout(base, preprocessed, grid))
        else:
            features = base(preprocessed, training=False)
            maps.append(grad_cam(features, head, labels[at : at + _BATCH]))
    return np.concatenate(maps)
