"""What `headstart compare` and `headstart submit` compare, as it is asked for on the command line."""

from pathlib import Path

import pytest

from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.variant_options import (
    VariantChoices,
    check_variants_for_pods,
    comparison_parameters,
    make_variants,
    resolve_variant_paths,
)

SHARED = Parameters(data=["pictures"], backbone="sketchnet", settings={"head.epochs": 3}, seed=4)


def names(**choices: object) -> list[str]:
    return [each.name for each in make_variants(VariantChoices(**choices), SHARED)]  # type: ignore[arg-type]


def test_without_more_the_three_methods_are_compared() -> None:
    variants = make_variants(VariantChoices(), SHARED)
    assert [(each.name, each.method) for each in variants] == [(m, m) for m in ("from_scratch", "head", "fine_tuned")]
    assert {each.load_recipe().head.epochs for each in variants} == {3}


def test_backbones_or_recipes_alone_are_compared_fine_tuned() -> None:
    variants = make_variants(VariantChoices(backbones=["sketchnet", "vgg16"]), SHARED)
    assert [(each.name, each.method, each.backbone) for each in variants] == [
        (name, "fine_tuned", name) for name in ("sketchnet", "vgg16")
    ]
    assert names(recipes=["fast", "tutorial"]) == ["fast", "tutorial"]


def test_each_with_each_and_from_scratch_once() -> None:
    both = {"backbones": ["sketchnet", "vgg16"], "recipes": ["fast", "tutorial"]}
    assert names(**both, methods=["from_scratch", "head"]) == [
        "fast-from_scratch", "fast-sketchnet-head", "fast-vgg16-head",
        "tutorial-from_scratch", "tutorial-sketchnet-head", "tutorial-vgg16-head",
    ]  # fmt: skip


def test_files_of_recipes_travel_inside(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("head: {epochs: 9}\n")
    mine, fast = make_variants(VariantChoices(recipes=[str(tmp_path / "mine.yaml"), "fast"]), Parameters())
    assert (mine.name, fast.name) == ("mine", "fast")
    assert load_recipe(mine.recipe).head.epochs == 9 and "mine.yaml" not in mine.recipe


def test_a_file_says_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "variants.yaml"
    path.write_text("- {name: a, settings: {head.dropout: 0.5}}\n- {name: b, method: head, backbone: vgg16}\n")
    first, second = make_variants(VariantChoices(file=str(path)), SHARED)
    assert (first.method, first.backbone, first.settings) == (
        "fine_tuned", "sketchnet", {"head.epochs": 3, "head.dropout": 0.5},
    )  # fmt: skip
    assert (second.method, second.backbone, second.settings) == ("head", "vgg16", {"head.epochs": 3})
    values = comparison_parameters([first, second], SHARED)
    assert [each["name"] for each in values["variants"]] == ["a", "b"]
    assert values["seed"] == 4 and "champion" not in values and "recipe" not in values


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"methods": ["head"]}, "there is 1; comparing takes two"),
        ({"methods": ["head", "tail"]}, "unknown method 'tail'; known: from_scratch, head, fine_tuned"),
        ({"backbones": ["sketchnet", "resnet"]}, "variant 'resnet': unknown backbone 'resnet'"),
        ({"recipes": ["fast", "fats"]}, "variant 'fats': unknown recipe 'fats'"),
        ({"backbones": ["vgg16", "vgg16"]}, "two are called 'vgg16'"),
        ({"file": "nowhere.yaml"}, "variants 'nowhere.yaml' cannot be read \\(No such file"),
        ({"file": "x.yaml", "methods": ["head"]}, "--variants has all that is compared"),
    ],
)
def test_wrong_choices_are_refused_in_one_line(choices: dict[str, object], message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        names(**choices)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is not valid YAML"),
        ("", "must be a list of variants"),
        ("- {name: a}\n- {name: b, recipe: fast, setings: {}}\n", "number 2 \\(b\\): unknown key 'setings'"),
        ("- {name: a}\n- {name: b, settings: {head.epohcs: 3}}\n", "variant 'b': .*unknown key 'head.epohcs'"),
        ("- {name: a}\n- {name: b, settings: {head.pooling: '{{x}}'}}\n", "variant 'b'"),
        ("- {name: a}\n- {name: '{{x}}'}\n", "the name '{{x}}' is not made of"),
    ],
)
def test_wrong_files_are_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "variants.yaml").write_text(text)
    with pytest.raises(HeadstartError, match=message):
        names(file=str(tmp_path / "variants.yaml"))


def test_weights_are_found_here_and_refused_for_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.h5").write_bytes(b"")
    (tmp_path / "variants.yaml").write_text("- {name: a, weights: own.h5}\n- {name: b, weights: none}\n")
    variants = make_variants(VariantChoices(file="variants.yaml"), SHARED)
    assert resolve_variant_paths(variants, SHARED)[0].weights == str(tmp_path / "own.h5")
    pods = SHARED.model_copy(update={"data": ["gs://bucket/pictures"]})
    with pytest.raises(HeadstartError, match=r"variant 'a': weights 'own.h5' is a path of this machine"):
        check_variants_for_pods(variants, pods, [])


def test_more_than_kfp_can_pass_is_refused(tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(f"description: {'x' * 30_000}\n")
    (tmp_path / "longer.yaml").write_text(f"description: {'x' * 30_000}\n")
    with pytest.raises(HeadstartError, match=r"2 variants take 6\d,\d+ bytes with their recipes"):
        names(recipes=[str(tmp_path / "long.yaml"), str(tmp_path / "longer.yaml")])
