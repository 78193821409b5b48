"""Writes the checked images as a dataset artifact, with the quarantine and the hygiene page."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from headstart.components.core.artifacts.dataset import (
    NEAR_DUPLICATES,
    ROW_GROUP_BYTES,
    USER_GROUP,
    DatasetInfo,
    DatasetWriter,
    read_dataset_info,
)
from headstart.components.core.artifacts.hygiene import write_hygiene
from headstart.components.core.reports.page import describe_run, now
from headstart.components.core.sources import Source
from headstart.components.core.sources.quarantine import QUARANTINE, QuarantinedFile, write_quarantine
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, log_phase, track_progress
from headstart.components.core.util.printable import list_first, pluralize, quote_name
from headstart.components.download_dataset.check_results import hex_ids
from headstart.components.download_dataset.checking import CheckedSources, describe_first
from headstart.components.download_dataset.duplicates import (
    ImageGroups,
    drop_exact_duplicates,
    group_images,
    list_groups,
)
from headstart.components.download_dataset.hygiene_data import PAGE_COLUMNS, HygieneData
from headstart.components.download_dataset.hygiene_report import HygienePage
from headstart.components.download_dataset.hygiene_warnings import describe_identity
from headstart.components.download_dataset.identity_columns import (
    IdentityColumn,
    find_identity_columns,
    looks_like_identity,
    predict_class_by_group,
)
from headstart.components.download_dataset.ingest_plan import IngestPlan, parse_extra
from headstart.components.download_dataset.spool import Spool

_NAMES_SHOWN = 3


def write_dataset(
    plan: IngestPlan,
    spool: Spool,
    checked: CheckedSources,
    dataset: Path,
    hygiene: Path,
) -> DatasetInfo:
    """Finds duplicates, writes the dataset, and then the hygiene page.

    Args:
        plan: Classes and further columns of the images.
        spool: Usable images.
        checked: Files that the checks leave out, and further results of theirs.
        dataset: Folder of the artifact to create.
        hygiene: HTML file to write.

    Raises:
        HeadstartError: If a class has no usable image.
    """
    log_phase("finding duplicates")
    kept, duplicates = drop_exact_duplicates(spool, plan.classes)
    quarantined = [*checked.unusable, *duplicates]
    _check_no_class_is_empty(spool.properties(["label"], kept), plan, quarantined)
    grouping = plan.grouping
    images = group_images(spool, kept, bool(grouping.unit))
    _report_joined(images, grouping.unit)
    ids = spool.properties(["id"], kept)["id"].combine_chunks()
    with DatasetWriter(
        *(dataset, plan.classes, plan.name, plan.extra, plan.settings.max_side, checked.ranges),
        grouping=grouping.unit,
    ) as writer:
        row_groups = _row_groups(spool.sizes()[kept])
        for places in track_progress(row_groups, "writing", len(kept), len):
            rows = kept[places]
            properties = spool.properties(["path", "label", "stored_width", "stored_height", "split"], rows)
            names = ["path", "label", "width", "height", "split"]
            columns = dict(zip(names, properties.combine_chunks(), strict=True))
            writer.add_group(
                {name: column.combine_chunks() for name, column in columns.items()}
                | {"image": spool.encoded(rows), "id": hex_ids(ids.take(places))}
                | {"group": images.names.take(places)}
                | {USER_GROUP: images.user_groups.take(places)}
                | {NEAR_DUPLICATES: images.near_duplicates.take(places)}
                | _extra_columns(spool, rows, plan.extra)
            )
        write_quarantine(dataset / QUARANTINE, quarantined)
    info = read_dataset_info(dataset)
    groups = list_groups(images.leaders)
    labels = spool.properties(["label"], kept)["label"].to_numpy()
    identities = _find_identities(spool, kept, labels, plan.extra, images)
    # Memory of searching and writing goes back to the system before the page needs its own.
    pa.default_memory_pool().release_unused()
    log_phase("writing the data report")
    page = HygienePage(
        HygieneData(
            sources=[source.name for source in plan.sources],
            classes=plan.classes,
            label_source=_without_folders(plan.label_source, plan.sources),
            notes=[*plan.notes, *checked.notes],
            why=" / ".join(dict.fromkeys(labelling.why for labelling in plan.labellings)),
            properties=spool.properties(PAGE_COLUMNS, kept),
            quarantined=quarantined,
            ignored=sum(source.ignored for source in plan.sources),
            groups=groups,
            digest=info.digest,
            ranges=checked.ranges,
            identities=identities,
            unit=grouping.unit,
            predicted=_predict_class(images, labels) if grouping.unit else None,
            read_image=lambda row: Image.open(io.BytesIO(spool.encoded(kept[row : row + 1])[0].as_py())),
        )
    )
    hygiene.parent.mkdir(parents=True, exist_ok=True)
    hygiene.write_text(page.render(now(), describe_run("", hygiene)), encoding="utf-8")
    write_hygiene(dataset, page.summary())
    for text in [*page.low_contrast_warnings(), *map(describe_identity, identities)]:
        event("warning", text=text)
    reasons = Counter(each.reason for each in quarantined)
    event("quarantine", files=len(quarantined), **{reason.replace(" ", "_"): n for reason, n in reasons.items()})
    event(
        "dataset",
        images=info.images,
        bad=len(checked.unusable),
        groups_of_several=len(groups),
        digest=info.digest[:16],
    )
    return info


def _report_joined(images: ImageGroups, unit: str) -> None:
    """Says which groups of the user's near-duplicates join."""
    if images.joined:
        first = list_first(max(images.joined, key=len), _NAMES_SHOWN)
        number = sum(map(len, images.joined))
        event(
            "warning",
            text=f"near-duplicates join {number:,} {pluralize(unit, number)} to {len(images.joined):,}, such as "
            f"{first}; the images of each stay in one split",
        )


def _check_no_class_is_empty(labels: pa.Table, plan: IngestPlan, quarantined: Sequence[QuarantinedFile]) -> None:
    counts = np.bincount(labels["label"], minlength=len(plan.classes))
    for name, count in zip(plan.classes, counts, strict=True):
        if not count:
            raise HeadstartError(
                f"data {plan.name!r}: no file of class {quote_name(name)} can be used: "
                f"{describe_first(quarantined)}; repair them, or remove the class"
            )


def _row_groups(sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Positions of the images of each row group, by their sizes in bytes."""
    full = np.flatnonzero(np.diff(np.cumsum(sizes) // ROW_GROUP_BYTES)) + 1
    return iter(np.split(np.arange(len(sizes)), full))


def _find_identities(
    spool: Spool, kept: NDArray[np.int64], labels: NDArray[np.int32], names: list[str], images: ImageGroups
) -> list[IdentityColumn]:
    """Columns that look like an identity, and are not named as groups."""
    names = [name for name in names if looks_like_identity(name)]
    if not names:
        return []
    columns = {name: column.to_pylist() for name, column in _extra_columns(spool, kept, names).items()}
    return find_identity_columns(columns, labels, images.names.to_pylist())


def _predict_class(images: ImageGroups, labels: NDArray[np.int32]) -> float | None:
    """Balanced accuracy with which the user's group predicts the class; None if it does not."""
    group = np.unique(np.array(images.names.to_pylist(), str), return_inverse=True)[1]
    return predict_class_by_group(group, labels)


def _extra_columns(spool: Spool, rows: NDArray[np.int64], names: list[str]) -> dict[str, pa.Array]:
    if not names:
        return {}
    values = [parse_extra(each) for each in spool.properties(["extra"], rows)["extra"].to_pylist()]
    return {name: pa.array([each.get(name, "") for each in values], pa.string()) for name in names}


def _without_folders(label_source: str, sources: Sequence[Source]) -> str:
    """Source of the classes without the folders above the data: the page may be published."""
    for source in sources:
        label_source = label_source.replace(source.name, PurePosixPath(source.name).name or source.name)
    return label_source
