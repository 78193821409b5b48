"""The backbones one can build on, as a table. Reading it imports no TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Literal

from headstart.components.core.errors import HeadstartError, unknown_name
from headstart.components.core.stores import is_remote

NO_WEIGHTS = "none"


@dataclasses.dataclass(frozen=True)
class Head:
    """The classifier on top of a backbone.

    Attributes:
        pooling: ``average`` over the positions of the feature map, or ``flatten``, which keeps them.
        hidden_units: Width of a ReLU layer before the output; 0: none.
        dropout: Share of the output layer's inputs that is dropped in training.
    """

    pooling: Literal["average", "flatten"]
    hidden_units: int = 0
    dropout: float = 0.0


@dataclasses.dataclass(frozen=True)
class Backbone:
    """One row of the table.

    Attributes:
        name: What the user calls it, and the name of its layer in the model.
        constructor: ``module:function``, called with `input_shape`, and for `keras.applications` with
            `include_top`, `weights` and `name`.
        preprocessing: What its weights expect of RGB pixels 0-255, by Keras' own names: ``tf`` scales to [-1, 1];
            ``caffe`` takes blue first and subtracts ImageNet's mean.
        pretrained: Name of the weights that belong to it.
        image_size: Side of the square input it was pretrained on, in pixels.
        min_image_size: The least side that leaves a feature map.
        unfreeze_from: Where fine-tuning starts unless the user says otherwise: a layer, or the common beginning
            of a block's layers.
        head: Its classifier.
    """

    name: str
    constructor: str
    preprocessing: Literal["tf", "caffe"]
    pretrained: Literal["imagenet", "drawings"]
    image_size: int
    min_image_size: int
    unfreeze_from: str
    head: Head

    def resolve_image_size(self, image_size: int) -> int:
        """The side to train at: the one asked for, or the backbone's own for 0.

        Raises:
            HeadstartError: The size is below what the backbone can work on.
        """
        if image_size == 0:
            return self.image_size
        if image_size < self.min_image_size:
            raise HeadstartError(
                f"image size {image_size} is too small for backbone {self.name}: it needs at least "
                f"{self.min_image_size} pixels; its own size is {self.image_size}"
            )
        return image_size

    def check_weights(self, weights: str) -> None:
        """Refuses weights that can be none of: empty or the backbone's own, ``none``, a file, an address.

        Raises:
            HeadstartError: They are nothing of the kind.
        """
        if weights in ("", NO_WEIGHTS, self.pretrained) or is_remote(weights) or Path(weights).expanduser().is_file():
            return
        raise HeadstartError(
            f"weights {weights!r} of backbone {self.name}: no such file; pass {self.pretrained!r}, {NO_WEIGHTS!r}, a "
            ".weights.h5 or .h5 file made with include_top=False, or an http(s)://, gs:// or s3:// address of one"
        )


BACKBONES = {
    row.name: row
    for row in (
        Backbone(
            name="mobilenet_v2",
            constructor="keras.applications:MobileNetV2",
            preprocessing="tf",
            pretrained="imagenet",
            image_size=224,
            min_image_size=32,
            unfreeze_from="block_13",
            head=Head("average", dropout=0.2),
        ),
        # The tutorial's model: its head keeps every position, and block 3 and later are fine-tuned.
        Backbone(
            name="vgg16",
            constructor="keras.applications:VGG16",
            preprocessing="caffe",
            pretrained="imagenet",
            image_size=224,
            min_image_size=32,
            unfreeze_from="block3_conv1",
            head=Head("flatten", hidden_units=256),
        ),
        Backbone(
            name="sketchnet",
            constructor="headstart.components.core.network.sketchnet:build_sketchnet",
            preprocessing="tf",
            pretrained="drawings",
            image_size=64,
            min_image_size=32,
            unfreeze_from="block2",
            head=Head("average", dropout=0.2),
        ),
    )
}


def get_backbone(name: str) -> Backbone:
    """A row of the table.

    Raises:
        HeadstartError: No backbone has this name; the message lists those there are.
    """
    if name not in BACKBONES:
        unknown_name("backbone", name, list(BACKBONES))
    return BACKBONES[name]
