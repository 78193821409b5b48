"""Several devices train as one does; each number of them needs a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest

TRAINING = """
import json, sys
import keras, numpy as np, tensorflow as tf
devices, images = map(int, sys.argv[1:])
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
from headstart.components.core.network.devices import prepare
from headstart.components.core.network.optimizer import Pace
from headstart.components.core.network.record import Record
from headstart.components.core.network.training import fit
from headstart.components.core.plan import Plan
from headstart.components.core.recipe import load_recipe

settings = {"epochs": 3, "learning_rate": 0.05, "augmented_views": 1, "batch_size": 16, "ema": 0.5}
plan = Plan.of(load_recipe(settings={f"head.{key}": value for key, value in settings.items()}), "head", 0)

def points(images):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, images)
    return Record((random.normal(size=(1, images, 4)) + 2.0 * labels[None, :, None]).astype(np.float16), labels)

prepare(plan)
inputs = keras.Input((4,))
hidden = keras.layers.Dense(8, activation="relu")(inputs)
model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
epochs = fit(model, points(64), points(images), plan, [Pace(pull=5.0)] * 4)
replicas = tf.distribute.get_strategy().num_replicas_in_sync
steps = [[step.loss for step in each.steps] for each in epochs]
print(json.dumps([replicas, steps, [[each.loss, each.validation_loss, each.validation_accuracy] for each in epochs]]))
"""


def test_two_devices_have_the_losses_of_one() -> None:
    """Also with validation images that they cannot share out evenly."""
    found, steps = {}, {}
    for devices in (1, 2):
        command = [sys.executable, "-c", TRAINING, str(devices), "33"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        replicas, steps[devices], found[devices] = json.loads(done.stdout.splitlines()[-1])
        assert replicas == devices
    assert np.array(steps[2]) == pytest.approx(np.array(steps[1]), rel=1e-4)
    for one, two in zip(found[1], found[2], strict=True):
        assert two[:2] == pytest.approx(one[:2], rel=1e-4)
        assert two[2] == pytest.approx(one[2], abs=1 / 33), "one image counts twice"
