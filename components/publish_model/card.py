"""The model card: who may rely on a published model, for what, and how far; from facts alone."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2

from headstart.components.core.artifacts.dataset import DatasetInfo
from headstart.components.core.artifacts.hygiene import HygieneSummary
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.metrics.comparison import compare_with_chance
from headstart.components.core.registry.version_files import CARD, CARD_JSON
from headstart.components.core.reports.page import shown
from headstart.components.core.storage.atomic import write_json
from headstart.components.publish_model.exports import Export
from headstart.components.publish_model.parity import Parity

FORMAT = "headstart-model-card/1"

_FEW_IMAGES = 30
"""Test images of a class below which its recall is good to no more than some 15 points either way."""

_MARKUP = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_{}[]<>#|!"})


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a card is made of.

    Attributes:
        model: The published model.
        metrics: `metrics.json` of its evaluation.
        test: The test set.
        train: The training set; None where it was not given.
        hygiene: What was found in the data; None where that is not known.
        decision: Of `compare_models`; None where nothing was decided.
        parity: What the gate found.
        exports: Further forms of the model, by name.
    """

    model: ModelInfo
    metrics: dict[str, Any]
    test: DatasetInfo
    train: DatasetInfo | None
    hygiene: HygieneSummary | None
    decision: dict[str, Any] | None
    parity: Parity
    exports: dict[str, Export]


def write_card(version: Path, facts: Facts) -> None:
    """Writes the card as JSON and as Markdown; the same facts give the same card.

    Args:
        version: Folder of the version.
        facts: What it says.
    """
    values = _values(facts)
    write_json(version / CARD_JSON, {"format": FORMAT, **values})
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=False,  # noqa: S701 - Markdown; what comes from outside goes through `name` and `text`
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "percent": _percent,
        "grouped": lambda number: f"{number:,}",
        "name": _name,
        "text": _text,
    }
    environment.filters.update(filters)
    page = environment.get_template("model_card.md.j2").render(values)
    (version / CARD).write_text(page, encoding="utf-8")


def _values(facts: Facts) -> dict[str, Any]:
    metrics = facts.metrics
    return {
        "classes": metrics["classes"],
        "model": dataclasses.asdict(facts.model),
        "data": {
            "train": _counts(facts.train),
            "test": _counts(facts.test),
            "validation_digest": metrics["validation_data"],
            "hygiene": dataclasses.asdict(facts.hygiene) if facts.hygiene else None,
            "suspected_label_errors": metrics["suspected_label_errors"],
        },
        "evaluation": metrics["test"],
        "calibration": metrics["calibration"],
        "abstention": metrics["abstention"],
        "slices": metrics["slices"],
        "decision": facts.decision,
        "parity": dataclasses.asdict(facts.parity),
        "exports": {name: dataclasses.asdict(each) for name, each in facts.exports.items()},
        "limits": _limits(facts),
    }


def _counts(data: DatasetInfo | None) -> dict[str, Any] | None:
    if data is None:
        return None
    return {
        "digest": data.digest,
        "images": data.images,
        "per_class": dict(zip(data.classes, data.counts, strict=True)),
    }


def _limits(facts: Facts) -> list[str]:
    metrics = facts.metrics
    limits = [
        "It answers with one of its classes whatever the picture shows; a picture of something else gets one too.",
        "The figures hold for pictures like the test images, which came from the same source as the training images.",
    ]
    per_class = metrics["test"]["per_class"]
    chance = compare_with_chance(
        round(metrics["test"]["accuracy"] * metrics["test"]["images"]),
        {name: each["images"] for name, each in per_class.items()},
    )
    if not chance.excluded:
        limits.append(
            f"It is not shown to be better than always answering {_name(chance.label)}, which is right on "
            f"{_percent(chance.share)} of the test images."
        )
    none = [name for name, each in per_class.items() if not each["images"]]
    if none:
        limits.append(
            f"No test image shows {', '.join(map(_name, none))}: nothing is known of how well it does there."
        )
    few = [name for name, each in per_class.items() if 0 < each["images"] < _FEW_IMAGES]
    if few:
        limits.append(
            f"Fewer than {_FEW_IMAGES} test images each of {', '.join(map(_name, few))}: little is known of these "
            "classes."
        )
    if metrics["calibration"] is None:
        limits.append("Its probabilities are not calibrated: there were no validation images to calibrate them on.")
    for each in metrics["abstention"]:
        if each["threshold"] is None:
            limits.append(
                f"No threshold promises a precision of {_percent(each['wanted'])}: "
                f"{each['validation_images']} validation images are too few, or too many of them wrong."
            )
    if facts.model.max_side:
        limits.append(
            f"Pictures with a side of more than {facts.model.max_side} pixels were reduced to that before training; "
            "the SavedModel resizes them in one step, which moves its probabilities a little."
        )
    limits.append(
        "The SavedModel reads JPEG, PNG, GIF and BMP; WebP where the server's TensorFlow does (2.21 does, 2.18 does "
        "not); no other format, no JPEG with arithmetic coding, and no BMP with run lengths. What it does not read "
        "gets an empty label."
    )
    unread = {form: each for form, each in facts.parity.forms.items() if each.read < each.asked}
    if unread:
        listed = ", ".join(f"{_name(form)} ({each.files:,})" for form, each in unread.items())
        limits.append(f"Of the forms in which the files of the data come, the SavedModel does not read: {listed}.")
    return limits


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _name(name: str) -> str:
    """A name from outside, as Markdown shows it: nothing invisible, no markup, no more than 100 letters."""
    return shown(name).translate(_MARKUP)


def _text(text: str) -> str:
    """A sentence that may have such names in it."""
    return shown(text, len(text)).translate(_MARKUP)
