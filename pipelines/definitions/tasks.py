"""Names and groups of the pipelines' tasks, known without building a pipeline."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from headstart.components.core.recipes.variants import FINE_TUNED, HEAD, Method
from headstart.components.deploy_model.settings import DeployOptions
from headstart.components.split_dataset.step import NO_CROSS_VALIDATION

DEFAULT_ROUNDS, TRIALS_PER_ROUND = 4, 4
"""Rounds of a search for a recipe, and trials in each, where nothing else is said."""

TRANSFER_LEARNING = "transfer-learning"
COMPARE_METHODS = "compare-methods"
CHOOSE_BACKBONE = "choose-backbone"
SEARCH_RECIPE = "search-recipe"
PIPELINES = (TRANSFER_LEARNING, COMPARE_METHODS, CHOOSE_BACKBONE, SEARCH_RECIPE)
"""Pipelines that run on a cluster."""

EVALUATE_IMAGES = "evaluate-images"
EVALUATION_TASKS = ("list-data", "download-dataset", "select-test-images", "evaluate-model")
"""The pipeline that evaluates a trained model on other images, on this machine, and its tasks."""

CHECK_DATA = "check-data"
DATA_CHECK_TASKS = ("list-data", "download-dataset")
"""The pipeline that checks data without training, on this machine, and its tasks."""

GROUPS = {
    "list_data": "data",
    "download_dataset": "data",
    "split_dataset": "data",
    "find_champion": "data",
    "train_folds": "network",
    "combine_folds": "data",
    "propose_trials": "data",
    "run_trial": "network",
    "choose_trial": "data",
    "train_head": "network",
    "fine_tune": "network",
    "train_from_scratch": "network",
    "train_variant": "network",
    "evaluate_model": "network",
    "compare_models": "data",
    "publish_model": "data",
    "deploy_model": "data",
    "compare_variants": "data",
    "measure_backbones": "network",
    "assess_backbone": "network",
    "rank_backbones": "data",
    "notify_result": "data",
}
"""Group of each task, in the order in which they run; only those that train or evaluate get an accelerator."""

MAY_HAVE_ACCELERATOR = ("publish_model",)
"""Tasks of the group `data` to which a profile may grant an accelerator; they then belong to the group `network`."""

NETWORK_TASKS = frozenset(name for name, group in GROUPS.items() if group == "network").union(MAY_HAVE_ACCELERATOR)
"""Tasks that compute with a network, and so import TensorFlow."""

NOTIFYING_TASK = "notify_result"
"""Exit task of runs that notify somebody of their end."""

OPTIONAL_TASKS = ("find_champion", "compare_models", "publish_model")
"""Tasks that only a run with a champion or a publication has."""

READING_TASKS = (
    "list_data",
    "download_dataset",
    "find_champion",
    "train_folds",
    "train_head",
    "fine_tune",
    "train_from_scratch",
    "train_variant",
    "evaluate_model",
    "publish_model",
    "deploy_model",
    "measure_backbones",
    "assess_backbone",
    "propose_trials",
    "run_trial",
    "choose_trial",
    "notify_result",
)
"""Tasks that read or write addresses of the user, and so need credentials."""


@dataclasses.dataclass(frozen=True)
class Uses:
    """Purposes of a pipeline's runs, as far as its tasks depend on them.

    Attributes:
        champion: Whether runs look up a champion before they train.
        publication: Whether runs decide and publish; None: if a run names an address, which costs a condition.
        method: Method that trains the model: ``fine_tuned``, or ``head``, which needs no fine-tuning.
        folds: Whether runs may be cross-validated.
        deployment: Options of the endpoint that a published model is deployed to; None: it is not deployed.
        rounds: Number of rounds of a search for a recipe; other pipelines have none.
    """

    champion: bool = True
    publication: bool | None = None
    method: Method = FINE_TUNED
    folds: bool = False
    deployment: DeployOptions | None = None
    rounds: int = DEFAULT_ROUNDS

    @classmethod
    def of(
        cls, parameters: Mapping[str, Any], method: Method = FINE_TUNED, deployment: DeployOptions | None = None
    ) -> "Uses":
        """Purposes of a run with these parameters of the pipeline, this method, and this deployment."""
        publishes = bool(parameters.get("publish_uri"))
        folds = parameters.get("folds", NO_CROSS_VALIDATION) != NO_CROSS_VALIDATION
        return cls(publishes or bool(parameters.get("champion")), publishes, method, folds, deployment)


ANY_USE = Uses()
"""All purposes but cross-validation, which is compiled in; the parameters of a run choose among them."""

_ON_DATA = ("list_data", "download_dataset", "split_dataset")
_OF_COMPARISONS = ("train_variant", "compare_variants")
_OF_CHOICES = ("measure_backbones", "assess_backbone", "rank_backbones")
_OF_SEARCHES = ("propose_trials", "run_trial", "choose_trial")
_OF_TRAININGS = ("train_head", "fine_tune", "evaluate_model")


def task_names(from_scratch: bool, uses: Uses = ANY_USE) -> list[str]:
    """Names of the tasks of `transfer_learning`, as KFP writes them, without that of a notification.

    Args:
        from_scratch: Whether it trains without transfer as well.
        uses: Purposes of its runs; without tasks that they do not need.
    """
    others = {*_OF_COMPARISONS, *_OF_CHOICES, *_OF_SEARCHES, NOTIFYING_TASK}
    if not from_scratch:
        others.add("train_from_scratch")
    if not uses.champion:
        others.add("find_champion")
    if uses.publication is False:
        others |= {"compare_models", "publish_model"}
    if not uses.deployment:
        others.add("deploy_model")
    if uses.method == HEAD:
        others.add("fine_tune")
    if not uses.folds:
        others |= {"train_folds", "combine_folds"}
    return [name.replace("_", "-") for name in GROUPS if name not in others]


def comparison_task_names() -> list[str]:
    """Names of the tasks of a comparison, of which `train-variant` and `evaluate-model` run once for each variant."""
    return [name.replace("_", "-") for name in GROUPS if name in (*_ON_DATA, "evaluate_model", *_OF_COMPARISONS)]


def choice_task_names() -> list[str]:
    """Names of the tasks of a choice of a backbone, of which `assess-backbone` runs once for each backbone."""
    return [name.replace("_", "-") for name in (*_ON_DATA, *_OF_CHOICES)]


def search_task_names(rounds: int) -> list[str]:
    """Names of the tasks of a search for a recipe; from the second round on, KFP adds its number."""
    of_rounds = [
        f"{name}-{number}" if number > 1 else name for number in range(1, rounds + 1) for name in _OF_SEARCHES[:2]
    ]
    names = (*_ON_DATA, *of_rounds, _OF_SEARCHES[-1], *_OF_TRAININGS)
    return [name.replace("_", "-") for name in names]
