"""Publishes a model: every form of it, checked against its evaluation, with a card, at an address."""

import dataclasses
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headstart.components.core.artifacts.dataset import DatasetInfo, read_info
from headstart.components.core.artifacts.decision import read_decision
from headstart.components.core.artifacts.evaluation import (
    FINAL,
    IN_USE,
    METRICS,
    MODELS,
    read_metrics,
    read_models,
    temperature_of,
)
from headstart.components.core.artifacts.history import HISTORY
from headstart.components.core.artifacts.hygiene import HYGIENE, read_hygiene
from headstart.components.core.artifacts.model import MANIFEST, MODEL, SEEN, ModelInfo, read_model_info
from headstart.components.core.artifacts.predictions import PREDICTIONS, Predictions, read_predictions
from headstart.components.core.metrics.comparison import BETTER
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.registry.registry import (
    Outcome,
    check_classes,
    publish_folder,
    read_champion,
)
from headstart.components.core.registry.version_files import CARD, SAVED_MODEL
from headstart.components.core.registry.versions import EVALUATION, MODEL_FOLDER, list_files, name_version
from headstart.components.core.storage.atomic import make_empty_folder
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.storage.stores import open_tree
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import start_logging
from headstart.components.publish_model.kserve import write_inference_service

TOLERANCE = 0.01
"""How far a served probability may be from the evaluated one.

On one machine they agree to about 1e-6. The shorter products of some accelerators move them by thousandths; a picture
that is read or resized in another way moves the unsure ones by more.
"""


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What is published, and what it is checked against; all of one run.

    Attributes:
        model: Model artifact.
        evaluation: Folder that `evaluate_model` made of it.
        test: Dataset artifact that it was evaluated on.
        train: Dataset artifact that it learned from, for `litert_int8` and the card; None: there is none.
        decision: JSON file of `compare_models`; None: nothing was decided.
        exports: Forms to make beside the SavedModel: ``litert``, ``litert_int8``, ``onnx``.
        tolerance: How far a served probability may be from the evaluated one.
    """

    model: Path
    evaluation: Path
    test: Path
    train: Path | None = None
    decision: Path | None = None
    exports: Sequence[str] = ()
    tolerance: float = TOLERANCE


@explain_full_disk()
def publish_model(inputs: Inputs, uri: str, card: Path | None = None, run: str = "") -> Outcome:
    """Builds a version, checks it, and puts it in the place of the model in use.

    Where a decision is passed, it takes only the place of the model that it was compared with.

    Args:
        inputs: What is published.
        uri: A folder, or a `gs://` or `s3://` address.
        card: The file to copy the model card to; None: none.
        run: What made it, for the history; empty: the command that the evaluation names.

    Raises:
        HeadstartError: The parts are not of one run, the model in use has other classes, the decision is against it,
            a form cannot be made or answers differently, or the address cannot be written.
    """
    start_logging()
    tree = open_tree(uri)
    check_classes(uri, read_model_info(inputs.model).classes)
    instead_of = _compared_with(inputs.decision, inputs.evaluation, uri) if inputs.decision else None
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        version = Path(folder) / "version"
        build_version(inputs, version)
        address = f"{tree.address}/{name_version(list_files(version))}"
        write_inference_service(version, address)
        if card:
            card.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(version / CARD, card)
        command = read_models(inputs.evaluation)["command"]
        return publish_folder(version, uri, run or command, instead_of)


def _compared_with(decision: Path, evaluation: Path, uri: str) -> str:
    """The version in use if it is the one that the new model was compared with, else a name that no version has."""
    verdict = read_decision(decision)["verdict"]
    if verdict != BETTER:
        raise HeadstartError(f"{decision} says {verdict!r}; leave it out to publish the model all the same")
    models = read_models(evaluation)["models"]
    compared = models[IN_USE]["sha256"] if IN_USE in models else ""
    in_use = read_champion(uri)
    if in_use is None:
        # It was compared with nothing, or with a model that was never published here.
        return ""
    return in_use.version.version if in_use.version.facts.model == compared else compared or "none"


def build_version(inputs: Inputs, version: Path) -> None:
    """Makes the folder of a version, and lets it pass only if it answers as the evaluated model did.

    Args:
        inputs: What is published.
        version: The folder, made anew.

    Raises:
        HeadstartError: The parts are not of one run, a form cannot be made, or it answers differently.
    """
    start_tensorflow()
    from headstart.components.core.networks.classifier import add_temperature_scaling
    from headstart.components.core.networks.saving import load_model
    from headstart.components.publish_model.card import Facts, write_card
    from headstart.components.publish_model.exports import check_exports, export_formats
    from headstart.components.publish_model.parity import ask_served, compare_forms, compared, sample_of
    from headstart.components.publish_model.saved_model import export_saved_model

    check_exports(inputs.exports, inputs.train)
    info = read_model_info(inputs.model)
    metrics = read_metrics(inputs.evaluation)
    evaluated = read_predictions(inputs.evaluation / PREDICTIONS)
    test = read_info(inputs.test)
    _check_one_run(inputs, info, metrics, evaluated, test)
    make_empty_folder(version)
    _copy(inputs.model, version / MODEL_FOLDER, [MODEL, MANIFEST, HISTORY, SEEN])
    _copy(inputs.evaluation, version / EVALUATION, [METRICS, PREDICTIONS, MODELS, HYGIENE])
    temperature = temperature_of(metrics)
    model = load_model(inputs.model)
    export_saved_model(version, model, info.classes, temperature, info.ranges)
    sample = sample_of(inputs.test, evaluated, temperature)
    parity = compared(sample, ask_served(version / SAVED_MODEL, sample), inputs.tolerance)
    forms = compare_forms(version / SAVED_MODEL, inputs.test, model, info, temperature, inputs.tolerance)
    facts = Facts(
        model=info,
        metrics=metrics,
        test=test,
        train=read_info(inputs.train) if inputs.train else None,
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
    write_card(version, facts)


def _check_one_run(
    inputs: Inputs, info: ModelInfo, metrics: dict[str, Any], evaluated: Predictions, test: DatasetInfo
) -> None:
    made = read_models(inputs.evaluation)
    if made["models"][FINAL]["sha256"] != info.sha256 or evaluated.classes != info.classes:
        raise HeadstartError(f"{inputs.evaluation} is not the evaluation of {inputs.model}; pass those of one run")
    if metrics["test_data"] != test.digest:
        raise HeadstartError(
            f"{inputs.test} is not the test set of the evaluation {inputs.evaluation}; pass those of one run"
        )
    if inputs.train and read_info(inputs.train).digest != info.dataset["train"]:
        raise HeadstartError(f"{inputs.train} is not what {inputs.model} learned from; pass those of one run")


def _copy(source: Path, target: Path, names: list[str]) -> None:
    target.mkdir()
    for name in names:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
