"""The draw of reference images."""

import numpy as np

from headstart.components.core.training.reference_features import draw_reference_images


def test_rare_classes_are_drawn_as_often_as_frequent_ones() -> None:
    labels = np.repeat([2, 0, 1], [1_000, 3, 100])
    rows = draw_reference_images(labels, 60, seed=0)
    assert np.bincount(labels[rows]).tolist() == [3, 29, 28]
    assert (np.diff(rows) > 0).all()
    assert np.array_equal(rows, draw_reference_images(labels, 60, seed=0))
    assert not np.array_equal(rows, draw_reference_images(labels, 60, seed=1))


def test_all_are_drawn_where_there_are_few() -> None:
    labels = np.array([1, 0, 1, 1])
    assert draw_reference_images(labels, 60, seed=0).tolist() == [0, 1, 2, 3]
