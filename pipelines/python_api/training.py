"""`headstart.train`."""

import functools
from typing import Unpack

from headstart.components.core.recipes.variants import FINE_TUNED
from headstart.pipelines.definitions.given_options import check_method
from headstart.pipelines.local.preparation import prepare_training
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
from headstart.pipelines.python_api.running import run_prepared


def train(
    data: DataSources,
    *,
    output: PathLike = "out",
    method: str = FINE_TUNED,
    from_scratch: bool = False,
    progress: bool = True,
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
        parameters = read_options("train", data, dict(options))
        trained = check_method(method, parameters, from_scratch)
        own = {"method": method} if method != FINE_TUNED else {}
        given = {"data": data, **own, **({"from_scratch": True} if from_scratch else {}), **options}
        describe = functools.partial(describe_call, "train", given)
        prepared = prepare_training(
            parameters.resolve_local_paths(), to_path(output), trained, from_scratch, describe
        )
        return TrainingResult(prepared.request.output, run_prepared(prepared, progress))
