"""The generated parts and files of the site."""


def add_files() -> dict[str, str]:
    """Generated files by their paths below docs/."""
    return {}


def generate(name: str) -> str:
    """A generated part of a page, as Markdown."""
    return name
