"""Files that are often given as images or data but cannot be read, with advice for each."""

import re
import struct
import zipfile
from pathlib import Path, PurePosixPath

import google_crc32c

START_BYTES = 512
"""Number of first bytes by which a file is identified."""

GIT_LFS = "Git LFS pointer"

_LFS_START = b"version https://git-lfs.github.com/"
_SIGNATURES = {
    _LFS_START: (GIT_LFS, "the file itself was not downloaded; run `git lfs pull` where it was cloned"),
    b"7z\xbc\xaf\x27\x1c": ("7z archive", "unpack it and pass the folder, or pack it as .zip or .tar"),
    b"Rar!\x1a\x07": ("RAR archive", "unpack it and pass the folder, or pack it as .zip or .tar"),
    b"\x93NUMPY": ("NumPy array", "save each image as PNG, in a folder for each class"),
    b"\x89HDF\r\n\x1a\n": ("HDF5 file", "save each image as PNG, in a folder for each class"),
    b"SQLite format 3\0": ("SQLite database", "write its images to files, and a CSV with image and label"),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("spreadsheet or document of Microsoft Office", "save the table as CSV"),
    b"%PDF-": ("PDF", "export its pages or images as JPEG or PNG"),
    b"\x80\x04\x95": ("Python pickle", "save each image as PNG, in a folder for each class"),
}
_SPREADSHEET = ("spreadsheet", "save the sheet as CSV with the columns image and label")
_IMAGES_TO_FILES = "write each image to a file, in a folder for each class"
_SUFFIXES = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), _SPREADSHEET),
    **{suffix: (f"{suffix} file", _IMAGES_TO_FILES) for suffix in (".npz", ".npy", ".h5", ".hdf5", ".mat")},
    **{suffix: (f"{suffix} file", _IMAGES_TO_FILES) for suffix in (".pkl", ".pickle", ".tfrecord", ".tfrecords")},
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
_ARRAYS = ("archive of NumPy arrays (.npz)", "save each image as PNG, in a folder for each class")


def identify_unsupported_file(start: bytes) -> tuple[str, str] | None:
    """Identifies a file that cannot be read by its first bytes.

    Args:
        start: The first `START_BYTES` of the file, or all of a shorter one.

    Returns:
        Kind of file and advice; None if the bytes are not those of a known kind.
    """
    for signature, found in _SIGNATURES.items():
        if start.startswith(signature):
            return found
    if start[_DICOM_AT : _DICOM_AT + 4] == _DICOM:
        return "DICOM", "convert it to PNG or JPEG, with the window that shows what matters"
    if start[:4] in (b"II*\0", b"MM\0*") and (bands := _tiff_bands(start)) > _MOST_BANDS:
        return f"TIFF of {bands} bands", "choose the bands to show as red, green and blue, and save them as PNG"
    if _is_tfrecord(start):
        return "TFRecord", "write its images to files in a folder for each class, or as Parquet"
    return None


def identify_unsupported_name(name: str) -> tuple[str, str] | None:
    """Identifies a file that cannot be read by its name; ``.gz`` and shards, ``-00000-of-00010``, are ignored."""
    return _SUFFIXES.get(PurePosixPath(_SHARD.sub("", name.lower()).removesuffix(".gz")).suffix)


def is_spreadsheet(name: str) -> bool:
    """Whether a file's name is that of a spreadsheet, which may be a table of images."""
    return identify_unsupported_name(name) == _SPREADSHEET


def identify_unsupported_zip(path: Path) -> tuple[str, str] | None:
    """Identifies a zip archive that is another kind of file: a spreadsheet, a document or NumPy arrays."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if names and all(name.endswith(".npy") for name in names):
        return _ARRAYS
    return next((found for name, found in _OFFICE.items() if name in names), None)


def _tiff_bands(start: bytes) -> int:
    """Samples per pixel by the first directory; 0 if that is not within these bytes."""
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
    """Whether the first eight bytes, the length of a record, are followed by their masked checksum."""
    if len(start) < 12:
        return False
    crc = google_crc32c.value(start[:8])
    masked = ((crc >> _CRC_SHIFT | crc << (32 - _CRC_SHIFT)) + _CRC_ADDED) & _WORD
    return bool(masked == int.from_bytes(start[8:12], "little"))
