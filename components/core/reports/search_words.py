"""Search for a recipe in words, for the terminal and for the report of a run on a cluster."""

import dataclasses
from collections.abc import Sequence

from headstart.components.core.artifacts.search_trials import Trial, choose_best
from headstart.components.core.recipes.recipe import Recipe, apply_settings, dump_recipe
from headstart.components.core.recipes.search_space import read_setting

_SHOWN = 5
_INCOMPLETE = ("pruned", "failed")


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        trials: All trials that have ended, those of earlier calls included; that of the recipe as it is is complete.
        varied: The recipe that was varied, resolved.
        validation_images: Number of validation images.
    """

    trials: Sequence[Trial]
    varied: Recipe
    validation_images: int

    @property
    def best(self) -> Trial:
        """The trial with the lowest validation loss."""
        return choose_best(self.trials)

    @property
    def recipe(self) -> Recipe:
        """The recipe with the settings of the best trial."""
        return apply_settings(self.varied, self.best.settings)

    @property
    def default(self) -> Trial:
        """The trial of the recipe as it is."""
        return next(each for each in self.trials if not each.settings)


def write_found_recipe(result: SearchResult) -> str:
    """The recipe that was found as YAML, without secrets, with a line on where it comes from."""
    number, images = result.best.number, result.validation_images
    head = f"# Trial {number} of {len(result.trials)}, chosen by its loss on {images:,} validation images.\n"
    return head + dump_recipe(result.recipe.redact())


def describe_trial(trial: Trial) -> str:
    """A line on a trial that has ended."""
    found = f"trial {trial.number}: "
    if trial.loss is not None and trial.accuracy is not None:
        return f"{found}val loss {trial.loss:.4f}, accuracy {trial.accuracy:.4f}, {trial.seconds:.0f} s"
    if trial.state == "pruned":
        return f"{found}pruned, the head's val loss is {trial.head_loss:.4f}, {trial.seconds:.0f} s"
    return f"{found}failed: {trial.error}"


def trial_titles() -> Sequence[str]:
    """Titles of the columns of `list_best_trials`."""
    return ("trial", "val loss", "accuracy", "time", "settings")


def list_best_trials(result: SearchResult) -> list[Sequence[str]]:
    """The best trials, and the recipe as it is, with the settings that differ from it; a row each."""
    complete = sorted((each for each in result.trials if each.loss is not None), key=lambda each: each.loss or 0.0)
    shown = [each for rank, each in enumerate(complete) if rank < _SHOWN or not each.settings]
    return [
        (
            str(each.number),
            f"{each.loss:.4f}",
            f"{each.accuracy:.4f}",
            f"{each.seconds:.0f} s",
            ", ".join(
                f"{key.rpartition('.')[2]} {value}"
                for key, value in each.settings.items()
                if value != read_setting(result.varied, key)
            )
            or "the recipe as it is",
        )
        for each in shown
    ]


def conclude_search(result: SearchResult) -> list[str]:
    """Sentences on a search: its trials, what was found, and what the figures are worth."""
    trials, best, default = result.trials, result.best, result.default
    counts = {"trials": len(trials), **{word: sum(each.state == word for each in trials) for word in _INCOMPLETE}}
    lines = [", ".join(f"{count} {word}" for word, count in counts.items() if count)]
    if best is default:
        return [*lines, "no recipe had a lower loss on the validation images than the one that was varied"]
    assert best.loss is not None and default.loss is not None  # noqa: S101 - both are complete
    return [
        *lines,
        f"the best has a loss of {best.loss:.4f} on the {result.validation_images:,} validation images, "
        f"{default.loss:.4f} before; they chose it, so its gain on other images is smaller",
    ]
