"""Search spaces: what `--vary` takes, and the space that a recipe has by itself."""

import pytest

from headstart.components.core.recipes.recipe import apply_settings, load_recipe
from headstart.components.core.recipes.search_space import (
    Dimension,
    check_space,
    default_space,
    parse_dimension,
    read_setting,
)
from headstart.components.core.util.errors import HeadstartError


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("fine_tuning.learning_rate=1e-5..1e-3", Dimension("fine_tuning.learning_rate", low=1e-5, high=1e-3)),
        ("fine_tuning.epochs=2..9", Dimension("fine_tuning.epochs", low=2, high=9, integer=True)),
        ("head.weight_decay=1..10", Dimension("head.weight_decay", low=1, high=10)),
        ("head.hidden_units=0..64", Dimension("head.hidden_units", low=0, high=64, integer=True)),
        ("image_size=160, 224", Dimension("image_size", (160, 224))),
        ("head.learning_rate=1e-3,.01", Dimension("head.learning_rate", (0.001, 0.01))),
        ("fine_tuning.unfreeze_from=top,block_13", Dimension("fine_tuning.unfreeze_from", ("top", "block_13"))),
        ("augmentation.horizontal_flip=true,false", Dimension("augmentation.horizontal_flip", (True, False))),
    ],
)
def test_a_dimension_is_read_and_written(text: str, dimension: Dimension) -> None:
    assert parse_dimension(text) == dimension
    assert parse_dimension(dimension.describe().replace("True", "true").replace("False", "false")) == dimension


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fine_tuning.epochs", "give KEY=LOW..HIGH or KEY=VALUE,VALUE"),
        ("fine_tuning.epochs=", "give KEY=LOW..HIGH or KEY=VALUE,VALUE"),
        ("fine_tuning.epoch=1..3", "no such key; did you mean 'fine_tuning.epochs'"),
        ("fine_tuning=1..3", "no such key"),
        ("seed=1..3", "no such key"),
        ("fine_tuning.epochs=1.5..3", "takes whole numbers"),
        ("fine_tuning.epochs=3..3", "3 is not below 3"),
        ("fine_tuning.optimizer=1..3", "is no number"),
        ("image_size=160", "give two or more values"),
        ("image_size=160,160", "give two or more values, each once"),
        ("fine_tuning.optimizer=adam,[", "'[' is not valid YAML"),
    ],
)
def test_a_wrong_dimension_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(HeadstartError) as refused:
        parse_dimension(text)
    assert f"--vary {text!r}: " in str(refused.value)
    assert message.lower() in str(refused.value).lower()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["fine_tuning.epochs=0..3"], "fine_tuning.epochs"),
        (["fine_tuning.optimizer=adam,adagrad"], "fine_tuning.optimizer"),
        (["image_size=8,224"], "image size 8 is too small for backbone mobilenet_v2"),
        (["image_size=96,160", "image_size=160,224"], "--vary image_size: given twice"),
    ],
)
def test_values_that_a_recipe_does_not_take_are_refused_before_anything_is_trained(
    texts: list[str], message: str
) -> None:
    with pytest.raises(HeadstartError, match=message):
        check_space([parse_dimension(text) for text in texts], load_recipe())


def test_a_range_of_a_factor_of_ten_is_logarithmic() -> None:
    assert parse_dimension("head.learning_rate=0.001..0.01").logarithmic
    assert not parse_dimension("head.learning_rate=0.001..0.009").logarithmic
    assert not parse_dimension("head.weight_decay=0..100").logarithmic


def test_the_default_space_holds_the_recipe_and_values_it_takes() -> None:
    recipe = load_recipe().resolve()
    space = default_space(recipe, image_sizes=True)
    check_space(space, recipe)
    assert all(each.contains(read_setting(recipe, each.key)) for each in space)
    sizes = next(each.values for each in space if each.key == "image_size")
    assert sizes == (224, 288)
    assert "image_size" not in {each.key for each in default_space(recipe, image_sizes=False)}


def test_settings_replace_single_keys() -> None:
    recipe = apply_settings(load_recipe(), {"fine_tuning.epochs": 7, "image_size": 96})
    assert (recipe.fine_tuning.epochs, recipe.image_size) == (7, 96)
    assert recipe.fine_tuning.batch_size == load_recipe().fine_tuning.batch_size
    with pytest.raises(HeadstartError, match=r"fine_tuning\.epoch.*fine_tuning\.epochs"):
        apply_settings(load_recipe(), {"fine_tuning.epoch": 7})
