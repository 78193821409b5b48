import logging
import re
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from headstart.components.core.features.compute import Features
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.training.batches import TrainingBatches, to_tf_dataset
from headstart.components.core.training.fit import compile_classifier
from headstart.components.core.training.input_wait_logger import InputWaitLogger


def share(caplog: pytest.LogCaptureFixture) -> float:
    found = re.findall(r"event=waiting (.*)", caplog.text)
    assert len(found) == 1, caplog.text
    assert "stage=head" in found[0]
    return float(re.search(r"waited=(\S+)", found[0])[1])


class Slow(keras.layers.Layer):
    """Passes on what it gets, after a while."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([tf.py_function(lambda: time.sleep(self._seconds), [], [])]):
            return tf.identity(inputs)


@pytest.mark.parametrize(("making", "taking", "least", "most"), [(0.1, 0.0, 0.6, 1.0), (0.0, 0.1, 0.0, 0.4)])
def test_input_wait_of_training_is_logged(
    making: float,
    taking: float,
    least: float,
    most: float,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assemble = TrainingBatches._assemble
    monkeypatch.setattr(
        TrainingBatches, "_assemble", lambda self, index: (time.sleep(making), assemble(self, index))[1]
    )
    features = Features(np.zeros((1, 80, 4), np.float16), np.arange(80) % 2)
    batches = TrainingBatches(features, load_recipe(settings={"head.batch_size": 10}).head, units=1, seed=0)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(Slow(taking)(inputs)))
    compile_classifier(model)
    model.fit(to_tf_dataset(batches), epochs=1, shuffle=False, verbose=0)
    with caplog.at_level(logging.INFO, "headstart"):
        logger = InputWaitLogger("head", batches)
        model.fit(to_tf_dataset(batches), epochs=2, shuffle=False, verbose=0, callbacks=[logger])
    assert least <= share(caplog) <= most
