"""Members of Zip archives from elsewhere, with a limit on what they unpack to."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.util.errors import HeadstartError, first_line

_CHUNK = 2**20


def extract_member(archive: zipfile.ZipFile, name: str, target: Path, most: int) -> Path:
    """Copies a member of a Zip archive into a file, up to so many bytes.

    Args:
        archive: The open archive.
        name: The member.
        target: The file to write.
        most: Size in bytes that it may have.

    Returns:
        The file.

    Raises:
        HeadstartError: If it is missing, there twice, encrypted, damaged or larger.
    """
    with target.open("wb") as file:
        for part in _parts(archive, name, most):
            file.write(part)
    return target


def read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """The bytes of a member of a Zip archive, see `extract_member`."""
    return b"".join(_parts(archive, name, most))


def _parts(archive: zipfile.ZipFile, name: str, most: int) -> Iterator[bytes]:
    found = [info for info in archive.infolist() if info.filename == name]
    if len(found) != 1:
        raise HeadstartError(f"it has {len(found) or 'no'} {name}")
    if found[0].flag_bits & 1:
        raise HeadstartError(f"its {name} is encrypted")
    left = most
    try:
        with archive.open(found[0]) as member:
            while part := member.read(_CHUNK):
                left -= len(part)
                if left < 0:
                    raise HeadstartError(f"its {name} has more than {most:,} bytes")
                yield part
    except HeadstartError:
        raise
    except Exception as error:
        # Each method of compression has errors of its own.
        raise HeadstartError(f"its {name} is damaged ({first_line(error)})") from None
