"""Archives within a folder or an archive, read as one source."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

from headstart.components.core.sources.columnar_list import ColumnarList
from headstart.components.core.sources.file_names import has_image_suffix
from headstart.components.core.sources.source import Entry, Source

ARCHIVE_SUFFIXES = (
    *(".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"),
    *(".tar.zstd", ".tzst"),
)


def is_archive(name: str) -> bool:
    """Whether a file is an archive by its name."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def find_archives(paths: list[str]) -> list[int]:
    """Positions of the archives among files; empty where there are images beside them."""
    if any(has_image_suffix(path) for path in paths):
        return []
    return [place for place, path in enumerate(paths) if is_archive(path)]


def archive_folder(archive: str) -> str:
    """Folder name for the files of an archive: its own name without the suffix, `train` for `train.zip`."""
    suffix = max((each for each in ARCHIVE_SUFFIXES if archive.lower().endswith(each)), key=len)
    return archive[: -len(suffix)]


def join_sources(name: str, parts: Sequence[tuple[str, Source]], ignored: int) -> Source:
    """Joins sources into one, with the files of each below a folder of its own.

    Args:
        name: The source as the user named it.
        parts: Folder name and source of each part.
        ignored: Number of files beside the parts.
    """

    def below(folder: str, source: Source) -> Callable[[str], str]:
        has_folder = all(entry.path.startswith(f"{folder}/") for entry in source.entries)
        return lambda path: path if has_folder else f"{folder}/{path}"

    placed = [(below(folder, source), source) for folder, source in parts]
    entries = ColumnarList(
        Entry,
        (dataclasses.replace(entry, path=place(entry.path)) for place, source in placed for entry in source.entries),
    )
    unusable = [
        dataclasses.replace(each, file=place(each.file)) for place, source in placed for each in source.unusable
    ]
    return Source(
        name,
        entries,
        lambda: itertools.chain.from_iterable(source.loaders() for _, source in placed),
        ignored + sum(source.ignored for _, source in placed),
        tuple(unusable),
        any(source.remote for _, source in placed),
    )
