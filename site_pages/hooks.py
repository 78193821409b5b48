"""MkDocs hooks: pages that lie elsewhere in the repository, and the parts of the reference made from the code."""

import os
import re
from pathlib import PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from headstart import __version__
from site_pages import ROOT
from site_pages.component_pages import FOLDER, component_names
from site_pages.generated import PARTS, generated_files

MOVED = {
    "README.md": "index.md",
    "benchmarks/README.md": "explanation/benchmarks.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
    "SECURITY.md": "project/security-policy.md",
}
"""Pages of the site that lie elsewhere in the repository, by their place there."""

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_GENERATED = re.compile(r"<!-- generated: (\w+) -->.*?<!-- /generated -->", re.DOTALL)


def on_startup(**_: object) -> None:
    """Puts the package together under its import name, by links, before mkdocstrings looks for the folder."""
    folder = ROOT / "build" / "types" / "headstart"
    folder.mkdir(parents=True, exist_ok=True)
    for source in ("headstart/__init__.py", "components", "pipelines"):
        link = folder / PurePosixPath(source).name
        if not link.exists():
            link.symlink_to(ROOT / source)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Names the version, and puts the pages of the components into the navigation."""
    config.site_name = f"Headstart {__version__}"
    config.copyright = "Apache-2.0"
    (components,) = [each["Components"] for each in _groups(config.nav, "Reference") if "Components" in each]
    components += [f"{FOLDER}/{name}.md" for name in component_names()]
    return config


def _groups(nav: Any, section: str) -> list[dict[str, Any]]:
    (found,) = [each[section] for each in nav if section in each]
    return list(found)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that lie elsewhere, and the generated files."""
    for source, page in MOVED.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_relink(text, source, page)))
    for path, content in generated_files().items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills the generated parts, and mends links that leave docs/."""
    source = page.file.src_uri
    text = _GENERATED.sub(lambda found: PARTS[found[1]](), markdown)
    return text if source in MOVED.values() else _relink(text, f"docs/{source}", source)


def _relink(text: str, source: str, page: str) -> str:
    """Turns links between files of the repository into links between pages of the site.

    Args:
        text: Markdown.
        source: Path of its file in the repository.
        page: Path of its page below docs/.
    """

    def relink(found: re.Match[str]) -> str:
        link, _, anchor = found[1].partition("#")
        if not link or "://" in link or link.startswith("mailto:"):
            return found[0]
        target = os.path.normpath(PurePosixPath(source).parent / link)
        target = MOVED.get(target, target.removeprefix("docs/") if target.startswith("docs/") else "")
        if not target:
            return found[0]
        return f"]({os.path.relpath(target, PurePosixPath(page).parent)}{'#' if anchor else ''}{anchor})"

    return _LINK.sub(relink, text)
