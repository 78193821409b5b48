"""Files that are often passed for pictures or data and cannot be read, with what to do about each."""

import re
import struct
import zipfile
from pathlib import Path, PurePosixPath

import google_crc32c

START_BYTES = 512
"""How many of a file's first bytes say what it is."""

GIT_LFS = "Git LFS pointer"

_LFS_START = b"version https://git-lfs.github.com/"
_SIGNATURES = {
    _LFS_START: (GIT_LFS, "the file itself was not downloaded; run `git lfs pull` where it was cloned"),
    b"7z\xbc\xaf\x27\x1c": ("7z archive", "unpack it and pass the folder, or pack it as .zip or .tar"),
    b"Rar!\x1a\x07": ("RAR archive", "unpack it and pass the folder, or pack it as .zip or .tar"),
    b"\x93NUMPY": ("NumPy array", "save each picture as PNG, in a folder for each class"),
    b"\x89HDF\r\n\x1a\n": ("HDF5 file", "save each picture as PNG, in a folder for each class"),
    b"SQLite format 3\0": ("SQLite database", "write its pictures to files, and a CSV with image and label"),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("spreadsheet or document of Microsoft Office", "save the table as CSV"),
    b"%PDF-": ("PDF", "export its pages or pictures as JPEG or PNG"),
    b"\x80\x04\x95": ("Python pickle", "save each picture as PNG, in a folder for each class"),
}
_SPREADSHEET = ("spreadsheet", "save the sheet as CSV with the columns image and label")
_PICTURES_TO_FILES = "write each picture to a file, in a folder for each class"
_SUFFIXES = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), _SPREADSHEET),
    **{suffix: (f"{suffix} file", _PICTURES_TO_FILES) for suffix in (".npz", ".npy", ".h5", ".hdf5", ".mat")},
    **{suffix: (f"{suffix} file", _PICTURES_TO_FILES) for suffix in (".pkl", ".pickle", ".tfrecord", ".tfrecords")},
    **{
        suffix: (f"{suffix} archive", "unpack it and pass the folder, or pack it as .zip or .tar")
        for suffix in (".7z", ".rar")
    },
    **dict.fromkeys(
        (".dcm", ".dicom"), ("DICOM", "convert it to PNG or JPEG, with the window that shows what matters")
    ),
}
_SHARD = re.compile(r"-\d+-of-\d+$")
_DICOM_AT, _DICOM = 128, b"DICM"
_TIFF_BANDS, _MOST_BANDS = 277, 4
_CRC_SHIFT, _CRC_ADDED, _WORD = 15, 0xA282EAD8, 0xFFFFFFFF
_OFFICE = {
    "xl/workbook.xml": ("Excel spreadsheet", "save the sheet as CSV with the columns image and label"),
    "word/document.xml": ("Word document", "save its table as CSV with the columns image and label"),
    "content.xml": ("OpenDocument file", "save its table as CSV with the columns image and label"),
}
_ARRAYS = ("archive of NumPy arrays (.npz)", "save each picture as PNG, in a folder for each class")


def identify_unsupported_file(start: bytes) -> tuple[str, str] | None:
    """What a file is that cannot be read, and what to do about it; None where its first bytes do not say.

    Args:
        start: Its first `START_BYTES`, or all of them.
    """
    for signature, found in _SIGNATURES.items():
        if start.startswith(signature):
            return found
    if start[_DICOM_AT : _DICOM_AT + 4] == _DICOM:
        return "DICOM", "convert it to PNG or JPEG, with the window that shows what matters"
    if start[:4] in (b"II*\0", b"MM\0*") and (bands := _tiff_bands(start)) > _MOST_BANDS:
        return f"TIFF of {bands} bands", "choose the bands to show as red, green and blue, and save them as PNG"
    if _is_tfrecord(start):
        return "TFRecord", "write its pictures to files in a folder for each class, or as Parquet"
    return None


def identify_unsupported_name(name: str) -> tuple[str, str] | None:
    """Likewise by a file's name, which may end in .gz as well, or in the number of a shard: ``-00000-of-00010``."""
    return _SUFFIXES.get(PurePosixPath(_SHARD.sub("", name.lower()).removesuffix(".gz")).suffix)


def is_spreadsheet(name: str) -> bool:
    """Whether a file's name is that of a spreadsheet, which may be a table of pictures."""
    return identify_unsupported_name(name) == _SPREADSHEET


def identify_unsupported_zip(path: Path) -> tuple[str, str] | None:
    """Likewise for a zip archive that is the form of something else: a spreadsheet, or arrays."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if names and all(name.endswith(".npy") for name in names):
        return _ARRAYS
    return next((found for name, found in _OFFICE.items() if name in names), None)


def _tiff_bands(start: bytes) -> int:
    """Samples a pixel by the first directory, as far as it lies within the first bytes; 0 where it does not."""
    order = "<" if start[:2] == b"II" else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", start, 4)
        (entries,) = struct.unpack_from(f"{order}H", start, at)
        for number in range(entries):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", start, at + 2 + 12 * number)
            if tag == _TIFF_BANDS:
                return int(value)
    except struct.error:
        pass
    return 0


def _is_tfrecord(start: bytes) -> bool:
    """Whether the first eight bytes are followed by their masked checksum, as the length of a record is."""
    if len(start) < 12:
        return False
    crc = google_crc32c.value(start[:8])
    masked = ((crc >> _CRC_SHIFT | crc << (32 - _CRC_SHIFT)) + _CRC_ADDED) & _WORD
    return bool(masked == int.from_bytes(start[8:12], "little"))
