"""The same training on any number of devices, for processes that have computed nothing before."""

import keras
import numpy as np
import tensorflow as tf

from headstart.components.core.features.compute import Features
from headstart.components.core.networks.devices import seed_and_select_devices
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.training.fit import fit

IMAGES = 33


def trained(devices: int) -> tuple[int, list[list[float]], list[tuple[float, float, float]]]:
    """The replicas at work, each epoch's losses by step, and its loss, validation loss and validation accuracy."""

    def points(images: int) -> Features:
        random = np.random.default_rng(0)
        labels = random.integers(0, 2, images)
        return Features((random.normal(size=(1, images, 4)) + 2.0 * labels[None, :, None]).astype(np.float16), labels)

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    settings = {"epochs": 3, "learning_rate": 0.05, "augmented_views": 1, "batch_size": 16}
    plan = Plan.of(load_recipe(settings={f"head.{key}": value for key, value in settings.items()}), "head", 0)
    seed_and_select_devices(plan)
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(8, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    epochs = fit(model, points(64), points(IMAGES), plan)
    return (
        tf.distribute.get_strategy().num_replicas_in_sync,
        [[step.loss for step in each.steps] for each in epochs],
        [(each.loss, each.validation_loss, each.validation_accuracy) for each in epochs],
    )
