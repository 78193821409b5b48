"""Networks as a user may have them, saved as `.keras` files."""

from pathlib import Path

import keras

SIZE = 32
FEATURES = 12


def pixels(size: int | None = SIZE) -> keras.KerasTensor:
    """Input of RGB images."""
    return keras.Input((size, size, 3), name="photo")


def convolutions(images: keras.KerasTensor, named: bool = True) -> keras.KerasTensor:
    """Three blocks, of which the last halves the map once more: to a side of an eighth of the images'."""
    x = images
    for block, stride in ((1, 2), (2, 2), (3, 2)):
        names = [f"block{block}_{part}" if named else None for part in ("conv", "bn", "relu")]
        filters = FEATURES if block == 3 else 8
        x = keras.layers.Conv2D(filters, 3, stride, padding="same", name=names[0])(x)
        x = keras.layers.BatchNormalization(name=names[1])(x)
        x = keras.layers.ReLU(name=names[2])(x)
    return x


def scale(images: keras.KerasTensor) -> keras.KerasTensor:
    """Scales pixels to [-1, 1]."""
    return keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale")(images)


def save(images: keras.KerasTensor, outputs: keras.KerasTensor | list[keras.KerasTensor], file: Path) -> Path:
    """Saves a network."""
    keras.Model(images, outputs).save(file)
    return file


def save_usual(file: Path, size: int | None = SIZE, seed: int = 0) -> Path:
    """Saves a network with scaling inside that ends with a feature map."""
    keras.utils.set_random_seed(seed)
    images = pixels(size)
    return save(images, convolutions(scale(images)), file)
