"""Batches of resized pixels from encoded images, decoded on all cores, and random augmentation."""

import functools
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

from headstart.components.core.artifacts.dataset import read_rows
from headstart.components.core.networks.tf_data import prefetch
from headstart.components.core.recipes.recipe import Augmentation
from headstart.components.core.util.resources import available_cores

AUGMENTATION = "augmentation"


# AutoGraph looks for Python control flow on tensors, of which there is none, and imports every module that Keras has
# left for later on the way: scikit-learn, Matplotlib and pandas among them.
@tf.autograph.experimental.do_not_convert
def decode_and_resize(encoded: tf.Tensor, size: int, ratio: int = 1) -> tf.Tensor:
    """Decodes a JPEG or PNG and resizes it as the classifier's own resizing does.

    Args:
        encoded: Bytes of the file, a string scalar.
        size: Side of the result in pixels.
        ratio: Factor by which the JPEG decoder reduces each side: 1, 2, 4 or 8.

    Returns:
        float32 (size, size, 3), RGB 0-255.
    """
    # Pillow uses the accurate inverse DCT, too, so both decode the same pixels. The op also reads PNG.
    return resize(tf.io.decode_jpeg(encoded, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE"), size)


def resize(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes (height, width, 3) as the classifier's own resizing does, to float32 (size, size, 3)."""
    return tf.image.resize(pixels, (size, size), antialias=True)


def read_image_batches(dataset: Path, size: int, batch: int) -> tf.data.Dataset:
    """Reads the images of a dataset artifact as batches of float32 (batch, size, size, 3), RGB 0-255, in order."""

    def encoded() -> Iterator[bytes]:
        return (row.image for row in read_rows(dataset))

    images = tf.data.Dataset.from_generator(encoded, output_signature=tf.TensorSpec((), tf.string))
    images = images.map(functools.partial(decode_and_resize, size=size), num_parallel_calls=available_cores())
    return prefetch(images.batch(batch))


def build_augmentation(settings: Augmentation, seed: int) -> keras.Sequential:
    """Builds random augmentation of images, float32 (n, size, size, 3), RGB 0-255; it acts in training only.

    Args:
        settings: Kinds of changes and their largest size.
        seed: Random seed of all changes.
    """
    layers = keras.layers
    fill = {"fill_mode": settings.fill}
    changes: list[keras.Layer] = []
    if settings.horizontal_flip:
        changes.append(layers.RandomFlip("horizontal", seed=seed))
    if settings.rotation:
        changes.append(layers.RandomRotation(settings.rotation / 360, **fill, seed=seed + 1))
    if settings.width_shift or settings.height_shift:
        changes.append(layers.RandomTranslation(settings.height_shift, settings.width_shift, **fill, seed=seed + 2))
    if settings.shear:
        changes.append(layers.RandomShear(settings.shear, **fill, seed=seed + 4))
    if any(settings.zoom):
        zoom = tuple(settings.zoom)
        width = None if settings.keep_aspect else zoom
        changes.append(layers.RandomZoom(zoom, width, **fill, seed=seed + 3))
    if settings.rand_augment:
        changes.append(layers.RandAugment((0, 255), factor=settings.rand_augment, seed=seed + 5))
    return keras.Sequential(changes, name=AUGMENTATION)
