"""Comparisons of variants with random predictions: everything but the networks."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from headstart.components.compare_variants.step import compare_variants
from headstart.components.core.artifacts.history import Epoch
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.evaluate_model.evaluation_folder import (
    FINAL,
    EvaluatedModel,
    EvaluationData,
    write_evaluation,
)
from support.evaluations import draw_predictions

CLASSES = ["cat", "dog"]
STRENGTHS = {"from_scratch": 1.5, "head": 3.6, "fine_tuned": 4.0}
"""Logit of the true class of each variant, with noise of 1 on each class."""

VARIANTS: list[dict[str, Any]] = [{"name": name, "method": name} for name in STRENGTHS]


def drawn_evaluation(
    folder: Path, strength: float, seed: int, images: int = 400, on_validation: float | None = None, **facts: Any
) -> Path:
    """Writes the evaluation of a model with random predictions.

    Args:
        folder: Folder to write, emptied first.
        strength: Strength of the model, see `draw_predictions`.
        seed: Random seed of the predictions.
        images: Number of test images, and of validation images.
        on_validation: Strength on the validation images; None: the same.
        **facts: Fields of its `ModelInfo`.
    """
    known = {
        "stage": "head", "classes": CLASSES, "image_size": 224, "backbone": "mobilenet_v2", "recipe": {},
        "dataset": {}, "metrics": {}, "versions": {}, "seed": 0,
    }  # fmt: skip
    test = dataclasses.replace(draw_predictions(images, CLASSES, seed, strength), seen=np.zeros(images, bool))
    run = EvaluatedModel(ModelInfo(**(known | facts)), [Epoch("head", 1, *[1.0] * 6)], test)
    validation = draw_predictions(images, CLASSES, seed + 100, strength if on_validation is None else on_validation)
    write_evaluation(EvaluationData({FINAL: run}, "ab" * 32, validation, "cd" * 32), folder)
    return folder


def drawn_comparison(folder: Path) -> tuple[Path, Path]:
    """Compares the three methods on random predictions, and returns the paths of JSON and page."""
    shutil.rmtree(folder, ignore_errors=True)
    evaluations = []
    for seed, (name, strength) in enumerate(STRENGTHS.items()):
        facts = {"seconds": 40.0 * (seed + 0.3), "accelerators": 1, "parameters": 10 ** (5 + seed)}
        evaluations.append(drawn_evaluation(folder / name, strength, seed, **facts))
    comparison, report = folder / "comparison.json", folder / "comparison.html"
    compare_variants(evaluations, VARIANTS, comparison, report, "headstart compare --data pets.zip")
    return comparison, report
