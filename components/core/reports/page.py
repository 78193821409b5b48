"""HTML pages that need no network."""

import base64
import dataclasses
import datetime
import functools
import html
import re
from collections.abc import Sequence
from pathlib import Path

import jinja2
from PIL import Image

from headstart.components.core.artifacts.hygiene import HygieneSummary
from headstart.components.core.artifacts.thumbnails import encode_jpeg
from headstart.components.core.util.printable import escape_unprintable, list_first

_MAX_CLASSES = 12
_SECTION = re.compile(r'<h2 id="([^"]+)"[^>]*>(.*?)</h2>', re.DOTALL)
_RUN_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TAG = re.compile("<[^>]*>")


@dataclasses.dataclass(frozen=True)
class PageHeader:
    """Facts in the header of a page, below its title.

    Attributes:
        kind: Kind of the page, such as ``Evaluation report``.
        date: Time of the computation, ISO 8601 in UTC; empty: unknown.
        data: Classes with their counts and their source; empty: unknown.
        backbone: Names of the backbones, with the image size; empty: none, or unknown.
        run: Command that started the run, or the run of Kubeflow Pipelines; empty: unknown.
    """

    kind: str
    date: str = ""
    data: str = ""
    backbone: str = ""
    run: str = ""


def render(package: str, template: str, header: PageHeader, **values: object) -> str:
    """Renders a page with its header and a table of contents.

    The template has the blocks `title`, `heading` and `main`. The table of contents lists each `<h2>` with an `id`.

    Args:
        package: Package of the template: `__package__`.
        template: File name of a template that extends `page.html.j2`.
        header: Facts in the header.
        **values: Variables of the template. They are escaped; names from outside also need the filter `shown`,
            inside `<bdi>`.
    """
    return _environment(package).get_template(template).render(values, header=header)


@functools.cache
def _environment(package: str) -> jinja2.Environment:
    """The templates of a package and of pages in general; each is compiled once in a process."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name, ".") for name in (package, __package__)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    environment.filters["grouped"] = lambda number: f"{number:,}"
    environment.filters["shown"] = shown
    environment.filters["data_url"] = data_url
    environment.filters["sections"] = list_sections
    environment.filters["moment"] = _describe_moment
    return environment


def list_sections(content: str) -> list[tuple[str, str]]:
    """Lists the sections of a page: `id` and text of each `<h2>`.

    Args:
        content: HTML of the page.
    """
    return [(anchor, html.unescape(_TAG.sub("", title)).strip()) for anchor, title in _SECTION.findall(content)]


def describe_data(hygiene: HygieneSummary | None, classes: Sequence[str]) -> str:
    """Describes the data for the header of a page: the classes with their counts and their source, as far as known.

    Args:
        hygiene: Summary of the data's problems; None if there is none.
        classes: Class names.
    """
    if hygiene and hygiene.first_line:
        return hygiene.first_line
    return f"{len(classes)} classes: {list_first([shown(name, 40) for name in classes], _MAX_CLASSES)}"


def describe_backbone(name: str, image_size: int) -> str:
    """Describes a backbone for the header of a page.

    Args:
        name: Name of the backbone.
        image_size: Side in pixels that the model resizes images to.
    """
    return f"{name}, {image_size} x {image_size} pixels"


def describe_run(command: str, output: Path) -> str:
    """Describes a run for the header of a page; empty if nothing is known of it.

    Args:
        command: Command that started it; empty: unknown.
        output: Path of an output of the step. On a cluster a folder above it is named by the run's id.
    """
    found = next(filter(_RUN_ID.fullmatch, output.parts), "")
    return command or (f"Kubeflow Pipelines, {found}" if found else "")


def now() -> str:
    """Present time for the header of a page, ISO 8601 in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _describe_moment(date: str) -> str:
    moment = datetime.datetime.fromisoformat(date).astimezone(datetime.UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def shown(name: str, longest: int = 100) -> str:
    r"""A name shortened in the middle to `longest` letters, with invisible characters escaped.

    Example:
        >>> shown("cat\n\u202egpj.exe")
        'cat\\n\\u202egpj.exe'
    """
    if len(name) > longest:
        name = f"{name[: longest // 2]}…{name[-longest // 2 :]}"
    return escape_unprintable(name)


def thumbnail(image: Image.Image, side: int) -> str:
    """`data:` URL of a JPEG that fits into a square of `side` pixels; `image` itself is reduced."""
    image.thumbnail((side, side))
    return data_url(encode_jpeg(image))


def data_url(content: bytes) -> str:
    """`data:` URL of a JPEG or WebP."""
    kind = "webp" if content.startswith(b"RIFF") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
