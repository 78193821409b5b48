import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from support.hygiene import hygiene, properties

from headstart.components.core.reports.page import shown
from headstart.components.core.sources.quarantine import QuarantinedFile
from headstart.components.download_dataset.hygiene_data import HygieneData
from headstart.components.download_dataset.hygiene_report import HygienePage

HOSTILE = [
    "<script>alert(1)</script>.jpg",
    "\"><img src=x onerror='alert(1)'>.jpg",
    "line\nbreak\ttab\x00nul\x1b[31m.jpg",
    "cat\u202egpj.exe",
    "x" * 5000 + ".jpg",
    "latin\udce9.jpg",
    "&amp;{{ 7 * 7 }}{% raw %}.jpg",
]


def render(data: HygieneData) -> str:
    return HygienePage(data).render()


class Page(HTMLParser):
    """What a browser would make of a page, as far as the tests ask."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: list[dict[str, str | None]] = []
        self.words: list[str] = []
        self.skip = False
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.skip = tag in ("style", "script")
        self.attributes.append(dict(attributes))
        self.links += [value or "" for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_data(self, data: str) -> None:
        if not self.skip:
            self.words.append(data)


def page(*arguments: Any, **others: Any) -> Page:
    return Page(render(hygiene(*arguments, **others)))


def test_clean_data_gets_a_clean_bill() -> None:
    text = page(properties([100, 100])).text
    assert "All 200 files can be used; no warnings" in text
    assert "Show" not in text
    assert "None: every file is an image, and no two are the same." in text
    assert text.count("None found.") == 1 and "None: no image is dark" in text


def test_page_needs_nothing_from_outside_and_its_links_lead_somewhere() -> None:
    table = properties([100, 20], highlights=np.full(120, 10.0))
    text = render(hygiene(table, groups=[[0, 1], [2, 110]], quarantined=[QuarantinedFile("a", "conflict", "b")]))
    found = Page(text)
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in found.links)
    assert found.tags.count("script") == 1 and "link" not in found.tags
    assert "url(" not in text and "@import" not in text
    anchors = {each.get("id") for each in found.attributes}
    assert {link[1:] for link in found.links if link.startswith("#")} <= anchors
    assert all(each.get("alt") for each in found.attributes if "src" in each)


def test_verdict_counts_files_and_warnings() -> None:
    bad = [QuarantinedFile(f"{number}.jpg", "truncated", "") for number in range(3)]
    assert "1,200 of 1,203 files can be used; no warnings" in page(properties([600, 600]), quarantined=bad).text
    conflict = [QuarantinedFile("a.jpg", "conflict", "")]
    assert "1,200 of 1,201 files can be used; 1 warning" in page(properties([600, 600]), quarantined=conflict).text
    assert "1,200 of 1,201 files can be used; 2 warnings" in page(properties([1000, 200]), quarantined=conflict).text


@pytest.mark.parametrize(
    ("others", "title"),
    [
        ({"quarantined": [QuarantinedFile("a", "conflict", "b")] * 2}, "Conflicting labels"),
        ({"groups": [[0, 1], [1, 150]]}, "Suspicious labels"),
        ({"quarantined": [QuarantinedFile("a", "empty", "")] * 10}, "Many unusable files"),
    ],
)
def test_each_finding_is_a_warning_in_words(others: dict[str, Any], title: str) -> None:
    text = page(properties([100, 100]), **others).text
    assert "; 1 warning" in text and f"{title}. " in text


@pytest.mark.parametrize(
    ("table", "title"),
    [
        (properties([60, 200]), "Class imbalance"),
        (properties([49, 100]), "Few images"),
        (properties([100, 100], sharpness=[1.0] + [5.0] * 199), "Odd-looking images"),
        (properties([100, 100], format=["JPEG"] * 100 + ["PNG"] * 100), "Shortcut features"),
    ],
)
def test_each_kind_of_data_is_warned_of_in_words(table: pa.Table, title: str) -> None:
    text = page(table).text
    assert "; 1 warning" in text and f"{title}. " in text


@pytest.mark.parametrize("reason", ["duplicate", "corrected"])
def test_repeated_and_corrected_images_are_no_unusable_files(reason: str) -> None:
    left_out = [QuarantinedFile("a", reason, "")] * 50
    assert "120 of 170 files can be used; no warnings" in page(properties([60, 60]), quarantined=left_out).text


def test_groups_across_ready_made_splits_are_leaks_only_where_splits_are_ready_made() -> None:
    splits = (["train"] * 80 + ["test"] * 20) * 2
    split = page(properties([100, 100], split=splits), groups=[[0, 1], [2, 90, 91]])
    assert "Leakage between ready-made splits. 1 group has" in split.text
    assert split.text.index("leak: train, test") < split.text.index("0/0.jpg")
    assert "train test cat" in split.text, "the classes are counted by split"
    assert "leak" not in page(properties([100, 100]), groups=[[0, 1], [2, 90]]).text.lower()


def test_copies_across_ready_made_splits_are_leaks() -> None:
    copies = [QuarantinedFile("train/a.jpg", "leak", "same pixels as test/a.jpg, which is for test")] * 3
    text = page(properties([100, 100]), quarantined=copies).text
    assert "; 1 warning" in text
    assert "splits. 3 files have the same pixels as a file of another split: a model would be tested on" in text
    both = page(properties([100, 100], split=["train", "test"] * 100), groups=[[0, 1]], quarantined=copies[:1]).text
    assert "1 group has near-duplicates in more than one split, and 1 file has the same pixels" in both


def test_groups_that_contradict_come_first_and_show_what_contradicts() -> None:
    groups = [[2 * number, 2 * number + 1] for number in range(40)] + [[*range(80, 95), 150]]
    found = page(properties([100, 100]), groups=groups)
    start = found.text.index("suspicious: cat, dog")
    assert found.text[start:].startswith("suspicious: cat, dog 16 images, 6 shown")
    assert "1/150.jpg" in found.text
    assert "Here are 24 of the groups" in found.text and "96 images in 41 groups" in found.text
    assert found.tags.count("img") == 6 + 23 * 2


def test_galleries_show_the_most_extreme_dozen_first() -> None:
    shown_rows: list[int] = []

    def read_image(row: int) -> Image.Image:
        shown_rows.append(row)
        return Image.new("RGB", (40, 30))

    light = np.full(200, 220.0)
    light[100:130] = np.arange(60, 30, -1)
    found = page(properties([100, 100], highlights=light), read_image=read_image)
    assert shown_rows == list(range(129, 117, -1))
    assert "Dark : 30, the 12 most extreme shown." in found.text
    assert "So many of them" in found.text


def test_left_out_files_are_counted_by_reason_and_the_first_ones_named() -> None:
    bad = [QuarantinedFile(f"file-{number}.jpg", "truncated", "ends") for number in range(250)]
    text = page(properties([100, 100]), quarantined=[*bad, QuarantinedFile("last.jpg", "odd", "what")]).text
    assert "truncated 250 The file ends" in text and "odd 1" in text
    assert "file-199.jpg" in text and "file-200.jpg" not in text
    assert "And 51 more: see quarantine.csv" in text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_smuggle_anything_into_the_page(name: str) -> None:
    table = properties(
        [60, 60], path=[name.encode("utf-8", "replace").decode()] * 120, exif=["<marquee>Canon", "\x00"] * 60
    )
    text = render(
        hygiene(
            table,
            classes=[name, "dog"],
            sources=[name],
            why=name,
            quarantined=[QuarantinedFile(name, "truncated", name)],
            groups=[[0, 1], [2, 100]],
        )
    )
    text.encode("utf-8")
    found = Page(text)
    assert found.tags.count("script") == 1 and "marquee" not in found.tags, "the page has one script of its own"
    assert not any("onerror" in each for each in found.attributes)
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069]", text)
    assert len(text) < 100_000


def test_names_are_shown_as_they_are_where_they_can_be() -> None:
    assert shown("Dürer's hare, 1502 (final).jpg") == "Dürer's hare, 1502 (final).jpg"
    assert shown("חתול قطة 猫") == "חתול قطة 猫"
    assert shown("a\nb\x1b\u202e\udce9") == "a\\nb\\x1b\\u202e\\udce9"
    assert shown("a" * 60 + "b" * 60) == "a" * 50 + "…" + "b" * 50


def test_sizes_are_given_in_words_and_drawn_where_they_differ() -> None:
    same = page(properties([60, 60], width=np.full(120, 200), height=np.full(120, 200)))
    assert "All are 200 x 200 pixels." in same.text and "svg" not in same.tags
    width = np.r_[np.full(60, 100), np.full(60, 4000)]
    rng = np.random.default_rng(1)
    rng.shuffle(width)
    large = page(properties([60, 60], width=width, height=width // 2, stored_width=np.minimum(width, 512)))
    assert "From 100 x 50 to 4,000 x 2,000 pixels" in large.text
    assert "60 were larger, and were reduced to" in large.text
    assert large.tags.count("circle") == 2


def test_many_and_tiny_classes_fit() -> None:
    names = [f"class {number}" for number in range(100)]
    text = page(properties([1, 2, 3, 4, *range(5, 101)]), classes=names).text
    assert "100 classes: class 0 (1), class 1 (2), class 2 (3), class 3 (4), class 4 (5), … 95 more;" in text
    assert "smallest class 0 (1), largest class 99 (100)" in text
    assert "class 99 100 " in text and "and 43 more" in text
    assert "Too few images to test" in page(properties([1, 1])).text


def test_page_stays_small() -> None:
    table = properties([300] * 10, **{name: np.full(3000, 0.0) for name in ("highlights", "contrast", "sharpness")})
    groups = [list(range(10 * number, 10 * number + 10)) for number in range(300)]
    noise = Image.effect_noise((512, 512), 90).convert("RGB")
    text = render(
        hygiene(
            table, [f"class {number}" for number in range(10)], groups=groups, read_image=lambda row: noise.copy()
        )
    )
    assert len(text) < 3e6


def test_deep_images_are_shown_with_their_ranges() -> None:
    assert "more than 8 bits" not in render(hygiene(properties([60, 60])))
    table = properties(
        [60, 60],
        form=["PNG gray uint16"] * 60 + ["TIFF gray float32"] * 50 + [None] * 10,
        black=[0.0] * 110 + [None] * 10,
        white=[4095.0] * 60 + [1.0] * 20 + [300.0] * 30 + [None] * 10,
        contrast=np.array([200.0] * 100 + [5.0] * 20),
    )
    page = HygienePage(hygiene(table, ranges={"PNG gray uint16": (0.0, 4095.0), "TIFF gray float32": (0.0, 1.0)}))
    text = Page(page.render()).text
    assert "PNG gray uint16 60 0 to 4095 the data set 0" in text
    assert "TIFF gray float32 50 0 to 1; 0 to 300 the files and the data set 10" in text
    (sentence,) = page.low_contrast_warnings()
    assert sentence.startswith("10 of 50 images of the form TIFF gray float32 have low contrast")
    assert any(each.title == "Low contrast" for each in page.summary().findings)
