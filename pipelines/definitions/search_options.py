"""Search for a recipe on a cluster, made from the options of the command line."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from headstart.components.core.recipes.search_space import check_space, parse_dimension
from headstart.components.core.storage.stores import WRITABLE_SCHEMES, scheme_of, without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.definitions.parameters import (
    Parameters,
    check_place_for_pods,
    refuse_substitutions,
)
from headstart.pipelines.definitions.tasks import DEFAULT_ROUNDS, TRIALS_PER_ROUND
from headstart.pipelines.definitions.variant_options import DETERMINISTIC, SHARED_PARAMETERS, VARIANT_PARAMETERS

SEARCH_PARAMETERS = tuple(name for name in (*SHARED_PARAMETERS, *VARIANT_PARAMETERS, "record_uri") if name != "folds")
"""Parameters of a search on a cluster."""

MOST_ROUNDS, MOST_TRIALS = 12, 100
"""Largest number of rounds, whose pipeline KFP still takes, and of trials in a run, whose states Argo can store.

Kubernetes takes a workflow of 1 MB. One of 12 rounds has about 420 KB of templates, 150 KB of packed states of their
pods, and 4 KB for each trial, by the size of a workflow of two rounds.
"""


@dataclasses.dataclass(frozen=True)
class RecipeSearch:
    """Search for a recipe on a cluster.

    Attributes:
        vary: Keys that vary, as `parse_dimension` reads them; none: those that matter most in fine-tuning.
        trials_uri: Folder, or gs:// or s3:// address, that keeps the trials; empty: none.
        rounds: Number of rounds of trials.
        trials_per_round: Number of trials that run at the same time.
    """

    vary: Sequence[str] = ()
    trials_uri: str = ""
    rounds: int = DEFAULT_ROUNDS
    trials_per_round: int = TRIALS_PER_ROUND

    def check(self, parameters: Parameters) -> None:
        """Refuses what the run's tasks would refuse later.

        Raises:
            HeadstartError: If the recipe does not take a value that varies, a number is out of its range, or the
                trials cannot be kept there.
        """
        check_rounds(self.rounds)
        if not 1 <= self.trials_per_round <= MOST_TRIALS:
            raise HeadstartError(f"--trials-per-round {self.trials_per_round}: give 1 to {MOST_TRIALS}")
        if (trials := self.rounds * self.trials_per_round) > MOST_TRIALS:
            raise HeadstartError(
                f"--rounds {self.rounds} with --trials-per-round {self.trials_per_round} are {trials} trials, and a "
                f"run has up to {MOST_TRIALS}; a later run goes on from --trials"
            )
        check_space([parse_dimension(each) for each in self.vary], parameters.read_recipe())
        refuse_substitutions([("--trials", self.trials_uri), *(("--vary", each) for each in self.vary)])
        if scheme_of(self.trials_uri) not in WRITABLE_SCHEMES:
            raise HeadstartError(
                f"--trials {without_secrets(self.trials_uri)!r} cannot be written to; give a gs:// or s3:// address"
            )

    def check_for_pods(self, mounted: Sequence[str]) -> None:
        """Refuses a place for the trials that pods do not see; see `Parameters.check_for_pods`."""
        if self.trials_uri:
            check_place_for_pods("trials", self.trials_uri, mounted)


def check_rounds(rounds: int) -> None:
    """Refuses a number of rounds that no pipeline can have.

    Raises:
        HeadstartError: If it is out of its range.
    """
    if not 1 <= rounds <= MOST_ROUNDS:
        raise HeadstartError(f"--rounds {rounds}: give 1 to {MOST_ROUNDS}; a later run goes on from --trials")


def search_parameters(search: RecipeSearch, parameters: Parameters) -> dict[str, Any]:
    """Parameters of the pipeline `search_recipe`."""
    values = parameters.model_dump(include=set(SEARCH_PARAMETERS))
    if parameters.deterministic:
        values["settings"] = {DETERMINISTIC: True} | parameters.settings
    own = {"vary": list(search.vary), "trials_per_round": search.trials_per_round, "trials_uri": search.trials_uri}
    return values | own
