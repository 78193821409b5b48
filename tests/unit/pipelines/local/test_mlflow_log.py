"""Results of a run in MLflow: in its store of files, or on the server that HEADSTART_TEST_MLFLOW names."""

import http.server
import importlib.util
import os
import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import ROOT

from headstart.components.core.artifacts.evaluation import read_metrics
from headstart.components.core.artifacts.history import read_history
from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.local.mlflow_log import check_mlflow, log_run

ARTIFACTS = ROOT / "tests" / "compatibility" / "artifacts"
SERVER = os.environ.get("HEADSTART_TEST_MLFLOW", "")
PASSWORD = "hunter4hunter5"
FILES = ("report.html", "data.html", "recipe.yaml", "predictions.parquet", "label_errors.csv", "quarantine.csv")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        yield SERVER or tmp_path_factory.mktemp("mlruns").as_uri()


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pets") / "out"
    for part in ("model", "evaluation"):
        shutil.copytree(ARTIFACTS / part, folder / part)
    shutil.copyfile(folder / "evaluation" / "metrics.json", folder / "metrics.json")
    for name in FILES:
        (folder / name).write_text(name)
    return folder


@pytest.fixture(scope="module")
def experiment() -> str:
    return f"pets {uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


@pytest.fixture(scope="module")
def run(uri: str, output: Path, experiment: str, client: Any) -> Any:
    page = log_run(output, uri, experiment)
    number = re.search(r"[0-9a-f]{32}", page)
    assert number and (page.startswith(f"{SERVER.rstrip('/')}/#/experiments/") if SERVER else "file:" in page)
    return client.get_run(number[0])


def test_parameters_are_the_recipe_the_backbone_and_the_data(run: Any, output: Path) -> None:
    info, given = read_model_info(output / "model"), run.data.params
    assert given["head.epochs"] == "3" and given["augmentation.zoom"] == "[-0.15, 0.1]"
    assert (given["backbone"], given["seed"], given["trained"]) == ("sketchnet", "0", "fine_tuning")
    assert given["data.train"] == info.dataset["train"] and given["model_sha256"] == info.sha256
    assert given["data.test"] == read_metrics(output / "evaluation")["test_data"]


def test_figures_come_with_their_intervals(run: Any, output: Path) -> None:
    figures, logged = read_metrics(output / "evaluation")["test"], run.data.metrics
    for name, values, key in (("accuracy", figures, "accuracy"), ("macro_f1", figures["macro"], "f1")):
        low, high = values[f"{key}_interval"]
        assert logged[f"test/{name}"] == pytest.approx(values[key])
        assert (logged[f"test/{name}_low"], logged[f"test/{name}_high"]) == pytest.approx((low, high))
    assert logged["test/images"] == figures["images"]


def test_curves_have_a_point_for_each_epoch(run: Any, output: Path, client: Any) -> None:
    epochs = read_history(output / "model")
    assert {epoch.stage for epoch in epochs} == {"head", "fine_tuning"}
    for stage in ("head", "fine_tuning"):
        points = client.get_metric_history(run.info.run_id, f"{stage}/validation_loss")
        expected = {epoch.epoch: epoch.validation_loss for epoch in epochs if epoch.stage == stage}
        assert {point.step: point.value for point in points} == pytest.approx(expected)
        assert all(run.info.start_time < point.timestamp <= run.info.end_time for point in points)


def test_reports_and_model_are_artifacts(run: Any, output: Path, client: Any, tmp_path: Path) -> None:
    assert {each.path for each in client.list_artifacts(run.info.run_id)} == {*FILES, "metrics.json", "model"}
    copy = Path(client.download_artifacts(run.info.run_id, "model", str(tmp_path)))
    assert read_model_info(copy) == read_model_info(output / "model")
    assert (copy / "model.keras").read_bytes() == (output / "model" / "model.keras").read_bytes()
    assert run.info.status == "FINISHED" and run.info.run_name == "out"


def test_the_same_results_are_logged_once_from_any_folder(
    run: Any, uri: str, output: Path, experiment: str, client: Any, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(output, tmp_path / "moved"))
    assert run.info.run_id in log_run(moved, uri, experiment)
    assert len(client.search_runs([run.info.experiment_id])) == 1


def test_what_was_interrupted_is_completed_in_the_same_run(
    uri: str, output: Path, client: Any, tmp_path: Path
) -> None:
    missing, other = Path(shutil.copytree(output, tmp_path / "out")), f"interrupted {uuid.uuid4().hex}"
    (missing / "label_errors.csv").unlink()
    with pytest.raises(HeadstartError, match=r" was not logged to MLflow at .*, so log them later"):
        log_run(missing, uri, other)
    page = log_run(output, uri, other)
    found = client.search_runs([client.get_experiment_by_name(other).experiment_id])
    assert [each.info.status for each in found] == ["FINISHED"] and found[0].info.run_id in page
    points = client.get_metric_history(found[0].info.run_id, "head/loss")
    assert {point.step for point in points} == {1, 2, 3}


def test_the_experiment_may_come_from_the_environment(
    uri: str, output: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"environment {uuid.uuid4().hex}"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    page = log_run(output, uri)
    number = client.get_experiment_by_name(name).experiment_id
    assert client.search_runs([number])[0].info.run_id in page


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_server_that_refuses_is_named_without_its_password(
    status: int, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with pytest.raises(HeadstartError) as raised:
                log_run(output, f"http://ann:{PASSWORD}@127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
    message, shown = str(raised.value), f"http://127.0.0.1:{server.server_port}"
    assert message.startswith(f"{output} was not logged to MLflow at {shown}: it answered {status}")
    assert message.endswith(f"headstart mlflow-log {output} {shown}") and PASSWORD not in message


def test_a_server_that_cannot_be_reached_is_named_without_its_password(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(HeadstartError, match=r"at http://127\.0\.0\.1:9: it cannot be reached; ") as raised:
        log_run(output, f"http://ann:{PASSWORD}@127.0.0.1:9")
    assert PASSWORD not in str(raised.value)


def test_settings_of_mlflow_are_left_as_they_were(run: Any) -> None:
    assert "MLFLOW_DISABLE_TELEMETRY" not in os.environ and "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


def test_a_missing_package_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HeadstartError, match=r"pip install 'headstart\[mlflow\]'$"):
        check_mlflow("", "http://127.0.0.1:5000")
    check_mlflow()


def test_an_experiment_without_a_server_is_refused() -> None:
    with pytest.raises(
        HeadstartError, match=r"^without --mlflow-tracking-uri there is no use for --mlflow-experiment"
    ):
        check_mlflow("pets")
