"""Where a model is, and how sure one can be of what it says."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.artifacts.evaluation import (
    FINAL,
    METRICS,
    MODELS,
    read_metrics,
    read_models,
    temperature_of,
)
from headstart.components.core.artifacts.model import MANIFEST, ModelInfo
from headstart.components.core.registry.champion import published_files, published_model
from headstart.components.core.storage.files import expanded
from headstart.components.core.storage.stores import NotFound, is_remote, is_web, open_store, without_secrets
from headstart.components.core.util.errors import HeadstartError

_MODEL_FOLDER = "model"
_EVALUATION_FOLDER = "evaluation"


@dataclasses.dataclass(frozen=True)
class Located:
    """A model's files on this machine.

    Attributes:
        model: Folder of the model artifact.
        evaluation: Folder of its evaluation; None where there is none beside it.
    """

    model: Path
    evaluation: Path | None = None


@dataclasses.dataclass(frozen=True)
class Trust:
    """What an evaluation says of the probabilities.

    Attributes:
        calibrated: Whether there is an evaluation that does.
        temperature: What their logits are divided by.
        threshold: Least scaled probability of the likeliest class at which it is the answer.
    """

    calibrated: bool = False
    temperature: float = 1.0
    threshold: float = 0.0


@contextlib.contextmanager
def located(address: str, what: str = "model") -> Iterator[Located]:
    """Finds a model; a copy of one that is elsewhere lies in a temporary folder until the `with` block ends.

    Args:
        address: A model artifact, the output folder of a run, a published version, or a place where models are
            published, of which the one in use is taken; a path, or an `http(s)://`, `gs://` or `s3://` address.
        what: Names it in the message.

    Raises:
        HeadstartError: There is no model, or it cannot be read.
    """
    place = address.rstrip("/") if is_remote(address) else str(expanded(address.removeprefix("file://")))
    place = _in_use(place) or place
    with contextlib.ExitStack() as stack:
        for folder, beside in ((place, ""), (f"{place}/{_MODEL_FOLDER}", f"{place}/{_EVALUATION_FOLDER}")):
            if _is_there(folder, MANIFEST):
                model = stack.enter_context(published_model(folder))
                evaluated = beside and _is_there(beside, METRICS)
                evaluation = stack.enter_context(published_files(beside, [METRICS, MODELS])) if evaluated else None
                yield Located(model, evaluation)
                return
    raise HeadstartError(
        f"{what} {without_secrets(address)!r}: there is no {MANIFEST}, no {_MODEL_FOLDER}/{MANIFEST} and no "
        "published model; pass a model's folder, the output folder of a run, or where models are published"
    )


def _in_use(place: str) -> str:
    """Address of the published version that is in use; empty where nothing is published."""
    # A web server has files alone.
    if is_web(place):
        return ""

    from headstart.components.core.registry.registry import champion

    found = champion(place)
    return found.address if found else ""


def _is_there(folder: str, name: str) -> bool:
    if not is_remote(folder):
        return (Path(folder) / name).is_file()
    try:
        open_store(folder).read(f"{folder}/{name}")
    except NotFound:
        return False
    return True


def trust(found: Located, info: ModelInfo, precision: float) -> Trust:
    """Reads from the evaluation how probabilities are scaled, and from when on they are an answer.

    Args:
        found: The model with its evaluation.
        info: What the model says of itself.
        precision: Share of right answers that is wanted, of those that the evaluation has a threshold for; 0: every
            image gets an answer.

    Raises:
        HeadstartError: The evaluation is of another model, or has no such threshold.
    """
    if found.evaluation is None:
        if precision:
            raise HeadstartError(
                f"precision {precision}: {found.model} has no evaluation beside it, which has the thresholds; "
                "pass the output folder of the run, or the published model"
            )
        return Trust()
    _check_is_of(found.evaluation, info)
    metrics = read_metrics(found.evaluation)
    if metrics["calibration"] is None:
        if precision:
            raise HeadstartError(
                f"precision {precision}: {found.evaluation} was made without validation images, which choose the "
                "thresholds; evaluate the model with them"
            )
        return Trust()
    return Trust(True, temperature_of(metrics), _threshold(metrics["abstention"], precision) if precision else 0.0)


def _check_is_of(evaluation: Path, info: ModelInfo) -> None:
    models = read_models(evaluation)
    if models["models"][FINAL]["sha256"] != info.sha256:
        raise HeadstartError(f"{evaluation} is of another model than the one beside it; evaluate the model again")


def _threshold(table: list[dict[str, float | None]], precision: float) -> float:
    for row in table:
        if row["wanted"] == precision:
            if row["threshold"] is None:
                raise HeadstartError(
                    f"precision {precision}: no threshold holds it on the {row['validation_images']} validation "
                    f"images; it takes {row['validation_needed']} at least; leave precision out, or validate on more"
                )
            return row["threshold"]
    known = ", ".join(str(row["wanted"]) for row in table)
    raise HeadstartError(f"precision {precision}: the evaluation has thresholds for {known}")
