"""Reads pictures from their sources, checks every one, and writes the good ones as a dataset."""

import contextlib
import dataclasses
import errno
import functools
import io
import itertools
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pyarrow as pa
from PIL import Image

from headstart.components.core.cores import cores
from headstart.components.core.dataset import DatasetInfo, DatasetWriter, ImageRow, read_info
from headstart.components.core.errors import HeadstartError
from headstart.components.core.hygiene import write_hygiene
from headstart.components.core.logs import event, start_logging, tracked
from headstart.components.download_dataset.corrections import read_corrections
from headstart.components.download_dataset.hygiene import Hygiene, HygienePage
from headstart.components.download_dataset.images import Picture, Rejected, check
from headstart.components.download_dataset.labels import AUTO, Labelling, check_rule, labels_of
from headstart.components.download_dataset.quarantine import QUARANTINE, Quarantined, write_quarantine
from headstart.components.download_dataset.repeats import groups_of, several, without_repeats
from headstart.components.download_dataset.sources import Loader, Source, Unreadable, open_source
from headstart.components.download_dataset.spool import Spool

_REMOTE_READERS = 32
_FILES_AT_ONCE = 16
_ROWS_AT_ONCE = 4096
_HEAD = 5


@dataclasses.dataclass(frozen=True)
class Settings:
    """How pictures are taken in.

    Attributes:
        labels: How classes are told: ``auto``, ``given``, ``folders`` or ``names``.
        max_side: Longest side that is kept, in pixels; larger pictures are reduced.
        max_bad_fraction: Share of the files that may be left out, repeated pictures aside, before the run stops.
        sha256: What each source's SHA-256 has to be, empty where unchecked; or no entries at all.
        corrections: Classes that are right where the sources are wrong: see `read_corrections`; empty: none.
    """

    labels: str = AUTO
    max_side: int = 512
    max_bad_fraction: float = 0.1
    sha256: Sequence[str] = ()
    corrections: str = ""

    def __post_init__(self) -> None:
        check_rule(self.labels)
        if self.max_side < 32:
            raise HeadstartError(f"max_side {self.max_side}: give at least 32 pixels, such as 512")
        if not 0 <= self.max_bad_fraction <= 1:
            raise HeadstartError(f"max_bad_fraction {self.max_bad_fraction}: give a share from 0 to 1, such as 0.1")
        for digest in self.sha256:
            if digest and (len(digest) != 64 or set(digest.lower()) - set("0123456789abcdef")):
                raise HeadstartError(f"sha256 {digest!r}: give 64 hexadecimal digits, or leave it empty")


@dataclasses.dataclass(frozen=True, slots=True)
class _File:
    """A file with its class (empty: none) and ready-made split, and a way to read it."""

    path: str
    label: str
    split: str
    extra: tuple[tuple[str, str], ...]
    load: Loader


def download_dataset(data: list[str], dataset: Path, hygiene: Path, settings: Settings | None = None) -> DatasetInfo:
    """Writes the pictures of all sources as one dataset artifact, in the order in which the sources name them.

    A file that does not decode, has no class, or repeats the pixels of one before it is left out and listed in
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
    if settings.sha256 and len(settings.sha256) != len(data):
        raise HeadstartError(
            f"sha256 has {len(settings.sha256)} values for {len(data)} sources; give one each, empty where unchecked"
        )
    try:
        with contextlib.ExitStack() as stack:
            digests = settings.sha256 or [""] * len(data)
            sources = [
                stack.enter_context(open_source(each, sha256)) for each, sha256 in zip(data, digests, strict=True)
            ]
            spool = stack.enter_context(Spool())
            return _take_in(sources, spool, dataset, hygiene, settings)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise HeadstartError(
            f"no space left on the disk of {dataset} or of {tempfile.gettempdir()}; free some, or set TMPDIR"
        ) from None


def _take_in(sources: list[Source], spool: Spool, dataset: Path, hygiene: Path, settings: Settings) -> DatasetInfo:
    labelled = [_labelled(source, settings.labels, len(sources)) for source in sources]
    classes = sorted({label for labelling in labelled for label in labelling.labels} - {""})
    name = ", ".join(source.name for source in sources)
    if len(classes) < 2:
        raise HeadstartError(f"data {name!r} show only one class, {classes[0]!r}; a classifier needs two or more")
    corrections = read_corrections(settings.corrections, classes)
    columns = list(dict.fromkeys(name for source in sources for entry in source.entries for name, _ in entry.extra))
    extras: list[tuple[str, ...]] = []
    total = sum(len(source.entries) for source in sources)
    quarantined = [each for source in sources for each in source.unusable]

    files = itertools.chain.from_iterable(map(_files, sources, labelled, _prefixes(sources)))
    remote = any(source.remote for source in sources)
    checked = _check_all(files, remote, settings.max_side)
    numbers = {label: number for number, label in enumerate(classes)}
    changed = 0
    allowed = settings.max_bad_fraction * total
    for file, result in tracked(checked, "check", total):
        if isinstance(result, Picture):
            label = corrections.get(result.id, file.label)
            if label:
                spool.add(file.path, numbers[label], file.split, result)
                extra = dict(file.extra)
                extras.append(tuple(extra.get(column, "") for column in columns))
                changed += label != file.label
                continue
            result = Rejected("corrected", "the corrections leave it out")
        quarantined.append(Quarantined(file.path, result.reason, result.detail))
        if len(quarantined) > allowed:
            raise HeadstartError(
                f"data {name!r}: more than {settings.max_bad_fraction:.0%} of {total:,} files cannot be used: "
                f"{_head(quarantined)}; mend or remove them, or raise max_bad_fraction"
            )

    kept, repeated = without_repeats(spool.facts(), classes)
    groups = groups_of(spool, kept)
    facts = spool.facts().take(kept)
    bad, quarantined = len(quarantined), [*quarantined, *repeated]
    _check_no_class_is_empty(facts, classes, name, quarantined)
    with DatasetWriter(dataset, classes, name, columns) as writer:
        facts_used = ["path", "label", "id", "stored_width", "stored_height", "split"]
        places = iter(zip(kept, groups, strict=True))
        for batch in facts.select(facts_used).to_batches(_ROWS_AT_ONCE):
            values = zip(*(column.to_pylist() for column in batch.columns), strict=True)
            for (path, label, pixels, width, height, split), (row, group) in zip(values, places, strict=False):
                writer.add(
                    ImageRow(spool.encoded(row), path, label, pixels, group, width, height, split, extra=extras[row])
                )
        write_quarantine(dataset / QUARANTINE, quarantined)
    info = read_info(dataset)
    members = several(groups)
    page = HygienePage(
        Hygiene(
            sources=[source.name for source in sources],
            classes=classes,
            labels_from=" / ".join(dict.fromkeys(labelling.why for labelling in labelled)),
            facts=facts,
            quarantined=quarantined,
            ignored=sum(source.ignored for source in sources),
            groups=members,
            digest=info.digest,
            thumbnail=lambda row: Image.open(io.BytesIO(spool.encoded(kept[row]))),
        )
    )
    hygiene.parent.mkdir(parents=True, exist_ok=True)
    hygiene.write_text(page.render(), encoding="utf-8")
    write_hygiene(dataset, page.summary())
    reasons = Counter(each.reason for each in quarantined)
    event("quarantine", files=len(quarantined), **{reason.replace(" ", "_"): n for reason, n in reasons.items()})
    if corrections:
        event("corrections", listed=len(corrections), changed=changed)
    event("dataset", images=info.images, bad=bad, groups_of_several=len(members), digest=info.digest[:16])
    return info


def _labelled(source: Source, rule: str, sources: int) -> Labelling:
    labelling = labels_of(source.entries, source.name, rule, least=2 if sources == 1 else 1)
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


def _files(source: Source, labelling: Labelling, prefix: str) -> Iterator[_File]:
    rows = zip(source.entries, labelling.labels, labelling.splits, source.loaders(), strict=True)
    for entry, label, split, load in rows:
        no_class = functools.partial(_no_class, labelling.rule)
        yield _File(prefix + entry.path, label, split, entry.extra, load if label else no_class)


def _no_class(rule: str) -> bytes:
    raise Unreadable("no class", f"classes were told from {rule}; this file has none")


def _check_all(files: Iterable[_File], remote: bool, max_side: int) -> Iterator[tuple[_File, Picture | Rejected]]:
    """Reads and checks files on all cores, in order, with a bounded number of them in memory.

    Where reading waits for a network, more threads wait; where it does not, they take several files at a time.
    """
    readers, at_once = (_REMOTE_READERS, 1) if remote else (cores(), _FILES_AT_ONCE)

    def work(chunk: list[_File]) -> list[tuple[_File, Picture | Rejected]]:
        return [(file, _check(file.load, max_side)) for file in chunk]

    waiting: deque[Future[list[tuple[_File, Picture | Rejected]]]] = deque()
    files = iter(files)
    pool = ThreadPoolExecutor(readers)
    try:
        while chunk := list(itertools.islice(files, at_once)):
            waiting.append(pool.submit(work, chunk))
            if len(waiting) > 2 * readers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _check(load: Callable[[], bytes], max_side: int) -> Picture | Rejected:
    try:
        return check(load(), max_side)
    except Unreadable as error:
        return Rejected(error.reason, error.detail)


def _check_no_class_is_empty(facts: pa.Table, classes: list[str], name: str, quarantined: list[Quarantined]) -> None:
    counts = Counter(facts["label"].to_pylist())
    for number, label in enumerate(classes):
        if not counts[number]:
            raise HeadstartError(
                f"data {name!r}: no file of class {label!r} can be used: {_head(quarantined)}; mend them, or take "
                "the class out"
            )


def _head(quarantined: list[Quarantined]) -> str:
    head = "; ".join(f"{each.file}: {each.reason}" for each in quarantined[:_HEAD])
    return head + (f"; and {len(quarantined) - _HEAD} more" if len(quarantined) > _HEAD else "")
