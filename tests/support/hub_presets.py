"""Small presets of KerasHub with random weights, saved as a preset's folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import keras_hub
import numpy as np

SIZE = 32
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_VIT = {"image_shape": (SIZE, SIZE, 3), "patch_size": 8, "num_layers": 3, "num_heads": 2, "hidden_dim": 16}
_EFFICIENTNET = {
    "stackwise_width_coefficients": [1.0] * 2,
    "stackwise_depth_coefficients": [1.0] * 2,
    "stackwise_kernel_sizes": [3, 3],
    "stackwise_num_repeats": [2, 2],
    "stackwise_input_filters": [8, 8],
    "stackwise_output_filters": [8, 16],
    "stackwise_expansion_ratios": [1, 4],
    "stackwise_strides": [2, 2],
}


def _dinov2(**more: Any) -> keras.Model:
    settings = _VIT | {"patch_size": 4, "intermediate_dim": 32, "position_embedding_shape": (48, 48, 3)}
    return keras_hub.models.DINOV2Backbone(**settings | {"layer_scale_init_value": 0.5} | more)


def _efficientnet(kind: str) -> keras.Model:
    ratio = 0.25 if kind != "fused" else 0.0
    return keras_hub.models.EfficientNetBackbone(
        stackwise_block_types=[kind] * 2, stackwise_squeeze_and_excite_ratios=[ratio] * 2, **_EFFICIENTNET
    )


def _siglip() -> keras.Model:
    shared = {"hidden_dim": 16, "num_layers": 2, "num_heads": 2, "intermediate_dim": 32}
    vision = keras_hub.models.SigLIPVisionEncoder(
        patch_size=8, image_shape=(SIZE, SIZE, 3), name="vision_encoder", **shared
    )
    text = keras_hub.models.SigLIPTextEncoder(
        vocabulary_size=20, embedding_dim=16, max_sequence_length=4, name="text_encoder", **shared
    )
    return keras_hub.models.SigLIPBackbone(vision_encoder=vision, text_encoder=text)


def _dinov3(**more: Any) -> keras.Model:
    settings = _VIT | {"patch_size": 4, "intermediate_dim": 32, "layer_scale_init_value": 0.5}
    return keras_hub.models.DINOV3Backbone(**settings | {"num_register_tokens": 0} | more)


def _mobilenetv5(**more: Any) -> keras.Model:
    """Two stages, of which the second has attention."""
    settings: dict[str, Any] = {
        "block_types": [["er"], ["uir", "mqa", "uir"]],
        "num_filters": [[16], [16, 16, 16]],
        "strides": [[2], [2, 1, 1]],
        "act_layers": [["gelu"], ["gelu"] * 3],
        "exp_ratios": [[2.0], [2.0, 0.0, 2.0]],
        "se_ratios": [[0.0], [0.0] * 3],
        "dw_kernel_sizes": [[0], [3, 0, 0]],
        "dw_start_kernel_sizes": [[0], [5, 0, 0]],
        "dw_end_kernel_sizes": [[0], [0] * 3],
        "exp_kernel_sizes": [[3], [0] * 3],
        "pw_kernel_sizes": [[1], [0] * 3],
        "num_heads": [[0], [0, 2, 0]],
        "key_dims": [[0], [0, 8, 0]],
        "value_dims": [[0], [0, 8, 0]],
        "kv_strides": [[0], [0, 2, 0]],
        "use_cpe": [[False], [False] * 3],
    }
    settings |= {name: more.pop(name) for name in settings if name in more}
    return keras_hub.models.MobileNetV5Backbone(
        stackwise_num_blocks=[1, 3],
        **{f"stackwise_{name}": value for name, value in settings.items()},
        **{"num_features": 24, "msfa_output_resolution": 2, "layer_scale_init_value": 0.5} | more,
    )


def _swin(**more: Any) -> keras.Model:
    settings = {
        "embed_dim": 8,
        "depths": (2, 3),
        "num_heads": (2, 4),
        "window_size": 4,
        "image_shape": (SIZE, SIZE, 3),
    }
    return keras_hub.models.SwinTransformerBackbone(**settings | more)


def _mobilenet() -> keras.Model:
    return keras_hub.models.MobileNetBackbone(
        stackwise_expansion=[[16, 24], [24, 32]],
        stackwise_num_blocks=[2, 2],
        stackwise_num_filters=[[8, 8], [16, 16]],
        stackwise_kernel_size=[[3, 3], [5, 5]],
        stackwise_num_strides=[[2, 1], [2, 1]],
        stackwise_se_ratio=[[0.25, None], [0.25, 0.25]],
        stackwise_activation=[["relu6", "relu6"], ["hard_swish", "hard_swish"]],
        stackwise_padding=[[1, 1], [2, 2]],
        output_num_filters=24,
        input_activation="hard_swish",
        output_activation="hard_swish",
        input_num_filters=8,
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        squeeze_and_excite=0.25,
        last_layer_filter=24,
    )


def _resnet() -> keras.Model:
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 16],
        stackwise_num_blocks=[2, 2],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
    )


def _clip(activation: str) -> keras.Model:
    shared = {"hidden_dim": 16, "num_layers": 2, "num_heads": 2, "intermediate_dim": 32}
    vision = keras_hub.models.CLIPVisionEncoder(
        patch_size=8,
        image_shape=(SIZE, SIZE, 3),
        intermediate_activation=activation,
        name="vision_encoder",
        **shared,
    )
    text = keras_hub.models.CLIPTextEncoder(
        vocabulary_size=20, embedding_dim=16, max_sequence_length=4, name="text_encoder", **shared
    )
    vision.embedding.position_ids.assign([range(1 + (SIZE // 8) ** 2)])
    return keras_hub.models.CLIPBackbone(vision_encoder=vision, text_encoder=text, projection_dim=8)


def _cspnet(stage: str, block: str, **more: Any) -> keras.Model:
    return keras_hub.models.CSPNetBackbone(
        stem_filters=8,
        stem_kernel_size=3,
        stem_strides=1,
        stackwise_depth=[1, 2],
        stackwise_strides=[2, 2],
        stackwise_num_filters=[8, 16],
        stage_type=stage,
        block_type=block,
        **more,
    )


def _hgnetv2(affine: bool) -> keras.Model:
    return keras_hub.models.HGNetV2Backbone(
        depths=[1, 2],
        embedding_size=8,
        hidden_sizes=[8, 16],
        stem_channels=[3, 8, 8],
        hidden_act="relu",
        use_learnable_affine_block=affine,
        stackwise_stage_filters=[(8, 8, 16, 1, 2, 3), (16, 8, 24, 2, 2, 5)],
        apply_downsample=[False, True],
        use_lightweight_conv_block=[False, True],
    )


BUILDERS: Mapping[str, Callable[[], keras.Model]] = MappingProxyType(
    {
        "vit": lambda: keras_hub.models.ViTBackbone(mlp_dim=32, **_VIT),
        "vit_without_class_token": lambda: keras_hub.models.ViTBackbone(mlp_dim=32, use_class_token=False, **_VIT),
        "deit": lambda: keras_hub.models.DeiTBackbone(intermediate_dim=32, **_VIT),
        "dinov2": _dinov2,
        "dinov2_with_registers": lambda: _dinov2(num_register_tokens=2, use_swiglu_ffn=True),
        "dinov3": _dinov3,
        "dinov3_with_registers": lambda: _dinov3(
            num_register_tokens=2, use_gated_mlp=True, hidden_activation="silu", use_key_bias=False
        ),
        "siglip": _siglip,
        "clip": lambda: _clip("quick_gelu"),
        "clip_with_gelu": lambda: _clip("gelu"),
        "swin": _swin,
        "swin_with_windows_that_do_not_fit": lambda: _swin(
            window_size=5, patch_size=2, depths=(2, 2), qkv_bias=False
        ),
        "efficientnet": lambda: _efficientnet("v1"),
        "efficientnet_v2": lambda: _efficientnet("unfused"),
        "efficientnet_v2_fused": lambda: _efficientnet("fused"),
        "efficientnet_cba": lambda: _efficientnet("cba"),
        "mobilenet": _mobilenet,
        "mobilenetv5": _mobilenetv5,
        "mobilenetv5_without_fusion": lambda: _mobilenetv5(
            act_layers=[["relu"], ["relu"] * 3],
            use_cpe=[[False], [False, True, False]],
            norm_layer="batch_norm",
            act_layer="relu",
            use_msfa=False,
        ),
        "resnet": _resnet,
        "resnet_v2": lambda: keras_hub.models.ResNetBackbone(
            input_conv_filters=[64],
            input_conv_kernel_sizes=[7],
            stackwise_num_filters=[64, 16],
            stackwise_num_blocks=[2, 2],
            stackwise_num_strides=[1, 2],
            block_type="bottleneck_block",
            use_pre_activation=True,
        ),
        "densenet": lambda: keras_hub.models.DenseNetBackbone(stackwise_num_repeats=[2, 2], growth_rate=4),
        "darknet": lambda: _cspnet("dark", "dark_block"),
        "csp_darknet": lambda: _cspnet(
            "csp", "dark_block", bottle_ratio=[0.5], block_ratio=[1.0], expand_ratio=[2.0]
        ),
        "csp_resnext": lambda: _cspnet(
            "csp", "bottleneck_block", bottle_ratio=[0.5], block_ratio=[1.0], expand_ratio=[2.0], groups=4
        ),
        "hgnetv2": lambda: _hgnetv2(affine=False),
        "hgnetv2_with_affine_blocks": lambda: _hgnetv2(affine=True),
        "vgg": lambda: keras_hub.models.VGGBackbone(stackwise_num_repeats=[1, 2], stackwise_num_filters=[8, 16]),
        "xception": lambda: keras_hub.models.XceptionBackbone(
            stackwise_conv_filters=[[8, 8], [16, 16], [24, 24]], stackwise_pooling=[False, True, False]
        ),
    }
)


def build(name: str, seed: int = 0) -> keras.Model:
    """Builds a small network with random weights, none of which is 0 or 1 throughout."""
    keras.utils.set_random_seed(seed)
    model = BUILDERS[name]()
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        if "float" in str(weight.dtype) and "position_embeddings" not in weight.name:
            noise = generator.normal(0, 0.1, weight.shape)
            weight.assign(weight + (np.abs(noise) if weight.name == "moving_variance" else noise))
    return model


def save_preset(name: str, folder: Path, seed: int = 0, **converter: Any) -> Path:
    """Saves a small preset with an image converter."""
    model = build(name, seed)
    model.save_to_preset(str(folder))
    scale = [1 / (255 * each) for each in DEVIATION]
    offset = [-mean / each for mean, each in zip(MEAN, DEVIATION, strict=True)]
    settings = {"image_size": (SIZE, SIZE), "scale": scale, "offset": offset} | converter
    image_converter_of(model)(**settings).save_to_preset(str(folder))
    return folder


def image_converter_of(model: keras.Model) -> Any:
    """The class of image converters of a network."""
    found = [
        each
        for each in vars(keras_hub.layers).values()
        if isinstance(each, type)
        and issubclass(each, keras_hub.layers.ImageConverter)
        and each.backbone_cls is type(model)
    ]
    return found[0]
