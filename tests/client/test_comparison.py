"""`headstart submit --pipeline compare-methods`: what is submitted, and how its loop is followed."""

import json
import re
from collections.abc import Callable

import pytest
from support.kfp_api import KfpApi, node_id

Command = Callable[..., tuple[int, str]]

COMPARISON = (
    "--pipeline",
    "compare-methods",
    "--data",
    "gs://bucket/pictures",
    "--pipeline-root",
    "s3://bucket/runs",
)
BEFORE = tuple((name, "done") for name in ("list-data", "download-dataset", "split-dataset"))


def inside(index: int, task: str) -> str:
    return f"for-loop-1.iteration-iterations({index}:{index}).iteration-item.{task}"


def rounds(*phases: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """How far training and evaluation are in each round."""
    tasks = ("train-variant", "evaluate-model")
    return tuple(
        (inside(index, task), state)
        for index, both in enumerate(phases)
        for task, state in zip(tasks, both, strict=True)
        if state
    )


def test_variants_are_the_pipeline_s_parameter(on_cluster: Command, api: KfpApi) -> None:
    status, shown = on_cluster("submit", *COMPARISON, "--backbones", "sketchnet,vgg16", "--seed", "3")
    assert status == 0, shown
    (run,) = api.runs.values()
    assert run.display_name.startswith("compare-methods ")
    assert run.pipeline_spec["pipeline_spec"]["pipelineInfo"]["name"] == "compare-methods"
    given = run.runtime_config.parameters
    assert [each["name"] for each in given["variants"]] == ["sketchnet", "vgg16"]
    assert {each["method"] for each in given["variants"]} == {"fine_tuned"}
    assert given["seed"] == 3 and given["data"] == ["gs://bucket/pictures"]
    assert {json.dumps(each["settings"]) for each in given["variants"]} == {"{}"}
    assert set(given) <= set(run.pipeline_spec["pipeline_spec"]["root"]["inputDefinitions"]["parameters"])


def test_determinism_is_asked_of_every_variant(on_cluster: Command, api: KfpApi) -> None:
    status, shown = on_cluster("submit", *COMPARISON, "--deterministic", "--set", "head.epochs=2")
    assert status == 0, shown
    (run,) = api.runs.values()
    variants = run.runtime_config.parameters["variants"]
    assert len(variants) == 3
    assert all(each["settings"] == {"deterministic": True, "head.epochs": 2} for each in variants)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--methods", "head"), "there is 1; comparing takes two"),
        (("--from-scratch",), "--from-scratch is for transfer-learning"),
        (("--pipeline", "compare"), "unknown pipeline 'compare'; known: transfer-learning, compare-methods"),
        (("--pipeline", "transfer-learning", "--methods", "head"), "are for --pipeline compare-methods"),
        (("--weights", "own.h5"), "weights 'own.h5' is a path of this machine"),
        (("--publish", "gs://b/pets", "--deterministic"), "does not use --publish; leave it out"),
        (("--checkpoint-uri", "/here"), "checkpoint_uri '/here' is a path of this machine"),
    ],
)
def test_what_no_pod_could_do_is_refused_in_one_line(
    options: tuple[str, ...], message: str, on_cluster: Command, api: KfpApi
) -> None:
    status, shown = on_cluster("submit", *COMPARISON, *options)
    assert status == 2 and message in shown
    assert not api.runs


def test_loop_is_followed_and_the_table_is_shown(on_cluster: Command, api: KfpApi) -> None:
    assert on_cluster("submit", *COMPARISON, "--methods", "head,fine_tuned")[0] == 0
    (run_id,) = api.runs
    api.logs[node_id(api.runs[run_id], "root.compare-variants.executor(0)")] = (
        "event=metrics model=head accuracy=0.9 low=0.84 high=0.94 log_loss=0.21 images=168 folds=5\n"
        "event=metrics model=fine_tuned accuracy=0.95 low=0.9 high=0.98 log_loss=0.12 images=168 folds=5\n"
    )
    running, over = ("for-loop-1", "running"), ("for-loop-1", "done")
    api.see(
        run_id,
        ("RUNNING", *BEFORE),
        ("RUNNING", *BEFORE, running, *rounds(("running", ""), ("starting", ""))),
        ("RUNNING", *BEFORE, running, *rounds(("done", "running"), ("running", ""))),
        ("RUNNING", *BEFORE, over, *rounds(("done", "done"), ("done", "done")), ("compare-variants", "running")),
        ("SUCCEEDED", *BEFORE, over, *rounds(("done", "done"), ("done", "done")), ("compare-variants", "done")),
    )
    status, shown = on_cluster("follow", run_id)
    assert status == 0, shown
    assert re.findall(r"\[(\d)/6\] ([a-z-]+) done in", shown)[-3:] == [
        ("4", "train-variant"), ("5", "evaluate-model"), ("6", "compare-variants"),
    ]  # fmt: skip
    assert "On 168 images, each predicted out of fold\n" in shown
    assert "cross_validation" not in shown and "grouping" not in shown
    assert re.search(r"head +0.900 +0.840 to 0.940 +0.210", shown)
    assert re.search(r"fine_tuned +0.950", shown)
    assert f"report  s3://bucket/runs/compare-methods/{run_id}/compare-variants/*/report" in shown


def test_variant_that_fails_is_named(on_cluster: Command, api: KfpApi) -> None:
    assert on_cluster("submit", *COMPARISON, "--methods", "head,fine_tuned")[0] == 0
    (run_id,) = api.runs
    api.logs[node_id(api.runs[run_id], f"root.{inside(1, 'train-variant')}.executor(1)")] = (
        "headstart.components.core.util.errors.HeadstartError: variant 'fine_tuned': the loss is not a number\n"
    )
    ended = rounds(("done", "done"), ("failed", ""))
    api.see(run_id, ("FAILED", *BEFORE, ("for-loop-1", "failed"), *ended))
    status, shown = on_cluster("follow", run_id)
    assert status == 1
    assert "train-variant failed: variant 'fine_tuned': the loss is not a number" in shown
    assert "submit anew; finished tasks come from the cache" in shown
