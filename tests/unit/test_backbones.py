import pytest

from headstart.components.core.backbones import BACKBONES, get_backbone
from headstart.components.core.errors import HeadstartError


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(HeadstartError, match="unknown backbone 'vgg61'; known: mobilenet_v2, vgg16, sketchnet"):
        get_backbone("vgg61")


@pytest.mark.parametrize("name", BACKBONES)
def test_image_size_is_the_backbones_own_or_the_one_asked_for(name: str) -> None:
    backbone = get_backbone(name)
    assert backbone.resolve_image_size(0) == backbone.image_size
    assert backbone.resolve_image_size(backbone.min_image_size) == backbone.min_image_size
    for size in (backbone.min_image_size - 1, -1):
        with pytest.raises(HeadstartError, match=f"image size {size} is too small .* at least 32 pixels"):
            backbone.resolve_image_size(size)


def test_weights_that_can_be_nothing_are_refused() -> None:
    for weights in ("", "none", "imagenet", "https://host/x.h5", "gs://bucket/x.h5", "s3://bucket/x.h5", __file__):
        get_backbone("vgg16").check_weights(weights)
    with pytest.raises(
        HeadstartError, match="weights 'imagenet' of backbone sketchnet: no such file; pass 'drawings'"
    ):
        get_backbone("sketchnet").check_weights("imagenet")
