"""Pictures to look at: small copies with what was said of them, as Parquet, so that a report needs no data."""

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
    """A picture to look at.

    Attributes:
        gallery: What it is an example of.
        id: Hash of its pixels.
        path: Where it came from.
        label: Its class.
        predicted: What it is taken for.
        probability: What that class gets.
        probability_label: What its own class gets.
        picture: A small JPEG.
        heat: The same with what the network looked at, a JPEG; empty for none.
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


def shrink(image: Image.Image) -> Image.Image:
    """A copy that fits into a square of 128 pixels."""
    copy = image.convert("RGB")
    copy.thumbnail((_SIDE, _SIDE))
    return copy


def encode_jpeg(image: Image.Image) -> bytes:
    """The image as JPEG of quality 80."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def write_thumbnails(path: Path, pictures: list[Thumbnail]) -> None:
    """Writes them in their order."""
    pq.write_table(pa.Table.from_pylist([dataclasses.asdict(each) for each in pictures], _SCHEMA), path)


def read_thumbnails(path: Path) -> list[Thumbnail]:
    """Reads them; none where there is no file.

    Raises:
        HeadstartError: The file is damaged.
    """
    if not path.exists():
        return []
    try:
        return [Thumbnail(**row) for row in pq.read_table(path).to_pylist()]
    except (TypeError, pa.ArrowException) as error:
        raise HeadstartError(f"{path} is damaged ({error}); make it again") from None
