"""HTML pages that need no network."""

import base64

import jinja2
from PIL import Image

from headstart.components.core.artifacts.thumbnails import encode_jpeg
from headstart.components.core.util.printable import escape_unprintable


def render(package: str, template: str, **values: object) -> str:
    """Renders a page.

    Args:
        package: Package of the template: `__package__`.
        template: File name of a template that extends `page.html.j2`.
        **values: Variables of the template. They are escaped; names from outside also need the filter `shown`,
            inside `<bdi>`.
    """
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
    return environment.get_template(template).render(values)


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
    """`data:` URL of a JPEG."""
    return "data:image/jpeg;base64," + base64.b64encode(content).decode()
