"""Feature map: the features of test images in two dimensions, so that similar images are close to each other."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from headstart.components.core.storage.atomic import write_json
from headstart.components.core.storage.manifests import Finite, read_manifest

FEATURE_MAP = "feature_map.json"

MAX_IMAGES = 1_000
"""Number of test images up to which all are in the map."""

SAMPLED_IMAGES = 700
"""Number of images in the map of a larger test set."""

_COMPONENTS, _PERPLEXITY, _ITERATIONS = 50, 30.0, 500
_FEWEST_FOR_TSNE = 10
_SEED = 0


@dataclasses.dataclass(frozen=True)
class FeatureMap:
    """Places of m images in the plane.

    Attributes:
        method: ``t-SNE``, or ``PCA`` where there are too few images.
        features: Number of features of an image.
        ids: Hashes of the images' pixels, (m,).
        x: Horizontal places, 0 to 1, (m,).
        y: Vertical places, 0 to 1, (m,).
    """

    method: str
    features: Annotated[int, Field(ge=0)]
    ids: list[str]
    x: list[Finite]
    y: list[Finite]


def sample_rows(images: int) -> NDArray[np.int64]:
    """Chooses the images of the map: all of them, or a random sample with a fixed seed.

    Args:
        images: Number of test images.

    Returns:
        Ascending indices of at most `MAX_IMAGES` images.
    """
    if images <= MAX_IMAGES:
        return np.arange(images)
    return np.sort(np.random.default_rng(_SEED).choice(images, SAMPLED_IMAGES, replace=False))


def compute_feature_map(ids: Sequence[str], features: NDArray[np.float32]) -> FeatureMap:
    """Places images in the plane by t-SNE of the first principal components of their features.

    t-SNE starts from the first two components and runs on one thread, so equal features give equal places.

    Source: L. van der Maaten and G. Hinton, "Visualizing Data using t-SNE", JMLR 9, 2008.

    Args:
        ids: Hashes of the images' pixels, (m,).
        features: Features of the images, (m, features).
    """
    from threadpoolctl import threadpool_limits

    images, width = features.shape
    with threadpool_limits(1):
        components = _compute_components(features.astype(np.float64))
        method, places = "PCA", components[:, :2]
        if images >= _FEWEST_FOR_TSNE and places[:, 0].std() > 0:
            from sklearn.manifold import TSNE

            method = "t-SNE"
            places = TSNE(
                perplexity=min(_PERPLEXITY, (images - 1) / 3),
                init=(1e-4 * places / places[:, 0].std()).astype(np.float32),
                max_iter=_ITERATIONS,
                random_state=_SEED,
                n_jobs=1,
            ).fit_transform(components.astype(np.float32))
    lowest = places.min(axis=0)
    extent = float(np.ptp(places, axis=0).max()) or 1.0
    x, y = np.round((places - lowest) / extent, 4).astype(np.float64).T
    return FeatureMap(method, width, list(ids), x.tolist(), y.tolist())


def write_feature_map(evaluation: Path, feature_map: FeatureMap) -> None:
    """Writes `feature_map.json` into the folder of an evaluation."""
    write_json(evaluation / FEATURE_MAP, dataclasses.asdict(feature_map))


def read_feature_map(evaluation: Path) -> FeatureMap | None:
    """Reads `feature_map.json`; None if there is none, as an earlier version made the evaluation.

    Raises:
        HeadstartError: If it is damaged.
    """
    if not (evaluation / FEATURE_MAP).exists():
        return None
    return read_manifest(evaluation / FEATURE_MAP, "evaluation", FeatureMap)[0]


def _compute_components(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Principal components of features, (images, 2 to 50), from the images' Gram matrix; missing ones are zero."""
    centred = features - features.mean(axis=0)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    order = np.argsort(-values, kind="stable")[:_COMPONENTS]
    components = vectors[:, order] * np.sqrt(np.clip(values[order], 0, None))
    # The sign of an eigenvector is arbitrary: the largest part is made positive.
    largest = components[np.abs(components).argmax(axis=0), np.arange(components.shape[1])]
    components = components * np.where(largest < 0, -1.0, 1.0)
    return np.pad(components, ((0, 0), (0, max(0, 2 - components.shape[1]))))
