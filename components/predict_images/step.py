"""Predicts what images show, with a model of one's own or the one that is in use."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from headstart.components.core.storage.files import full_disk_in_one_line, whole_file
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging
from headstart.components.predict_images.inputs import check_paths, named
from headstart.components.predict_images.model_location import Located, located
from headstart.components.predict_images.output import Tally, write_parquet
from headstart.components.predict_images.predict import answers, open_model


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What is predicted, and by what.

    Attributes:
        images: Files, folders, dataset artifacts, patterns and addresses: see `named`.
        model: Model artifact; None: `address` says where one is.
        evaluation: Folder that `evaluate_model` made of it; None: probabilities are the model's own.
        address: See `located`; empty: `model` is given.
        precision: See `trust`.
        image_column: Column of manifests and Parquet that names or holds the image; empty: by the usual names.
    """

    images: Sequence[str]
    model: Path | None = None
    evaluation: Path | None = None
    address: str = ""
    precision: float = 0.0
    image_column: str = ""


@full_disk_in_one_line()
def predict_images(inputs: Inputs, predictions: Path) -> Tally:
    """Asks the model of every image and writes what it says; an image that cannot be read stops no other.

    Args:
        inputs: What is predicted, and by what.
        predictions: The Parquet file to write, one row an image: see `Model.schema`.

    Raises:
        HeadstartError: No image is named, none could be read, there is no model or it is damaged, or it has no such
            threshold. Where none could be read, the file tells why of each.
    """
    start_logging()
    if not inputs.images:
        raise HeadstartError("no images are named; pass a dataset, or paths and addresses")
    check_paths(inputs.images)
    if bool(inputs.model) == bool(inputs.address):
        raise HeadstartError("pass a model artifact or the address of a model, one of the two")
    predictions.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        found = (
            Located(inputs.model, inputs.evaluation) if inputs.model else stack.enter_context(located(inputs.address))
        )
        model = open_model(found, inputs.precision)
        event("model", stage=model.info.stage, calibrated=model.trust.calibrated, threshold=model.trust.threshold)
        tally = Tally()
        file = stack.enter_context(whole_file(predictions))
        images = named(inputs.images, stack.enter_context(contextlib.ExitStack()), inputs.image_column)
        write_parquet(tally.count(answers(model, images)), model.schema, file)
    reasons = {reason.replace(" ", "_"): number for reason, number in tally.unreadable.items()}
    event("predictions", images=tally.images, abstained=tally.abstained, **reasons)
    if tally.unreadable.total() == tally.images:
        raise HeadstartError(f"no image could be read: {tally.in_words()}; {tally.first}; check what is named")
    return tally
