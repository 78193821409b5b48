import logging
import re
import time
from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

from headstart.components.core.features.compute import Record
from headstart.components.core.networks.input_wait import Waiting, waited_for
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.training.batches import TrainingBatches, stream
from headstart.components.core.training.fit import compile_classifier


def share(caplog: pytest.LogCaptureFixture, of: str) -> float:
    found = re.findall(r"event=waiting (.*)", caplog.text)
    assert len(found) == 1, caplog.text
    assert of in found[0]
    return float(re.search(r"waited=(\S+)", found[0])[1])


@pytest.mark.parametrize(("making", "taking", "least", "most"), [(0.05, 0.0, 0.9, 1.0), (0.0, 0.05, 0.0, 0.1)])
def test_wait_for_batches_is_told(
    making: float, taking: float, least: float, most: float, caplog: pytest.LogCaptureFixture
) -> None:
    def made() -> Iterator[int]:
        for number in range(4):
            time.sleep(making)
            yield number

    with caplog.at_level(logging.INFO, "headstart"):
        for _ in waited_for(made(), "record", "decoded images", 40):
            time.sleep(taking)
    assert least <= share(caplog, 'waited_for="decoded images"') <= most
    assert 20 < float(re.search(r"images_per_second=(\S+)", caplog.text)[1]) < 201


class Slow(keras.layers.Layer):
    """Passes on what it gets, after a while."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([tf.py_function(lambda: time.sleep(self._seconds), [], [])]):
            return tf.identity(inputs)


@pytest.mark.parametrize(("making", "taking", "least", "most"), [(0.1, 0.0, 0.6, 1.0), (0.0, 0.1, 0.0, 0.4)])
def test_wait_of_training_is_told(
    making: float,
    taking: float,
    least: float,
    most: float,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_together = TrainingBatches._put_together
    monkeypatch.setattr(
        TrainingBatches, "_put_together", lambda self, index: (time.sleep(making), put_together(self, index))[1]
    )
    record = Record(np.zeros((1, 80, 4), np.float16), np.arange(80) % 2)
    batches = TrainingBatches(record, load_recipe(settings={"head.batch_size": 10}).head, units=1, seed=0)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(Slow(taking)(inputs)))
    compile_classifier(model)
    model.fit(stream(batches), epochs=1, shuffle=False, verbose=0)
    with caplog.at_level(logging.INFO, "headstart"):
        model.fit(stream(batches), epochs=2, shuffle=False, verbose=0, callbacks=[Waiting("head", batches)])
    assert least <= share(caplog, "stage=head") <= most
