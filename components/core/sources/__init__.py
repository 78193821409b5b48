"""Sources of images: folders, archives, manifests and Parquet, on disk, on the web or in object storage."""

from headstart.components.core.sources.columns import SourceOptions
from headstart.components.core.sources.file_names import is_junk
from headstart.components.core.sources.opener import find_local_path, no_files_error, open_source
from headstart.components.core.sources.source import Entry, Loader, Source, Unreadable

__all__ = [
    "Entry",
    "Loader",
    "Source",
    "SourceOptions",
    "Unreadable",
    "find_local_path",
    "is_junk",
    "no_files_error",
    "open_source",
]
