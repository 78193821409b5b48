"""Model card of a published version, as JSON and as Markdown."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2

from headstart.components.core.artifacts.dataset import DatasetInfo
from headstart.components.core.artifacts.hygiene import HygieneSummary
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.metrics.clusters import read_sample
from headstart.components.core.metrics.comparison import compare_with_chance
from headstart.components.core.registry.export_formats import CARD, CARD_JSON
from headstart.components.core.reports.calibration_words import describe_change, describe_temperature, is_scaled
from headstart.components.core.reports.cross_validation_words import describe_cross_validation
from headstart.components.core.reports.group_words import describe_grouped_test
from headstart.components.core.reports.page import shown
from headstart.components.core.reports.training_words import describe_training
from headstart.components.core.reports.unfamiliarity_words import describe_threshold
from headstart.components.core.storage.atomic import write_json
from headstart.components.core.util.printable import describe_groups
from headstart.components.publish_model.exports import Export
from headstart.components.publish_model.parity import Parity

FORMAT = "headstart-model-card/1"

_FEW_IMAGES = 30
"""Test images of a class below which its recall is uncertain by more than about 15 points either way."""

_MARKUP = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_{}[]<>#|!"})


@dataclasses.dataclass(frozen=True)
class CardContent:
    """Everything that a model card is made from.

    Attributes:
        model: Content of the model's `model.json`.
        metrics: Content of `metrics.json` of its evaluation.
        test: Manifest of the test set.
        train: Manifest of the training set; None if it was not given.
        hygiene: Data hygiene summary; None if not known.
        decision: Content of the decision of `compare_models`; None if no decision was made.
        parity: Result of the parity gate.
        exports: Exported formats by name.
    """

    model: ModelInfo
    metrics: dict[str, Any]
    test: DatasetInfo
    train: DatasetInfo | None
    hygiene: HygieneSummary | None
    decision: dict[str, Any] | None
    parity: Parity
    exports: dict[str, Export]


def write_card(version: Path, content: CardContent) -> None:
    """Writes the card as JSON and as Markdown; the same content gives the same files.

    Args:
        version: Folder of the version.
        content: Content of the card.
    """
    values = _values(content)
    write_json(version / CARD_JSON, {"format": FORMAT, **values})
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=False,  # noqa: S701 - Markdown; texts from outside go through `name` and `text`
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
    calibration = values["calibration"]
    page = environment.get_template("model_card.md.j2").render(
        values,
        calibration_words=" ".join([describe_temperature(calibration), describe_change(calibration)]).strip()
        if calibration
        else "",
        unfamiliarity_words=describe_threshold(found) if (found := values["unfamiliarity"]) else [],
        cross_validation_words=describe_cross_validation(content.metrics),
        calibration_scaled=calibration and is_scaled(calibration),
        training_words=_text(describe_training(values["model"])),
        of_groups=describe_groups(content.metrics["test"].get("groups"), content.metrics.get("grouping") or ""),
        group_words=describe_grouped_test(content.metrics),
    )
    (version / CARD).write_text(page, encoding="utf-8")


def _values(content: CardContent) -> dict[str, Any]:
    metrics = content.metrics
    return {
        "classes": metrics["classes"],
        "model": content.model.as_json(),
        "data": {
            "train": _counts(content.train),
            "test": _counts(content.test),
            "validation_digest": metrics["validation_data"],
            "hygiene": dataclasses.asdict(content.hygiene) if content.hygiene else None,
            "suspected_label_errors": metrics["suspected_label_errors"],
        },
        "evaluation": metrics["test"],
        "grouping": metrics.get("grouping") or "",
        "calibration": metrics["calibration"],
        "abstention": metrics["abstention"],
        "unfamiliarity": metrics.get("unfamiliarity"),
        "slices": metrics["slices"],
        "decision": content.decision,
        "parity": dataclasses.asdict(content.parity),
        "exports": {name: dataclasses.asdict(each) for name, each in content.exports.items()},
        "limits": _limits(content),
    }


def _counts(data: DatasetInfo | None) -> dict[str, Any] | None:
    if data is None:
        return None
    return {
        "digest": data.digest,
        "images": data.images,
        "per_class": dict(zip(data.classes, data.counts, strict=True)),
    }


def _limits(content: CardContent) -> list[str]:
    metrics = content.metrics
    limits = [
        "It predicts one of its classes for every image; an image of something else gets one too.",
        *_unfamiliarity_limits(content),
        "The metrics hold for images like the test images, which come from the same source as the training images.",
    ]
    per_class = metrics["test"]["per_class"]
    chance = compare_with_chance(
        round(metrics["test"]["accuracy"] * metrics["test"]["images"]),
        {name: each["images"] for name, each in per_class.items()},
        sample=read_sample(metrics),
    )
    if not chance.excluded:
        limits.append(
            f"It is not shown to be better than always predicting {_name(chance.label)}, which is correct for "
            f"{_percent(chance.share)} of the test images."
        )
    none = [name for name, each in per_class.items() if not each["images"]]
    if none:
        limits.append(
            f"There are no test images of {', '.join(map(_name, none))}: nothing is known about the model there."
        )
    few = [name for name, each in per_class.items() if 0 < each["images"] < _FEW_IMAGES]
    if few:
        limits.append(
            f"Fewer than {_FEW_IMAGES} test images each of {', '.join(map(_name, few))}: little is known of these "
            "classes."
        )
    if metrics["calibration"] is None:
        limits.append("Its probabilities are not calibrated, as there were no validation images.")
    for each in metrics["abstention"]:
        if each["threshold"] is None:
            limits.append(
                f"No threshold promises a precision of {_percent(each['wanted'])}: the "
                f"{each['validation_images']} validation images are too few, or too many predictions are wrong."
            )
    if content.model.max_side:
        limits.append(
            f"Images with a side of more than {content.model.max_side} pixels were reduced to that before training; "
            "the SavedModel resizes them in one step, which changes its probabilities slightly."
        )
    limits.append(
        "The SavedModel reads JPEG, PNG, GIF and BMP; WebP where the server's TensorFlow does (2.21 does, 2.18 does "
        "not); no other format, no JPEG with arithmetic coding, and no BMP with run lengths. Files that it cannot "
        "read get an empty label."
    )
    unread = {form: each for form, each in content.parity.forms.items() if each.read < each.asked}
    if unread:
        listed = ", ".join(f"{_name(form)} ({each.files:,})" for form, each in unread.items())
        limits.append(f"Of the file forms in the data, the SavedModel does not read: {listed}.")
    return limits


def _unfamiliarity_limits(content: CardContent) -> list[str]:
    """What the flag of unfamiliar images does not do."""
    if not content.metrics.get("unfamiliarity"):
        return ["It cannot tell an image that is unlike its training images."]
    limits = [
        "Images unlike the training images are flagged as unfamiliar; an image of something else that looks like one "
        "of the classes is not."
    ]
    if content.exports:
        limits.append(f"{', '.join(content.exports)} do not compute the unfamiliarity; the SavedModel does.")
    return limits


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _name(name: str) -> str:
    """A name from outside for Markdown: no markup, no invisible characters, at most 100 letters."""
    return shown(name).translate(_MARKUP)


def _text(text: str) -> str:
    """A sentence for Markdown that may contain names from outside."""
    return shown(text, len(text)).translate(_MARKUP)
