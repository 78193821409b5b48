"""Runs models once over the test images, and reports what comes of it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import read_info
from headstart.components.core.artifacts.evaluation import FINAL, IN_USE
from headstart.components.core.artifacts.history import Epoch, read_history
from headstart.components.core.artifacts.hygiene import HYGIENE
from headstart.components.core.artifacts.model import (
    ModelInfo,
    check_in_use,
    read_answers,
    read_model_info,
    read_seen,
)
from headstart.components.core.artifacts.predictions import Predictions, predictions_of
from headstart.components.core.artifacts.probe import PROBE
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.registry.champion import published_model
from headstart.components.core.storage.files import full_disk_in_one_line
from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.components.core.util.logs import event, start_logging
from headstart.components.evaluate_model.assembly import Evaluation, Material, Run, write_evaluation
from headstart.components.evaluate_model.examples import Heat, pictures_of
from headstart.components.evaluate_model.report import render


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What is evaluated, and on what.

    Attributes:
        model: Model artifact of the final model.
        test: Dataset artifact that no training has seen.
        validation: Dataset artifact for calibration and thresholds, which test images must not choose; None: neither.
        others: Model artifacts to show beside it: the head alone, a network trained from scratch.
        champion: The model in use, a model artifact's folder or its address; empty: there is none.
        command: What started the run, for the report.
    """

    model: Path
    test: Path
    validation: Path | None = None
    others: Sequence[Path] = ()
    champion: str = ""
    command: str = ""


@full_disk_in_one_line()
def evaluate_model(inputs: Inputs, evaluation: Path, report: Path) -> Evaluation:
    """Runs each model once over the test images and writes what came of it.

    Args:
        inputs: What is evaluated, and on what.
        evaluation: Folder, made anew: `metrics.json`, the predictions, and whatever the report is made of.
        report: The HTML file to write.

    Raises:
        HeadstartError: An artifact is incomplete, or models and data have different classes.
    """
    start_logging()
    start_tensorflow()
    data = read_info(inputs.test)
    if not data.images:
        raise HeadstartError(f"{inputs.test} has no images; give the test split some")
    found = {each.info.stage: each for each in (_Found.of(folder, data.classes) for folder in inputs.others)}
    if inputs.champion:
        found[IN_USE] = _champion(inputs.champion, data.classes)
    final = found[FINAL] = _Found.of(inputs.model, data.classes)
    runs = _runs(found, inputs.test, data.classes)
    validation = inputs.validation
    material = Material(
        runs=runs,
        test_data=data.digest,
        validation=_of_validation(final, inputs.model, validation, data.classes) if validation else None,
        validation_data=read_info(validation).digest if validation else None,
        pictures=pictures_of(inputs.test, runs[FINAL].predictions, _heat(final)),
        probe=_probe(inputs),
        hygiene=inputs.test / HYGIENE if (inputs.test / HYGIENE).exists() else None,
        command=inputs.command,
    )
    result = write_evaluation(material, evaluation)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(render(evaluation), encoding="utf-8")
    for name, each in result.figures.items():
        low, high = each.accuracy_interval
        event(
            "metrics",
            model=name,
            accuracy=each.accuracy,
            low=low,
            high=high,
            log_loss=each.log_loss,
            images=each.images,
        )
    return result


def render_report(evaluation: Path) -> str:
    """Renders the report again, from an evaluation's folder that may come from elsewhere.

    Args:
        evaluation: Folder that `evaluate_model` made.

    Returns:
        One HTML page that needs no network.

    Raises:
        HeadstartError: If the folder is no evaluation, or is damaged.
    """
    try:
        return render(evaluation)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Somebody else may have written the folder, and the readers check only what decides predictions.
        raise HeadstartError(
            f"{evaluation} is damaged ({type(error).__name__}: {first_line(error)}); evaluate the model again"
        ) from None


@dataclasses.dataclass(frozen=True)
class _Found:
    """A model artifact, read.

    Attributes:
        info: What it is.
        epochs: How its training went.
        network: The classifier, a Keras model.
        seen: Ids and groups of the images that it has seen, as far as it matters.
    """

    info: ModelInfo
    epochs: list[Epoch]
    network: Any
    seen: frozenset[str] = frozenset()

    @classmethod
    def of(cls, folder: Path, classes: list[str], seen: frozenset[str] = frozenset()) -> "_Found":
        info = read_model_info(folder)
        if sorted(info.classes) != sorted(classes):
            raise HeadstartError(f"model {folder} has classes {info.classes}, the test images {classes}; pass a pair")

        from headstart.components.core.networks.saving import load_model

        return cls(info, read_history(folder), load_model(folder), seen)


def _champion(address: str, classes: list[str]) -> _Found:
    check_in_use(address, classes)
    with published_model(address) as folder:
        return _Found.of(folder, classes, read_seen(folder))


def _runs(found: dict[str, _Found], test: Path, classes: list[str]) -> dict[str, Run]:
    said = _predict(list(found.values()), test, classes, "evaluate")
    return {
        name: Run(each.info, each.epochs, predictions_of(test, probabilities, each.seen))
        for (name, each), probabilities in zip(found.items(), said, strict=True)
    }


def _of_validation(final: _Found, model: Path, validation: Path, classes: list[str]) -> Predictions | None:
    data = read_info(validation)
    if data.classes != classes:
        raise HeadstartError(f"validation images have classes {data.classes}, the test images {classes}; pass a pair")
    if not data.images:
        return None
    said = read_answers(model, validation)
    if said is None:
        (said,) = _predict([final], validation, classes, "calibrate")
    return predictions_of(validation, said)


def _predict(found: list[_Found], data: Path, classes: list[str], what: str) -> list[NDArray[np.float64]]:
    from headstart.components.core.networks.dataset_predictions import predict_proba

    said = predict_proba([each.network for each in found], data, what)
    # Of a champion the order may be another one.
    return [
        probabilities[:, [each.info.classes.index(name) for name in classes]]
        for each, probabilities in zip(found, said, strict=True)
    ]


def _heat(final: _Found) -> Heat:
    def heat(encoded: list[bytes], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        from headstart.components.core.networks.grad_cam import grad_cam
        from headstart.components.core.networks.image_batches import decode_and_resize

        pixels = np.stack([decode_and_resize(each, final.info.image_size).numpy() for each in encoded])
        return grad_cam(final.network, final.info.backbone, pixels, labels)

    return heat


def _probe(inputs: Inputs) -> Path | None:
    """What the head's artifact says of the data; only train_head knows it."""
    return next((model / PROBE for model in (inputs.model, *inputs.others) if (model / PROBE).is_dir()), None)
