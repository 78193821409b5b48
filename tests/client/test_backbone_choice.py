"""`headstart submit --pipeline choose-backbone`: what is submitted, and what is shown of it."""

import re
from collections.abc import Callable

import pytest
from support.kfp_api import KfpApi, node_id

Command = Callable[..., tuple[int, str]]

CHOICE = (
    *("--pipeline", "choose-backbone", "--data", "gs://bucket/my pictures", "--pipeline-root", "s3://bucket/runs"),
    *("--backbones", "sketchnet, hub:dinov2_small"),
)
BEFORE = tuple((name, "done") for name in ("list-data", "download-dataset", "split-dataset", "measure-backbones"))


def inside(index: int) -> str:
    return f"for-loop-1.iteration-iterations({index}:{index}).iteration-item.assess-backbone"


def test_backbones_are_the_pipeline_s_parameter_and_the_command_is_that_of_a_training(
    on_cluster: Command, api: KfpApi
) -> None:
    options = ("--budget", "10m", "--record-uri", "gs://bucket/records", "--deterministic", "--set", "head.epochs=2")
    status, shown = on_cluster("submit", *CHOICE, *options, "--name", "mine")
    assert status == 0, shown
    (run,) = api.runs.values()
    assert run.display_name == "mine"
    assert run.pipeline_spec["pipeline_spec"]["pipelineInfo"]["name"] == "choose-backbone"
    given = run.runtime_config.parameters
    assert given["backbones"] == ["sketchnet", "hub:dinov2_small"]
    assert (given["budget"], given["record_uri"]) == (600.0, "gs://bucket/records")
    assert given["settings"] == {"deterministic": True, "head.epochs": 2}
    assert given["command"].startswith("headstart submit --data 'gs://bucket/my pictures' --pipeline-root ")
    assert "--record-uri gs://bucket/records --deterministic --set head.epochs=2" in given["command"]
    assert not any(word in given["command"] for word in ("--backbones", "--budget", "--pipeline ", "mine", "hub:"))
    assert set(given) <= set(run.pipeline_spec["pipeline_spec"]["root"]["inputDefinitions"]["parameters"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--backbones", "sketchnet"), "backbones 'sketchnet': name two or more, each once"),
        (("--backbones", "sketchnet,vgg61"), "unknown backbone 'vgg61'"),
        (("--backbones", "sketchnet,own.keras"), "own.keras' is a path of this machine"),
        (("--methods", "head"), "--methods, --recipes and --variants are for --pipeline compare-methods"),
        (("--method", "head"), "--method is for transfer-learning; choose-backbone trains no network"),
        (("--from-scratch",), "--from-scratch is for transfer-learning; choose-backbone trains no network"),
        (("--weights", "none", "--publish", "gs://b/pets"), "does not use --weights, --publish; leave it out"),
        (("--budget", "10"), "--budget '10': give a time such as 90s, 10m or 1h"),
        (("--pipeline", "compare-methods", "--budget", "10m"), "--budget is for --pipeline choose-backbone"),
    ],
)
def test_what_no_pod_could_do_is_refused_in_one_line(
    options: tuple[str, ...], message: str, on_cluster: Command, api: KfpApi
) -> None:
    status, shown = on_cluster("submit", *CHOICE, *options)
    assert status == 2 and message in shown, shown
    assert not api.runs


def test_the_ranking_is_shown_with_the_command_that_trains(on_cluster: Command, api: KfpApi) -> None:
    assert on_cluster("submit", *CHOICE)[0] == 0
    (run_id,) = api.runs
    api.logs[node_id(api.runs[run_id], "root.rank-backbones.executor(0)")] = (
        "event=ranked backbone=hub:dinov2_small log_loss=0.1 accuracy=0.98 parameters=22056576 images_per_second=30 "
        "seconds=61.2\n"
        "event=ranked backbone=sketchnet log_loss=0.12 accuracy=0.97 parameters=500000 images_per_second=4000 "
        "seconds=9 log_loss_difference=0.02 log_loss_low=-0.01 log_loss_high=0.05 accuracy_difference=-0.01 "
        "accuracy_low=-0.03 accuracy_high=0.01\n"
        "event=ranking images=900 available=1000 kept=False chosen=sketchnet "
        "command=\"headstart submit --data 'gs://bucket/my pictures' --backbone sketchnet\"\n"
    )
    rounds = tuple((inside(index), "done") for index in range(2))
    api.see(
        run_id,
        ("RUNNING", *BEFORE, ("for-loop-1", "running"), (inside(0), "running")),
        ("SUCCEEDED", *BEFORE, ("for-loop-1", "done"), *rounds, ("rank-backbones", "done")),
    )
    status, shown = on_cluster("follow", run_id)
    assert status == 0, shown
    assert re.search(r"^sketchnet +0\.1200 +\+0\.0200 \(-0\.0100 to \+0\.0500\) +0\.9700 ", shown, re.MULTILINE), (
        shown
    )
    assert "on 900 of 1,000 training and validation images, predicted out of fold; 95 % intervals\n" in shown
    assert "cannot be told apart from it: sketchnet; the smallest of these is sketchnet, take that\n" in shown
    assert "to train it    headstart submit --data 'gs://bucket/my pictures' --backbone sketchnet\n" in shown
    assert f"report  s3://bucket/runs/choose-backbone/{run_id}/rank-backbones/*/report\n" in shown
    assert "no log has the figures" not in shown
