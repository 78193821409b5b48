"""Recipes: the tutorial's numbers, the defaults, and errors for a wrong key or value."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from headstart.components.core.backbones.table import Head
from headstart.components.core.recipes.recipe import (
    Recipe,
    dump_recipe,
    list_recipe_keys,
    list_recipes,
    load_recipe,
    read_recipe_text,
)
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.main import app
from headstart.pipelines.cli.options import takes_parameters
from headstart.pipelines.definitions.parameters import Parameters


def test_recipes_are_listed_and_printed() -> None:
    listed = CliRunner().invoke(app, ["recipes"]).stdout
    assert all(name in listed for name in list_recipes())
    assert CliRunner().invoke(app, ["recipes", "fast"]).stdout == read_recipe_text("fast")


@pytest.mark.parametrize("name", list_recipes())
def test_recipe_begins_with_its_command_and_figures(name: str) -> None:
    comment = [line for line in read_recipe_text(name).splitlines() if line.startswith("#")]
    assert comment[0].startswith("# headstart run ")
    assert f"--recipe {name}" in comment[0] or name == "fast"
    assert any("0." in line for line in comment)


@pytest.mark.parametrize("name", ["tutorial", "from_scratch"])
def test_small_convnet_and_augmentation_are_the_sources_to_the_digit(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.image_size == 150
    augmentation = recipe.augmentation
    assert (augmentation.rotation, augmentation.width_shift, augmentation.height_shift) == (40, 0.2, 0.2)
    assert (augmentation.shear, augmentation.zoom, augmentation.keep_aspect) == (0.2, [-0.2, 0.2], False)
    assert augmentation.horizontal_flip and augmentation.fill == "nearest" and not augmentation.rand_augment
    convnet = recipe.from_scratch
    assert (convnet.scaling, convnet.padding) == ("unit", "valid")
    assert (convnet.hidden_units, convnet.dropout) == (512, 0.5)
    assert (convnet.optimizer, convnet.learning_rate, convnet.schedule) == ("rmsprop", 1e-4, "constant")
    assert (convnet.epochs, convnet.steps_per_epoch, convnet.batch_size) == (100, 100, 32)
    assert convnet.augmented_views == 0, "end to end"
    assert not any((convnet.weight_decay, convnet.label_smoothing, convnet.mixup, convnet.patience))


def test_tutorial_is_the_sources_to_the_digit() -> None:
    recipe = load_recipe("tutorial")
    assert (recipe.backbone, recipe.scaling) == ("vgg16", "unit")
    assert recipe.head_shape() == Head("flatten", hidden_units=256, dropout=0)
    assert recipe.fine_tuning.unfreeze_from == "block3_conv1"
    for phase, rate, epochs in ((recipe.head, 2e-5, 30), (recipe.fine_tuning, 1e-5, 100)):
        assert (phase.optimizer, phase.learning_rate, phase.schedule) == ("rmsprop", rate, "constant")
        assert (phase.epochs, phase.steps_per_epoch, phase.batch_size) == (epochs, 100, 20)
        assert phase.augmented_views == 0, "end to end"
        assert not any((phase.weight_decay, phase.label_smoothing, phase.mixup, phase.patience))


def test_fast_is_the_default_and_names_every_key() -> None:
    recipe = load_recipe()
    assert recipe == load_recipe("fast")
    assert (recipe.backbone, recipe.weights, recipe.image_size) == ("mobilenet_v2", "", 0)
    figures = {
        name: (phase.epochs, phase.learning_rate, phase.weight_decay)
        for name, phase in (("head", recipe.head), ("tuning", recipe.fine_tuning), ("scratch", recipe.from_scratch))
    }
    assert figures == {"head": (20, 1e-3, 1.0), "tuning": (3, 2e-4, 0.004), "scratch": (15, 1e-3, 0.004)}
    text = read_recipe_text("fast")
    for key in list_recipe_keys():
        assert f"{key.rpartition('.')[2]}:" in text, key
    with pytest.raises(Exception, match="Field required"):
        Recipe.model_validate({})


def test_resolved_recipe_has_the_backbones_values_and_comes_back_from_yaml() -> None:
    resolved = load_recipe(settings={"backbone": "vgg16"}).resolve()
    assert (resolved.image_size, resolved.fine_tuning.unfreeze_from) == (224, "block3_conv1")
    assert resolved.head_shape() == Head("flatten", hidden_units=256)
    own = load_recipe(settings={"backbone": "vgg16", "head.hidden_units": 0, "head.dropout": 0.5}).resolve()
    assert own.head_shape() == Head("flatten", hidden_units=0, dropout=0.5)
    assert load_recipe(dump_recipe(resolved)) == resolved


def test_own_recipe_overrides_fast(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("head:\n  epochs: 7\n  optimizer: adam\n")
    recipe = load_recipe(str(path), {"head.epochs": 9.0, "head.learning_rate": "1e-2"})
    assert (recipe.head.epochs, recipe.head.optimizer, recipe.head.learning_rate) == (9, "adam", 1e-2)
    assert recipe.fine_tuning == load_recipe().fine_tuning


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        ("tutoral", {}, "unknown recipe 'tutoral'; did you mean 'tutorial'?"),
        ("nowhere.yaml", {}, "recipe 'nowhere.yaml' cannot be read (No such file"),
        ("head: [\n", {}, "is not valid YAML, line"),
        ("- a\n- b\n", {}, "must have lines of `key: value`; known: description, backbone"),
        ("haed:\n  epochs: 3\n", {}, "unknown key 'haed'; did you mean 'head'?"),
        ("fast", {"head.epoch": 3}, "recipe 'fast': unknown key 'head.epoch'; did you mean 'head.epochs'?"),
        ("fast", {"epochs": 3}, "unknown key 'epochs'; did you mean 'head.epochs'?"),
        ("fast", {"head.epochs.last": 3}, "head.epochs is {'last': 3}: input should be a valid integer"),
        ("fast", {"head": 3}, "head is 3: input should be a valid dictionary"),
        ("fast", {"head.epochs": "many"}, "head.epochs is 'many': input should be a valid integer"),
        ("fast", {"head.epochs": True}, "head: epochs is True: expected a value other than true or false"),
        ("fast", {"head.epochs": 0}, "head.epochs is 0: input should be greater than or equal to 1"),
        ("fast", {"head.learning_rate": 0}, "head.learning_rate is 0: input should be greater than 0"),
        ("fast", {"fine_tuning.learning_rate": -1}, "fine_tuning.learning_rate is -1: input should be greater"),
        ("fast", {"head.batch_size": 0}, "head.batch_size is 0"),
        ("fast", {"head.augmented_views": -2}, "head.augmented_views is -2"),
        ("fast", {"head.optimizer": "adma"}, "head.optimizer is 'adma': input should be 'adamw', 'adam'"),
        (
            "fast",
            {"head.mixup": 0.2},
            "head: mixup needs images, not cached features; set augmented_views to 0, end to end",
        ),
        ("fast", {"augmentation.zoom": [0.1]}, "augmentation.zoom is [0.1]: list should have at least 2 items"),
    ],
)
def test_a_wrong_recipe_is_one_error_line(recipe: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        load_recipe(recipe, settings)
    assert message in str(caught.value)


def test_recipe_of_an_earlier_version_still_loads() -> None:
    off = {f"{phase}.ema": 0 for phase in ("head", "fine_tuning", "from_scratch")}
    off |= {"fine_tuning.layer_decay": 1.0, "fine_tuning.gradual": False, "fine_tuning.pull": 0.0}
    assert load_recipe(settings=off) == load_recipe()
    text = "head: {epochs: 3, ema: 0}\nfine_tuning: {layer_decay: 1, gradual: false, pull: 0, ema: 0.0}\n"
    assert load_recipe(text) == load_recipe("head: {epochs: 3}\n")


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        ("fast", {"fine_tuning.pull": 10}, "recipe 'fast': fine_tuning.pull is 10, and version 0.1.0 dropped"),
        ("fast", {"fine_tuning.layer_decay": "half"}, "fine_tuning.layer_decay is 'half', and version 0.1.0 dropped"),
        ("fine_tuning: {gradual: true}\n", {}, "the recipe: fine_tuning.gradual is True, and version 0.1.0 dropped"),
        ("fast", {"from_scratch.ema": 0.9}, "from_scratch.ema is 0.9, and version 0.1.0 dropped this key"),
        ("fast", {"head.pull": 0}, "unknown key 'head.pull'"),
    ],
)
def test_a_dropped_key_with_an_effect_names_its_version_and_the_way_out(
    recipe: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(HeadstartError) as caught:
        load_recipe(recipe, settings)
    assert message in str(caught.value)
    assert "unknown key" in message or "remove it from the recipe or the settings" in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "3"])
def test_file_that_is_not_a_recipe_is_refused_before_it_becomes_a_parameter(text: str, tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text(text)
    with pytest.raises(HeadstartError, match=r"recipe '.*list\.yaml' must have lines of `key: value`; known:"):
        Parameters(recipe=str(path)).embed_recipe()


def test_impossible_date_is_one_error_line() -> None:
    with pytest.raises(HeadstartError, match="the recipe is not valid YAML: month must be in 1"):
        load_recipe("description: 2024-13-45")


@pytest.mark.parametrize(
    ("flags", "deterministic"), [((), True), (("--deterministic",), True), (("--no-deterministic",), False)]
)
def test_deterministic_is_the_options_or_else_the_recipes(flags: tuple[str, ...], deterministic: bool) -> None:
    given = {}

    @takes_parameters
    def command(*, parameters: Parameters) -> None:
        given["parameters"] = parameters

    app = typer.Typer()
    app.command()(command)
    arguments = ("--data", "pets", "--recipe", "deterministic: true", *flags)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert given["parameters"].read_recipe().deterministic == deterministic


def test_redacted_recipe_has_no_secrets() -> None:
    recipe = load_recipe(settings={"weights": "https://me:hunter2@host/w.h5?sig=hunter3"})
    assert recipe.redact() == recipe.model_dump() | {"weights": "https://host/w.h5"}
    assert load_recipe().redact() == load_recipe().model_dump()


def test_parameters_override_the_recipe_and_contain_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("# Mine.\nbackbone: vgg16\nimage_size: 96\n")
    parameters = Parameters(recipe=str(path), settings={"head.epochs": 3}, image_size=64).embed_recipe()
    path.unlink()
    training = parameters.read_recipe()
    assert (training.backbone, training.image_size, training.head.epochs) == ("vgg16", 64, 3)
    assert Parameters(recipe="tutorial", backbone="sketchnet").read_recipe().backbone == "sketchnet"
    with pytest.raises(HeadstartError, match="image size 8 is too small for backbone vgg16"):
        Parameters(recipe="tutorial", image_size=8).check()
    with pytest.raises(HeadstartError, match=r"weights '/here/own\.h5' is a path of this machine"):
        Parameters(settings={"weights": "/here/own.h5"}).check_for_pods([])
    with pytest.raises(HeadstartError, match="KFP substitutes"):
        Parameters(settings={"fine_tuning.unfreeze_from": "{{x}}"}).check()
