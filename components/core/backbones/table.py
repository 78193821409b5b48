"""Table of the backbones. Importing it does not import TensorFlow."""

import dataclasses
import re
from pathlib import PurePosixPath
from typing import Any, Literal

from headstart.components.core.storage.stores import is_remote, without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home

NO_WEIGHTS = "none"

OWN_SUFFIX = ".keras"
"""End of the name of a backbone that is a network of the user's own."""

HUB_PREFIX, HUB_SUFFIX = "hub:", ".hub"
"""Start of the name of a backbone that is a preset of KerasHub, and end of the name that a trained model knows."""

HUB_HANDLES = ("kaggle://", "hf://")
"""Schemes of presets that KerasHub downloads; `hub:` before them is optional."""

Preprocessing = Literal["none", "tf", "tf128", "caffe", "torch", "unit"]
"""Scaling of RGB pixels 0-255, with Keras' names ``tf``, ``caffe`` and ``torch``.

- ``none``: pixels stay as they are.
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
        licence: Licence of its pretrained weights, as an SPDX identifier.
        parameters: Number of its weights, without a head.
        width: Number of channels of its feature map, and so of its averaged features.
        image_size: Side of the square input it was pretrained on, in pixels.
        min_image_size: Least side of the input that leaves a feature map, in pixels.
        head: Default head.
        file: Path or address of the `.keras` file that a network of the user's own is loaded from, which then has no
            constructor; empty: none.
        preset: Folder, address or name of a preset of KerasHub that it is built from, which then has no constructor;
            empty: none.
    """

    name: str
    constructor: str
    preprocessing: Preprocessing
    blocks: str
    unfreeze_from: str
    parameters: int
    width: int
    licence: str = "Apache-2.0"
    pretrained: Literal["imagenet", "drawings", "own"] = "imagenet"
    keras_file: str = ""
    image_size: int = 224
    min_image_size: int = 32
    head: Head = Head("average", dropout=0.2)
    file: str = ""
    preset: str = ""

    @property
    def is_own(self) -> bool:
        """Whether it comes with its weights from a file or a preset that the user names."""
        return bool(self.file or self.preset)

    def resolve_image_size(self, image_size: int) -> int:
        """Returns the image size to train with: the given one, or the backbone's own for 0.

        That of a network of the user's own, or of a preset, is known once its file is read, and 0 until then.

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
        if self.is_own:
            if weights:
                raise HeadstartError(
                    f"weights {without_secrets(weights)!r}: backbone {self.name} has its own weights; leave "
                    "weights out"
                )
            return
        if weights in ("", NO_WEIGHTS, self.pretrained) or is_remote(weights) or expand_home(weights).is_file():
            return
        raise HeadstartError(
            f"weights {weights!r} of backbone {self.name}: no such file; pass {self.pretrained!r}, {NO_WEIGHTS!r}, a "
            ".weights.h5, .h5 or .keras file, or an http(s)://, gs:// or s3:// address of one"
        )


# The head of the tutorial keeps all positions.
_TUTORIAL = Head("flatten", hidden_units=256)

# Fine-tuning starts with the blocks of the coarsest feature map; VGG16's as in the tutorial. Licences are those that
# Keras' documentation states; of MobileNetV3, EfficientNetV2 and ConvNeXt, those of the repositories that the weights
# were converted from.
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
            parameters=2_257_984,
            width=1280,
        ),
        Backbone(
            name="mobilenet",
            constructor="keras.applications:MobileNet",
            keras_file="mobilenet/mobilenet_1_0_224_tf_no_top.h5",
            preprocessing="tf",
            blocks=r"conv_dw_\d+",
            unfreeze_from="conv_dw_12",
            parameters=3_228_864,
            width=1024,
        ),
        Backbone(
            name="mobilenet_v3_small",
            constructor="keras.applications:MobileNetV3Small",
            keras_file="mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
            preprocessing="tf",
            blocks=r"expanded_conv(_\d+)?",
            unfreeze_from="expanded_conv_8",
            parameters=939_120,
            width=576,
        ),
        Backbone(
            name="mobilenet_v3_large",
            constructor="keras.applications:MobileNetV3Large",
            keras_file="mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
            preprocessing="tf",
            blocks=r"expanded_conv(_\d+)?",
            unfreeze_from="expanded_conv_12",
            parameters=2_996_352,
            width=960,
        ),
        Backbone(
            name="vgg16",
            constructor="keras.applications:VGG16",
            keras_file="vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            preprocessing="caffe",
            blocks=r"block\d",
            unfreeze_from="block3_conv1",
            parameters=14_714_688,
            width=512,
            licence="CC-BY-4.0",
            head=_TUTORIAL,
        ),
        Backbone(
            name="vgg19",
            constructor="keras.applications:VGG19",
            keras_file="vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
            preprocessing="caffe",
            blocks=r"block\d",
            unfreeze_from="block5",
            parameters=20_024_384,
            width=512,
            licence="CC-BY-4.0",
            head=_TUTORIAL,
        ),
        Backbone(
            name="resnet50",
            constructor="keras.applications:ResNet50",
            keras_file="resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            preprocessing="caffe",
            blocks=r"conv\d_block\d",
            unfreeze_from="conv5",
            parameters=23_587_712,
            width=2048,
            licence="MIT",
        ),
        # A block starts above the layer that it is named after, which concatenates the branches of the block below.
        Backbone(
            name="inception_v3",
            constructor="keras.applications:InceptionV3",
            keras_file="inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
            preprocessing="tf",
            blocks=r"mixed\d$",
            unfreeze_from="mixed7",
            parameters=21_802_784,
            width=2048,
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
            parameters=20_861_480,
            width=2048,
            licence="MIT",
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
                parameters=parameters,
                width=width,
                image_size=side,
            )
            for size, side, parameters, width in (
                ("B0", 224, 5_919_312, 1280),
                ("B1", 240, 6_931_124, 1280),
                ("B2", 260, 8_769_374, 1408),
                ("B3", 300, 12_930_622, 1536),
                ("S", 384, 20_331_360, 1280),
            )
        ),
        *(
            Backbone(
                name=f"convnext_{size.lower()}",
                constructor=f"keras.applications:ConvNeXt{size}",
                keras_file=f"convnext/convnext_{size.lower()}_notop.h5",
                preprocessing="torch",
                blocks=r"stage_\d_block_\d+",
                unfreeze_from="stage_3",
                parameters=parameters,
                width=768,
                licence="MIT",
            )
            for size, parameters in (("Tiny", 27_820_128), ("Small", 49_454_688))
        ),
        Backbone(
            name="sketchnet",
            constructor="headstart.components.core.networks.sketchnet:build_sketchnet",
            preprocessing="tf",
            blocks=r"block\d",
            unfreeze_from="block2",
            parameters=379_176,
            width=112,
            pretrained="drawings",
            image_size=64,
        ),
    )
}


# Blocks in the names of layers, such as block_13_expand, conv4_block6_1_conv and stage_3_block_2_layer_scale: the
# longest beginning that ends in a number and is not the whole name. Keras itself gives names such as conv2d_12.
_NUMBERED = r"[A-Za-z][A-Za-z_]*\d+[a-z]?"
_OWN_BLOCKS = rf"(?![a-z_]*[123]d(?:_\d+)?$){_NUMBERED}(?:_{_NUMBERED})*(?=_)"


_OWN: dict[str, Any] = {
    "constructor": "",
    "preprocessing": "none",
    "blocks": _OWN_BLOCKS,
    "unfreeze_from": "coarsest",
    "parameters": 0,
    "width": 0,
    "licence": "",
    "pretrained": "own",
    "image_size": 0,
    "min_image_size": 1,
}


def is_own_network(name: str) -> bool:
    """Whether the name of a backbone is a network of the user's own: a `.keras` file, or the address of one."""
    return without_secrets(name).endswith(OWN_SUFFIX)


def is_hub_preset(name: str) -> bool:
    """Whether the name of a backbone is a preset of KerasHub."""
    return name.startswith((HUB_PREFIX, *HUB_HANDLES)) or name.endswith(HUB_SUFFIX)


def get_backbone(name: str) -> Backbone:
    """Returns a row of the table, or one for a network of the user's own or a preset, whose files are not read.

    Args:
        name: Name of a row; path or address of a `.keras` file; ``hub:`` and a preset of KerasHub; or the name of the
            file or preset, as a model that was trained with it knows it.

    Raises:
        HeadstartError: If no backbone has this name; the message lists the names.
    """
    if is_own_network(name):
        stem = PurePosixPath(without_secrets(name)).name.removesuffix(OWN_SUFFIX)
        return Backbone(name=_as_layer_name(stem) + OWN_SUFFIX, file=name, **_OWN)
    if is_hub_preset(name):
        place = name.removeprefix(HUB_PREFIX)
        # Kaggle's handles may end in the number of a version.
        stem = re.sub(r"(?<=.)/\d+/?$", "", without_secrets(place)).removesuffix(HUB_SUFFIX)
        return Backbone(name=_as_layer_name(PurePosixPath(stem).name) + HUB_SUFFIX, preset=place, **_OWN)
    if name not in BACKBONES:
        raise HeadstartError(
            f"unknown backbone {name!r}; known: {', '.join(BACKBONES)}, networks of your own, which are "
            f"{OWN_SUFFIX} files, and presets of KerasHub, such as {HUB_PREFIX}dinov2_small"
        )
    return BACKBONES[name]


def _as_layer_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_") or "network"
