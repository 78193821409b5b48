"""Members of Zip archives of unknown origin, with a limit on their unpacked size."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.util.errors import HeadstartError, first_line

_CHUNK = 2**20


def extract_member(archive: zipfile.ZipFile, name: str, target: Path, limit: int) -> Path:
    """Copies a member of a Zip archive into a file.

    Args:
        archive: Open archive.
        name: Name of the member.
        target: File to write.
        limit: Largest size of the unpacked member, in bytes.

    Returns:
        `target`.

    Raises:
        HeadstartError: If the member is missing, there twice, encrypted, damaged or larger than `limit`.
    """
    with target.open("wb") as file:
        for part in _read_parts(archive, name, limit):
            file.write(part)
    return target


def read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Reads a member of a Zip archive; see `extract_member`."""
    return b"".join(_read_parts(archive, name, limit))


def _read_parts(archive: zipfile.ZipFile, name: str, limit: int) -> Iterator[bytes]:
    found = [info for info in archive.infolist() if info.filename == name]
    if len(found) != 1:
        raise HeadstartError(f"it has {len(found) or 'no'} {name}")
    if found[0].flag_bits & 1:
        raise HeadstartError(f"its {name} is encrypted")
    left = limit
    try:
        with archive.open(found[0]) as member:
            while part := member.read(_CHUNK):
                left -= len(part)
                if left < 0:
                    raise HeadstartError(f"its {name} has more than {limit:,} bytes")
                yield part
    except HeadstartError:
        raise
    except Exception as error:
        # Each method of compression has errors of its own.
        raise HeadstartError(f"its {name} is damaged ({first_line(error)})") from None
