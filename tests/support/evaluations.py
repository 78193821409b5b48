"""Evaluations of random predictions: everything but the network."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from headstart.components.core.artifacts.evaluation import CHAMPION, FINAL, EvaluationRun
from headstart.components.core.artifacts.history import Epoch, Step
from headstart.components.core.artifacts.hygiene import Finding, HygieneSummary, write_hygiene
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.artifacts.probe import (
    LABEL_ERRORS,
    LEARNING_CURVE,
    SUSPECTS,
    CurvePoint,
    LearningCurve,
    write_learning_curve,
)
from headstart.components.core.artifacts.thumbnails import (
    Thumbnail,
    encode_jpeg,
    encode_webp,
    write_thumbnails,
)
from headstart.components.evaluate_model.evaluation_folder import EvaluatedModel, EvaluationData, write_evaluation
from headstart.components.evaluate_model.examples import FURTHER, choose_galleries
from headstart.components.evaluate_model.feature_map import FeatureMap, sample_rows
from headstart.components.evaluate_model.report import render_report


def draw_predictions(images: int, classes: list[str], seed: int, strength: float = 3.0) -> Predictions:
    """Random predictions of a model, the more correct the greater its strength."""
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(images).integers(0, len(classes), images)
    logits = rng.normal(size=(images, len(classes)))
    logits[np.arange(images), labels] += strength
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ids = [f"{number:032x}" for number in range(images)]
    paths = [f"{classes[label]}/{number}.jpg" for number, label in enumerate(labels)]
    sites = {"site": [("north", "south", "east")[number % 3] for number in range(images)]}
    return Predictions(classes, ids, ids, paths, labels, probabilities, sites, np.arange(images) < images // 10)


def draw_feature_map(predictions: Predictions) -> FeatureMap:
    """A feature map by two of the logits, without the seconds that t-SNE takes."""
    rows = sample_rows(len(predictions.ids))
    logits = np.log(predictions.probabilities[rows])[:, [0, -1]]
    x, y = ((logits - logits.min(axis=0)) / (np.ptp(logits, axis=0).max() or 1.0)).round(4).T
    return FeatureMap("t-SNE", 1_280, [predictions.ids[row] for row in rows], x.tolist(), y.tolist())


def make_noise_examples(predictions: Predictions) -> list[Thumbnail]:
    """Noise in place of the example images, as large as thumbnails of photographs."""
    names, found = predictions.classes, []
    coarse = Image.effect_noise((20, 15), 120).convert("RGB")
    small = encode_webp(coarse.resize((96, 72)), 60)
    for gallery, rows in choose_galleries(predictions).items():
        noise = encode_webp(coarse.resize((160, 120)), 75) if gallery != FURTHER else small
        for row in rows:
            found.append(
                Thumbnail(
                    gallery,
                    predictions.ids[row],
                    predictions.paths[row],
                    names[predictions.labels[row]],
                    names[predictions.predicted[row]],
                    float(predictions.probabilities[row].max()),
                    float(predictions.probabilities[row, predictions.labels[row]]),
                    noise,
                    noise if gallery != FURTHER else b"",
                )
            )
    return found


def drawn_epochs(stage: str, count: int, batches: int = 20) -> list[Epoch]:
    """A training history that converges, with some noise from step to step."""
    noise, epochs = np.random.default_rng(count).normal(size=(count, batches)), []
    for epoch in range(1, count + 1):
        past = epoch + np.arange(batches) / batches
        steps = [
            Step(1e-3, *pair)
            for pair in np.stack([np.exp(0.2 * noise[epoch - 1]) / past, 0.9 - 0.3 / past], axis=1).tolist()
        ]
        loss, accuracy = (float(np.mean([getattr(step, name) for step in steps])) for name in ("loss", "accuracy"))
        epochs.append(Epoch(stage, epoch, 1.0, 1e-3, loss, accuracy, 1.1 / epoch, 0.9 - 0.35 / epoch, tuple(steps)))
    return epochs


def drawn_report(
    folder: Path, classes: list[str], images: int, champion: bool = True, strength: float = 3.0, share: float = 0.5
) -> Path:
    """Writes an evaluation and its report into a folder, and returns the report's path."""
    final = draw_predictions(images, classes, 1, strength)
    stages = {"from_scratch": 0.4, "head": 0.8}
    epochs = [epoch for stage in ("head", "fine_tuning") for epoch in drawn_epochs(stage, 8)]

    def info(stage: str) -> ModelInfo:
        recipe = {"backbone": "mobilenet_v2", "weights": "", "head": {"epochs": 8, "dropout": 0.25}}
        counts = {split: dict.fromkeys(classes, number) for split, number in (("train", 90), ("validation", 20))}
        return ModelInfo(
            stage,
            classes,
            224,
            "mobilenet_v2",
            recipe,
            {"train": "ab" * 32},
            {"fine_tuned_share": share},
            {},
            0,
            class_counts=counts,
        )

    runs = {
        stage: EvaluatedModel(info(stage), epochs[:8], draw_predictions(images, classes, 2, part * strength))
        for stage, part in stages.items()
    }
    if champion:
        runs[CHAMPION] = EvaluatedModel(
            info("fine_tuning"), epochs, draw_predictions(images, classes, 3, 0.8 * strength)
        )
    runs[FINAL] = EvaluatedModel(info("fine_tuning"), epochs, final)
    probe = folder / "probe"
    probe.mkdir(parents=True)
    with (probe / LABEL_ERRORS).open("w", newline="") as file:
        csv.writer(file).writerows([["id", "given", "label", "confidence"], ["0" * 32, *[classes[1]] * 2, "0.9"]])
    points = [CurvePoint(2**power, 0.5 + 0.05 * power, (0.4, 0.5 + 0.06 * power)) for power in range(3, 8)]
    write_learning_curve(
        probe / LEARNING_CURVE, LearningCurve(points, 10, 150, 0.012, (0.004, 0.02), covers_sampling=True)
    )
    noise = encode_jpeg(Image.effect_noise((96, 128), 60).convert("RGB"))
    suspect = Thumbnail("suspected label errors", "0" * 32, "b/1.jpg", classes[1], classes[0], 0.9, 0.05, noise)
    write_thumbnails(probe / SUSPECTS, [suspect] * 6)
    findings = [Finding("Unequal classes", "There are 4.0 times as many images of one as of another.")]
    write_hygiene(folder, HygieneSummary(120, 110, {"truncated": 9, "empty": 1}, 12, findings))
    material = EvaluationData(
        runs,
        "cd" * 32,
        draw_predictions(images, classes, 4, strength),
        "ef" * 32,
        pictures=make_noise_examples(final),
        probe=probe,
        hygiene=folder / "hygiene.json",
        command="headstart run --data pets.zip",
        run=EvaluationRun("2026-01-02T03:04:05+00:00", "headstart run --data pets.zip"),
        feature_map=draw_feature_map(final),
    )
    write_evaluation(material, folder / "evaluation")
    report = folder / "report.html"
    report.write_text(render_report(folder / "evaluation"), encoding="utf-8")
    return report
