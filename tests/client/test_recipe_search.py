"""`headstart submit --pipeline search-recipe`: what is submitted, and what is shown of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.kfp_api import KfpApi, node_id
from support.stores import make_bucket, start_minio

from headstart.pipelines.cluster.pods import pod_name
from headstart.pipelines.cluster.runs import read_run

Command = Callable[..., tuple[int, str]]

SEARCH = (
    *("--pipeline", "search-recipe", "--data", "gs://bucket/pictures", "--pipeline-root", "s3://bucket/runs"),
    *("--backbone", "sketchnet"),
)

LOGS = {
    "evaluate-model": "event=metrics model=test images=20 accuracy=0.9 low=0.8 high=0.95 log_loss=0.3\n",
    "choose-trial": 'event=search trials=8 best=5 conclusion="8 trials, 1 failed; the best has a loss of 0.2"\n',
}

ROUNDS = [
    name
    for number, run, proposals in ((1, "run-trial", "propose-trials"), (2, "run-trial-2", "propose-trials-2"))
    for name in (
        proposals,
        f"for-loop-{number}",
        *(f"for-loop-{number}.iteration-iterations({at}:{at}).iteration-item.{run}" for at in range(2)),
    )
]
BEFORE = ("list-data", "download-dataset", "split-dataset", *ROUNDS)
DONE = (*BEFORE, "choose-trial", "train-head", "fine-tune", "evaluate-model")


def test_rounds_are_compiled_in_and_the_rest_are_parameters(on_cluster: Command, api: KfpApi) -> None:
    space = ("--vary", "fine_tuning.epochs=1,2", "--vary", "fine_tuning.learning_rate=1e-5..1e-3")
    kept = ("--trials", "gs://bucket/search", "--record-uri", "gs://bucket/records", "--deterministic")
    status, shown = on_cluster("submit", *SEARCH, *space, *kept, "--rounds", "3", "--trials-per-round", "6")
    assert status == 0, shown
    (run,) = api.runs.values()
    pipeline = run.pipeline_spec["pipeline_spec"]
    assert pipeline["pipelineInfo"]["name"] == "search-recipe"
    assert {"propose-trials", "propose-trials-2", "propose-trials-3"} <= set(pipeline["root"]["dag"]["tasks"])
    assert "propose-trials-4" not in pipeline["root"]["dag"]["tasks"]
    given = run.runtime_config.parameters
    assert given["vary"] == ["fine_tuning.epochs=1,2", "fine_tuning.learning_rate=1e-5..1e-3"]
    assert (given["trials_per_round"], given["trials_uri"]) == (6, "gs://bucket/search")
    assert (given["backbone"], given["settings"]) == ("sketchnet", {"deterministic": True})
    assert set(given) <= set(pipeline["root"]["inputDefinitions"]["parameters"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--vary", "fine_tuning.epochs=0,2"), "fine_tuning.epochs"),
        (("--vary", "epochs=1,2"), "--vary 'epochs=1,2': no such key"),
        (("--vary", "weights=a,b{{c"), "--vary 'weights=a,b{{c': KFP substitutes '{{' and '$(' in parameters"),
        (("--trials", "search"), "trials 'search' is a path of this machine"),
        (("--trials", "https://host/search"), "--trials 'https://host/search' cannot be written to"),
        (("--rounds", "0"), "--rounds 0: give 1 to 12"),
        (("--trials-per-round", "101"), "--trials-per-round 101: give 1 to 100"),
        (
            ("--rounds", "12", "--trials-per-round", "9"),
            "are 108 trials, and a run has up to 100; a later run goes on",
        ),
        (("--methods", "head"), "are for --pipeline compare-methods"),
        (("--method", "head"), "--method is for transfer-learning; search-recipe trains one model"),
        (("--from-scratch",), "--from-scratch is for transfer-learning; search-recipe trains one model"),
        (("--folds", "5", "--publish", "gs://b/pets"), "does not use --folds, --publish; leave it out"),
        (("--budget", "10m"), "--budget is for --pipeline choose-backbone"),
        (("--pipeline", "transfer-learning", "--rounds", "2"), "--rounds: for --pipeline search-recipe alone"),
        (("--resume", "run-1", "--trials", "gs://b/s"), "--pipeline, --trials out, or submit a new run"),
    ],
)
def test_what_no_pod_could_do_is_refused_in_one_line(
    options: tuple[str, ...], message: str, on_cluster: Command, api: KfpApi
) -> None:
    status, shown = on_cluster("submit", *SEARCH, *options)
    assert status == 2 and message in shown, shown
    assert not api.runs


def test_the_end_of_the_search_is_shown_below_the_figures_of_the_test_images(
    on_cluster: Command, api: KfpApi
) -> None:
    assert on_cluster("submit", *SEARCH, "--rounds", "2")[0] == 0
    (run_id,) = api.runs
    for task, line in LOGS.items():
        api.logs[node_id(api.runs[run_id], f"root.{task}.executor(0)")] = line
    api.see(run_id, ("SUCCEEDED", *((name, "done") for name in DONE)))
    status, shown = on_cluster("follow", run_id)
    assert status == 0, shown
    assert "search  trial 5 is the best: 8 trials, 1 failed; the best has a loss of 0.2\n" in shown
    assert "0.9" in shown and f"/search-recipe/{run_id}/evaluate-model/*/report" in shown


def test_a_workflow_that_has_grown_too_large_for_kfp_is_followed_to_its_end(on_cluster: Command, api: KfpApi) -> None:
    assert on_cluster("submit", *SEARCH, "--rounds", "2")[0] == 0
    (run_id,) = api.runs
    api.set(run_id, "RUNNING", *((name, "done") for name in BEFORE), ("choose-trial", "running"))
    api.packed.add(run_id)
    for task, line in LOGS.items():
        # Nor does KFP know the pods by the ids of their nodes then.
        pod = pod_name(read_run(api.runs[run_id]), task, node_id(api.runs[run_id], f"root.{task}.executor(0)"))
        assert "system-container-impl" in pod
        api.logs[pod] = line
    ended = [(name, "done") for name in DONE]
    api.see(run_id, ("RUNNING", *ended[:-2], ("fine-tune", "running")), ("SUCCEEDED", *ended))
    status, shown = on_cluster("follow", run_id)
    assert status == 0, shown
    for task in DONE[-4:]:
        assert f"{task} done in 47.0 s" in shown
    assert "search  trial 5 is the best: 8 trials" in shown
    assert "0.9" in shown


def test_results_of_which_the_server_has_no_log_are_read_from_the_folder_of_the_run(
    on_cluster: Command, api: KfpApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with start_minio(tmp_path / "minio") as server, make_bucket(server, monkeypatch) as store:
        assert on_cluster("submit", *SEARCH, "--rounds", "2", "--pipeline-root", store.uri("runs"))[0] == 0
        (run_id,) = api.runs
        for task, line in LOGS.items():
            store.upload(f"runs/search-recipe/{run_id}/{task}/3f/executor-logs-0", line.encode())
        api.set(run_id, "RUNNING", *((name, "done") for name in BEFORE), ("choose-trial", "running"))
        api.packed.add(run_id)
        api.see(run_id, ("SUCCEEDED", *((name, "done") for name in DONE)))
        status, shown = on_cluster("follow", run_id)
    assert status == 0, shown
    assert "On 20 test images\n" in shown and "fine-tuned     0.900" in shown
    assert "search  trial 5 is the best: 8 trials, 1 failed; the best has a loss of 0.2\n" in shown
    assert "no log" not in shown
