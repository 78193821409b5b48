"""The backbones one can build on, as a table. Reading it imports no TensorFlow."""

import dataclasses
from typing import Literal

from headstart.components.core.storage.stores import is_remote
from headstart.components.core.util.errors import HeadstartError, unknown_name
from headstart.components.core.util.paths import expand_home

NO_WEIGHTS = "none"

Preprocessing = Literal["tf", "tf128", "caffe", "torch", "unit"]
"""``tf``, ``caffe`` and ``torch`` by Keras' names: scaled to [-1, 1]; blue first and ImageNet's mean subtracted; the
mean subtracted and divided by the standard deviation. ``tf128`` divides by 128 where ``tf`` divides by 127.5;
``unit`` only divides by 255."""


@dataclasses.dataclass(frozen=True)
class Head:
    """The classifier on top of a backbone.

    Attributes:
        pooling: ``average`` over the positions of the feature map, or ``flatten``, which keeps them.
        hidden_units: Width of a ReLU layer before the output; 0: none.
        dropout: Share of the output layer's inputs that is dropped in training.
        feature_dropout: Likewise, of the pooled features.
    """

    pooling: Literal["average", "flatten"]
    hidden_units: int = 0
    dropout: float = 0.0
    feature_dropout: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backbone:
    """One row of the table.

    Attributes:
        name: What the user calls it, and the name of its layer in the model.
        constructor: ``module:function``, called with `input_shape`, and for `keras.applications` with
            `include_top`, `weights` and, where there is one, `include_preprocessing`.
        preprocessing: What its weights expect of RGB pixels 0-255.
        blocks: A regular expression for what the names of a block's layers begin with, the backbone's own name and
            an underscore left out.
        unfreeze_from: Where fine-tuning starts unless the user says otherwise, see `cut`.
        pretrained: Name of the weights that belong to it.
        image_size: Side of the square input it was pretrained on, in pixels.
        min_image_size: The least side that leaves a feature map.
        head: Its classifier.
    """

    name: str
    constructor: str
    preprocessing: Preprocessing
    blocks: str
    unfreeze_from: str
    pretrained: Literal["imagenet", "drawings"] = "imagenet"
    image_size: int = 224
    min_image_size: int = 32
    head: Head = Head("average", dropout=0.2)

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
        if weights in ("", NO_WEIGHTS, self.pretrained) or is_remote(weights) or expand_home(weights).is_file():
            return
        raise HeadstartError(
            f"weights {weights!r} of backbone {self.name}: no such file; pass {self.pretrained!r}, {NO_WEIGHTS!r}, a "
            ".weights.h5, .h5 or .keras file, or an http(s)://, gs:// or s3:// address of one"
        )


# The tutorial's head keeps every position.
_TUTORIAL = Head("flatten", hidden_units=256)

# Fine-tuning starts with the blocks of the coarsest feature map, VGG16's where the tutorial has it.
BACKBONES = {
    row.name: row
    for row in (
        Backbone(
            name="mobilenet_v2",
            constructor="keras.applications:MobileNetV2",
            preprocessing="tf",
            blocks=r"block_\d+",
            unfreeze_from="block_13",
        ),
        Backbone(
            name="mobilenet",
            constructor="keras.applications:MobileNet",
            preprocessing="tf",
            blocks=r"conv_dw_\d+",
            unfreeze_from="conv_dw_12",
        ),
        Backbone(
            name="mobilenet_v3_small",
            constructor="keras.applications:MobileNetV3Small",
            preprocessing="tf",
            blocks=r"expanded_conv(_\d+)?",
            unfreeze_from="expanded_conv_8",
        ),
        Backbone(
            name="mobilenet_v3_large",
            constructor="keras.applications:MobileNetV3Large",
            preprocessing="tf",
            blocks=r"expanded_conv(_\d+)?",
            unfreeze_from="expanded_conv_12",
        ),
        Backbone(
            name="vgg16",
            constructor="keras.applications:VGG16",
            preprocessing="caffe",
            blocks=r"block\d",
            unfreeze_from="block3_conv1",
            head=_TUTORIAL,
        ),
        Backbone(
            name="vgg19",
            constructor="keras.applications:VGG19",
            preprocessing="caffe",
            blocks=r"block\d",
            unfreeze_from="block5",
            head=_TUTORIAL,
        ),
        Backbone(
            name="resnet50",
            constructor="keras.applications:ResNet50",
            preprocessing="caffe",
            blocks=r"conv\d_block\d",
            unfreeze_from="conv5",
        ),
        # A block begins above the layer that it is named after, where the branches of the block below come together.
        Backbone(
            name="inception_v3",
            constructor="keras.applications:InceptionV3",
            preprocessing="tf",
            blocks=r"mixed\d$",
            unfreeze_from="mixed7",
            image_size=299,
            min_image_size=75,
        ),
        Backbone(
            name="xception",
            constructor="keras.applications:Xception",
            preprocessing="tf",
            blocks=r"block\d+",
            unfreeze_from="block13",
            image_size=299,
            min_image_size=71,
        ),
        *(
            Backbone(
                name=f"efficientnet_v2_{size.lower()}",
                constructor=f"keras.applications:EfficientNetV2{size}",
                preprocessing="tf128" if size == "S" else "torch",
                blocks=r"block\d[a-z]",
                unfreeze_from="block6",
                image_size=side,
            )
            for size, side in (("B0", 224), ("B1", 240), ("B2", 260), ("B3", 300), ("S", 384))
        ),
        *(
            Backbone(
                name=f"convnext_{size.lower()}",
                constructor=f"keras.applications:ConvNeXt{size}",
                preprocessing="torch",
                blocks=r"stage_\d_block_\d+",
                unfreeze_from="stage_3",
            )
            for size in ("Tiny", "Small")
        ),
        Backbone(
            name="sketchnet",
            constructor="headstart.components.core.networks.sketchnet:build_sketchnet",
            preprocessing="tf",
            blocks=r"block\d",
            unfreeze_from="block2",
            pretrained="drawings",
            image_size=64,
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
