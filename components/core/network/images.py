"""From encoded images to batches of resized pixels, decoded on all cores."""

from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

from headstart.components.core.dataset import read_rows


def decode(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """Decodes a JPEG or PNG and resizes it as the classifier's own resizing does.

    Args:
        encoded: A string scalar.
        size: Side of the result in pixels.

    Returns:
        float32 (size, size, 3), RGB 0-255.
    """
    # The accurate inverse DCT is Pillow's too, so both read the same pixels. The op reads PNG as well.
    pixels = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    return tf.image.resize(pixels, (size, size), antialias=True)


def image_batches(dataset: Path, size: int, batch: int) -> tf.data.Dataset:
    """Batches of float32 (batch, size, size, 3), RGB 0-255, in the dataset's order."""

    def encoded() -> Iterator[bytes]:
        return (row.image for row in read_rows(dataset))

    images = tf.data.Dataset.from_generator(encoded, output_signature=tf.TensorSpec((), tf.string))
    images = images.map(lambda content: decode(content, size), num_parallel_calls=tf.data.AUTOTUNE)
    return images.batch(batch).prefetch(2)


def augmentation(seed: int) -> keras.Sequential:
    """Random views of images as small changes of the camera: mirrored, turned, shifted, nearer or farther."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal", seed=seed),
            layers.RandomRotation(0.04, fill_mode="nearest", seed=seed + 1),
            layers.RandomTranslation(0.08, 0.08, fill_mode="nearest", seed=seed + 2),
            layers.RandomZoom((-0.15, 0.1), fill_mode="nearest", seed=seed + 3),
        ],
        name="augmentation",
    )
