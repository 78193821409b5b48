"""Reads pictures from their sources, checks every one, and writes the good ones as a dataset."""

import contextlib
import dataclasses
import functools
import io
import itertools
import json
from array import array
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from headstart.components.core.artifacts.dataset import ROW_GROUP_BYTES, DatasetInfo, DatasetWriter, read_dataset_info
from headstart.components.core.artifacts.hygiene import write_hygiene
from headstart.components.core.artifacts.originals import Originals
from headstart.components.core.images.sample_ranges import Histogram, Range
from headstart.components.core.sources import Source, SourceOptions, Unreadable, open_source
from headstart.components.core.sources.corrections import read_corrections
from headstart.components.core.sources.quarantine import CORRECTED, QUARANTINE, QuarantinedFile, write_quarantine
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging, track_progress
from headstart.components.core.util.printable import quote_name
from headstart.components.download_dataset.class_counts import (
    alike_in_words,
    classes_alike,
    classes_in_words,
    several_at_once,
)
from headstart.components.download_dataset.duplicates import leaders_of, several, without_repeats
from headstart.components.download_dataset.findings import FACTS, hexadecimal, histogram_of
from headstart.components.download_dataset.hygiene_report import FACTS as HYGIENE_FACTS
from headstart.components.download_dataset.hygiene_report import Hygiene, HygienePage
from headstart.components.download_dataset.image_checks import Checked, File, check_all
from headstart.components.download_dataset.labels import (
    AUTO,
    LEFT_OUT,
    RULES_IN_WORDS,
    Labelling,
    check_level,
    check_rule,
    labels_of,
)
from headstart.components.download_dataset.spool import SCHEMA, Spool

_HEAD = 5


@dataclasses.dataclass(frozen=True)
class Settings:
    """How pictures are taken in.

    Attributes:
        labels: How classes are told: ``auto``, ``given``, ``folders`` or ``names``.
        max_side: Longest side that is kept, in pixels; larger pictures are reduced.
        max_bad_fraction: Share of the files that may be of no use before the run stops; pictures that are repeated,
            or left out by the corrections, are none of them.
        sha256: What each source's SHA-256 has to be, empty where unchecked; or no entries at all.
        corrections: Classes that are right where the sources are wrong: see `read_corrections`; empty: none.
        class_level: Which folder of a file's path is its class, from 1, the topmost in the source; 0: automatic.
        image_column: Column of manifests and Parquet that names or holds the picture; empty: by the usual names.
        label_column: Column of them that has the class; empty: by the usual names.
    """

    labels: str = AUTO
    max_side: int = 512
    max_bad_fraction: float = 0.1
    sha256: Sequence[str] = ()
    corrections: str = ""
    class_level: int = 0
    image_column: str = ""
    label_column: str = ""

    def __post_init__(self) -> None:
        check_rule(self.labels)
        check_level(self.class_level, self.labels)
        if self.max_side < 32:
            raise HeadstartError(f"max_side {self.max_side}: give at least 32 pixels, such as 512")
        if not 0 <= self.max_bad_fraction <= 1:
            raise HeadstartError(f"max_bad_fraction {self.max_bad_fraction}: give a share from 0 to 1, such as 0.1")
        for digest in self.sha256:
            if digest and (len(digest) != 64 or set(digest.lower()) - set("0123456789abcdef")):
                raise HeadstartError(f"sha256 {digest!r}: give 64 hexadecimal digits, or leave it empty")

    def digests(self, data: Sequence[str]) -> Sequence[str]:
        """What the SHA-256 of each source has to be, empty where unchecked.

        Raises:
            HeadstartError: There are more or fewer than sources.
        """
        if self.sha256 and len(self.sha256) != len(data):
            raise HeadstartError(
                f"sha256 has {len(self.sha256)} values for {len(data)} sources; give one each, empty where unchecked"
            )
        return self.sha256 or [""] * len(data)


def download_dataset(data: list[str], dataset: Path, hygiene: Path, settings: Settings | None = None) -> DatasetInfo:
    """Writes the pictures of all sources as one dataset artifact, in the order in which the sources name them.

    Those of more than 8 bits a sample whose files do not say what is black and white come last: see
    `core.images.sample_ranges`.

    A file that does not decode, has no class, or repeats the pixels of another is left out and listed in
    `quarantine.csv` beside the shards; where the same pixels have two classes, all of those files are. Pictures
    that are near-duplicates share a `group`.

    Args:
        data: Sources: see `open_source`.
        dataset: The artifact's folder, made anew.
        hygiene: The HTML file to write: what is to be known of the data before training on it.
        settings: How pictures are taken in; the defaults if left out.

    Raises:
        HeadstartError: A source cannot be read, there are fewer than two classes, too many files are bad, a class
            has no picture that decodes, or the disk is full.
    """
    start_logging()
    settings = settings or Settings()
    if not data:
        raise HeadstartError("data names no source; pass a folder, an archive, or an address")
    digests = settings.digests(data)
    reading = SourceOptions(settings.image_column, settings.label_column, settings.labels)
    with explain_full_disk(dataset), contextlib.ExitStack() as stack:
        sources = [
            stack.enter_context(open_source(each, sha256, reading))
            for each, sha256 in zip(data, digests, strict=True)
        ]
        spool = stack.enter_context(Spool())
        return _take_in(sources, spool, dataset, hygiene, settings)


@dataclasses.dataclass(frozen=True)
class _Intake:
    """What is taken in.

    Attributes:
        name: Of all sources together.
        classes: Class names.
        labelled: The classes of each source's files.
        files: How many there are.
        extra: Names of the columns that sources say beyond class and split.
        corrections: The right class of some pictures by their ids; empty for one to leave out.
        max_side: Longest side that is kept, in pixels.
        told: Source of the classes, in words.
        notes: What is to be known of how sources were read and classes told, a sentence each.
    """

    name: str
    classes: list[str]
    labelled: list[Labelling]
    files: int
    extra: list[str]
    corrections: Mapping[str, str]
    max_side: int
    told: str
    notes: list[str]


def _take_in(sources: list[Source], spool: Spool, dataset: Path, hygiene: Path, settings: Settings) -> DatasetInfo:
    labelled = [_labelled(source, settings, len(sources)) for source in sources]
    classes = sorted({label for labelling in labelled for label in labelling.labels} - {""})
    name = ", ".join(source.name for source in sources)
    if len(classes) < 2:
        raise HeadstartError(
            f"data {name!r} show only one class, {quote_name(classes[0])}; a classifier needs two or more"
        )
    counts = Counter(label for labelling in labelled for label in labelling.labels if label)
    told = " and ".join(dict.fromkeys(RULES_IN_WORDS[labelling.rule] for labelling in labelled)) + f" of {name}"
    event("classes", number=len(classes), classes=classes_in_words(counts), told=told, data=name)
    notes = [note for source in sources for note in source.notes]
    notes = list(dict.fromkeys([*notes, *(note for labelling in labelled for note in labelling.notes)]))
    notes += several_at_once(classes)
    for note in (*notes, *map(alike_in_words, classes_alike(classes))):
        event("warning", text=note)
    total = sum(len(source.entries) for source in sources)
    extra = list(dict.fromkeys(key for source in sources for entry in source.entries for key in _said(entry.extra)))
    corrections = read_corrections(settings.corrections, classes)
    intake = _Intake(name, classes, labelled, total, extra, corrections, settings.max_side, told, notes)
    originals = Originals()
    bad, ranges = _check(sources, intake, spool, originals, settings)
    info = _write(sources, intake, spool, bad, ranges, dataset, hygiene)
    originals.write(dataset)
    return info


def _check(
    sources: list[Source], intake: _Intake, spool: Spool, originals: Originals, settings: Settings
) -> tuple[list[QuarantinedFile], dict[str, Range]]:
    """Puts the good pictures into the spool; the files that are left out, and the ranges of deep pictures.

    Deep pictures whose files state no range are read twice: measured with all others, and taken in after them, when
    the range of each form is decided.
    """
    quarantined = [each for source in sources for each in source.unusable]
    unusable = len(quarantined)
    remote = any(source.remote for source in sources)
    counted = intake.files - sum(sum(map(bool, each.left_out)) for each in intake.labelled)
    numbers = {label: number for number, label in enumerate(intake.classes)}
    changed = 0
    waiting = _Waiting()

    def all_files() -> Iterator[File]:
        return itertools.chain.from_iterable(map(_files, sources, intake.labelled, _prefixes(sources)))

    def all_checked() -> Generator[Checked, None, None]:
        with contextlib.closing(check_all(all_files(), remote, settings.max_side)) as batches:
            for checked in track_progress(batches, "check", intake.files, lambda checked: len(checked.files)):
                yield waiting.without(checked)
        if waiting.rows:
            ranges = waiting.ranges()
            for form, (black, white) in ranges.items():
                event("range", form=form, black=black, white=white)
            deep = check_all(waiting.files(all_files()), remote, settings.max_side, ranges=ranges)
            with contextlib.closing(deep) as batches:
                yield from track_progress(
                    batches, "check deep", len(waiting.rows), lambda checked: len(checked.files)
                )

    with contextlib.closing(all_checked()) as batches:
        for checked in batches:
            labels = _corrected(checked, intake.corrections)
            changed += sum(label not in ("", file.label) for file, label in zip(checked.files, labels, strict=True))
            spool.add(*_good(checked, labels, numbers))
            every = zip(checked.files, checked.contents, labels, strict=True)
            originals.add((file.path, content) for file, content, label in every if label)
            bad = _bad(checked, labels)
            quarantined += bad
            unusable += sum(each.reason not in (CORRECTED, LEFT_OUT) for each in bad)
            if unusable > settings.max_bad_fraction * counted:
                head = _head([each for each in quarantined if each.reason not in (CORRECTED, LEFT_OUT)])
                raise HeadstartError(
                    f"data {intake.name!r}: more than {settings.max_bad_fraction:.0%} of {counted:,} files "
                    f"cannot be used: {head}; mend or remove them, or raise max_bad_fraction"
                )
    spool.finish()
    if intake.corrections:
        event("corrections", listed=len(intake.corrections), changed=changed)
    return quarantined, waiting.ranges()


class _Waiting:
    """Deep pictures that wait for the range of their form.

    Attributes:
        rows: Their numbers among all files, ascending.
    """

    def __init__(self) -> None:
        self.rows = array("q")
        self._histograms: dict[str, Histogram] = {}
        self._seen = 0

    def without(self, checked: Checked) -> Checked:
        """Takes note of those among some files; the others."""
        found = checked.findings
        undecided = pc.and_(pc.is_valid(found["form"]), pc.is_null(found["id"])).to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(undecided)
        self.rows.extend((self._seen + rows).tolist())
        self._seen += len(checked.files)
        if not len(rows):
            return checked
        for row in found.take(pa.array(rows)).to_pylist():
            new = histogram_of(row)
            if row["form"] in self._histograms:
                self._histograms[row["form"]].add(new)
            else:
                self._histograms[row["form"]] = new
        others = np.flatnonzero(~undecided)
        return Checked(
            [checked.files[row] for row in others],
            [checked.contents[row] for row in others],
            found.take(pa.array(others)),
        )

    def ranges(self) -> dict[str, Range]:
        """The range of each form."""
        return {form: histogram.range() for form, histogram in sorted(self._histograms.items())}

    def files(self, every: Iterable[File]) -> Iterator[File]:
        """Those that wait, out of all files."""
        rows = iter(self.rows)
        wanted = next(rows, None)
        for number, file in enumerate(every):
            if number == wanted:
                yield file
                wanted = next(rows, None)


def _corrected(checked: Checked, corrections: Mapping[str, str]) -> list[str]:
    """The class of each file; empty for those that cannot be used, or are left out by the corrections."""
    ids = checked.findings["id"].to_pylist()
    return [
        corrections.get(pixels.hex(), file.label) if pixels else ""
        for file, pixels in zip(checked.files, ids, strict=True)
    ]


def _good(
    checked: Checked, labels: list[str], numbers: dict[str, int]
) -> tuple[pa.RecordBatch, pa.Array, list[bytes]]:
    """Of those that can be used: facts, sketches, and the bytes to store."""
    rows = [row for row, label in enumerate(labels) if label]
    found = checked.findings.take(pa.array(rows, pa.int64())) if len(rows) < len(checked.files) else checked.findings
    files = [checked.files[row] for row in rows]
    own = [
        pa.array([file.path for file in files], pa.string()),
        pa.array([numbers[labels[row]] for row in rows], pa.int32()),
        pa.array([file.split for file in files], pa.string()),
        pa.array([file.extra for file in files], pa.string()),
    ]
    facts = pa.RecordBatch.from_arrays([*own, *(found[name] for name in FACTS.names)], schema=SCHEMA)
    anew = found["encoded"].to_pylist()
    return facts, found["sketch"], [new or checked.contents[row] for row, new in zip(rows, anew, strict=True)]


def _bad(checked: Checked, labels: list[str]) -> list[QuarantinedFile]:
    reasons, details = (checked.findings[name].to_pylist() for name in ("reason", "detail"))
    return [
        QuarantinedFile(file.path, reason or CORRECTED, detail or "the corrections leave it out")
        for file, label, reason, detail in zip(checked.files, labels, reasons, details, strict=True)
        if not label
    ]


def _write(
    sources: list[Source],
    intake: _Intake,
    spool: Spool,
    bad: list[QuarantinedFile],
    ranges: dict[str, Range],
    dataset: Path,
    hygiene: Path,
) -> DatasetInfo:
    """Writes the dataset, and then the page on it."""
    kept, repeated = without_repeats(spool, intake.classes)
    quarantined = [*bad, *repeated]
    _check_no_class_is_empty(spool.facts(["label"], kept), intake, quarantined)
    leaders = leaders_of(spool, kept)
    ids = spool.facts(["id"], kept)["id"].combine_chunks()
    with DatasetWriter(dataset, intake.classes, intake.name, intake.extra, intake.max_side, ranges) as writer:
        for places in _row_groups(spool.sizes()[kept]):
            rows = kept[places]
            facts = spool.facts(["path", "label", "stored_width", "stored_height", "split"], rows)
            columns = dict(zip(["path", "label", "width", "height", "split"], facts.combine_chunks(), strict=True))
            writer.add_group(
                {name: column.combine_chunks() for name, column in columns.items()}
                | {"image": spool.encoded(rows), "id": hexadecimal(ids.take(places))}
                | {"group": hexadecimal(ids.take(leaders[places]))}
                | _extra(spool, rows, intake.extra)
            )
        write_quarantine(dataset / QUARANTINE, quarantined)
    info = read_dataset_info(dataset)
    groups = several(leaders)
    # What the search and the writing have used goes back to the system before the page needs its own.
    pa.default_memory_pool().release_unused()
    page = HygienePage(
        Hygiene(
            sources=[source.name for source in sources],
            classes=intake.classes,
            told=_without_place(intake.told, sources),
            notes=intake.notes,
            labels_from=" / ".join(dict.fromkeys(labelling.why for labelling in intake.labelled)),
            facts=spool.facts(HYGIENE_FACTS, kept),
            quarantined=quarantined,
            ignored=sum(source.ignored for source in sources),
            groups=groups,
            digest=info.digest,
            ranges=ranges,
            thumbnail=lambda row: Image.open(io.BytesIO(spool.encoded(kept[row : row + 1])[0].as_py())),
        )
    )
    hygiene.parent.mkdir(parents=True, exist_ok=True)
    hygiene.write_text(page.render(), encoding="utf-8")
    write_hygiene(dataset, page.summary())
    for text in page.faint():
        event("warning", text=text)
    reasons = Counter(each.reason for each in quarantined)
    event("quarantine", files=len(quarantined), **{reason.replace(" ", "_"): n for reason, n in reasons.items()})
    event("dataset", images=info.images, bad=len(bad), groups_of_several=len(groups), digest=info.digest[:16])
    return info


def _without_place(told: str, sources: list[Source]) -> str:
    """Where classes come from, without the folders that lead there: a report may be published."""
    for source in sources:
        told = told.replace(source.name, PurePosixPath(source.name).name or source.name)
    return told


def _extra(spool: Spool, rows: NDArray[np.int64], names: list[str]) -> dict[str, pa.Array]:
    """The extra columns of some pictures."""
    if not names:
        return {}
    said = [_said(each) for each in spool.facts(["extra"], rows)["extra"].to_pylist()]
    return {name: pa.array([each.get(name, "") for each in said], pa.string()) for name in names}


def _said(extra: str) -> dict[str, str]:
    return dict(json.loads(extra)) if extra else {}


def _row_groups(sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Positions, group by group, of pictures of so many bytes."""
    full = np.flatnonzero(np.diff(np.cumsum(sizes) // ROW_GROUP_BYTES)) + 1
    return iter(np.split(np.arange(len(sizes)), full))


def _labelled(source: Source, settings: Settings, sources: int) -> Labelling:
    least = 2 if sources == 1 else 1
    labelling = labels_of(source.entries, source.name, settings.labels, least, settings.class_level)
    counts = Counter(labelling.splits)
    ready = {f"ready_{split}": number for split, number in counts.items() if split}
    event("source", data=source.name, files=len(source.entries), ignored=source.ignored, **ready)
    event("labels", rule=labelling.rule, why=labelling.why)
    return labelling


def _prefixes(sources: list[Source]) -> list[str]:
    """What paths begin with, so that files of several sources have different ones."""
    if len(sources) == 1:
        return [""]
    names = [PurePosixPath(source.name).name for source in sources]
    if len(set(names)) < len(names):
        names = [source.name for source in sources]
    return [f"{name}/" for name in names]


def _files(source: Source, labelling: Labelling, prefix: str) -> Iterator[File]:
    left_out = labelling.left_out or itertools.repeat("", len(source.entries))
    rows = zip(source.entries, labelling.labels, labelling.splits, left_out, source.loaders(), strict=True)
    for entry, label, split, why, load in rows:
        no_class = functools.partial(_no_class, labelling.rule, why)
        yield File(prefix + entry.path, label, split, entry.extra, load if label else no_class)


def _no_class(rule: str, left_out: str) -> bytes:
    if left_out:
        raise Unreadable(LEFT_OUT, left_out)
    raise Unreadable("no class", f"classes were told from {rule}; this file has none")


def _check_no_class_is_empty(facts: pa.Table, intake: _Intake, quarantined: list[QuarantinedFile]) -> None:
    counts = np.bincount(facts["label"], minlength=len(intake.classes))
    for label, count in zip(intake.classes, counts, strict=True):
        if not count:
            raise HeadstartError(
                f"data {intake.name!r}: no file of class {quote_name(label)} can be used: {_head(quarantined)}; "
                "mend them, or take the class out"
            )


def _head(quarantined: list[QuarantinedFile]) -> str:
    head = "; ".join(f"{each.file}: {each.reason}" for each in quarantined[1:_HEAD])
    if quarantined:
        first = quarantined[0]
        head = "; ".join(filter(None, [f"{first.file}: {first.reason} ({first.detail})", head]))
    return head + (f"; and {len(quarantined) - _HEAD} more" if len(quarantined) > _HEAD else "")
