"""Names of files: junk, sidecars, ready-made splits, and names that are not valid text."""

import os
import re
import unicodedata
from pathlib import PurePosixPath

from headstart.components.core.util.errors import HeadstartError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif"}

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Usual names of folders and tables of ready-made splits, and the split that each means."""

_SIDECAR_SUFFIXES = {
    *(".aae", ".xmp", ".thm", ".mov", ".mp4", ".m4v", ".avi", ".3gp", ".mp3", ".wav"),
    *(".json", ".xml", ".yaml", ".yml", ".txt"),
    *(".cls", ".md", ".rst", ".html", ".htm", ".pdf", ".log", ".ini", ".py", ".ipynb"),
}
_JUNK_NAMES = {"thumbs.db", "desktop.ini", "ehthumbs.db"}
_JUNK_FOLDERS = {"__macosx", "@eadir", "$recycle.bin"}

_ESCAPED = re.compile(r"[\ud800-\udfff]|\\(?=x[0-9a-f]{2})")
_ESCAPE = re.compile(r"\\x([89a-f][0-9a-f]|5c)")
_DRIVE = re.compile(r"[A-Za-z]:")


def is_junk(path: str) -> bool:
    """Whether operating systems leave such a file behind: hidden files, `__MACOSX`, `Thumbs.db`."""
    parts = [part for part in path.lower().split("/") if part not in ("", ".")]
    return (
        not parts
        or any(part.startswith(".") and part != ".." for part in parts)
        or any(part in _JUNK_FOLDERS for part in parts)
        or parts[-1] in _JUNK_NAMES
    )


def has_image_suffix(path: str) -> bool:
    """Whether a file's name ends as those of images do."""
    return os.path.splitext(path.lower())[1] in IMAGE_SUFFIXES  # noqa: PTH122 - called a hundred thousand times


def is_sidecar(path: str) -> bool:
    """Whether a file accompanies images without being one, by its name: metadata, films, read-me files."""
    return os.path.splitext(path.lower())[1] in _SIDECAR_SUFFIXES  # noqa: PTH122 - called a hundred thousand times


def split_of_path(file: str) -> str:
    """The ready-made split that a file's name or folder names, as on Hugging Face's hub; empty: none.

    `train.parquet`, `pets-train-00000-of-00002.parquet` and `train/0000.parquet` all belong to `train`.
    """
    path = PurePosixPath(file.lower())
    for part in (path.stem, *reversed(path.parts[:-1])):
        splits = {SPLIT_NAMES[word] for word in re.split(r"[^a-z]+", part) if word in SPLIT_NAMES}
        if len(splits) == 1:
            return splits.pop()
    return ""


def member_name(name: str, archive: str) -> str:
    """Name of an archive's member with forward slashes.

    Args:
        name: Name as the archive has it.
        archive: Name of the archive, for errors.

    Raises:
        HeadstartError: If the name points out of the archive.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or _DRIVE.match(name):
        raise HeadstartError(
            f"archive {archive!r} has a member {escape_text(name)!r} that points out of it; nothing was read: "
            "such an archive is made to do harm, or by mistake; pack it again with relative names"
        )
    return str(path)


def escape_name(name: str) -> str:
    r"""A file's name as valid text; a name that is valid text stays as it is.

    Bytes that are not UTF-8, which names on a system may hold, become escapes such as `\xe9`. In a name that already
    contains such letters the backslash becomes `\x5c`, so that two files never get one name. `unescape_name` is the
    inverse.
    """
    if not _ESCAPED.search(name):
        return name
    return _ESCAPED.sub(_escape, name)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}" if code > 0xFF else "\\x5c"


def unescape_name(text: str) -> str:
    """The name that `escape_name` was given, in the form that the system takes."""
    return _ESCAPE.sub(lambda match: chr(code + 0xDC00 if (code := int(match[1], 16)) > 0x7F else code), text)


def escape_text(text: str) -> str:
    """A class name or another text in composed Unicode, escaped as `escape_name` does."""
    return escape_name(unicodedata.normalize("NFC", text))
