"""Names, types, defaults and documentation of parameters stand in one place, and are the same everywhere."""

import re
from typing import Any

import pytest

from headstart.components.core.recipes.variants import DEFAULT_VARIANTS
from headstart.pipelines.definitions.argument_docs import OTHER_ARGUMENTS
from headstart.pipelines.definitions.backbone_options import CHOICE_PARAMETERS
from headstart.pipelines.definitions.choose_backbone import build_choice
from headstart.pipelines.definitions.compare_methods import build_comparison
from headstart.pipelines.definitions.parameters import PARAMETER_GROUPS, Parameters, parameter_docs
from headstart.pipelines.definitions.profile import Profile
from headstart.pipelines.definitions.search_options import SEARCH_PARAMETERS
from headstart.pipelines.definitions.search_recipe import build_search
from headstart.pipelines.definitions.transfer_learning import build_pipeline
from headstart.pipelines.definitions.variant_options import SHARED_PARAMETERS

# kfp keeps the parameters of lists and dictionaries.
KFP_TYPES = {str: "String", int: "Integer", float: "Float", bool: "Boolean", list: "List", dict: "Dict"}
OF_SEARCHES = {"vary", "trials_per_round", "trials_uri"}


def arguments(pipeline: Any) -> dict[str, Any]:
    return dict(pipeline.component_spec.inputs)


@pytest.fixture(scope="module")
def pipelines() -> dict[str, dict[str, Any]]:
    """Arguments of the pipelines, as KFP reads them."""
    return {
        "transfer learning": arguments(build_pipeline(Profile())),
        "comparison": arguments(build_comparison(Profile())),
        "choice": arguments(build_choice(Profile())),
        "search": arguments(build_search(Profile())),
    }


def test_pipelines_have_the_parameters(pipelines: dict[str, dict[str, Any]]) -> None:
    placement = set(OTHER_ARGUMENTS) - {"variants", "backbones", "budget", *OF_SEARCHES}
    assert set(pipelines["transfer learning"]) == set(Parameters.model_fields) | placement
    assert set(pipelines["comparison"]) == {*SHARED_PARAMETERS, "variants"} | placement
    assert set(pipelines["choice"]) == {*CHOICE_PARAMETERS, "backbones", "budget"} | placement
    assert set(pipelines["search"]) == {*SEARCH_PARAMETERS, *OF_SEARCHES} | placement


@pytest.mark.parametrize("pipeline", ["transfer learning", "comparison", "choice", "search"])
def test_types_defaults_and_documentation_are_those_of_the_parameters(
    pipelines: dict[str, dict[str, Any]], pipeline: str
) -> None:
    docs = {name: doc.argument_help for name, doc in parameter_docs().items()} | OTHER_ARGUMENTS
    for name, argument in pipelines[pipeline].items():
        assert argument.description == docs[name], name
        if field := Parameters.model_fields.get(name):
            kind: Any = field.annotation
            assert re.sub(r"typing\.|\[.*", "", argument.type) == KFP_TYPES[getattr(kind, "__origin__", kind)], name
            assert argument.default == (None if name == "data" else field.default), name
            assert argument.optional is (name != "data"), name
    assert pipelines["comparison"]["variants"].default == DEFAULT_VARIANTS


def test_every_parameter_has_a_group_and_sentences() -> None:
    for name, doc in parameter_docs().items():
        assert doc.group in PARAMETER_GROUPS, name
        for text in (doc.meaning, doc.on_command_line, doc.in_pipeline):
            assert not text or text.endswith("."), (name, text)
