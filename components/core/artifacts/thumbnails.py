"""Thumbnails of images with their predictions, as Parquet, so that a report can be made without the data."""

import dataclasses
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from headstart.components.core.util.errors import HeadstartError

_SIDE = 128

_SCHEMA = pa.schema(
    [
        ("gallery", pa.string()),
        ("id", pa.string()),
        ("path", pa.string()),
        ("label", pa.string()),
        ("predicted", pa.string()),
        ("probability", pa.float64()),
        ("probability_label", pa.float64()),
        ("picture", pa.binary()),
        ("heat", pa.binary()),
    ]
)


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """Thumbnail of an image.

    Attributes:
        gallery: Gallery of the report that it belongs to.
        id: Hash of the image's pixels.
        path: Path of the image in its source.
        label: Class of the image.
        predicted: Most probable class.
        probability: Probability of the most probable class.
        probability_label: Probability of its own class.
        picture: Thumbnail as JPEG or WebP.
        heat: Thumbnail with a heat map, as JPEG or WebP; empty for none.
    """

    gallery: str
    id: str
    path: str
    label: str
    predicted: str
    probability: float
    probability_label: float
    picture: bytes
    heat: bytes = b""


def shrink(image: Image.Image, side: int = _SIDE) -> Image.Image:
    """Makes a copy that fits into a square.

    Args:
        image: Image, not yet decoded if it comes from a file: a JPEG is then decoded at a lower resolution.
        side: Side of the square in pixels.
    """
    image.draft("RGB", (2 * side, 2 * side))
    copy = image.convert("RGB")
    copy.thumbnail((side, side))
    return copy


def encode_jpeg(image: Image.Image) -> bytes:
    """Encodes an image as JPEG of quality 80."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def encode_webp(image: Image.Image, quality: int) -> bytes:
    """Encodes an image as WebP, which for thumbnails takes about half the bytes of JPEG.

    Args:
        image: Image to encode.
        quality: Quality, 0 to 100.
    """
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=4)
    return buffer.getvalue()


def write_thumbnails(path: Path, thumbnails: list[Thumbnail]) -> None:
    """Writes thumbnails in their order."""
    pq.write_table(pa.Table.from_pylist([dataclasses.asdict(each) for each in thumbnails], _SCHEMA), path)


def read_thumbnails(path: Path) -> list[Thumbnail]:
    """Reads thumbnails; empty if there is no file.

    Raises:
        HeadstartError: If the file is damaged.
    """
    if not path.exists():
        return []
    try:
        return [Thumbnail(**row) for row in pq.read_table(path).to_pylist()]
    except (TypeError, pa.ArrowException) as error:
        raise HeadstartError(f"{path} is damaged ({error}); make it again") from None
