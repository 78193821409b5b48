"""What a stage computes on, and whether it computes the same each time."""

import keras
import tensorflow as tf

from headstart.components.core.recipes.plan import Plan
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event


def seed_and_select_devices(plan: Plan, accelerators: int = 0) -> None:
    """Seeds everything, and finds the devices to train on; of several GPUs, each takes a part of every batch.

    What is built from here on is on all of them. Recording uses the first.

    Args:
        plan: Its seed is used, and whether what depends on the order of threads is to be done in one order.
        accelerators: How many GPUs there have to be.

    Raises:
        HeadstartError: There are fewer GPUs than there have to be.
    """
    seen = len(tf.config.list_physical_devices("GPU"))
    if seen < accelerators:
        raise HeadstartError(
            f"{plan.stage} asks for {accelerators} GPU(s), and TensorFlow sees {seen or 'none'}; it would train for "
            "days on a CPU: take the image headstart-gpu, look at the node's driver, or ask for accelerator_limit 0"
        )
    keras.utils.set_random_seed(plan.seed)
    if plan.deterministic:
        tf.config.experimental.enable_op_determinism()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    event("devices", kind=devices[0].device_type, count=len(devices), deterministic=plan.deterministic)
    if len(devices) > 1:
        tf.distribute.experimental_set_strategy(tf.distribute.MirroredStrategy([each.name for each in devices]))


def inference_batch_size() -> int:
    """Images of a batch that only passes forward: as many as a core's cache likes, or a GPU.

    On two cores, 16 instead of 64 give MobileNetV2 and EfficientNetV2 8 to 13 % more images a second, ResNet50 and
    VGG16 the same.
    """
    return 64 if tf.config.list_physical_devices("GPU") else 16
