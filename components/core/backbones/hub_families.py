"""Families of networks in KerasHub, and the names of its presets, found without importing it.

Importing KerasHub imports TensorFlow. Its lists of presets are modules of literals alone, and are read as text.
"""

import ast
import dataclasses
import functools
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from headstart.components.core.util.errors import HeadstartError


@dataclasses.dataclass(frozen=True)
class HubFamily:
    """A family of networks that a preset can be of.

    Attributes:
        folder: Name of its folder in KerasHub.
        features: Features of an image: ``map``, the last feature map, which is pooled; ``class``, the class token, or
            the mean of the patches where there is none; ``class and patches``, the class token and the mean of the
            patches; ``pooled``, what the network's own attention pooling gives.
        sizes: Image sizes that it takes: ``any``; ``patches``, every multiple of the patch size; or ``one``, the size
            that it was trained with.
        licence: Licence that the authors of its pretrained weights state, as an SPDX identifier; empty: none that is
            known.
        attends: Whether it has attention although its features are a map.
    """

    folder: str
    features: Literal["map", "class", "class and patches", "pooled"]
    sizes: Literal["any", "patches", "one"]
    licence: str = "Apache-2.0"
    attends: bool = False

    @property
    def has_attention(self) -> bool:
        """Whether LoRA has projections to adapt."""
        return self.attends or self.features != "map"


# KerasHub's tools/checkpoint_conversion says where it converted the weights from: DINOv2, SigLIP and ViT from their
# authors, Xception from Keras, the other convolutional networks and DeiT from repositories that state these licences.
# OpenAI states none for the weights of CLIP. Those of DINOv3 (Meta's LICENSE.md), MobileNetV5 (timm, where they are
# Gemma 3n's) and Swin (Microsoft's LICENSE) are stated where their authors published them.
# DINOv3's features are those of its authors' dinov3/hub/classifiers.py.
FAMILIES = {
    "CLIPBackbone": HubFamily("clip", "class", "one", licence=""),
    "CLIPVisionEncoder": HubFamily("clip", "class", "one", licence=""),
    "CSPNetBackbone": HubFamily("cspnet", "map", "any"),
    "DINOV2Backbone": HubFamily("dinov2", "class and patches", "patches"),
    "DINOV3Backbone": HubFamily("dinov3", "class and patches", "patches", licence="LicenseRef-DINOv3"),
    "DeiTBackbone": HubFamily("deit", "class", "one"),
    "DenseNetBackbone": HubFamily("densenet", "map", "any"),
    "EfficientNetBackbone": HubFamily("efficientnet", "map", "any"),
    "HGNetV2Backbone": HubFamily("hgnetv2", "map", "any"),
    "MobileNetBackbone": HubFamily("mobilenet", "map", "any"),
    "MobileNetV5Backbone": HubFamily("mobilenetv5", "map", "any", licence="LicenseRef-Gemma", attends=True),
    "ResNetBackbone": HubFamily("resnet", "map", "any"),
    "SigLIPBackbone": HubFamily("siglip", "pooled", "one"),
    "SigLIPVisionEncoder": HubFamily("siglip", "pooled", "one"),
    "SwinTransformerBackbone": HubFamily("swin_transformer", "map", "one", licence="MIT", attends=True),
    "VGGBackbone": HubFamily("vgg", "map", "any", licence="BSD-3-Clause"),
    "ViTBackbone": HubFamily("vit", "class", "one"),
    "XceptionBackbone": HubFamily("xception", "map", "any", licence="MIT"),
}
"""Families by the name of their class in KerasHub."""

TIMM_FAMILIES = {
    "resnet": "ResNetBackbone",
    "csp": "CSPNetBackbone",
    "dark": "CSPNetBackbone",
    "densenet": "DenseNetBackbone",
    "mobilenetv5": "MobileNetV5Backbone",
    "mobilenet": "MobileNetBackbone",
    "vgg": "VGGBackbone",
    "efficientnet": "EfficientNetBackbone",
    "hgnetv2": "HGNetV2Backbone",
}
"""Classes of KerasHub that it converts timm's networks to, by the beginning of timm's name; the first one counts."""

_LICENCES = {
    "medsiglip_900m_448": "LicenseRef-Health-AI-Developer-Foundations",
    "clip_vit_b_32_laion2b_s34b_b79k": "MIT",
    "clip_vit_h_14_laion2b_s32b_b79k": "MIT",
    "clip_vit_g_14_laion2b_s12b_b42k": "MIT",
    "clip_vit_bigg_14_laion2b_39b_b160k": "MIT",
}
"""Licences of presets by their name, where they are not that of the family."""


@dataclasses.dataclass(frozen=True)
class NamedPreset:
    """A preset that KerasHub knows by name.

    Attributes:
        name: Its name.
        handle: Its handle at Kaggle.
        folder: Folder of its family in KerasHub.
        parameters: Number of its weights, with those that a backbone does not use.
    """

    name: str
    handle: str
    folder: str
    parameters: int

    @property
    def family(self) -> HubFamily | None:
        """Its family; None: it is none of `FAMILIES`."""
        return next((each for each in FAMILIES.values() if each.folder == self.folder), None)

    @property
    def licence(self) -> str:
        """Licence that its authors state for its weights, an SPDX identifier; empty: none that is known."""
        return _LICENCES.get(self.name, self.family.licence if self.family else "")


def check_hub_installed() -> None:
    """Checks that KerasHub is installed.

    Raises:
        HeadstartError: If it is not.
    """
    try:
        version("keras-hub")
    except PackageNotFoundError:
        raise HeadstartError(
            "presets need KerasHub, which is not installed; pip install 'headstart[hub]', or use another backbone"
        ) from None


@functools.cache
def list_named_presets() -> dict[str, NamedPreset]:
    """Presets that the installed KerasHub knows by name, of images, text and sound; empty if it is not installed."""
    spec = find_spec("keras_hub")
    places = spec.submodule_search_locations if spec else None
    found: dict[str, NamedPreset] = {}
    for place in places or ():
        for file in sorted(Path(place).glob("src/models/*/*_presets.py")):
            found |= _read_presets(file)
    return found


def _read_presets(file: Path) -> dict[str, NamedPreset]:
    presets: dict[str, NamedPreset] = {}
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        if not isinstance(statement, ast.Assign):
            continue
        try:
            values = ast.literal_eval(statement.value)
        except ValueError:
            continue
        for name, value in values.items() if isinstance(values, dict) else ():
            match value:
                case {"kaggle_handle": str(handle), "metadata": dict(metadata)}:
                    presets[name] = NamedPreset(name, handle, file.parent.name, int(metadata.get("params") or 0))
    return presets
