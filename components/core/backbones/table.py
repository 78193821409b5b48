"""Table of the backbones. Importing it does not import TensorFlow."""

import dataclasses
from typing import Literal

from headstart.components.core.storage.stores import is_remote
from headstart.components.core.util.errors import HeadstartError, raise_unknown_name
from headstart.components.core.util.paths import expand_home

NO_WEIGHTS = "none"

Preprocessing = Literal["tf", "tf128", "caffe", "torch", "unit"]
"""Scaling of RGB pixels 0-255, with Keras' names ``tf``, ``caffe`` and ``torch``.

- ``tf``: divided by 127.5, minus 1, to [-1, 1]; ``tf128``: divided by 128, minus 1.
- ``caffe``: BGR, minus ImageNet's mean.
- ``torch``: minus ImageNet's mean, divided by its standard deviation.
- ``unit``: divided by 255.
"""


@dataclasses.dataclass(frozen=True)
class Head:
    """Architecture of the head on top of a backbone.

    Attributes:
        pooling: ``average`` over the positions of the feature map, or ``flatten``, which keeps them.
        hidden_units: Units of a ReLU layer before the output; 0: none.
        dropout: Dropout rate of the output layer's inputs.
        feature_dropout: Dropout rate of the pooled features.
    """

    pooling: Literal["average", "flatten"]
    hidden_units: int = 0
    dropout: float = 0.0
    feature_dropout: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backbone:
    """One row of the table.

    Attributes:
        name: Name for users, and of the backbone's layer in a classifier.
        constructor: ``module:function``, called with `input_shape`. Functions of `keras.applications` also get
            `include_top`, `weights` and, if they take it, `include_preprocessing`.
        preprocessing: Scaling of the pixels that its weights were trained with.
        blocks: Regular expression for the prefix of the layer names of a block, without the backbone's own name and
            underscore.
        unfreeze_from: Default cut point of fine-tuning, see `core.networks.classifier.cut_classifier`.
        pretrained: Name of its pretrained weights.
        keras_file: Path of its ImageNet weights without the top, in the folder that Keras downloads from.
        image_size: Side of the square input it was pretrained on, in pixels.
        min_image_size: Least side of the input that leaves a feature map, in pixels.
        head: Default head.
    """

    name: str
    constructor: str
    preprocessing: Preprocessing
    blocks: str
    unfreeze_from: str
    pretrained: Literal["imagenet", "drawings"] = "imagenet"
    keras_file: str = ""
    image_size: int = 224
    min_image_size: int = 32
    head: Head = Head("average", dropout=0.2)

    def resolve_image_size(self, image_size: int) -> int:
        """Returns the image size to train with: the given one, or the backbone's own for 0.

        Raises:
            HeadstartError: If the size is below the least size of the backbone.
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
        """Checks that weights are empty, the backbone's own, ``none``, a file or an address.

        Raises:
            HeadstartError: If they are none of these.
        """
        if weights in ("", NO_WEIGHTS, self.pretrained) or is_remote(weights) or expand_home(weights).is_file():
            return
        raise HeadstartError(
            f"weights {weights!r} of backbone {self.name}: no such file; pass {self.pretrained!r}, {NO_WEIGHTS!r}, a "
            ".weights.h5, .h5 or .keras file, or an http(s)://, gs:// or s3:// address of one"
        )


# The head of the tutorial keeps all positions.
_TUTORIAL = Head("flatten", hidden_units=256)

# Fine-tuning starts with the blocks of the coarsest feature map; VGG16's as in the tutorial.
BACKBONES = {
    row.name: row
    for row in (
        Backbone(
            name="mobilenet_v2",
            constructor="keras.applications:MobileNetV2",
            keras_file="mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
            preprocessing="tf",
            blocks=r"block_\d+",
            unfreeze_from="block_13",
        ),
        Backbone(
            name="mobilenet",
            constructor="keras.applications:MobileNet",
            keras_file="mobilenet/mobilenet_1_0_224_tf_no_top.h5",
            preprocessing="tf",
            blocks=r"conv_dw_\d+",
            unfreeze_from="conv_dw_12",
        ),
        Backbone(
            name="mobilenet_v3_small",
            constructor="keras.applications:MobileNetV3Small",
            keras_file="mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
            preprocessing="tf",
            blocks=r"expanded_conv(_\d+)?",
            unfreeze_from="expanded_conv_8",
        ),
        Backbone(
            name="mobilenet_v3_large",
            constructor="keras.applications:MobileNetV3Large",
            keras_file="mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
            preprocessing="tf",
            blocks=r"expanded_conv(_\d+)?",
            unfreeze_from="expanded_conv_12",
        ),
        Backbone(
            name="vgg16",
            constructor="keras.applications:VGG16",
            keras_file="vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            preprocessing="caffe",
            blocks=r"block\d",
            unfreeze_from="block3_conv1",
            head=_TUTORIAL,
        ),
        Backbone(
            name="vgg19",
            constructor="keras.applications:VGG19",
            keras_file="vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
            preprocessing="caffe",
            blocks=r"block\d",
            unfreeze_from="block5",
            head=_TUTORIAL,
        ),
        Backbone(
            name="resnet50",
            constructor="keras.applications:ResNet50",
            keras_file="resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            preprocessing="caffe",
            blocks=r"conv\d_block\d",
            unfreeze_from="conv5",
        ),
        # A block starts above the layer that it is named after, which concatenates the branches of the block below.
        Backbone(
            name="inception_v3",
            constructor="keras.applications:InceptionV3",
            keras_file="inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
            preprocessing="tf",
            blocks=r"mixed\d$",
            unfreeze_from="mixed7",
            image_size=299,
            min_image_size=75,
        ),
        Backbone(
            name="xception",
            constructor="keras.applications:Xception",
            keras_file="xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
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
                keras_file=f"efficientnet_v2/efficientnetv2-{size.lower()}_notop.h5",
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
                keras_file=f"convnext/convnext_{size.lower()}_notop.h5",
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
    """Returns a row of the table.

    Raises:
        HeadstartError: If no backbone has this name; the message lists the names.
    """
    if name not in BACKBONES:
        raise_unknown_name("backbone", name, list(BACKBONES))
    return BACKBONES[name]
