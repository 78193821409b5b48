from pathlib import Path

import keras
import numpy as np
import pytest

from headstart.components.core.features.cache import compute_or_load_features
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.storage.cache import CACHE
from headstart.components.core.storage.stores import open_tree


def test_machines_share_features_on_every_kind_of_store(
    splits: dict[str, Path], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = keras.Input((16, 16, 3))
    front = keras.Model(pixels, keras.layers.AveragePooling2D(4)(pixels))
    plan = Plan.of(load_recipe(settings={"head.augmented_views": 2}), "head", 0)
    made = []
    for machine in ("one", "other"):
        monkeypatch.setenv(CACHE, str(tmp_path / machine))
        with compute_or_load_features(front, splits["train"], splits["validation"], plan, folder) as features:
            made.append([np.array(each.activations) for each in features])
    assert all(np.array_equal(*pair) for pair in zip(*made, strict=True))
    assert len(open_tree(folder).names()) == 4
    monkeypatch.setattr("headstart.components.core.features.compute.FeatureExtractor.extract", None)
    monkeypatch.setenv(CACHE, str(tmp_path / "third"))
    with compute_or_load_features(front, splits["train"], splits["validation"], plan, folder) as features:
        assert np.array_equal(features[0].activations, made[0][0])
