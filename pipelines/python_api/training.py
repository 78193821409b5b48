"""`headstart.train`."""

import functools
import warnings
from typing import Unpack

from headstart.components.core.notifications.notification import SUCCEEDED, Notification
from headstart.components.core.notifications.webhook import find_webhook, show_host
from headstart.components.core.recipes.variants import FINE_TUNED
from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home
from headstart.pipelines.definitions.given_options import check_method
from headstart.pipelines.definitions.tasks import TRANSFER_LEARNING
from headstart.pipelines.local.mlflow_log import check_mlflow, log_run
from headstart.pipelines.local.notification import notified
from headstart.pipelines.local.preparation import prepare_training
from headstart.pipelines.progress.console import say
from headstart.pipelines.python_api.options import (
    DataSources,
    PathLike,
    TrainingOptions,
    describe_call,
    python_words,
    read_options,
    to_path,
)
from headstart.pipelines.python_api.results import TrainingResult
from headstart.pipelines.python_api.running import make_console, run_prepared


def train(
    data: DataSources,
    *,
    output: PathLike = "out",
    method: str = FINE_TUNED,
    from_scratch: bool = False,
    progress: bool = True,
    notify: str = "",
    mlflow_tracking_uri: str = "",
    mlflow_experiment: str = "",
    **options: Unpack[TrainingOptions],
) -> TrainingResult:
    """Trains and evaluates a classifier on this machine, as `headstart run` does.

    The steps run in processes of their own, so this process needs neither TensorFlow nor memory for the images. The
    output folder, the cache and the checks are those of the command. Interrupting it leaves the folder as it was.

    Args:
        data: Labelled images, or a list of several sources: a folder of class folders, an archive, a CSV or
            JSON-lines manifest, image Parquet; a path, or an `http(s)://`, `gs://` or `s3://` address.
        output: Folder that receives the model, the reports and the figures.
        method: ``fine_tuned`` trains a new head and fine-tunes the backbone's top layers, ``head`` the head alone.
        from_scratch: Whether to train a small convnet without transfer learning as well, for comparison.
        progress: Whether to show the progress.
        notify: Webhook that is told of the end, as Slack's are; empty: that of the environment variable
            HEADSTART_NOTIFY_URL, or none. A webhook that does not take the message is a warning.
        mlflow_tracking_uri: MLflow server to which the results are logged; empty: they are not. A server that does
            not take them is a warning.
        mlflow_experiment: Experiment in MLflow; empty: that of `MLFLOW_EXPERIMENT_NAME`, or ``Default``.
        options: Further options of `headstart run`, see `TrainingOptions`.

    Returns:
        Figures, model, reports and everything else that the run left in its output folder.

    Raises:
        HeadstartError: If an option is wrong, the data cannot be used, or a step failed.
        KeyboardInterrupt: If it was interrupted.

    Example:
        >>> result = headstart.train("photos", backbone="sketchnet", seed=1)  # doctest: +SKIP
        >>> print(result.accuracy)  # doctest: +SKIP
        0.987 (0.953 to 0.996)
    """
    with python_words():
        webhook = find_webhook(notify)
        check_mlflow(mlflow_experiment, mlflow_tracking_uri)
        parameters = read_options("train", data, dict(options))
        trained = check_method(method, parameters, from_scratch)
        own = {
            "method": method if method != FINE_TUNED else "",
            "from_scratch": from_scratch,
            "notify": notify and show_host(webhook),
            "mlflow_tracking_uri": without_secrets(mlflow_tracking_uri),
            "mlflow_experiment": mlflow_experiment,
        }
        given = {"data": data, **{name: value for name, value in own.items() if value}, **options}
        describe = functools.partial(describe_call, "train", given)
        parameters = parameters.resolve_local_paths()
    place = expand_home(to_path(output)).absolute()
    ended = Notification(SUCCEEDED, TRANSFER_LEARNING, str(place), see=str(place / "report.html"))
    with notified(webhook, ended, parameters.model_dump(), make_console()) as notice, python_words():
        prepared = prepare_training(parameters, to_path(output), trained, from_scratch, describe)
        result = TrainingResult(prepared.request.output, run_prepared(prepared, progress, notice))
        if mlflow_tracking_uri:
            _log_to_mlflow(result, mlflow_tracking_uri, mlflow_experiment, progress)
        return result


def _log_to_mlflow(result: TrainingResult, uri: str, experiment: str, progress: bool) -> None:
    published = result.published.address if result.published else ""
    try:
        page = log_run(result.output, uri, experiment, published)
    except HeadstartError as error:
        warnings.warn(str(error), stacklevel=3)
        return
    if progress:
        say(f"mlflow  {page}", console=make_console())
