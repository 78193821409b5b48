"""Checks all files of a plan: usable images go into the spool, all others into the quarantine."""

import contextlib
import dataclasses
from collections.abc import Generator, Mapping, Sequence

import pyarrow as pa

from headstart.components.core.artifacts.originals import Originals
from headstart.components.core.images.sample_ranges import Range
from headstart.components.core.sources.corrections import NONE_ACCEPTED
from headstart.components.core.sources.quarantine import CORRECTED, QuarantinedFile
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, track_progress
from headstart.components.download_dataset.check_results import PROPERTIES_SCHEMA
from headstart.components.download_dataset.deferred_images import DeferredImages
from headstart.components.download_dataset.image_checks import CheckedBatch, check_files
from headstart.components.download_dataset.ingest_plan import IngestPlan
from headstart.components.download_dataset.labels import LEFT_OUT
from headstart.components.download_dataset.spool import SPOOL_SCHEMA, Spool

_FILES_SHOWN = 5
_INTENDED = (CORRECTED, LEFT_OUT)


@dataclasses.dataclass(frozen=True)
class CheckedSources:
    """Outcome of checking all files, besides the usable images.

    Attributes:
        unusable: Files that are left out.
        ranges: Black and white of each form of images of more than 8 bits.
        notes: Remarks for the page on the data, a sentence each.
    """

    unusable: list[QuarantinedFile]
    ranges: dict[str, Range]
    notes: list[str]


def check_sources(plan: IngestPlan, spool: Spool, originals: Originals) -> CheckedSources:
    """Reads and checks all files; usable images are added to the spool.

    Images of more than 8 bits that state no range are read twice: measured with all others, and added after them,
    when the range of each form is known.

    Args:
        plan: Files to read.
        spool: Receives the usable images.
        originals: Receives the files of usable images.

    Raises:
        HeadstartError: If too many files are unusable, or a worker process is killed.
    """
    quarantined = [each for source in plan.sources for each in source.unusable]
    unusable = len(quarantined)
    counted = plan.files - plan.left_out
    label_of = {name: label for label, name in enumerate(plan.classes)}
    changed, accepted = 0, dict[str, float]()
    deferred = DeferredImages()
    with contextlib.closing(_check_batches(plan, deferred)) as batches:
        for batch in batches:
            classes = _correct_classes(batch, plan.corrections.classes)
            changed += sum(name not in ("", file.label) for file, name in zip(batch.files, classes, strict=True))
            accepted |= _find_accepted(batch, classes, plan.corrections.accepted)
            _add_usable(spool, batch, classes, label_of)
            every = zip(batch.files, batch.contents, classes, strict=True)
            originals.add((file.path, content) for file, content, name in every if name)
            left_out = _list_unusable(batch, classes)
            quarantined += left_out
            unusable += sum(each.reason not in _INTENDED for each in left_out)
            if unusable > plan.settings.max_bad_fraction * counted:
                first = describe_first([each for each in quarantined if each.reason not in _INTENDED])
                raise HeadstartError(
                    f"data {plan.name!r}: more than {plan.settings.max_bad_fraction:.0%} of {counted:,} files "
                    f"cannot be used: {first}; repair or remove them, or raise max_bad_fraction"
                )
    spool.finish()
    notes: list[str] = []
    if plan.corrections.classes:
        event("corrections", listed=len(plan.corrections.classes), changed=changed, accepted=len(accepted))
    if plan.settings.accept_suggestions != NONE_ACCEPTED:
        notes.append(_describe_accepted(accepted, plan.settings.accept_suggestions))
        event("warning", text=notes[0])
    given = plan.settings.ranges
    return CheckedSources(quarantined, dict(given) if given is not None else deferred.ranges(), notes)


def describe_first(quarantined: Sequence[QuarantinedFile]) -> str:
    """Names the first few files with their reasons, and counts the others, for messages.

    Args:
        quarantined: Files that are left out.
    """
    text = "; ".join(f"{each.file}: {each.reason}" for each in quarantined[1:_FILES_SHOWN])
    if quarantined:
        first = quarantined[0]
        text = "; ".join(filter(None, [f"{first.file}: {first.reason} ({first.detail})", text]))
    return text + (f"; and {len(quarantined) - _FILES_SHOWN} more" if len(quarantined) > _FILES_SHOWN else "")


def _check_batches(plan: IngestPlan, deferred: DeferredImages) -> Generator[CheckedBatch, None, None]:
    """Yields batches of checked files; images without a range come last."""
    remote = any(source.remote for source in plan.sources)
    max_side, ranges = plan.settings.max_side, plan.settings.ranges
    with contextlib.closing(check_files(plan.files_to_check(), remote, max_side, ranges=ranges)) as batches:
        for batch in track_progress(batches, "checking", plan.files, lambda batch: len(batch.files), "files"):
            yield deferred.take_from(batch)
    if deferred.numbers:
        ranges = deferred.ranges()
        for form, (black, white) in ranges.items():
            event("range", form=form, black=black, white=white)
        again = check_files(deferred.select_files(plan.files_to_check()), remote, max_side, ranges=ranges)
        with contextlib.closing(again) as batches:
            total = len(deferred.numbers)
            yield from track_progress(batches, "checking deep images", total, lambda batch: len(batch.files), "files")


def _correct_classes(batch: CheckedBatch, corrections: Mapping[str, str]) -> list[str]:
    """Class of each file; empty for files that cannot be used, or that the corrections leave out."""
    ids = batch.results["id"].to_pylist()
    return [
        corrections.get(pixels.hex(), file.label) if pixels else ""
        for file, pixels in zip(batch.files, ids, strict=True)
    ]


def _find_accepted(batch: CheckedBatch, classes: list[str], confidences: Mapping[str, float]) -> dict[str, float]:
    """Confidence of each suggestion that changes the class of an image of a batch, by the image's id."""
    if not confidences:
        return {}
    ids = [pixels.hex() if pixels else "" for pixels in batch.results["id"].to_pylist()]
    rows = zip(ids, classes, batch.files, strict=True)
    return {each: confidences[each] for each, name, file in rows if each in confidences and name != file.label}


def _describe_accepted(accepted: Mapping[str, float], least: float) -> str:
    """A sentence on the suggestions that were accepted: their number, and how many are expected to be wrong."""
    wrong = sum(1 - confidence for confidence in accepted.values())
    return (
        f"labels changed to their suggested classes, unread: {len(accepted):,} (confidence {least:g} or more); "
        f"expected to be wrong: {wrong:,.1f}"
    )


def _add_usable(spool: Spool, batch: CheckedBatch, classes: list[str], label_of: Mapping[str, int]) -> None:
    rows = [row for row, name in enumerate(classes) if name]
    results = batch.results.take(pa.array(rows, pa.int64())) if len(rows) < len(batch.files) else batch.results
    files = [batch.files[row] for row in rows]
    columns = [
        pa.array([file.path for file in files], pa.string()),
        pa.array([label_of[classes[row]] for row in rows], pa.int32()),
        pa.array([file.split for file in files], pa.string()),
        pa.array([file.extra for file in files], pa.string()),
        pa.array([file.group for file in files], pa.string()),
    ]
    properties = (results[name] for name in PROPERTIES_SCHEMA.names)
    encoded = results["encoded"].to_pylist()
    spool.add(
        pa.RecordBatch.from_arrays([*columns, *properties], schema=SPOOL_SCHEMA),
        results["sketch"],
        [new or batch.contents[row] for row, new in zip(rows, encoded, strict=True)],
    )


def _list_unusable(batch: CheckedBatch, classes: list[str]) -> list[QuarantinedFile]:
    reasons, details = (batch.results[name].to_pylist() for name in ("reason", "detail"))
    return [
        QuarantinedFile(file.path, reason or CORRECTED, detail or "the corrections leave it out")
        for file, name, reason, detail in zip(batch.files, classes, reasons, details, strict=True)
        if not name
    ]
