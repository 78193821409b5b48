"""Chooses the best trial of a search for a recipe by its validation loss, and writes its recipe."""

from pathlib import Path

from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.artifacts.search_trials import EndedTrials
from headstart.components.core.recipes.recipe import Recipe, dump_recipe
from headstart.components.core.recipes.resolve import resolve_recipe
from headstart.components.core.reports.markdown import markdown_list, markdown_table
from headstart.components.core.reports.search_words import (
    SearchResult,
    conclude_search,
    list_best_trials,
    trial_titles,
    write_found_recipe,
)
from headstart.components.core.storage.atomic import open_atomic
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.util.logs import event, log_phase, start_logging


@explain_full_disk()
def choose_trial(
    recipe: Recipe, ended: EndedTrials, validation: Path, trials: Path, found: Path, report: Path
) -> str:
    """Records the trials of the last round, and writes the best recipe and a report.

    Args:
        recipe: The recipe that was varied.
        ended: Trials that have ended.
        validation: Dataset artifact of the validation set.
        trials: Folder that receives all trials, created anew.
        found: YAML file to write: the recipe with the settings of the best trial, without secrets.
        report: Markdown file to write.

    Returns:
        The recipe that was found as YAML, complete.

    Raises:
        HeadstartError: If the recipe as it is has failed, or the trials cannot be recorded.
    """
    start_logging()
    log_phase("choosing")
    recorded = ended.record(trials)
    result = SearchResult(recorded, resolve_recipe(recipe), read_dataset_info(validation).images)
    conclusion, text = conclude_search(result), write_found_recipe(result)
    table = markdown_table(trial_titles(), list_best_trials(result))
    page = f"# Trial {result.best.number}\n\n{table}\n{markdown_list(conclusion)}\n```yaml\n{text}```\n"
    for path, content in ((found, text), (report, page)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_atomic(path) as file:
            file.write(content.encode())
    event("search", trials=len(recorded), best=result.best.number, conclusion="; ".join(conclusion))
    return dump_recipe(result.recipe)
