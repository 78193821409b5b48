"""Pages for people: HTML files of one look that need no network."""

import base64

import jinja2
from PIL import Image

from headstart.components.core.artifacts.thumbnails import jpeg
from headstart.components.core.util.printable import visible


def render(package: str, template: str, **values: object) -> str:
    """Renders a page.

    Args:
        package: Where the template lies: `__package__`.
        template: File name of one that extends `page.html.j2`.
        values: What it shows. Everything is escaped; names that came from outside also go through the filter
            `shown`, inside `<bdi>`.
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
    r"""A name as a person should see it: shortened in its middle beyond `longest` letters, and nothing invisible.

    Example:
        >>> shown("cat\n\u202egpj.exe")
        'cat\\n\\u202egpj.exe'
    """
    if len(name) > longest:
        name = f"{name[: longest // 2]}…{name[-longest // 2 :]}"
    return visible(name)


def thumbnail(image: Image.Image, side: int) -> str:
    """`data:` address of a JPEG that fits into a square; `image` itself becomes that small."""
    image.thumbnail((side, side))
    return data_address(jpeg(image))


def data_address(content: bytes) -> str:
    """`data:` address of a JPEG."""
    return "data:image/jpeg;base64," + base64.b64encode(content).decode()
