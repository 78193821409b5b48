"""Publishes a model in all formats, checked against its evaluation, with a model card."""

import dataclasses
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headstart.components.core.artifacts.dataset import DatasetInfo, read_dataset_info
from headstart.components.core.artifacts.decision import read_decision
from headstart.components.core.artifacts.evaluation import (
    CHAMPION,
    FINAL,
    METRICS,
    MODELS,
    read_metrics,
    read_models,
    temperature_of,
)
from headstart.components.core.artifacts.hygiene import HYGIENE, read_hygiene
from headstart.components.core.artifacts.model import ModelInfo, list_model_files, read_model_info
from headstart.components.core.artifacts.model_calibration import unfamiliarity_of
from headstart.components.core.artifacts.predictions import (
    FINAL_MODEL_PREDICTIONS,
    PREDICTIONS,
    Predictions,
    read_predictions,
)
from headstart.components.core.artifacts.reference import read_reference
from headstart.components.core.metrics.comparison import BETTER
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.registry.export_formats import CARD, SAVED_MODEL
from headstart.components.core.registry.model_registry import check_registry_url, register
from headstart.components.core.registry.registry import (
    Outcome,
    check_classes,
    publish_folder,
    read_champion,
)
from headstart.components.core.registry.versions import EVALUATION, MODEL_FOLDER, list_files, name_version
from headstart.components.core.storage.atomic import make_empty_folder
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.storage.stores import open_tree
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, log_phase, start_logging
from headstart.components.publish_model.card_metrics import check_card_metrics
from headstart.components.publish_model.kserve import write_inference_service

TOLERANCE = 0.01
"""Largest allowed difference of a served probability from the evaluated one.

On one machine they agree to about 1e-6. Reduced precision on some accelerators moves them by thousandths; decoding or
resizing an image differently moves those near 0.5 by more.
"""


@dataclasses.dataclass(frozen=True)
class PublicationInputs:
    """Model to publish and the artifacts that it is checked against, all of one run.

    Attributes:
        model: Model artifact.
        evaluation: Folder that `evaluate_model` made of the model.
        test: Dataset artifact of the test images.
        train: Dataset artifact of the training images, for `litert_int8` and the card; None: not given.
        decision: JSON file of `compare_models`; None: no decision was made.
        exports: Formats to export besides the SavedModel: ``litert``, ``litert_int8``, ``onnx``.
        tolerance: Largest allowed difference of a served probability from the evaluated one.
    """

    model: Path
    evaluation: Path
    test: Path
    train: Path | None = None
    decision: Path | None = None
    exports: Sequence[str] = ()
    tolerance: float = TOLERANCE


@explain_full_disk()
def publish_model(
    inputs: PublicationInputs, uri: str, card: Path | None = None, run: str = "", registry_url: str = ""
) -> Outcome:
    """Builds a version, checks it, and makes it the champion.

    With a decision, it replaces only the champion that the decision compared it with.

    Args:
        inputs: Model and the artifacts that it is checked against.
        uri: Folder, or `gs://` or `s3://` address, of the published models.
        card: File to copy the model card to; None: no copy.
        run: Origin of the model, for the history; empty: the command that the evaluation names.
        registry_url: Kubeflow Model Registry in which the version is registered; empty: none. Where it fails, the
            version is published, and a warning is logged.

    Raises:
        HeadstartError: If the artifacts are not of one run, the champion has other classes, the decision is not
            ``better``, an export fails or predicts differently, or the address cannot be written.
    """
    start_logging()
    check_registry_url(registry_url)
    tree = open_tree(uri)
    # What follows takes minutes.
    tree.check_writable()
    check_classes(uri, read_model_info(inputs.model).classes)
    instead_of = _version_to_replace(inputs.decision, inputs.evaluation, uri) if inputs.decision else None
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        version = Path(folder) / "version"
        build_version(inputs, version)
        address = f"{tree.address}/{name_version(list_files(version))}"
        write_inference_service(version, address)
        if card:
            card.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(version / CARD, card)
        command = read_models(inputs.evaluation)["command"]
        outcome = publish_folder(version, uri, run or command, instead_of)
    return _register(outcome, uri, registry_url) if registry_url else outcome


def _register(outcome: Outcome, uri: str, registry_url: str) -> Outcome:
    try:
        return dataclasses.replace(outcome, registered=register(registry_url, uri, outcome.version))
    except HeadstartError as error:
        # The model is in use already: failing now would make nobody try again, and look as if it were not.
        event("warning", text=error)
        return outcome


def _version_to_replace(decision: Path, evaluation: Path, uri: str) -> str:
    """The champion's version if the decision compared the model with it, else a name that no version has."""
    verdict = read_decision(decision)["verdict"]
    if verdict != BETTER:
        raise HeadstartError(f"the verdict in {decision} is {verdict!r}; leave it out to publish the model anyway")
    models = read_models(evaluation)["models"]
    compared = models[CHAMPION]["sha256"] if CHAMPION in models else ""
    current = read_champion(uri)
    if current is None:
        # The model was compared with none, or with one that was never published here.
        return ""
    return current.version.version if current.version.facts.model == compared else compared or "none"


def build_version(inputs: PublicationInputs, version: Path) -> None:
    """Builds the folder of a version and checks that it predicts what the evaluated model predicted.

    Args:
        inputs: Model and the artifacts that it is checked against.
        version: Folder to write, emptied first.

    Raises:
        HeadstartError: If the artifacts are not of one run, or an export fails or predicts differently.
    """
    start_tensorflow()
    from headstart.components.core.networks.classifier import add_temperature_scaling
    from headstart.components.core.networks.saving import load_model
    from headstart.components.publish_model.card import CardContent, write_card
    from headstart.components.publish_model.exports import check_exports, export_formats
    from headstart.components.publish_model.parity import (
        check_file_forms,
        check_parity,
        draw_sample,
        read_original_pixels,
        run_saved_model,
    )
    from headstart.components.publish_model.saved_model import ServedFamiliarity, export_saved_model

    check_exports(inputs.exports, inputs.train)
    info = read_model_info(inputs.model)
    metrics = read_metrics(inputs.evaluation)
    check_card_metrics(inputs.evaluation)
    evaluated = read_predictions(_find_own_predictions(inputs.evaluation))
    test = read_dataset_info(inputs.test)
    _check_one_run(inputs, info, metrics, evaluated, test)
    make_empty_folder(version)
    _copy(inputs.model, version / MODEL_FOLDER, list_model_files(info))
    _copy(inputs.evaluation, version / EVALUATION, [METRICS, PREDICTIONS, MODELS, HYGIENE])
    temperature = temperature_of(metrics)
    model = load_model(inputs.model)
    log_phase("exporting SavedModel")
    reference, chosen = read_reference(inputs.model, info), unfamiliarity_of(metrics)
    familiarity = ServedFamiliarity(reference, chosen.threshold) if reference and chosen else None
    export_saved_model(version, model, info.classes, temperature, info.ranges, familiarity)
    sample = draw_sample(inputs.test, evaluated, temperature, threshold=chosen.threshold if chosen else None)
    originals = read_original_pixels(inputs.test, info)
    served, served_originals = run_saved_model(version / SAVED_MODEL, sample, originals)
    parity = check_parity(sample, served, inputs.tolerance)
    forms = check_file_forms(originals, served_originals, model, info.classes, temperature, inputs.tolerance)
    content = CardContent(
        model=info,
        metrics=metrics,
        test=test,
        train=read_dataset_info(inputs.train) if inputs.train else None,
        hygiene=read_hygiene(inputs.evaluation),
        decision=read_decision(inputs.decision) if inputs.decision else None,
        parity=dataclasses.replace(parity, forms=forms),
        exports=export_formats(
            inputs.exports,
            version,
            add_temperature_scaling(model, temperature),
            sample,
            inputs.train,
            inputs.tolerance,
        ),
    )
    write_card(version, content)


def _find_own_predictions(evaluation: Path) -> Path:
    """Predictions of the model itself: where it was cross-validated, the evaluation's are of other models."""
    own = evaluation / FINAL_MODEL_PREDICTIONS
    return own if own.exists() else evaluation / PREDICTIONS


def _check_one_run(
    inputs: PublicationInputs, info: ModelInfo, metrics: dict[str, Any], evaluated: Predictions, test: DatasetInfo
) -> None:
    made = read_models(inputs.evaluation)["models"][FINAL]["sha256"]
    if made != info.sha256 or evaluated.classes != info.classes or metrics["classes"] != info.classes:
        raise HeadstartError(f"{inputs.evaluation} is not the evaluation of {inputs.model}; pass those of one run")
    if metrics["test_data"] != test.digest:
        raise HeadstartError(
            f"{inputs.test} is not the test set of the evaluation {inputs.evaluation}; pass those of one run"
        )
    if inputs.train and read_dataset_info(inputs.train).digest != info.dataset["train"]:
        raise HeadstartError(f"{inputs.train} is not the training set of {inputs.model}; pass those of one run")


def _copy(source: Path, target: Path, names: list[str]) -> None:
    target.mkdir()
    for name in names:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
