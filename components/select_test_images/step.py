"""Selects the images of a labelled dataset that a trained model can be evaluated on."""

import dataclasses
import shutil
from collections import Counter
from pathlib import Path

from headstart.components.core.artifacts.dataset import (
    DatasetInfo,
    DatasetWriter,
    find_known_groups,
    read_columns,
    read_dataset_info,
    read_rows,
)
from headstart.components.core.artifacts.hygiene import HYGIENE
from headstart.components.core.artifacts.model import (
    ModelInfo,
    list_model_files,
    read_model_info,
    read_seen,
)
from headstart.components.core.artifacts.model_calibration import find_model_calibration, write_model_calibration
from headstart.components.core.artifacts.selection import Selection, write_selection
from headstart.components.core.registry.model_files import download_model
from headstart.components.core.sources.quarantine import (
    QUARANTINE,
    QuarantinedFile,
    append_quarantine,
    write_quarantine,
)
from headstart.components.core.storage.atomic import make_empty_folder
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging, track_progress
from headstart.components.core.util.printable import quote_name
from headstart.components.select_test_images.class_matching import match_classes
from headstart.components.select_test_images.settings import LEAVE_OUT, REFUSE, UNKNOWN_CLASSES

_SEEN_REASON, _UNKNOWN_REASON = "seen", "unknown class"
_FEW_IMAGES = 30


@dataclasses.dataclass(frozen=True)
class SelectedData:
    """Outputs of the step.

    Attributes:
        model: Folder of the model artifact to create, without what only its training needs.
        calibration: JSON file to write: temperature and abstention thresholds of the model's own evaluation.
        test: Folder of the dataset artifact to create, with the model's classes.
    """

    model: Path
    calibration: Path
    test: Path


@explain_full_disk()
def select_test_images(
    dataset: Path, address: str, selected: SelectedData, unknown_classes: str = REFUSE
) -> Selection:
    """Copies a model, and the images of a dataset that it has not seen, labelled by the model's classes.

    Images that the model was trained or tuned on are left out, with their near-duplicates in the dataset: on them it
    would look better than it is. `quarantine.csv` lists them after the files that were unusable.

    Args:
        dataset: Dataset artifact.
        address: Address of the model, see `download_model`.
        selected: Outputs.
        unknown_classes: Treatment of images of classes that the model does not know: ``refuse`` or ``leave_out``.

    Returns:
        Numbers of images that were left out.

    Raises:
        HeadstartError: If the model cannot be read, the dataset was read in another way than the model's images, a
            class is unknown, or no image is left.
    """
    start_logging()
    if unknown_classes not in UNKNOWN_CLASSES:
        raise HeadstartError(f"unknown_classes {unknown_classes!r}: give one of {', '.join(UNKNOWN_CLASSES)}")
    with download_model(address) as files:
        info = read_model_info(files.model)
        calibration = find_model_calibration(files.evaluation, info.sha256)
        make_empty_folder(selected.model)
        for name in list_model_files(info):
            shutil.copyfile(files.model / name, selected.model / name)
    selected.calibration.parent.mkdir(parents=True, exist_ok=True)
    write_model_calibration(selected.calibration, calibration)
    if not calibration:
        event("warning", text="probabilities are not calibrated: the model has no evaluation beside it that does so")
    data = read_dataset_info(dataset)
    _check_reading(data, info)
    labels = match_classes(
        dict(zip(data.classes, data.counts, strict=True)), info.classes, unknown_classes == LEAVE_OUT
    )
    selection = _write_selected(dataset, data, info, labels, selected)
    if missing := _missing_classes(read_dataset_info(selected.test)):
        event("warning", text=f"no test image of {missing}: nothing is measured there")
    return selection


def _check_reading(data: DatasetInfo, info: ModelInfo) -> None:
    """Refuses a dataset whose images were reduced to another size than those the model was trained on."""
    if info.max_side and data.max_side != info.max_side:
        raise HeadstartError(
            f"the data were read with max_side {data.max_side}, the images that the model was trained on with "
            f"{info.max_side}; read them with max_side {info.max_side}"
        )


def _write_selected(
    dataset: Path, data: DatasetInfo, info: ModelInfo, labels: dict[int, int], selected: SelectedData
) -> Selection:
    """Writes the test set, its quarantine and the numbers of what was left out.

    Args:
        dataset: Dataset artifact.
        data: Its description.
        info: Description of the model.
        labels: Label by the model's classes of each label of the dataset; classes that are not in it are left out.
        selected: Outputs of the step.
    """
    seen = _seen_images(dataset, read_seen(selected.model))
    left_out: list[QuarantinedFile] = []
    unknown: Counter[str] = Counter()
    with DatasetWriter(
        *(selected.test, info.classes, data.source, data.extra, data.max_side, data.ranges), grouping=data.grouping
    ) as writer:
        for row in track_progress(read_rows(dataset), "selecting", data.images):
            name = data.classes[row.label]
            if row.label not in labels:
                unknown[name] += 1
                detail = f"the model does not know the class {quote_name(name)}"
                left_out.append(QuarantinedFile(row.path, _UNKNOWN_REASON, detail))
            elif row.id in seen:
                others = (
                    f"a near-duplicate or an image of its {data.grouping}" if data.grouping else "a near-duplicate"
                )
                detail = f"the model was trained or tuned on it or {others}"
                left_out.append(QuarantinedFile(row.path, _SEEN_REASON, detail))
            else:
                writer.add(dataclasses.replace(row, label=labels[row.label]))
        selection = Selection(data.images, len(left_out) - unknown.total(), dict(sorted(unknown.items())))
        _write_quarantine(dataset, selected.test, left_out)
        write_selection(selected.test, selection)
        if (dataset / HYGIENE).exists():
            shutil.copyfile(dataset / HYGIENE, selected.test / HYGIENE)
        _check_enough(data.images - len(left_out), selection)
    event("selection", images=data.images, seen=selection.seen, unknown=unknown.total())
    if words := selection.in_words():
        event("warning", text=f"left out {words}")
    return selection


def _seen_images(dataset: Path, seen: frozenset[str]) -> frozenset[str]:
    """Ids of the images that a model has seen, and of their near-duplicates in the dataset."""
    columns = read_columns(dataset, ["id", "group"])
    known = find_known_groups(dataset, seen)
    images = zip(columns["id"].to_pylist(), columns["group"].to_pylist(), strict=True)
    return frozenset(image for image, group in images if group in known)


def _write_quarantine(dataset: Path, test: Path, left_out: list[QuarantinedFile]) -> None:
    """Writes the quarantine of the dataset, and after it the images that were left out."""
    if not (dataset / QUARANTINE).exists():
        write_quarantine(test / QUARANTINE, left_out)
    else:
        shutil.copyfile(dataset / QUARANTINE, test / QUARANTINE)
        append_quarantine(test / QUARANTINE, left_out)


def _check_enough(images: int, selection: Selection) -> None:
    if not images:
        raise HeadstartError(
            f"no image is left to evaluate on; left out were, {selection.in_words()}; give images that the model has "
            "not seen, of its own classes"
        )
    if images < _FEW_IMAGES:
        event("warning", text=f"only {images} images to evaluate on: see how wide the intervals are")


def _missing_classes(test: DatasetInfo) -> str:
    return ", ".join(quote_name(name) for name, count in zip(test.classes, test.counts, strict=True) if not count)
