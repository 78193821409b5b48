"""Logs that KFP's launcher has kept in the run's folder, in a store that is laid out as KFP does it."""

import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from support.stores import Stored

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cluster.kept_logs import read_kept_log
from headstart.pipelines.cluster.runs import ClusterRun

RUN = str(uuid.uuid4())
PIPELINE = "search-recipe"
TASK = "choose-trial"


def run_at(root: str) -> ClusterRun:
    """A run that has succeeded; its artifacts are below a root."""
    pipeline: Mapping[str, Any] = {"pipelineInfo": {"name": PIPELINE}}
    return ClusterRun(RUN, "pets", "1", "SUCCEEDED", False, {}, root, pipeline, {}, {})


def keep(store: Stored, name: str, content: bytes, folder: str = "3f") -> str:
    """Uploads an output of the task to where KFP's launcher puts it, and returns the pipeline root."""
    store.upload(f"v2/artifacts/{PIPELINE}/{RUN}/{TASK}/{folder}/{name}", content)
    return store.uri("v2/artifacts")


def test_log_of_the_last_attempt_is_read_whatever_is_in_it(listed: Stored) -> None:
    keep(listed, "executor-logs-9", b"the attempt before\n")
    keep(listed, "executor-logs-10", "caf\u00e9\n\n".encode() + b"\xff\nlast")
    root = keep(listed, "report", b"# Trial 1\n")
    listed.upload(f"v2/artifacts/{PIPELINE}/{RUN}/{TASK}-2/5a/executor-logs-11", b"another task's\n")
    for each in (root, f"{root}/", f"{root}?region=eu-west-1"):
        assert read_kept_log(run_at(each), TASK) == ["caf\u00e9", "", "\ufffd", "last"]


def test_what_is_not_there_or_ambiguous_is_no_log(minio: Stored) -> None:
    root = keep(minio, "report", b"# Trial 1\n")
    assert read_kept_log(run_at(""), TASK) == []
    assert read_kept_log(run_at(root), TASK) == []
    for iteration in ("1a", "2b"):
        keep(minio, "executor-logs-0", b"one of a loop\n", folder=iteration)
    assert read_kept_log(run_at(root), TASK) == []


def test_store_of_the_cluster_is_read_where_its_endpoint_is_known(
    minio: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = keep(minio, "executor-logs-0", b"event=search\n").replace("s3:", "minio:")
    assert read_kept_log(run_at(f"{root}?endpoint=minio-service.kubeflow:9000"), TASK) == ["event=search"]
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    with pytest.raises(HeadstartError, match=f"{minio.bucket} is a store of the cluster; set AWS_ENDPOINT_URL_S3 to"):
        read_kept_log(run_at(root), TASK)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "403 SignatureDoesNotMatch"),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9", "Connection refused"),
    ],
)
def test_store_that_cannot_be_read_is_said(
    variable: str, value: str, said: str, minio: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart.pipelines.cluster.kept_logs.PATIENCE_SECONDS", 0.0)
    root = keep(minio, "executor-logs-0", b"event=search\n")
    monkeypatch.setenv(variable, value)
    with pytest.raises(HeadstartError, match=said) as refused:
        read_kept_log(run_at(root), TASK)
    assert "\n" not in str(refused.value)
