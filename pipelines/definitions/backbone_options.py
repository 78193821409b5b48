"""Backbones to choose from, made from the options of the command line."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from headstart.components.core.artifacts.backbone_ranking import check_backbone_names
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.variant_options import DETERMINISTIC, SHARED_PARAMETERS, VARIANT_PARAMETERS

CHOICE_PARAMETERS = tuple(
    name
    for name in (*SHARED_PARAMETERS, *VARIANT_PARAMETERS, "record_uri")
    if name not in ("checkpoint_uri", "false_alarm", "folds", "backbone", "weights")
)
"""Parameters of a choice of a backbone."""


@dataclasses.dataclass(frozen=True)
class BackboneChoice:
    """Choice of a backbone on a cluster.

    Attributes:
        backbones: Backbones to choose from.
        budget: Seconds that the features of a backbone may take in a pod of its own; 0: as long as they take.
        command: Command that trains, to which the chosen backbone is added; empty: none.
    """

    backbones: Sequence[str]
    budget: float = 0.0
    command: str = ""


def candidate_parameters(backbones: Sequence[str], parameters: Parameters) -> list[Parameters]:
    """Parameters of a run with each backbone, checked.

    Raises:
        HeadstartError: If there are fewer than two backbones, one is there twice, or one is wrong.
    """
    check_backbone_names(list(backbones))
    candidates = [parameters.model_copy(update={"backbone": name}) for name in backbones]
    for each in candidates:
        each.check()
    return candidates


def choice_parameters(choice: BackboneChoice, parameters: Parameters) -> dict[str, Any]:
    """Parameters of the pipeline `choose_backbone`."""
    values = parameters.model_dump(include=set(CHOICE_PARAMETERS))
    if parameters.deterministic:
        values["settings"] = {DETERMINISTIC: True} | parameters.settings
    return values | {"backbones": list(choice.backbones), "budget": choice.budget, "command": choice.command}
