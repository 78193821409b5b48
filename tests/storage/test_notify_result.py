"""The exit task finds the gate's reasons and the figures in a store that is laid out as KFP does it."""

import json
import logging
import uuid
from pathlib import Path
from typing import Any

import pytest
from support import ROOT
from support.gate import predictions
from support.stores import Stored
from support.webhooks import SECRET, listening

from headstart.components.compare_models.step import compare_models
from headstart.components.core.artifacts.predictions import write_predictions
from headstart.components.core.metrics.gate import Floors, Gate
from headstart.components.core.notifications.webhook import NOTIFY_VARIABLE
from headstart.components.core.registry.registry import read_champion
from headstart.components.core.util.logs import start_logging
from headstart.components.notify_result import step

ARTIFACTS = ROOT / "tests" / "compatibility" / "artifacts"
RUN = "7f0c2a52-0d7e-4f5b-9a55-2f2b8c1d9e01"
RUN_FOLDER = f"v2/artifacts/transfer-learning/{RUN}"
OUTPUT = f"{RUN_FOLDER}/notify-result/{uuid.uuid4()}/notification"


def decide(folder: Path, champion_wrong: int | None, min_accuracy: float = 0.0) -> bytes:
    """The gate's decision on a model that is wrong on 10 of 300 images."""
    evaluation = folder / "evaluation"
    evaluation.mkdir(parents=True)
    write_predictions(evaluation / "predictions.parquet", predictions(10))
    if champion_wrong is not None:
        write_predictions(evaluation / "champion.parquet", predictions(champion_wrong))
    gate = Gate(0.05, 50, Floors(min_accuracy, 0.0, 1.0))
    compare_models(evaluation, folder / "decision", folder / "summary", gate)
    return (folder / "decision").read_bytes()


def upload(minio: Stored, task: str, output: str, content: bytes) -> None:
    """Uploads an output of a task to where KFP's launcher puts it."""
    minio.upload(f"{RUN_FOLDER}/{task}/{uuid.uuid4()}/{output}", content)


def tell(uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, publish_uri: str = "") -> dict[str, Any]:
    """What the webhook is told of a run that has ended without an error; the artifact has the same."""
    artifact = tmp_path / "outputs" / "notification"
    with listening() as hook:
        monkeypatch.setenv(NOTIFY_VARIABLE, hook.address)
        ended = ("RUNNING", "transfer-learning", RUN, "weekly", publish_uri)
        assert step.notify_result(*ended, artifact, uri) == step.SENT
        (body,) = hook.received
    assert json.loads(artifact.read_text()) == body
    assert SECRET not in artifact.read_text()
    assert body["headstart"]["reason"] in body["text"]
    return dict(body["headstart"])


@pytest.mark.parametrize("scheme", ["s3", "minio"])
@pytest.mark.parametrize("query", ["", "?endpoint=minio-service.kubeflow:9000&disableSSL=true"])
def test_refusal_has_the_reasons_of_the_gate_and_the_figures_of_the_evaluation(
    scheme: str, query: str, minio: Stored, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for file in filter(Path.is_file, (ARTIFACTS / "registry").rglob("*")):
        minio.upload(f"models/{file.relative_to(ARTIFACTS / 'registry')}", file.read_bytes())
    decision = decide(tmp_path, champion_wrong=9)
    upload(minio, "compare-models", "decision", decision)
    upload(minio, "evaluate-model", "evaluation/metrics.json", (ARTIFACTS / "evaluation/metrics.json").read_bytes())
    upload(minio, "evaluate-model", "report", b"<!doctype html>")
    uri = minio.uri(OUTPUT).replace("s3://", f"{scheme}://") + query
    told = tell(uri, monkeypatch, tmp_path, minio.uri("models"))
    (reason,) = json.loads(decision)["reasons"]
    in_use = read_champion(minio.uri("models"))
    assert in_use
    assert told["reason"] == f"the gate refused it: {reason}; {in_use.version.version} stays in use"
    assert (told["result"], told["verdict"]) == ("refused", "cannot tell")
    figures = json.loads((ARTIFACTS / "evaluation" / "metrics.json").read_text())["test"]
    names = ("images", "accuracy", "accuracy_interval")
    assert [told[name] for name in names] == [figures[name] for name in names]


def test_model_that_misses_a_floor_is_refused_whether_or_not_the_published_models_can_be_read(
    minio: Stored, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    upload(minio, "compare-models", "decision", decide(tmp_path, None, min_accuracy=0.99))
    minio.upload("models/champion.json", b"{}")
    for publish_uri in ("", minio.uri("models"), minio.uri("none")):
        told = tell(minio.uri(OUTPUT), monkeypatch, tmp_path, publish_uri)
        assert (told["result"], told["verdict"], told["accuracy"]) == ("refused", "worse", None)
        assert told["reason"] == "the gate refused it: accuracy 0.9667 is below min_accuracy 0.99"


def test_better_model_that_equals_an_earlier_version_is_not_told_as_refused(
    minio: Stored, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    upload(minio, "compare-models", "decision", decide(tmp_path, champion_wrong=60))
    told = tell(minio.uri(OUTPUT), monkeypatch, tmp_path, minio.uri("models"))
    assert (told["result"], told["verdict"]) == ("succeeded", "better")
    assert told["reason"] == "its model equals a version that was published before"


def test_run_without_a_gate_or_with_several_has_no_reason(
    minio: Stored, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = tell(minio.uri(OUTPUT), monkeypatch, tmp_path)
    nothing = ("succeeded", "", "", None)
    assert (told["result"], told["verdict"], told["reason"], told["accuracy"]) == nothing
    for _ in range(2):
        upload(minio, "compare-models", "decision", decide(tmp_path / uuid.uuid4().hex, champion_wrong=9))
    told = tell(minio.uri(OUTPUT), monkeypatch, tmp_path)
    assert (told["result"], told["verdict"], told["reason"], told["accuracy"]) == nothing


@pytest.mark.parametrize(
    ("uri", "variables", "said"),
    [
        ("s3://no-such-bucket/{output}", {}, "no-such-bucket"),
        ("s3://{bucket}/{output}", {"AWS_SECRET_ACCESS_KEY": ""}, "AWS settings cannot be used"),
        ("s3://{bucket}/{output}", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "403 SignatureDoesNotMatch"),
        ("s3://{bucket}/{output}", {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "Connection refused"),
        (
            "minio://{bucket}/{output}",
            {"AWS_ENDPOINT_URL_S3": ""},
            "set AWS_ENDPOINT_URL_S3 under env in the profile",
        ),
        ("s3://{bucket}/elsewhere/notify-result/1/notification", {}, f"is not in a folder of the run {RUN}"),
        ("s3://{bucket}/damaged/{run}/notify-result/1/notification", {}, "is damaged"),
    ],
)
def test_what_cannot_be_read_leaves_the_message_as_it_was_and_a_warning(
    uri: str,
    variables: dict[str, str],
    said: str,
    minio: Stored,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    upload(minio, "compare-models", "decision", decide(tmp_path, champion_wrong=9))
    minio.upload(f"damaged/{RUN}/compare-models/1/decision", b"{}")
    for name, value in variables.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name)
    start_logging()
    monkeypatch.setattr(logging.getLogger("headstart"), "propagate", True)
    told = tell(uri.format(bucket=minio.bucket, output=OUTPUT, run=RUN), monkeypatch, tmp_path, str(tmp_path / "no"))
    assert (told["result"], told["verdict"], told["reason"]) == ("refused", "", "the gate refused it")
    (line,) = {record.getMessage() for record in caplog.records if "event=warning" in record.getMessage()}
    assert "the verdict and the figures of the run cannot be read: " in line and said in line
