import re
from pathlib import Path

import pytest

from headstart.components.core.recipes.variants import DEFAULT_VARIANTS, read_variants
from headstart.pipelines.cli.compare import _artifacts, _pages
from headstart.pipelines.local import output_folder
from headstart.pipelines.local.output_folder import RUN_PAGES, Products, list_products, move_results

PAGE = "<header><!-- pages --></header>"


def test_every_page_that_is_linked_is_a_result() -> None:
    assert set(RUN_PAGES) <= set(list_products(from_scratch=False).artifacts)
    variants = read_variants(DEFAULT_VARIANTS)
    assert set(_pages(variants)) == {path for path in _artifacts(variants) if path.endswith(".html")}


def test_pages_are_linked_when_results_are_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The test runner keeps its own handlers of signals.
    monkeypatch.setattr(output_folder, "ignore_signals", lambda: None)
    root, work, output = (tmp_path / name for name in ("root", "work", "output"))
    artifacts = {"reports/a.html": "evaluate/report", "data.html": "download/page", "last.json": "evaluate/last"}
    for path in artifacts.values():
        file = root / "run" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(PAGE)
    for folder in (work, output):
        folder.mkdir()
    pages = {"data.html": "Data", "reports/a.html": "Report of a"}
    move_results(root, work, output, Products(artifacts, "text.yaml", lambda folder: "text", pages))
    for page in pages:
        links = re.findall('href="([^"]+)"', (output / page).read_text())
        assert [(output / page).parent.joinpath(link).resolve() for link in links] == [
            output / each for each in pages
        ]
    assert (output / "last.json").read_text() == PAGE
    assert (root / "run" / "download" / "page").read_text() == PAGE, "artifacts stay as they are"
