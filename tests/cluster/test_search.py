"""A search for a recipe on a cluster: rounds that learn, trials that are kept, and a run that goes on from them."""

import json

from support.cluster import QUICK, Cluster

from headstart.components.core.recipes.recipe import load_recipe

SPACE = ("--vary", "fine_tuning.epochs=1,2", "--vary", "fine_tuning.label_smoothing=0,0.1")


def test_rounds_end_with_a_model_of_the_best_recipe_and_a_later_run_goes_on(cluster: Cluster, data: str) -> None:
    place = data.rpartition("/")[0]
    options = ("--pipeline", "search-recipe", "--data", data, *QUICK, *SPACE, "--image-size", "32", "--wait")
    kept = ("--trials", f"{place}/search", "--record-uri", f"{place}/search-records")
    run = cluster.run("submit", *options, *kept, "--rounds", "2", "--trials-per-round", "2")
    assert run.status == 0, run.shown
    root = f"{cluster.root.rstrip('/')}/search-recipe/{run.run_id}"
    below = {name: json.loads(text) for name, text in cluster.objects.below(f"{place}/search/trials").items()}
    trials = [below[name] for name in sorted(below)]
    assert [each["number"] for each in trials] == [0, 1, 2, 3]
    assert trials[0]["settings"] == {}
    assert {each["state"] for each in trials} <= {"complete", "pruned"}
    assert len({json.dumps(each["settings"], sort_keys=True) for each in trials}) == 4
    assert all(type(each["settings"]["fine_tuning.epochs"]) is int for each in trials[1:])
    best = min((each for each in trials if each["loss"] is not None), key=lambda each: each["loss"])
    assert f"search  trial {best['number']} is the best: 4 trials" in run.shown
    assert f"/search-recipe/{run.run_id}/evaluate-model/*/report" in run.shown

    def artifact(task: str, name: str) -> bytes:
        return next(text for path, text in cluster.objects.below(f"{root}/{task}").items() if f"/{name}" in path)

    assert artifact("choose-trial", "report").decode().startswith(f"# Trial {best['number']}\n")
    recipe = load_recipe(artifact("choose-trial", "found").decode())
    assert recipe.fine_tuning.epochs == best["settings"].get("fine_tuning.epochs", 1)
    model = json.loads(artifact("fine-tune", "model/model.json"))
    assert model["recipe"]["fine_tuning"]["label_smoothing"] == recipe.fine_tuning.label_smoothing
    assert abs(model["metrics"]["validation_loss"] - best["loss"]) < 1e-3
    assert json.loads(artifact("evaluate-model", "evaluation/metrics.json"))["test"]["images"] == 20
    for task in ("evaluate-model", "choose-trial"):
        stored, logged = cluster.kept_and_logged(run.run_id, task)
        assert stored == logged and stored, task

    again = cluster.run("submit", *options, *kept, "--rounds", "1", "--trials-per-round", "2")
    assert again.status == 0, again.shown
    assert f"search  trial {best['number']} is the best: 4 trials" in again.shown
    assert set(cluster.objects.below(f"{place}/search/trials")) == set(below), "there was nothing left to try"
