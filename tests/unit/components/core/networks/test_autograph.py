"""No function of ours is searched for Python control flow, which would import all that Keras has left for later."""

from pathlib import Path

import numpy as np
import pytest
from tensorflow.python.autograph.impl import api

from headstart.components.core.features.compute import FeatureExtractor
from headstart.components.core.networks.classifier import remove_resizing, unfreeze
from headstart.components.core.networks.dataset_predictions import predict_proba
from headstart.components.core.networks.inference import load_classifier
from headstart.components.core.networks.saving import load_model
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import load_recipe


def test_functions_are_traced_as_they_are(
    head: Path, splits: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched, search = [], api._convert_actual

    def record(function: object, context: object) -> object:
        searched.append(function)
        return search(function, context)

    monkeypatch.setattr(api, "_convert_actual", record)
    model = load_model(head)
    predict_proba([model], splits["test"], "predictions")
    load_classifier(head, traced=True)(np.zeros((2, *remove_resizing(model).input_shape[1:]), np.float32))
    plan = Plan.of(load_recipe(settings={"backbone": "sketchnet"}).resolve(), "fine_tuning", seed=0)
    front = unfreeze(model, "sketchnet", plan.training.unfreeze_from).front
    FeatureExtractor([front], plan).extract(splits["validation"], 2, [tmp_path / "features.npy"])
    assert searched == []
