"""The exit task: what it says of each end, and that nothing that goes wrong in it fails a run."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl, local
from kfp.dsl import Artifact
from support.gate import predictions
from support.published import version_folder
from support.webhooks import SECRET, Webhook, listening

from headstart.components.compare_models.component import compare_models
from headstart.components.core.artifacts.predictions import write_predictions
from headstart.components.core.notifications import webhook
from headstart.components.core.notifications.webhook import NOTIFY_VARIABLE
from headstart.components.core.registry import registry
from headstart.components.core.util.logs import start_logging
from headstart.components.notify_result import step
from headstart.components.notify_result.component import notify_result

RUN = "7f0c"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "PAUSE_SECONDS", (0.0, 0.0))


def told(hook: Webhook, monkeypatch: pytest.MonkeyPatch, state: str, publish_uri: str = "") -> dict[str, Any]:
    monkeypatch.setenv(NOTIFY_VARIABLE, hook.address)
    assert step.notify_result(state, "transfer-learning", RUN, "weekly", publish_uri) == step.SENT
    (body,) = hook.received
    assert body["headstart"]["run"] == RUN
    return dict(body["headstart"])


@pytest.mark.parametrize(
    ("state", "result"), [("FAILED", "failed"), ("COMPLETE", "succeeded"), ("RUNNING", "succeeded")]
)
def test_end_without_a_publication(state: str, result: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as hook:
        assert told(hook, monkeypatch, state)["result"] == result


@pytest.mark.parametrize(
    ("runs", "result", "said"),
    [
        ([], "refused", "the gate refused it"),
        (["another"], "refused", "stays in use"),
        (["another", RUN], "published", ""),
        ([RUN, "another"], "succeeded", "another one came into use"),
    ],
)
def test_end_of_a_run_that_publishes(
    runs: list[str], result: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uri = str(tmp_path / "models")
    for seed, run in enumerate(runs):
        registry.publish_folder(version_folder(tmp_path / run, seed), uri, run)
    with listening() as hook:
        found = told(hook, monkeypatch, "COMPLETE", uri)
    assert found["result"] == result
    assert said in found["reason"]
    if result == "published":
        assert (found["images"], found["accuracy"]) == (200, 0.9)
        assert Path(found["model"]).parent == Path(uri)


def test_models_that_cannot_be_read_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "champion.json").write_text("{}")
    with listening() as hook:
        found = told(hook, monkeypatch, "COMPLETE", str(tmp_path))
    assert found["result"] == "succeeded"
    assert "whether its model was published cannot be read" in found["reason"]


@pytest.mark.parametrize(
    ("address", "result", "said"),
    [
        ("", step.NO_ADDRESS, "no notification: the Secret gives no"),
        (f"no address {SECRET}", step.NOT_SENT, "is not the address of a webhook"),
        (f"http://127.0.0.1:9/{SECRET}", step.NOT_SENT, "could not be sent to http://127.0.0.1:9/…"),
    ],
)
def test_what_goes_wrong_is_a_warning_without_the_secret(
    address: str, result: str, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(NOTIFY_VARIABLE, address)
    start_logging()
    monkeypatch.setattr(logging.getLogger("headstart"), "propagate", True)
    assert step.notify_result("COMPLETE", "transfer-learning", RUN) == result
    (line,) = {record.getMessage() for record in caplog.records if record.name == "headstart"}
    assert line.startswith("event=warning text=") and said in line
    assert SECRET not in caplog.text


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("fails", "result"), [(False, "succeeded"), (True, "failed")])
def test_as_the_exit_task_of_a_pipeline(
    fails: bool, result: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def work(fails: bool) -> None:
        assert not fails

    @dsl.pipeline
    def observed() -> None:
        end = notify_result(pipeline="observed", run=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
        with dsl.ExitHandler(end):
            work(fails=fails)

    with listening() as hook:
        monkeypatch.setenv(NOTIFY_VARIABLE, hook.address)
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path), raise_on_error=False)
        observed()
    (body,) = hook.received
    assert (body["headstart"]["result"], body["headstart"]["pipeline"]) == (result, "observed")
    written = [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert any(
        json.loads(text).get("parameterValues") == {"Output": step.SENT} for text in written if text[:1] == "{"
    )
    assert not any(SECRET in text for text in written)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_exit_task_of_a_pipeline_with_a_gate_gives_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    evaluation = tmp_path / "evaluation"
    evaluation.mkdir()
    write_predictions(evaluation / "predictions.parquet", predictions(60))

    @dsl.pipeline
    def gated() -> None:
        end = notify_result(pipeline="gated", run=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
        with dsl.ExitHandler(end):
            found = dsl.importer(artifact_uri=str(evaluation), artifact_class=Artifact)
            compare_models(evaluation=found.output, min_accuracy=0.9)

    with listening() as hook:
        monkeypatch.setenv(NOTIFY_VARIABLE, hook.address)
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "runs"))
        gated()
    (body,) = hook.received
    assert body["headstart"]["reason"] == "the gate refused it: accuracy 0.8000 is below min_accuracy 0.9"
    assert (body["headstart"]["result"], body["headstart"]["verdict"]) == ("refused", "worse")
    (artifact,) = tmp_path.glob("runs/*/notify-result/notification")
    assert json.loads(artifact.read_text()) == body
