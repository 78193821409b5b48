"""Inputs that are broken, strange or made to do harm, each with its expected outcome.

`python tests/support/hostile.py > docs/reference/hostile-inputs.md` writes the table that users read.
"""

import csv
import dataclasses
import io
import json
import os
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageFilter

if __package__:
    from support import foreign, mutations
else:  # Run as a program, to write the docs.
    import foreign
    import mutations

ACCEPTED, IGNORED, QUARANTINED, REFUSED = "accepted", "ignored", "quarantined", "refused"


@dataclasses.dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        name: Description of the input.
        outcome: `ACCEPTED`, `IGNORED`, `QUARANTINED` or `REFUSED`.
        detail: Treatment of an accepted input, reason in the quarantine, or part of the error message.
        write: Writes it below a folder in which `pets` holds good images of two classes, and returns the source.
    """

    name: str
    outcome: str
    detail: str
    write: Callable[[Path], str]


def make_image(seed: int, width: int = 48, height: int = 36) -> Image.Image:
    """Makes a smooth image; each seed gives another one."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def encode_image(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_good_images(folder: Path) -> Path:
    """Writes three images of each of two classes."""
    for seed in range(6):
        path = folder / "pets" / ("cats", "dogs")[seed % 2] / f"{seed}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_image(make_image(seed)))
    return folder / "pets"


def _file(content: bytes, name: str = "cats/x.jpg") -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        path = folder / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(folder / "pets")

    return make


def _image(kind: str, image: Image.Image, **options: object) -> Callable[[Path], str]:
    return _file(encode_image(image, kind, **options))


def _in_folder(change: Callable[[Path], object]) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        change(folder / "pets")
        return str(folder / "pets")

    return make


def _breeds(pets: Path) -> None:
    """Moves images into folders below the classes that could be classes themselves."""
    for seed, breed in enumerate(("tabby", "pug", "siamese", "boxer", "tabby", "pug")):
        place = pets / ("cats", "dogs")[seed % 2]
        (place / breed).mkdir(exist_ok=True)
        (place / f"{seed}.jpg").rename(place / breed / f"{seed}.jpg")


def _days(folder: Path) -> str:
    """Moves the class folders into a folder for each day."""
    shutil.move(folder / "pets", folder / "2024-05-01")
    (folder / "2024-05-02" / "cats").mkdir(parents=True)
    (folder / "2024-05-02" / "cats" / "x.jpg").write_bytes(JPEG)
    return str(folder)


def _kaggle(folder: Path) -> str:
    (folder / "pets" / "cats").rename(folder / "pets" / "train_images")
    (folder / "pets" / "dogs").rename(folder / "pets" / "test_images")
    (folder / "pets" / "train.csv").write_text("id_code,diagnosis\n0,1\n")
    return str(folder / "pets")


def _zip(change: Callable[[zipfile.ZipFile], object] = lambda archive: None, spoil: Callable[[bytes], bytes] = bytes):
    def make(folder: Path) -> str:
        path = folder / "pets.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for each in sorted((folder / "pets").rglob("*.jpg")):
                archive.write(each, str(each.relative_to(folder)))
            change(archive)
        path.write_bytes(spoil(path.read_bytes()))
        return str(path)

    return make


def _tar(
    change: Callable[[tarfile.TarFile], object] = lambda archive: None,
    spoil: Callable[[bytes], bytes] = bytes,
    mode: str = "w",
):
    def make(folder: Path) -> str:
        path = folder / "pets.tar"
        with tarfile.open(path, mode) as archive:
            archive.add(folder / "pets", "pets")
            change(archive)
        path.write_bytes(spoil(path.read_bytes()))
        return str(path)

    return make


def _member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""):
    def change(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, len(content)
        archive.addfile(info, io.BytesIO(content))

    return change


def _tar_header(kind: bytes, size: int, times: int = 1) -> Callable[[Path], str]:
    """Headers that say a name, or what else there is to a member, in so many bytes."""

    def change(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("././@LongLink")
        info.type, info.size = kind, size
        for _ in range(times):
            archive.fileobj.write(info.tobuf(tarfile.GNU_FORMAT) + b"x" * size + bytes(-size % 512))

    return _tar(change, mode="w:gz")


def _zip_link(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("pets/cats/passwd.jpg")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    archive.writestr(info, "/etc/passwd")


def _zip_zeros(archive: zipfile.ZipFile) -> None:
    with archive.open("pets/cats/zeros.jpg", "w", force_zip64=True) as file:
        for _ in range(300):
            file.write(bytes(2**20))


def _flip(content: bytes) -> bytes:
    """One byte of the first member is another."""
    at = content.find(b"\xff\xd8")
    if not 0 <= at < len(content) - 300:
        # A compressed archive has these bytes by chance alone, if at all.
        at = len(content) // 3
    return content[: at + 300] + bytes([content[at + 300] ^ 255]) + content[at + 301 :]


def _encrypted(content: bytes) -> bytes:
    marked = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := marked.find(signature, start + 1)) >= 0:
            marked[start + offset] |= 1
    return bytes(marked)


def _manifest(
    rows: list[list[str]],
    encoding: str = "utf-8",
    header: tuple[str, ...] = ("image", "label"),
    separator: str = ",",
    slash: str = "/",
) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        names = [("cats", "dogs")[seed % 2] for seed in range(6)]
        good = [[slash.join(["pets", name, f"{seed}.jpg"]), name[:3]] for seed, name in enumerate(names)]
        with (folder / "pets.csv").open("w", encoding=encoding, newline="") as file:
            csv.writer(file, delimiter=separator).writerows([header, *good, *rows])
        return str(folder / "pets.csv")

    return make


def _json_lines(image: str, label: object = "cats", **extra: object) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        good = [(f"pets/{name}/{seed}.jpg", name) for seed in range(6) for name in [("cats", "dogs")[seed % 2]]]
        lines = [json.dumps({"image": name, "label": label}) for name, label in good]
        (folder / "pets.jsonl").write_text("\n".join([*lines, json.dumps({"image": image, "label": label} | extra)]))
        return str(folder / "pets.jsonl")

    return make


def _grouped(*groups: str) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        names = [("cats", "dogs")[seed % 2] for seed in range(6)]
        rows = [[f"pets/{name}/{seed}.jpg", name, groups[seed % len(groups)]] for seed, name in enumerate(names)]
        with (folder / "pets.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("image", "label", "group"), *rows])
        return str(folder / "pets.csv")

    return make


def _device_in_manifest(folder: Path) -> str:
    os.mkfifo(folder / "pipe.jpg")
    return _manifest([[str(folder / "pipe.jpg"), "cat"]])(folder)


def _zip_with_table(folder: Path) -> str:
    path = folder / "pets.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for seed in range(6):
            archive.write(folder / "pets" / ("cats", "dogs")[seed % 2] / f"{seed}.jpg", f"images/{seed}.jpg")
        rows = "".join(f"images/{seed}.jpg,{('cat', 'dog')[seed % 2]}\n" for seed in range(6))
        archive.writestr("labels.csv", f"image,label\n{rows}images/none.jpg,cat\n")
    return str(path)


def _negative_member(archive: tarfile.TarFile) -> None:
    """A header whose size, in base 256 as large ones are written, is below zero."""
    info = tarfile.TarInfo("pets/cats/x.jpg")
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfc\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    archive.fileobj.write(bytes(header))
    archive.offset += len(header)


def _text(name: str, content: bytes) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        (folder / name).write_bytes(content)
        return str(folder / name)

    return make


def _parquet(spoil: Callable[[bytes], bytes] = bytes, **columns: object) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        good = [{"bytes": encode_image(make_image(seed)), "path": f"{seed}.jpg"} for seed in range(6)]
        table = {"image": good, "label": ["cat", "dog"] * 3}
        extra = columns.get("extra")
        if extra:
            table = {"image": [*good, extra[0]], "label": [*table["label"], extra[1]]}
        arrow = pa.table({columns.get("name", "image"): table["image"], "label": table["label"]})
        pq.write_table(arrow, folder / "pets.parquet")
        (folder / "pets.parquet").write_bytes(spoil((folder / "pets.parquet").read_bytes()))
        return str(folder / "pets.parquet")

    return make


def _parquet_of(columns: dict[str, list]) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        pq.write_table(pa.table(columns), folder / "pets.parquet")
        return str(folder / "pets.parquet")

    return make


def _two_class_labels(folder: Path) -> str:
    label = {"_type": "ClassLabel", "names": ["cat", "dog"]}
    features = {"info": {"features": {"image": {"_type": "Image"}, "fine": label, "coarse": label}}}
    table = pa.table({"image": [JPEG], "fine": [0], "coarse": [1]})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), folder / "pets.parquet")
    return str(folder / "pets.parquet")


def _zip_of(name: str, member: str) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr(member, b"x")
        return str(folder / name)

    return make


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png_of_size(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", zlib.compress(bytes(1000)))


def _png_16_bit_rgb() -> bytes:
    rows = b"".join(b"\0" + np.full((20, 3), 40_000, ">u2").tobytes() for _ in range(20))
    header = struct.pack(">IIBBBBB", 20, 20, 16, 2, 0, 0, 0)
    parts = [_png_chunk(b"IHDR", header), _png_chunk(b"IDAT", zlib.compress(rows)), _png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _png_rows(change: Callable[[bytes], bytes] = bytes, pack: Callable[[bytes], bytes] = zlib.compress) -> bytes:
    """A PNG whose rows, or their compression, were changed; the checksums of all chunks are right."""
    chunks = mutations.read_chunks(PNG)
    rows = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
    return mutations.join_chunks([chunks[0], (b"IDAT", pack(change(rows))), (b"IEND", b"")])


def _changed_after_packing(rows: bytes) -> bytes:
    """Changes a byte of stored data, so that only the checksum of the whole stream shows it."""
    packed = bytearray(zlib.compress(rows, 0))
    packed[len(packed) // 2] ^= 255
    return bytes(packed)


def gray(seed: int, white: float, dtype: str) -> np.ndarray:
    """A gray image of full contrast, with samples from 0 to `white`."""
    levels = np.asarray(make_image(seed).convert("L")).astype(np.float64)
    levels = (levels - levels.min()) / (levels.max() - levels.min())
    return (levels * white).astype(dtype)


def _one_is(samples: np.ndarray, value: float) -> np.ndarray:
    samples[3, 3] = value
    return samples


def _with_significant_bits(bits: int) -> bytes:
    chunks = mutations.read_chunks(encode_image(Image.fromarray(gray(9, 2**bits - 1, "uint16")), "PNG"))
    return mutations.join_chunks([chunks[0], (b"sBIT", bytes([bits])), *chunks[1:]])


def _bmp_without_opacity() -> bytes:
    """A BMP whose header says that the fourth byte is opacity; it is 0 everywhere."""
    pixels = np.asarray(make_image(9).convert("RGB"))[::-1, :, ::-1]
    rows = np.concatenate([pixels, np.zeros((*pixels.shape[:2], 1), np.uint8)], axis=2).tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, pixels.shape[1], pixels.shape[0], 1, 32, 3, len(rows), 0, 0, 0, 0)
    start = 14 + 108
    return struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start) + header + masks + bytes(52) + rows


def _claiming(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header claims another size."""
    at = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2"))
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def _png_text_bomb() -> bytes:
    png = encode_image(make_image(9), "PNG")
    bomb = _png_chunk(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(80 * 2**20)))
    return png[:33] + bomb + png[33:]


JPEG, PNG = encode_image(make_image(7)), encode_image(make_image(8), "PNG")
BIG = make_image(7, 400, 300)
NO_ARCHIVE = "neither a folder nor a zip or tar archive"
FRAMES = [make_image(20), make_image(21), make_image(22)]

CASES = [
    # Contents of a file.
    Case("an empty file", QUARANTINED, "empty", _file(b"")),
    Case("text with the name of a JPEG", QUARANTINED, "not an image", _file(b"a cat, honestly")),
    Case("an error page saved as image", QUARANTINED, "not an image", _file(b"<html>404 Not Found</html>")),
    Case("random bytes", QUARANTINED, "not an image", _file(np.random.default_rng(0).bytes(5000))),
    Case("JPEG cut in half", QUARANTINED, "truncated", _file(encode_image(BIG)[: len(encode_image(BIG)) // 2])),
    Case("JPEG cut within its header", QUARANTINED, "truncated", _file(JPEG[:100])),
    Case("JPEG of four bytes", QUARANTINED, "not an image", _file(b"\xff\xd8\xff\xe0")),
    Case("JPEG without its last two bytes", QUARANTINED, "truncated", _file(JPEG[:-2])),
    Case("JPEG with the bytes of a second after it", ACCEPTED, "the first image", _file(JPEG + encode_image(make_image(9)))),
    Case("JPEG with a megabyte behind it", ACCEPTED, "stored anew, without it", _file(JPEG + bytes(10**6))),
    Case("JPEG that is a zip archive too", ACCEPTED, "stored anew", _file(JPEG + b"PK\x05\x06" + bytes(10**5))),
    Case("PNG cut in half", QUARANTINED, "truncated", _file(encode_image(BIG, "PNG")[:10_000])),
    Case("PNG with a wrong checksum", QUARANTINED, "damaged", _file(PNG[:60] + b"\0\0\0\0" + PNG[64:])),
    Case("PNG whose pixels were changed, under right checksums of its chunks", QUARANTINED, "damaged", _file(_png_rows(pack=_changed_after_packing))),
    Case("PNG that cannot be unpacked, under right checksums of its chunks", QUARANTINED, "damaged", _file(_png_rows(pack=lambda rows: zlib.compress(rows)[:300] + bytes(200)))),
    Case("PNG whose last rows are missing, under right checksums", QUARANTINED, "truncated", _file(_png_rows(lambda rows: rows[:2000]))),
    Case("PNG with more rows than its size needs", QUARANTINED, "damaged", _file(_png_rows(lambda rows: rows + bytes(200)))),
    Case("PNG with a filter that does not exist, under right checksums", QUARANTINED, "damaged", _file(_png_rows(lambda rows: b"\x09" + rows[1:]))),
    Case("PNG without pixels", QUARANTINED, "damaged", _file(PNG[:33] + _png_chunk(b"IEND", b""))),
    Case("GIF cut in half", QUARANTINED, "truncated", _file(encode_image(BIG, "GIF")[:5000])),
    Case("BMP cut in half", QUARANTINED, "truncated", _file(encode_image(BIG, "BMP")[:50_000])),
    Case("WebP cut in half", QUARANTINED, "damaged", _file(encode_image(BIG, "WEBP")[:1000])),
    Case("TIFF cut in half", QUARANTINED, "truncated", _file(encode_image(BIG, "TIFF")[:50_000])),
    Case("TIFF whose directory is nowhere", QUARANTINED, "not an image", _file(b"II*\0\xff\xff\xff\x7f" + bytes(50))),
    Case("PNG that claims 50,000 x 50,000 pixels", QUARANTINED, "too large", _file(_png_of_size(50_000, 50_000))),
    Case("PNG that claims 2 billion x 1 pixels", QUARANTINED, "too large", _file(_png_of_size(2**31 - 1, 1))),
    Case("white image of 12,000 x 12,000", QUARANTINED, "too large", _image("PNG", Image.new("1", (12_000, 12_000)))),
    Case("JPEG that claims 65,500 x 65,500 pixels", QUARANTINED, "too large", _file(_claiming(JPEG, 65_500, 65_500))),
    Case("JPEG that claims 30,000 x 30,000 pixels and ends early", QUARANTINED, "truncated", _file(_claiming(JPEG, 30_000, 30_000))),
    Case("progressive JPEG that claims 15,000 x 15,000 pixels", QUARANTINED, "too large", _file(_claiming(encode_image(make_image(7), progressive=True), 15_000, 15_000))),
    Case("PNG whose comment unpacks to 80 MB", QUARANTINED, "damaged", _file(_png_text_bomb())),
    Case("image of one pixel", QUARANTINED, "too small", _image("PNG", make_image(9, 1, 1))),
    Case("image of 7 x 40", QUARANTINED, "too small", _image("PNG", make_image(9, 7, 40))),
    Case("strip of 2,000 x 10", QUARANTINED, "strip", _image("PNG", make_image(9, 2000, 10))),
    Case("AVIF without an image", QUARANTINED, "damaged", _file(b"\0\0\0\x18ftypavif" + bytes(500))),
    Case("AVIF cut short", QUARANTINED, "truncated", _file(encode_image(BIG, "AVIF")[:-10])),
    Case("SVG", QUARANTINED, "not an image", _file(b'<svg xmlns="http://www.w3.org/2000/svg"/>')),
    Case("PDF", QUARANTINED, "unsupported", _file(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3")),
    Case("PostScript, which Ghostscript would run", QUARANTINED, "not an image", _file(b"%!PS-Adobe-3.0 EPSF-3.0\n")),
    Case("icon", QUARANTINED, "not an image", _image("ICO", make_image(9))),
    Case("PPM", QUARANTINED, "not an image", _image("PPM", make_image(9))),
    Case("film", QUARANTINED, "not an image", _file(b"\0\0\0\x18ftypisom" + bytes(500))),
    Case("zip archive among the images", QUARANTINED, "not an image", _file(b"PK\x03\x04" + bytes(500), "cats/x.zip")),
    Case("image in CIELAB", ACCEPTED, "as RGB", _image("TIFF", Image.new("LAB", (40, 40), (50, 9, 9)))),
    # Odd files that can be used.
    Case("PNG with the name of a JPEG", ACCEPTED, "as it is", _file(PNG)),
    Case("JPEG without an extension", ACCEPTED, "as it is", _file(JPEG, "cats/x")),
    Case("GIF, animated", ACCEPTED, "its first frame", _image("GIF", FRAMES[0], save_all=True, append_images=FRAMES)),
    Case("PNG, animated", ACCEPTED, "its first frame", _image("PNG", FRAMES[0], save_all=True, append_images=FRAMES)),
    Case("WebP, animated", ACCEPTED, "its first frame", _image("WEBP", FRAMES[0], save_all=True, append_images=FRAMES)),
    Case("TIFF of several pages", ACCEPTED, "its first page", _image("TIFF", FRAMES[0], save_all=True, append_images=FRAMES)),
    Case("progressive JPEG", ACCEPTED, "as it is", _image("JPEG", make_image(9), progressive=True)),
    Case("JPEG in CMYK", ACCEPTED, "as RGB", _image("JPEG", make_image(9).convert("CMYK"))),
    Case("JPEG in gray", ACCEPTED, "as RGB", _image("JPEG", make_image(9).convert("L"))),
    Case("PNG with 16 bits of gray", ACCEPTED, "as RGB", _image("PNG", Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40))),
    Case("PNG with 12 bits of gray in 16", ACCEPTED, "4,095 as white: the data set decides", _image("PNG", Image.fromarray(gray(9, 4095, "uint16")))),
    Case("PNG with 8 bits of gray in 16", ACCEPTED, "255 as white: the data set decides", _image("PNG", Image.fromarray(gray(9, 255, "uint16")))),
    Case("PNG with 10 bits of gray in 16 that says so", ACCEPTED, "1,023 as white: sBIT", _file(_with_significant_bits(10))),
    Case("TIFF with 16-bit values that states its range", ACCEPTED, "SMinSampleValue to SMaxSampleValue", _image("TIFF", Image.fromarray(gray(9, 700, "uint16")), tiffinfo={340: 0, 341: 700})),
    Case("TIFF of ImageJ with a range", ACCEPTED, "min= to max=", _image("TIFF", Image.fromarray(gray(9, 700, "uint16")), description="ImageJ=1.54f\nmin=0.0\nmax=700.0\n")),
    Case("TIFF with 32-bit integers", ACCEPTED, "the data set's own range", _image("TIFF", Image.fromarray(gray(9, 255, "int32")))),
    Case("TIFF of floating-point numbers from 0 to 10,000", ACCEPTED, "0 to 10,000 as black to white", _image("TIFF", Image.fromarray(gray(9, 10_000, "float32")))),
    Case("TIFF from 0 to 1 with a pixel of 1.0001", ACCEPTED, "0 to 1 as black to white", _image("TIFF", Image.fromarray(_one_is(gray(9, 1, "float32"), 1.0001)))),
    Case("BMP whose fourth byte is 0 everywhere", ACCEPTED, "not transparent", _file(_bmp_without_opacity())),
    Case("AVIF", ACCEPTED, "as RGB", _image("AVIF", make_image(9))),
    Case("PNG with 16 bits a colour", ACCEPTED, "as RGB of 8", _file(_png_16_bit_rgb())),
    Case("PNG with a palette", ACCEPTED, "as RGB", _image("PNG", make_image(9).convert("P"))),
    Case("PNG that is transparent", ACCEPTED, "on white", _image("PNG", make_image(9).convert("RGBA").filter(ImageFilter.BLUR))),
    Case("PNG with one transparent colour", ACCEPTED, "on white", _image("PNG", make_image(9), transparency=(1, 2, 3))),
    Case("TIFF in black and white", ACCEPTED, "as RGB", _image("TIFF", make_image(9).convert("1"))),
    Case("TIFF of floating-point numbers", ACCEPTED, "0 to 1 as black to white", _image("TIFF", Image.fromarray(np.linspace(0, 1, 1600, dtype=np.float32).reshape(40, 40)))),
    Case("TIFF with a pixel that is no number", ACCEPTED, "that pixel black", _image("TIFF", Image.fromarray(np.append(np.linspace(0, 1, 1599, dtype=np.float32), np.float32("nan")).reshape(40, 40)))),
    Case("photograph taken upright", ACCEPTED, "turned as EXIF says", _image("JPEG", make_image(9), exif=_exif(6))),
    Case("TIFF of an image taken upright", ACCEPTED, "turned as its tag says", _image("TIFF", make_image(9), exif=_exif(6))),
    Case("EXIF with an orientation of 99", ACCEPTED, "as it is", _image("JPEG", make_image(9), exif=_exif(99))),
    Case("EXIF that is damaged", ACCEPTED, "as it is", _image("JPEG", make_image(9), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")),
    Case("colour profile that is damaged", ACCEPTED, "as it is", _image("JPEG", make_image(9), icc_profile=b"nonsense")),
    Case("JPEG of 12,000 x 8,000", ACCEPTED, "reduced while it is decoded", _image("JPEG", make_image(9).convert("L").resize((12_000, 8_000)))),
    Case("photograph of 3,000 x 2,000", ACCEPTED, "reduced to 512 x 341", _image("JPEG", make_image(9, 3000, 2000))),
    Case("file name with a line break and quotes", ACCEPTED, "as it is, but on a terminal", _file(JPEG, 'cats/a\n"b",c.jpg')),
    Case("file name that a spreadsheet would run", ACCEPTED, "as it is", _file(JPEG, "cats/=1+1.jpg")),
    Case("file name that is HTML", ACCEPTED, "name escaped", _file(JPEG, "cats/<script>alert(1)<&>.jpg")),
    Case("file name with wide blanks and joined emoji", ACCEPTED, "as it is", _file(JPEG, "cats/写真\u3000👨\u200d👩\u200d👧.jpg")),
    Case("file name that is no UTF-8", ACCEPTED, "those bytes as \\xe9", _file(JPEG, os.fsdecode(b"cats/caf\xe9.jpg"))),
    Case("file name of 250 characters", ACCEPTED, "as it is", _file(JPEG, f"cats/{'x' * 246}.jpg")),
    # Other files and folders.
    Case(".DS_Store", IGNORED, "counted", _file(b"Bud1", "cats/.DS_Store")),
    Case("Thumbs.db", IGNORED, "counted", _file(b"x", "cats/Thumbs.db")),
    Case("__MACOSX/cats/._1.jpg", IGNORED, "counted", _file(b"x", "__MACOSX/cats/._1.jpg")),
    Case("a README beside the class folders", IGNORED, "counted", _file(b"x", "README.txt")),
    Case("what telephones and exports leave beside an image", IGNORED, "counted", _in_folder(lambda pets: [(pets / f"cats/0{ending}").write_bytes(b"x") for ending in (".AAE", ".MOV", ".jpg.json", ".xml", ".txt")])),
    Case("a Git LFS pointer", QUARANTINED, "Git LFS pointer", _file(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3950\n")),
    Case("DICOM", QUARANTINED, "unsupported", _file(bytes(128) + b"DICM" + bytes(100))),
    Case("a file of /proc, which says that it is empty", QUARANTINED, "not an image", _manifest([["/proc/self/status", "cat"]])),
    Case("a second copy of an image", QUARANTINED, "duplicate", _file(encode_image(make_image(0)))),
    Case("a copy as PNG, pixel for pixel", QUARANTINED, "duplicate", _file(encode_image(Image.open(io.BytesIO(encode_image(make_image(0)))), "PNG"))),
    Case("a copy in the folder of another class", QUARANTINED, "conflict", _file(encode_image(make_image(0)), "dogs/x.jpg")),
    Case("a link to nowhere", QUARANTINED, "broken link", _in_folder(lambda pets: (pets / "cats/x.jpg").symlink_to("nowhere"))),
    Case("a link to a folder above", IGNORED, "each folder is read once", _in_folder(lambda pets: (pets / "cats/loop").symlink_to(pets))),
    Case("a named pipe", QUARANTINED, "not a file", _in_folder(lambda pets: os.mkfifo(pets / "cats/x.jpg"))),
    Case("a link to the class folder beside it", IGNORED, "each folder is read once", _in_folder(lambda pets: (pets / "a_cats").symlink_to(pets / "cats"))),
    Case("a folder within a class folder", ACCEPTED, "of that class", _file(JPEG, "cats/kittens/x.jpg")),
    Case("class folders within class folders", REFUSED, "--class-level 1 takes 2 classes: cats (3), dogs (3); --class-level 2 takes 4 classes", _in_folder(_breeds)),
    Case("class folders within folders of days", ACCEPTED, "the class folders", _days),
    Case("a folder test with one file beside class folders", QUARANTINED, "left out", _file(JPEG, "test/x.jpg")),
    Case("a folder test with more beside class folders", REFUSED, "test may be no class, by its name; --class-level 1 takes 3 classes", _in_folder(lambda pets: shutil.copytree(pets / "cats", pets / "test"))),
    Case("a folder examples beside class folders", REFUSED, "examples may be no class, by its name", _file(JPEG, "examples/x.jpg")),
    Case("a folder masks beside class folders", REFUSED, "masks may be no class, by its name", _file(JPEG, "masks/x.jpg")),
    Case("train_images and test_images beside a table of unknown columns", REFUSED, "train.csv may list the classes", _kaggle),
    Case("an empty folder", IGNORED, "no class", _in_folder(lambda pets: (pets / "birds").mkdir())),
    Case("a class with broken files only", REFUSED, "no file of class 'birds' can be used: birds/x.jpg: empty", _file(b"", "birds/x.jpg")),
    Case("one class only", REFUSED, "only one class, 'cats'", _in_folder(lambda pets: shutil.rmtree(pets / "dogs"))),
    Case("nothing at all", REFUSED, "does not exist", lambda folder: str(folder / "nowhere")),
    Case("an address of an unknown kind", REFUSED, "no store for 'ftp://host/pets.zip'", lambda folder: "ftp://host/pets.zip"),
    # Archives.
    Case("zip with a member ../../x.jpg", REFUSED, "points out of it", _zip(lambda archive: archive.writestr("../../x.jpg", JPEG))),
    Case("zip with a member /tmp/x.jpg", REFUSED, "points out of it", _zip(lambda archive: archive.writestr("/tmp/x.jpg", JPEG))),
    Case("zip with a member C:\\x.jpg", REFUSED, "points out of it", _zip(lambda archive: archive.writestr("C:\\x.jpg", JPEG))),
    Case("zip with names in Windows' manner", ACCEPTED, "with slashes", _zip(lambda archive: archive.writestr("pets\\cats\\x.jpg", JPEG))),
    Case("zip with names in a Chinese code page", ACCEPTED, "decoded, and said", _zip(lambda archive: archive.writestr("pets/cats/ABCD.jpg", JPEG), lambda content: content.replace(b"ABCD", "猫狗".encode("gbk")))),
    Case("zip with a link to /etc/passwd", QUARANTINED, "link", _zip(_zip_link)),
    Case("zip with a member of 300 MB", QUARANTINED, "too large", _zip(_zip_zeros)),
    Case("zip with a damaged member", QUARANTINED, "damaged", _zip(spoil=_flip)),
    Case("zip with two members of one name", QUARANTINED, "duplicate", _zip(lambda archive: [archive.writestr("pets/cats/x.jpg", JPEG) for _ in range(2)])),
    Case("zip, encrypted", REFUSED, "is encrypted", _zip(spoil=_encrypted)),
    Case("zip cut short", REFUSED, NO_ARCHIVE, _zip(spoil=lambda content: content[:-100])),
    Case("zip with nothing in it", REFUSED, "holds no files", _text("empty.zip", b"PK\x05\x06" + bytes(18))),
    Case("text with the name of a zip", REFUSED, NO_ARCHIVE, _text("pets.zip", b"no archive")),
    Case("tar with a member ../../x.jpg", REFUSED, "points out of it", _tar(_member("../../x.jpg", JPEG))),
    Case("tar with a member /tmp/x.jpg", REFUSED, "points out of it", _tar(_member("/tmp/x.jpg", JPEG))),
    Case("tar with a link to /etc/passwd", QUARANTINED, "link", _tar(_member("pets/cats/x.jpg", kind=tarfile.SYMTYPE, link="/etc/passwd"))),
    Case("tar with a hard link", QUARANTINED, "link", _tar(_member("pets/cats/x.jpg", kind=tarfile.LNKTYPE, link="pets/cats/0.jpg"))),
    Case("tar with a device", QUARANTINED, "device", _tar(_member("pets/cats/x.jpg", kind=tarfile.CHRTYPE))),
    Case("tar with a named pipe", QUARANTINED, "device", _tar(_member("pets/cats/x.jpg", kind=tarfile.FIFOTYPE))),
    Case("tar.gz with a name of 64 MB", REFUSED, "is damaged (a header of 67,108,864 bytes; the most is 1,048,576)", _tar_header(tarfile.GNUTYPE_LONGNAME, 2**26)),
    Case("tar.gz with 64 MB of PAX", REFUSED, "is damaged (a header of 67,108,864 bytes; the most is 1,048,576)", _tar_header(tarfile.XHDTYPE, 2**26)),
    Case("tar.gz with 5,000 names for a member", REFUSED, "is damaged", _tar_header(tarfile.GNUTYPE_LONGNAME, 100, times=5000)),
    Case("tar with a member of a negative size", REFUSED, "is damaged (a member of -1,024 bytes)", _tar(_negative_member)),
    Case("tar.gz cut short", REFUSED, "is damaged", _tar(spoil=lambda content: content[:-2000], mode="w:gz")),
    Case("tar.xz with a flipped byte", REFUSED, "is damaged", _tar(spoil=_flip, mode="w:xz")),
    Case("gzip of something else", REFUSED, NO_ARCHIVE, _text("pets.gz", b"\x1f\x8b\x08\0 nonsense")),
    # Manifests and Parquet.
    Case("CSV without a column label", REFUSED, "it lacks label", _text("pets.csv", b"image,species\n1.jpg,cat\n")),
    Case("CSV with two columns label", REFUSED, "has the column 'label' twice", _manifest([], header=("image", "label", "label"))),
    Case("CSV with the columns label and Label", REFUSED, "the column could be 'label' or 'Label'; say which with label_column", _manifest([], header=("image", "label", "Label"))),
    Case("CSV with a field too many", REFUSED, "line 8 has 3 fields under 2 columns", _manifest([["a", "b.jpg", "cat"]])),
    Case("CSV with the labels 0 and 0.0", REFUSED, "which are one number", _manifest([["pets/x.jpg", "0"], ["pets/y.jpg", "0.0"]])),
    Case("CSV with the groups 1 and 1.0", REFUSED, "the groups '1' and '1.0', which are one number", _grouped("1", "1.0", "2")),
    Case("JSON lines whose group is a list", REFUSED, "is no name; a group is a text or a number", _json_lines("pets/cats/0.jpg", group=["a", "b"])),
    Case("CSV with a column of the dataset's own", REFUSED, "has the column 'image.path', a name that the dataset uses itself", _manifest([], header=("image", "label", "image.path"))),
    Case("CSV that names a pipe", QUARANTINED, "not a file", _device_in_manifest),
    Case("CSV that names /dev/zero", QUARANTINED, "not a file", _manifest([["/dev/zero", "cat"]])),
    Case("CSV that names an address that is none", QUARANTINED, "unreadable", _manifest([["http://[::1/x.jpg", "cat"]])),
    Case("CSV that names a host that does not exist", QUARANTINED, "unreadable", _manifest([["http://127.0.0.1:9/x.jpg", "cat"]])),
    Case("a pipe for a manifest", REFUSED, "is a pipe, a socket or a device", lambda folder: (os.mkfifo(folder / "pets.csv"), str(folder / "pets.csv"))[1]),
    Case("JSON lines with several labels for an image", REFUSED, "line 7: the label ['cats', 'outdoor'] is no class", _json_lines("pets/x.jpg", ["cats", "outdoor"])),
    Case("JSON lines with an object for a label", REFUSED, "is no class; a label is a text or a whole number", _json_lines("pets/x.jpg", {"name": "cats"})),
    Case("JSON lines with NaN for a label", REFUSED, "the label nan is no class", _json_lines("pets/x.jpg", float("nan"))),
    Case("JSON lines with true for a label", REFUSED, "the label True is no class", _json_lines("pets/x.jpg", True)),
    Case("JSON lines with a fraction for a label", REFUSED, "the label 0.0 is no class", _json_lines("pets/x.jpg", 0.0)),
    Case("JSON lines nested 100,000 deep", REFUSED, "line 1: JSON that is nested too deeply", _text("pets.jsonl", b'{"image": ' + b"[" * 100_000)),
    Case("JSON lines with a key twice", REFUSED, "has the column 'label' twice", _text("pets.jsonl", b'{"image": "1.jpg", "label": "cat", "label": "dog"}')),
    Case("a zip whose table names an image that is not there", QUARANTINED, "missing", _zip_with_table),
    Case("Excel spreadsheet", REFUSED, "of the kind Excel spreadsheet; save the sheet as CSV", _zip_of("labels.xlsx", "xl/workbook.xml")),
    Case("NumPy's .npz", REFUSED, "of the kind archive of NumPy arrays (.npz); save each image as PNG", _zip_of("pets.npz", "images.npy")),
    Case("7z archive", REFUSED, "of the kind 7z archive; unpack it", _text("pets.7z", b"7z\xbc\xaf\x27\x1c" + bytes(50))),
    Case("RAR archive", REFUSED, "of the kind RAR archive; unpack it", _text("pets.rar", b"Rar!\x1a\x07\x01\0" + bytes(50))),
    Case("CSV in gzip", REFUSED, "unpack it with `gunzip pets.csv.gz`", _text("pets.csv.gz", b"\x1f\x8b\x08\0" + bytes(50))),
    Case("Git LFS pointer for an archive", REFUSED, "run `git lfs pull`", _text("pets.zip", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3950\n")),
    Case("CSV in Latin-1", REFUSED, "is no UTF-8 text", _manifest([["pets/cats/0.jpg", "caf\xe9"]], "latin-1")),
    Case("CSV with a byte order mark", ACCEPTED, "as it is", _manifest([], "utf-8-sig")),
    Case("CSV that names a file that is not there", QUARANTINED, "missing", _manifest([["pets/nowhere.jpg", "cat"]])),
    Case("CSV that names a text of this machine", QUARANTINED, "not an image", _manifest([["/etc/passwd", "cat"]])),
    Case("CSV that names a folder", QUARANTINED, "unreadable", _manifest([["pets/cats", "cat"]])),
    Case("CSV that leaves the class out", QUARANTINED, "no class", _manifest([["pets/cats/0.jpg", ""]])),
    Case("CSV that lists an image twice", QUARANTINED, "duplicate", _manifest([["pets/cats/0.jpg", "cat"]])),
    Case("CSV that gives an image two classes", QUARANTINED, "conflict", _manifest([["pets/cats/0.jpg", "dog"]])),
    Case("JSON lines with a broken line", REFUSED, "line 2: no JSON", _text("pets.jsonl", json.dumps({"image": "1.jpg", "label": "cat"}).encode() + b"\n{broken\n")),
    Case("JSON lines that name a file with a NUL", QUARANTINED, "missing", _json_lines("pets/a\0b.jpg")),
    Case("JSON lines with half a character", QUARANTINED, "missing", _json_lines("pets/\ud800.jpg")),
    Case("JSON lines that name a user's folder", QUARANTINED, "missing", _json_lines("~nobody-of-that-name/x.jpg")),
    Case("Parquet cut short", REFUSED, "is damaged", _parquet(lambda content: content[:-50])),
    Case("Parquet without images", REFUSED, "it lacks image", _parquet_of({"number": [1, 2], "label": ["cat", "dog"]})),
    Case("Parquet with two columns of images", REFUSED, "the image could be the column 'photo' or 'mask'; say which with image_column", _parquet_of({"photo": [b"1"], "mask": [b"2"], "label": ["cat"]})),
    Case("Parquet with two class labels", REFUSED, "the class could be the column 'fine' or 'coarse'; say which with label_column", _two_class_labels),
    Case("Parquet with true for a label", REFUSED, "row 0: the label True is no class", _parquet_of({"image": [b"1"], "label": [True]})),
    Case("Parquet with fractions for labels", REFUSED, "row 0: the label 0.0 is no class", _parquet_of({"image": [b"1"], "label": [0.0]})),
    Case("Parquet with a row without bytes", QUARANTINED, "missing", _parquet(extra=({"bytes": None, "path": "x.jpg"}, "cat"))),
    Case("Parquet with a row without label", QUARANTINED, "no class", _parquet(extra=({"bytes": JPEG, "path": "x.jpg"}, None))),
]  # fmt: skip


def markdown_table() -> str:
    """The cases as Markdown."""
    lines = [
        "# Hostile inputs",
        "",
        "How `download_dataset` treats files, archives, manifests and Parquet that are broken, strange or made to do harm.",
        "Each row is a test in `tests/unit/components/download_dataset/test_hostile_inputs.py`. A quarantined file is listed",
        "in `quarantine.csv` with the reason given here. A refusal is one line; it ends the run before anything is written.",
        "",
        "| input | outcome |",
        "| --- | --- |",
    ]
    for case in CASES:
        how = {ACCEPTED: ", ", IGNORED: ": ", QUARANTINED: ": ", REFUSED: ": … "}[case.outcome]
        lines.append(f"| {case.name.replace('|', '/')} | {case.outcome}{how}{case.detail} |")
    lines += [
        "",
        "HEIC is read where the package `pillow-heif` is installed (`pip install 'headstart[heic]'`); elsewhere it is",
        "quarantined as unsupported, with that command as the way out.",
    ]
    return "\n".join(lines + foreign.table()) + "\n"


if __name__ == "__main__":
    print(markdown_table(), end="")
