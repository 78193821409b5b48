"""Every hostile input has the outcome that the docs list, and leaves nothing outside the artifact."""

import csv
import re
import tempfile
from pathlib import Path

import pytest
from support import ROOT
from support.hostile import ACCEPTED, CASES, IGNORED, QUARANTINED, REFUSED, Case, markdown_table, write_good_images

from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.step import DownloadSettings, download_dataset

GOOD = 6


def test_there_are_at_least_sixty_and_the_docs_list_them() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
    docs = ROOT / "docs" / "reference" / "hostile-inputs.md"
    assert docs.read_text(encoding="utf-8") == markdown_table()


@pytest.mark.parametrize("case", CASES, ids=lambda case: re.sub(r"\W+", "-", case.name))
def test_hostile_input(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, work, out = (tmp_path / name for name in ("in", "work", "out"))
    work.mkdir()
    write_good_images(inputs)
    data = case.write(inputs)
    before = sorted(inputs.rglob("*"))
    monkeypatch.setattr(tempfile, "tempdir", str(work))

    if case.outcome == REFUSED:
        with pytest.raises(HeadstartError, match=re.escape(case.detail)) as caught:
            download_dataset([data], out / "dataset", out / "page.html", DownloadSettings(max_bad_fraction=1))
        assert "\n" not in str(caught.value)
        assert not (out / "dataset" / "dataset.json").exists()
    else:
        download_dataset([data], out / "dataset", out / "page.html", DownloadSettings(max_bad_fraction=1))
        reasons = quarantine(out / "dataset")
        images = read_dataset_info(out / "dataset").images
        assert "<script>alert" not in (out / "page.html").read_text(encoding="utf-8")
        assert not [path for path in out.rglob("*") if path.is_file() and b"root:x" in path.read_bytes()]
        if case.outcome == QUARANTINED:
            assert set(reasons) == {case.detail}
            assert images >= GOOD - 1
        else:
            assert not reasons
            assert images == GOOD + (case.outcome == ACCEPTED and "byte order mark" not in case.name)

    assert sorted(inputs.rglob("*")) == before
    assert not list(work.iterdir())
    assert {path.name for path in tmp_path.iterdir()} <= {"in", "work", "out"}
    assert case.outcome in (ACCEPTED, IGNORED, QUARANTINED, REFUSED)


def quarantine(dataset: Path) -> list[str]:
    with (dataset / "quarantine.csv").open(newline="", encoding="utf-8") as file:
        return [row["reason"] for row in csv.DictReader(file)]
