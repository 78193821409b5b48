"""The map of features in two dimensions."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from headstart.components.core.util.errors import HeadstartError
from headstart.components.evaluate_model.feature_map import (
    FEATURE_MAP,
    FeatureMap,
    compute_feature_map,
    read_feature_map,
    sample_rows,
    write_feature_map,
)


def place(features: np.ndarray) -> tuple[FeatureMap, np.ndarray]:
    made = compute_feature_map([str(number) for number in range(len(features))], features.astype(np.float32))
    return made, np.stack([made.x, made.y], axis=1)


def test_neighbours_in_the_map_are_alike() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 40)
    features = random.normal(size=(3, 64))[labels] * 3 + random.normal(size=(120, 64))
    made, places = place(features)
    assert (made.method, made.features, len(made.ids)) == ("t-SNE", 64, 120)
    assert places.min() == 0 and places.max() == 1
    distances = cdist(places, places)
    np.fill_diagonal(distances, np.inf)
    assert (labels[distances.argmin(axis=1)] == labels).mean() > 0.95
    assert place(features)[0] == made


def test_few_images_get_their_principal_components() -> None:
    features = np.random.default_rng(1).normal(size=(6, 5))
    made, places = place(features)
    assert made.method == "PCA"
    expected = PCA(2).fit_transform(features)
    assert cdist(places, places) * np.ptp(expected, axis=0).max() == pytest.approx(
        cdist(expected, expected), abs=5e-3
    )


@pytest.mark.parametrize("features", [np.zeros((20, 3)), np.ones((1, 4)), np.arange(3.0)[:, None], np.zeros((2, 1))])
def test_features_without_two_dimensions_have_a_map(features: np.ndarray) -> None:
    _, places = place(features)
    assert places.shape == (len(features), 2)
    assert np.isfinite(places).all()


def test_large_test_sets_are_sampled() -> None:
    assert sample_rows(1_000).tolist() == list(range(1_000))
    rows = sample_rows(10_000)
    assert len(rows) == len(set(rows.tolist())) == 700 and (np.diff(rows) > 0).all()
    assert rows.tolist() == sample_rows(10_000).tolist()


def test_map_is_written_and_read(tmp_path: Path) -> None:
    assert read_feature_map(tmp_path) is None
    made = FeatureMap("PCA", 3, ["a", "b"], [0.0, 1.0], [0.5, 0.25])
    write_feature_map(tmp_path, made)
    assert read_feature_map(tmp_path) == made
    (tmp_path / FEATURE_MAP).write_text('{"method": 3}')
    with pytest.raises(HeadstartError, match=r"feature_map\.json is damaged"):
        read_feature_map(tmp_path)
