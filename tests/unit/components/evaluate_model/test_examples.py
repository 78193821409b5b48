"""Which test images the report holds."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.evaluations import draw_predictions

from headstart.components.core.artifacts.dataset import read_rows
from headstart.components.core.artifacts.predictions import Predictions, build_predictions
from headstart.components.evaluate_model.examples import CORRECT, FURTHER, MISTAKES, choose_galleries, make_examples


def predictions_of(sure: NDArray[np.float64], labels: NDArray[np.int64]) -> Predictions:
    """Predictions of cats, with these probabilities."""
    ids = [str(number) for number in range(len(sure))]
    probabilities = np.stack([sure, 1 - sure], axis=1)
    return Predictions(["cat", "dog"], ids, ids, ids, labels, probabilities, {}, np.zeros(len(sure), bool))


def test_mistakes_come_by_confidence_and_no_image_twice() -> None:
    predictions = predictions_of(np.array([0.99, 0.51, 0.9, 0.7, 0.95]), np.array([1, 0, 0, 1, 0]))
    galleries = choose_galleries(predictions)
    assert galleries == {MISTAKES: [0, 3], CORRECT: [1, 2, 4], FURTHER: []}


def test_correct_predictions_are_the_least_and_the_most_certain_of_each_class() -> None:
    predictions = draw_predictions(400, ["cat", "dog", "fox"], 0)
    sure = predictions.probabilities.max(axis=1)
    rows = np.array(choose_galleries(predictions)[CORRECT])
    assert len(set(rows.tolist())) == 24 and predictions.right[rows].all()
    for label in range(3):
        of_class = np.flatnonzero(predictions.right & (predictions.labels == label))
        by_confidence = of_class[np.argsort(sure[of_class])]
        assert set(rows[:12][predictions.labels[rows[:12]] == label]) == set(by_confidence[:4])
        assert set(rows[12:][predictions.labels[rows[12:]] == label]) == set(by_confidence[-4:])


@pytest.mark.parametrize("images", [300, 5_000])
def test_at_most_a_thousand_images_are_in_the_page(images: int) -> None:
    predictions = draw_predictions(images, [str(number) for number in range(10)], 0, strength=2)
    rows = [row for rows in choose_galleries(predictions).values() for row in rows]
    assert len(rows) == len(set(rows)) == min(images, 1_000)
    wrong = np.flatnonzero(~predictions.right)
    assert len(wrong) > 48
    confident = wrong[np.argsort(-predictions.probabilities.max(axis=1)[wrong])][:48]
    assert set(confident) <= set(rows)
    assert choose_galleries(predictions) == choose_galleries(predictions)


def test_thumbnails_show_the_images_of_their_rows(splits: dict[str, Path]) -> None:
    rows = list(read_rows(splits["test"]))
    probabilities = np.random.default_rng(0).dirichlet([1, 1], len(rows))
    predictions = build_predictions(splits["test"], probabilities)
    asked = {}

    def heat(encoded: list[bytes], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        asked.update(zip(encoded, labels.tolist(), strict=True))
        return np.zeros((len(encoded), 4, 4), np.float32)

    thumbnails = make_examples(splits["test"], predictions, heat)
    assert {each.id for each in thumbnails} == {row.id for row in rows}
    by_id = {row.id: (number, row) for number, row in enumerate(rows)}
    for each in thumbnails:
        number, row = by_id[each.id]
        picture = Image.open(io.BytesIO(each.picture))
        assert picture.format == "WEBP" and max(picture.size) <= 160
        original = Image.open(io.BytesIO(row.image)).convert("RGB").resize(picture.size)
        assert np.abs(np.asarray(picture, float) - np.asarray(original, float)).mean() < 20
        assert bool(each.heat) == (each.gallery != FURTHER)
        if each.heat:
            assert asked[row.image] == predictions.predicted[number]
