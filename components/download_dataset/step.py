"""Reads pictures from their source, decodes every one, and writes the good ones as a dataset."""

import csv
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from headstart.components.core.dataset import DatasetInfo, DatasetWriter, ImageRow, read_info
from headstart.components.core.errors import HeadstartError
from headstart.components.core.logs import event, start_logging, tracked
from headstart.components.download_dataset.images import Picture, Rejected, check
from headstart.components.download_dataset.labels import labels_of
from headstart.components.download_dataset.sources import open_source

QUARANTINE = "quarantine.csv"


def download_dataset(data: str, dataset: Path) -> DatasetInfo:
    """Writes the pictures of `data` as a dataset artifact, in natural order of their paths.

    A file that does not decode, has no class, or repeats the pixels of one before it is left out and listed
    in `quarantine.csv` beside the shards: `file`, `reason`, `detail`.

    Args:
        data: A folder of class folders, a zip or tar archive of one, or an archive with Kaggle's names
            (`cat.1.jpg`); a path, or an `http(s)://` address of an archive.
        dataset: The artifact's folder, made anew.

    Raises:
        HeadstartError: The source cannot be read, shows fewer than two classes, or a class has no picture
            that decodes.
    """
    start_logging()
    with open_source(data) as source:
        paths = [file.path for file in source.files]
        labels, rule = labels_of(paths, source.name)
        classes = sorted(set(labels) - {""})
        event("source", files=len(paths), classes=",".join(classes), labels_from=rule)
        rejected: list[tuple[str, Rejected]] = []
        first_seen: dict[str, tuple[str, str]] = {}
        with DatasetWriter(dataset, classes, source.name) as writer:
            checked = tracked(_check_all(source.contents()), "check", len(paths))
            for path, label, result in zip(paths, labels, checked, strict=True):
                if not label:
                    result = Rejected("no class", f"classes were told from {rule}; this file has none")
                elif isinstance(result, Picture) and result.id in first_seen:
                    result = _repeated(label, *first_seen[result.id])
                if isinstance(result, Rejected):
                    rejected.append((path, result))
                    continue
                first_seen[result.id] = (path, label)
                writer.add(
                    ImageRow(
                        image=result.encoded,
                        path=path,
                        label=classes.index(label),
                        id=result.id,
                        group=result.id,
                        width=result.width,
                        height=result.height,
                    )
                )
            kept = Counter(label for _, label in first_seen.values())
            for name in classes:
                if not kept[name]:
                    raise HeadstartError(
                        f"data {source.name!r}: no file of class {name!r} can be used; "
                        + "; ".join(f"{path}: {why.reason}" for path, why in rejected[:3])
                    )
            _write_quarantine(dataset / QUARANTINE, rejected)
    info = read_info(dataset)
    event("dataset", images=info.images, quarantined=len(rejected), digest=info.digest[:16])
    return info


def _check_all(contents: Iterable[bytes | None]) -> Iterator[Picture | Rejected]:
    """Checks files on all cores, in order, with a bounded number of them in memory."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    waiting: deque[Future[Picture | Rejected]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for content in contents:
            waiting.append(pool.submit(check, content))
            if len(waiting) >= 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _repeated(label: str, first_path: str, first_label: str) -> Rejected:
    if label == first_label:
        return Rejected("duplicate", f"same pixels as {first_path}")
    return Rejected("conflict", f"same pixels as {first_path}, which is of class {first_label}")


def _write_quarantine(path: Path, rejected: list[tuple[str, Rejected]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "reason", "detail"])
        rows.writerows((name, why.reason, why.detail) for name, why in rejected)
