"""Predicts the test images with each model, computes the metrics and writes the report."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.cross_validation import CROSS_VALIDATION, OutOfFold, read_out_of_fold
from headstart.components.core.artifacts.dataset import read_columns, read_dataset_info
from headstart.components.core.artifacts.evaluation import CHAMPION, FINAL, EvaluationRun, read_metrics
from headstart.components.core.artifacts.history import Epoch, read_history
from headstart.components.core.artifacts.hygiene import HYGIENE
from headstart.components.core.artifacts.model import (
    ModelInfo,
    ValidationPredictions,
    check_champion_classes,
    read_model_info,
    read_seen,
    read_validation_predictions,
)
from headstart.components.core.artifacts.model_calibration import read_model_calibration
from headstart.components.core.artifacts.predictions import Predictions, build_predictions
from headstart.components.core.artifacts.probe import PROBE
from headstart.components.core.artifacts.reference import ReferenceFeatures, read_reference
from headstart.components.core.artifacts.selection import read_selection
from headstart.components.core.metrics.false_alarms import FALSE_ALARM, check_false_alarm
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.registry.champion import download_published_model
from headstart.components.core.reports.group_words import warn_of_few_groups
from headstart.components.core.reports.page import describe_run, now
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.components.core.util.logs import event, log_phase, start_logging
from headstart.components.evaluate_model.evaluation_folder import (
    EvaluatedModel,
    Evaluation,
    EvaluationData,
    write_evaluation,
)
from headstart.components.evaluate_model.examples import HeatMaps, make_examples
from headstart.components.evaluate_model.feature_map import compute_feature_map, sample_rows
from headstart.components.evaluate_model.report import render_report
from headstart.components.evaluate_model.unfamiliar_images import Unfamiliarity


@dataclasses.dataclass(frozen=True)
class EvaluationInputs:
    """Models to evaluate and the images that they are evaluated on.

    Attributes:
        model: Model artifact of the final model.
        test: Dataset artifact that was not used in training.
        validation: Dataset artifact for calibration and thresholds, which test images must not choose; None: neither.
        others: Model artifacts to show beside the final one: the head alone, a network trained from scratch.
        champion: Champion, as the folder or the address of a model artifact; empty: there is none.
        command: Command that started the run, for the report.
        calibration: Calibration that the final model brings along, in place of validation images, see
            `read_model_calibration`; None: none.
        false_alarm: Wanted share of new images like the validation images that are flagged as unfamiliar.
    """

    model: Path
    test: Path
    validation: Path | None = None
    others: Sequence[Path] = ()
    champion: str = ""
    command: str = ""
    calibration: Path | None = None
    false_alarm: float = FALSE_ALARM


@explain_full_disk()
def evaluate_model(inputs: EvaluationInputs, evaluation: Path, report: Path) -> Evaluation:
    """Predicts the test images with each model, computes the metrics, and writes them and the report.

    Args:
        inputs: Models and images.
        evaluation: Folder to write, emptied first: `metrics.json`, predictions, and everything that the report is
            made of.
        report: HTML file to write.

    Raises:
        HeadstartError: If an artifact is incomplete, models and data have different classes, or `false_alarm` is
            outside (0, 0.5).
    """
    start_logging()
    check_false_alarm(inputs.false_alarm)
    start_tensorflow()
    test = read_dataset_info(inputs.test)
    if not test.images:
        raise HeadstartError(f"{inputs.test} has no images; give the test split some")
    loaded = {each.info.stage: each for each in (_LoadedModel.load(path, test.classes) for path in inputs.others)}
    if inputs.champion:
        loaded[CHAMPION] = _download_champion(inputs.champion, test.classes)
    final = _LoadedModel.load(inputs.model, test.classes)
    final = loaded[FINAL] = dataclasses.replace(final, reference=read_reference(inputs.model, final.info))
    rows = sample_rows(test.images)
    ids = read_columns(inputs.test, ["id"])["id"].to_pylist()
    out_of_fold = final.order_out_of_fold(ids, test.classes)
    if out_of_fold:
        # Of a model that was trained on the test images only predictions out of fold say anything.
        loaded = {
            name: each
            for name, each in loaded.items()
            if name == CHAMPION or each.order_out_of_fold(ids, test.classes)
        }
    predicted = _predict(loaded, inputs.test, test.classes, "predictions", rows)
    models = {}
    for name, each in loaded.items():
        unfamiliarity = predicted.unfamiliarity if name == FINAL else None
        own = build_predictions(inputs.test, predicted.probabilities[name], each.seen, unfamiliarity)
        models[name] = EvaluatedModel(each.info, each.epochs, each.replace_by_out_of_fold(own))
    final_model = build_predictions(
        inputs.test, predicted.probabilities[FINAL], unfamiliarity=predicted.unfamiliarity
    )
    predictions = models[FINAL].predictions
    validation = None if out_of_fold else inputs.validation
    calibration = read_model_calibration(inputs.calibration) if inputs.calibration else None
    known = calibration.validation_data if calibration else None
    data = EvaluationData(
        models=models,
        test_data=test.digest,
        validation=_validation_predictions(final, inputs.model, validation, test.classes) if validation else None,
        validation_data=read_dataset_info(validation).digest if validation else known,
        calibration=calibration,
        selection=read_selection(inputs.test),
        pictures=make_examples(inputs.test, predictions, _heat_maps(final)),
        probe=_find_probe(inputs),
        hygiene=inputs.test / HYGIENE if (inputs.test / HYGIENE).exists() else None,
        command=inputs.command,
        run=EvaluationRun(now(), describe_run(inputs.command, report)),
        feature_map=compute_feature_map([predictions.ids[row] for row in rows], predicted.features),
        false_alarm=inputs.false_alarm,
        out_of_fold=out_of_fold,
        final_model=final_model if out_of_fold else None,
    )
    log_phase("computing metrics")
    result = write_evaluation(data, evaluation)
    log_phase("writing the report")
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(render_report(evaluation), encoding="utf-8")
    for name, metrics in result.metrics.items():
        low, high = metrics.accuracy_interval
        event(
            "metrics",
            model=name,
            stage=models[name].info.stage,
            accuracy=metrics.accuracy,
            low=low,
            high=high,
            log_loss=metrics.log_loss,
            images=metrics.images,
            **({} if metrics.groups is None else {"groups": metrics.groups, "unit": predictions.grouping}),
            **({"folds": result.cross_validation.folds} if result.cross_validation else {}),
        )
    if few := warn_of_few_groups(read_metrics(evaluation)):
        event("warning", text=few)
    if result.unfamiliarity:
        event("unfamiliarity", **_describe_unfamiliarity(result.unfamiliarity))
    return result


def _describe_unfamiliarity(found: Unfamiliarity) -> dict[str, Any]:
    """Figures for the log."""
    low, high = found.share_interval
    return {
        "wanted": found.wanted,
        "threshold": found.threshold,
        "bound": found.bound,
        "validation_images": found.validation_images,
        "validation_needed": found.validation_needed,
        "flagged": found.flagged,
        "share": found.share,
        "low": low,
        "high": high,
    }


def recreate_report(evaluation: Path) -> str:
    """Renders the report again, from an evaluation's folder that may come from elsewhere.

    Args:
        evaluation: Folder that `evaluate_model` made.

    Returns:
        One HTML page that needs no network.

    Raises:
        HeadstartError: If the folder is no evaluation, or is damaged.
    """
    try:
        return render_report(evaluation)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The readers check only what decides predictions, and somebody else may have written the folder.
        raise HeadstartError(
            f"{evaluation} is damaged ({type(error).__name__}: {first_line(error)}); evaluate the model again"
        ) from None


@dataclasses.dataclass(frozen=True)
class _LoadedModel:
    """A model artifact with its network in memory.

    Attributes:
        info: Content of its `model.json`.
        epochs: History of its training.
        network: Classifier, a Keras model.
        seen: Ids and groups of the images that a champion was trained or tuned on; empty for other models.
        reference: Reference features; None: an earlier version trained the model, or it is not the final one.
        out_of_fold: Predictions of its cross-validation; None: there was none.
    """

    info: ModelInfo
    epochs: list[Epoch]
    network: Any
    seen: frozenset[str] = frozenset()
    reference: ReferenceFeatures | None = None
    out_of_fold: OutOfFold | None = None

    @classmethod
    def load(cls, folder: Path, classes: list[str], seen: frozenset[str] = frozenset()) -> "_LoadedModel":
        info = read_model_info(folder)
        if sorted(info.classes) != sorted(classes):
            raise HeadstartError(f"model {folder} has classes {info.classes}, the test images {classes}; pass a pair")

        from headstart.components.core.networks.saving import load_model

        record = folder / CROSS_VALIDATION
        out_of_fold = read_out_of_fold(record, info.classes) if info.cross_validation_sha256 else None
        return cls(info, read_history(folder), load_model(folder), seen, out_of_fold=out_of_fold)

    def order_out_of_fold(self, ids: list[str], classes: list[str]) -> OutOfFold | None:
        """Predictions out of fold for these images, if its cross-validation predicted all of them.

        Args:
            ids: Ids of the images.
            classes: Class names in the order of the wanted probabilities.
        """
        row_of = self._rows_out_of_fold()
        if self.out_of_fold is None or not set(ids) <= set(row_of):
            return None
        found = self.out_of_fold.select(np.array([row_of[image] for image in ids], np.int64))
        return dataclasses.replace(found, probabilities=self._order_classes(found.probabilities, classes))

    def replace_by_out_of_fold(self, predictions: Predictions) -> Predictions:
        """Predictions in which those out of fold replace its own for the images that it was trained on.

        These images then count as unseen.

        Args:
            predictions: Predictions of the model itself.
        """
        row_of = self._rows_out_of_fold()
        rows = [row for row, image in enumerate(predictions.ids) if image in row_of]
        if self.out_of_fold is None or not rows:
            return predictions
        found = self.out_of_fold.select(np.array([row_of[predictions.ids[row]] for row in rows], np.int64))
        probabilities, seen = predictions.probabilities.copy(), predictions.seen.copy()
        probabilities[rows] = self._order_classes(found.probabilities, predictions.classes)
        seen[rows] = False
        unfamiliarity = predictions.unfamiliarity
        if unfamiliarity is not None:
            unfamiliarity = unfamiliarity.copy()
            unfamiliarity[rows] = found.unfamiliarity
        return dataclasses.replace(predictions, probabilities=probabilities, seen=seen, unfamiliarity=unfamiliarity)

    def _rows_out_of_fold(self) -> dict[str, int]:
        return {image: row for row, image in enumerate(self.out_of_fold.ids)} if self.out_of_fold else {}

    def _order_classes(self, probabilities: NDArray[np.float64], classes: list[str]) -> NDArray[np.float64]:
        return probabilities[:, [self.info.classes.index(of) for of in classes]]


def _download_champion(address: str, classes: list[str]) -> _LoadedModel:
    check_champion_classes(address, classes)
    with download_published_model(address) as folder:
        return _LoadedModel.load(folder, classes, read_seen(folder))


def _validation_predictions(
    final: _LoadedModel, model: Path, validation: Path, classes: list[str]
) -> Predictions | None:
    """The predictions that training stored in the model's artifact, or new ones; None without images."""
    data = read_dataset_info(validation)
    if data.classes != classes:
        raise HeadstartError(f"validation images have classes {data.classes}, the test images {classes}; pass a pair")
    if not data.images:
        return None
    stored = read_validation_predictions(model, validation)
    if stored is None:
        predicted = _predict({FINAL: final}, validation, classes, "val predictions", np.empty(0, np.int64))
        stored = ValidationPredictions(predicted.probabilities[FINAL], predicted.unfamiliarity)
    return build_predictions(validation, stored.probabilities, unfamiliarity=stored.unfamiliarity)


@dataclasses.dataclass(frozen=True)
class _Predicted:
    """Predictions of the loaded models for a dataset of n images.

    Attributes:
        probabilities: Probabilities by each model, (n, classes).
        features: The final model's features of some rows.
        unfamiliarity: Unfamiliarities by the final model, (n,); None: it has no reference features.
    """

    probabilities: dict[str, NDArray[np.float64]]
    features: NDArray[np.float32]
    unfamiliarity: NDArray[np.float64] | None


def _predict(
    loaded: dict[str, _LoadedModel],
    data: Path,
    classes: list[str],
    what: str,
    rows: NDArray[np.int64],
) -> _Predicted:
    from headstart.components.core.networks.dataset_predictions import predict_proba_and_features

    networks = [each.network for each in loaded.values()]
    predicted = predict_proba_and_features(
        networks, data, what, list(loaded).index(FINAL), rows, loaded[FINAL].reference
    )
    # A champion may have its classes in another order.
    probabilities = {
        name: columns[:, [each.info.classes.index(of) for of in classes]]
        for (name, each), columns in zip(loaded.items(), predicted.probabilities, strict=True)
    }
    return _Predicted(probabilities, predicted.features, predicted.unfamiliarity)


def _heat_maps(final: _LoadedModel) -> HeatMaps:
    def compute(encoded: list[bytes], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        from headstart.components.core.networks.heat_maps import compute_heat_maps
        from headstart.components.core.networks.image_batches import decode_and_resize

        log_phase("heat maps")
        pixels = np.stack([decode_and_resize(each, final.info.image_size).numpy() for each in encoded])
        return compute_heat_maps(final.network, final.info.backbone, pixels, labels)

    return compute


def _find_probe(inputs: EvaluationInputs) -> Path | None:
    """The folder of label errors and learning curve; only the artifact of `train_head` has it."""
    return next((model / PROBE for model in (inputs.model, *inputs.others) if (model / PROBE).is_dir()), None)
