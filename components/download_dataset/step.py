"""Reads images from their sources, checks every one, and writes the usable ones as a dataset."""

import contextlib
from collections import Counter
from pathlib import Path

from headstart.components.core.artifacts.dataset import DatasetInfo
from headstart.components.core.artifacts.originals import Originals
from headstart.components.core.sources import Source, SourceOptions, open_source
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import log_phase, start_logging
from headstart.components.download_dataset.checking import check_sources
from headstart.components.download_dataset.dataset_output import write_dataset
from headstart.components.download_dataset.ingest_plan import make_plan
from headstart.components.download_dataset.settings import DownloadSettings
from headstart.components.download_dataset.spool import Spool

__all__ = ["DownloadSettings", "count_files", "download_dataset"]


def download_dataset(
    data: list[str], dataset: Path, hygiene: Path, settings: DownloadSettings | None = None
) -> DatasetInfo:
    """Writes the images of all sources as one dataset artifact, in the order of the sources.

    Images of more than 8 bits that state no range come last: see `core.images.sample_ranges`.

    A file that does not decode, has no class, or has the same pixels as another is left out and listed in
    `quarantine.csv` beside the shards. Where the same pixels have two classes, all of those files are left out.
    Near-duplicates share a `group`, and so do images of a group that the user names, with all near-duplicates of
    them.

    Args:
        data: Sources: see `open_source`.
        dataset: Folder of the artifact to create.
        hygiene: HTML file to write: a report on the quality of the data.
        settings: Settings by which images are read and checked; None: the defaults.

    Raises:
        HeadstartError: If a source cannot be read, there are fewer than two classes, too many files are unusable, a
            class has no usable image, or the disk is full.
    """
    start_logging()
    settings = settings or DownloadSettings()
    log_phase("opening the data")
    with explain_full_disk(dataset), contextlib.ExitStack() as stack:
        sources = _open_sources(data, settings, stack)
        spool = stack.enter_context(Spool())
        plan = make_plan(sources, settings)
        originals = Originals()
        info = write_dataset(plan, spool, check_sources(plan, spool, originals), dataset, hygiene)
        originals.write(dataset)
        return info


def count_files(data: list[str], settings: DownloadSettings | None = None) -> Counter[str]:
    """Counts the files of each class by their names and tables; no image is read.

    Args:
        data: Sources: see `open_source`. A single object at an address is downloaded for it.
        settings: Settings by which classes are found; None: the defaults.

    Raises:
        HeadstartError: If a source cannot be read, or there are fewer than two classes.
    """
    settings = settings or DownloadSettings()
    with contextlib.ExitStack() as stack:
        plan = make_plan(_open_sources(data, settings, stack), settings)
        return Counter(label for labelling in plan.labellings for label in labelling.labels if label)


def _open_sources(data: list[str], settings: DownloadSettings, stack: contextlib.ExitStack) -> list[Source]:
    if not data:
        raise HeadstartError("data names no source; pass a folder, an archive, or an address")
    digests = settings.digests(data)
    options = SourceOptions(
        settings.image_column, settings.label_column, settings.labels, group_column=settings.group_column
    )
    return [
        stack.enter_context(open_source(each, sha256, options)) for each, sha256 in zip(data, digests, strict=True)
    ]
