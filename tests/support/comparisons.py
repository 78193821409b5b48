"""Comparisons of variants that answer as drawn at random: everything but the networks."""

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
from support.evaluations import answers

CLASSES = ["cat", "dog"]
STRENGTHS = {"from_scratch": 1.5, "head": 3.6, "fine_tuned": 4.0}
"""How sure each variant is of the truth, beside noise of 1 for each class."""

VARIANTS: list[dict[str, Any]] = [{"name": name, "method": name} for name in STRENGTHS]


def drawn_evaluation(
    folder: Path, strength: float, seed: int, images: int = 400, on_validation: float | None = None, **facts: Any
) -> Path:
    """Writes the evaluation of a model of some strength.

    Args:
        folder: Made anew.
        strength: Of its answers.
        seed: Of them.
        images: Test images, and as many validation images.
        on_validation: Strength of its answers to the latter, if another.
        **facts: Fields of its `ModelInfo`.
    """
    known = {
        "stage": "head", "classes": CLASSES, "image_size": 224, "backbone": "mobilenet_v2", "recipe": {},
        "dataset": {}, "metrics": {}, "versions": {}, "seed": 0,
    }  # fmt: skip
    test = dataclasses.replace(answers(images, CLASSES, seed, strength), seen=np.zeros(images, bool))
    run = EvaluatedModel(ModelInfo(**(known | facts)), [Epoch("head", 1, *[1.0] * 6)], test)
    validation = answers(images, CLASSES, seed + 100, strength if on_validation is None else on_validation)
    write_evaluation(EvaluationData({FINAL: run}, "ab" * 32, validation, "cd" * 32), folder)
    return folder


def drawn_comparison(folder: Path) -> tuple[Path, Path]:
    """Compares the three methods as they might come out, and returns the paths of JSON and page."""
    shutil.rmtree(folder, ignore_errors=True)
    evaluations = []
    for seed, (name, strength) in enumerate(STRENGTHS.items()):
        facts = {"seconds": 40.0 * (seed + 0.3), "accelerators": 1, "parameters": 10 ** (5 + seed)}
        evaluations.append(drawn_evaluation(folder / name, strength, seed, **facts))
    comparison, report = folder / "comparison.json", folder / "comparison.html"
    compare_variants(evaluations, VARIANTS, comparison, report, "headstart compare --data pets.zip")
    return comparison, report
