"""Results of a run on this machine, logged to an MLflow server; MLflow is imported only when that is asked for."""

import contextlib
import hashlib
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from headstart.components.core.artifacts.dataset import SPLITS
from headstart.components.core.artifacts.evaluation import CHAMPION, FINAL, METRICS, read_metrics, read_models
from headstart.components.core.artifacts.history import Epoch
from headstart.components.core.artifacts.model import ModelInfo, list_model_files, read_model_info
from headstart.components.core.registry.export_formats import CARD
from headstart.components.core.storage.stores import is_web, open_tree, without_secrets
from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.pipelines.local.masking import find_secrets, mask_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

MLFLOW = "mlflow"
"""Package that logs; the extra of the same name brings a small edition of it."""

RUN_TAG = "headstart.run"
"""Tag of a run in MLflow with a digest of the model and its metrics: the same results are logged once."""

_FILES = (
    "report.html",
    "data.html",
    METRICS,
    "recipe.yaml",
    "predictions.parquet",
    "label_errors.csv",
    "quarantine.csv",
)
_FIGURES = ("accuracy", "balanced_accuracy", "log_loss")
_MEANS = ("macro", "weighted")
_CURVES = ("loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate", "seconds")
_MOST_METRICS, _MOST_PARAMETERS = 1_000, 100
"""Most metrics, and most parameters, that MLflow takes in one request."""

_SETTINGS = {
    # With MLflow's own, nobody answering is noticed after minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Settings of MLflow while a run is logged; those of the user go before."""

_STATUS = re.compile(r"(?:error code|too many) (\d{3})")


def check_mlflow(experiment: str = "", uri: str = "") -> None:
    """Refuses to log to MLflow where it is not installed, or no server is named; nothing is imported.

    Args:
        experiment: Name of the experiment; empty: it is not given.
        uri: Tracking server; empty: nothing is to be logged.

    Raises:
        HeadstartError: If MLflow is not installed, or there is an experiment and no server.
    """
    if experiment and not uri:
        raise HeadstartError("without --mlflow-tracking-uri there is no use for --mlflow-experiment; name the server")
    if uri and not importlib.util.find_spec(MLFLOW):
        raise HeadstartError(
            "logging to MLflow needs a package that is not installed here: pip install 'headstart[mlflow]'"
        )


def log_run(output: Path, uri: str, experiment: str = "", published: str = "") -> str:
    """Logs the results of a run to MLflow: parameters, figures, training curves, reports and the model.

    Results that have been logged to the experiment already are not logged again; where that was interrupted, the same
    run in MLflow is completed.

    Args:
        output: Output folder of a run.
        uri: Tracking server, as MLflow takes it: an address, or `sqlite:///FILE` where all of MLflow is installed.
        experiment: Name of the experiment, which is made if there is none; empty: MLflow's own settings
            `MLFLOW_EXPERIMENT_ID` and `MLFLOW_EXPERIMENT_NAME`, or else ``Default``.
        published: Address of the version that the run published, whose model card is logged; empty: none.

    Returns:
        Address of the run's page in MLflow, without secrets.

    Raises:
        HeadstartError: If MLflow is not installed, the folder has no results, or the server does not take them. The
            message names the command that logs them later.
    """
    check_mlflow(experiment, uri)
    info, metrics = read_model_info(output / "model"), read_metrics(output / "evaluation")
    models = read_models(output / "evaluation")
    epochs = _list_epochs(models["models"])
    shown = without_secrets(uri)
    with _mlflow_settings():
        from mlflow import MlflowClient

        try:
            client = MlflowClient(tracking_uri=uri)
            found = _find_experiment(client, experiment)
            run = _find_or_create_run(client, found.experiment_id, output, models["command"], epochs)
            if run.info.status != "FINISHED":
                _log_results(client, run.info.run_id, output, info, metrics, epochs)
                if published:
                    _log_model_card(client, run.info.run_id, published)
                client.set_terminated(run.info.run_id, end_time=_end_of(output))
        except HeadstartError:
            raise
        except Exception as error:
            # Libraries below MLflow raise errors of their own.
            raise HeadstartError(
                f"{output} was not logged to MLflow at {shown}: {_explain(error, uri)}; its results are complete, "
                f"so log them later with headstart mlflow-log {output} {shown}"
            ) from None
    page = f"/#/experiments/{found.experiment_id}/runs/{run.info.run_id}"
    return f"{shown.rstrip('/')}{page}" if is_web(uri) else f"run {run.info.run_id} at {shown}"


def _list_epochs(models: Mapping[str, Any]) -> list[Epoch]:
    """Epochs of every model that the run trained, each once."""
    trained = [model["history"] for name, model in models.items() if name != CHAMPION]
    epochs = [Epoch.of(each) for history in trained for each in history]
    return list({(each.stage, each.epoch): each for each in epochs}.values())


@contextlib.contextmanager
def _mlflow_settings() -> Iterator[None]:
    ours = {name: value for name, value in _SETTINGS.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def _find_experiment(client: "MlflowClient", name: str) -> "Experiment":
    number = "" if name else os.environ.get("MLFLOW_EXPERIMENT_ID", "")
    if number:
        return client.get_experiment(number)
    name = name or os.environ.get("MLFLOW_EXPERIMENT_NAME", "") or "Default"
    found = client.get_experiment_by_name(name)
    return found or client.get_experiment(client.create_experiment(name))


def _find_or_create_run(
    client: "MlflowClient", experiment: str, output: Path, command: str, epochs: Sequence[Epoch]
) -> "Run":
    digest = _digest_results(output)
    found = client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{digest}'", max_results=1)
    if found:
        return found[0]
    tags = {
        RUN_TAG: digest,
        "headstart.output": str(output),
        "mlflow.source.name": command or "headstart run",
        "mlflow.source.type": "LOCAL",
    }
    return client.create_run(experiment, _start_of(output, epochs), tags, run_name=output.name)


def _digest_results(output: Path) -> str:
    """A digest that the same results have on every machine and in every folder, and no others."""
    made = hashlib.sha256(read_model_info(output / "model").sha256.encode())
    made.update((output / METRICS).read_bytes())
    return made.hexdigest()


def _end_of(output: Path) -> int:
    """Time in milliseconds at which the results were complete."""
    return int((output / METRICS).stat().st_mtime * 1000)


def _start_of(output: Path, epochs: Sequence[Epoch]) -> int:
    """Time in milliseconds at which the first epoch would have begun, had nothing happened between the epochs."""
    return _end_of(output) - int(sum(epoch.seconds for epoch in epochs) * 1000)


def _log_results(
    client: "MlflowClient",
    run: str,
    output: Path,
    info: ModelInfo,
    metrics: Mapping[str, Any],
    epochs: Sequence[Epoch],
) -> None:
    from mlflow.entities import Metric, Param

    parameters = [Param(name, str(value)) for name, value in describe_parameters(info, metrics).items()]
    end, now = _end_of(output), _start_of(output, epochs)
    points = [Metric(f"{FINAL}/{name}", value, end, 0) for name, value in flatten_figures(metrics[FINAL]).items()]
    for epoch in epochs:
        now += int(epoch.seconds * 1000)
        points += [Metric(f"{epoch.stage}/{name}", getattr(epoch, name), now, epoch.epoch) for name in _CURVES]
    for first in range(0, len(parameters), _MOST_PARAMETERS):
        client.log_batch(run, params=parameters[first : first + _MOST_PARAMETERS])
    for first in range(0, len(points), _MOST_METRICS):
        client.log_batch(run, metrics=points[first : first + _MOST_METRICS])
    for name in _FILES:
        client.log_artifact(run, str(output / name))
    for name in list_model_files(info):
        client.log_artifact(run, str(output / "model" / name), "model")


def _log_model_card(client: "MlflowClient", run: str, published: str) -> None:
    content, _ = open_tree(published).read(CARD)
    client.log_text(run, content.decode(), CARD)


def describe_parameters(info: ModelInfo, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a run as MLflow shows them: every key of the recipe, the backbone, the digests of the data.

    Args:
        info: Content of `model.json`.
        metrics: Content of `metrics.json`.
    """
    digests = {**info.dataset, "test": metrics["test_data"]}
    return {
        "trained": info.stage,
        "classes": len(info.classes),
        "seed": info.seed,
        "folds": info.folds,
        **dict(_flatten(info.recipe)),
        "backbone": info.backbone,
        "backbone_sha256": info.backbone_sha256,
        "image_size": info.image_size,
        **{f"data.{split}": digests[split] for split in SPLITS if split in digests},
        "model_sha256": info.sha256,
    }


def flatten_figures(figures: Mapping[str, Any]) -> dict[str, float]:
    """Figures of a model as numbers; the ends of the interval of `accuracy` are `accuracy_low` and `accuracy_high`.

    Args:
        figures: Figures of one model in `metrics.json`.
    """
    named = [("", figures, _FIGURES)]
    named += [(f"{mean}_", figures[mean], tuple(figures[mean])) for mean in _MEANS if mean in figures]
    found: dict[str, float] = {"images": figures["images"]}
    for prefix, values, names in named:
        for name in names:
            interval = values.get(f"{name}_interval")
            if values.get(name) is None or interval is None:
                continue
            low, high = interval
            found |= {f"{prefix}{name}": values[name], f"{prefix}{name}_low": low, f"{prefix}{name}_high": high}
    return found


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _explain(error: Exception, uri: str) -> str:
    """Reason of an error of MLflow in words, without secrets."""
    cause: BaseException | None = error
    while cause:
        if isinstance(cause, requests.Timeout):
            return "it did not answer in time"
        if isinstance(cause, requests.ConnectionError):
            return "it cannot be reached"
        cause = cause.__cause__ or cause.__context__
    status = _STATUS.search(str(error))
    if status and status[1] in ("401", "403"):
        return f"it answered {status[1]}; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    if status:
        return f"it answered {status[1]}"
    return str(mask_secrets(first_line(error), {uri: without_secrets(uri), **find_secrets({"uri": uri})}))
