"""The page of `headstart serve`: choosing, dropping and pasting images, by day and night, on a desk and a phone."""

import base64
import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from support.browsing import Watched

pytest.importorskip("kserve", reason="the extra `serve` is not installed")

from support.published import version_folder
from support.serving import load, picture, publish, serving

from headstart.pipelines.serving.loaded_version import LoadedVersion

DESK, PHONE = 1280, 390

GIVE = """([kind, files]) => {
    const data = new DataTransfer();
    for (const [name, text] of files) {
        const bytes = Uint8Array.from(atob(text), each => each.charCodeAt(0));
        data.items.add(new File([bytes], name, {type: "image/png"}));
    }
    const event = kind === "paste" ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
        : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
    document.body.dispatchEvent(event);
}"""
"""Drops or pastes files."""


class Strange(LoadedVersion):
    """A version to which red images are unfamiliar."""

    def predict(self, pixels: list[Any]) -> list[dict[str, Any]]:
        rows = super().predict(pixels)
        return [row | {"unfamiliar": row["probabilities"][1] > 0.4, "unfamiliarity": 1.0} for row in rows]

    def explain(self, pixels: list[Any], labels: list[int]) -> list[list[list[float]]]:
        return [[[0.0, 0.5], [0.5, 1.0]] for _ in pixels]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    publish(folder, folder / "pets", 0)
    with serving(folder / "pets", load_version=functools.partial(load, kind=Strange, card="# Model card")) as (
        url,
        _,
    ):
        yield url


@pytest.mark.parametrize(
    "watched", [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")], indirect=True, ids=str
)
def test_page_answers_fits_and_is_accessible(
    watched: Watched, url: str, screenshots: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    page = watched.page
    page.goto(url)
    page.locator("#model", has_text="version").wait_for()
    for name, content in {"calm.png": picture(30), "red.png": picture(250), "broken.png": b"no image"}.items():
        (tmp_path / name).write_bytes(content)
    page.set_input_files("#files", [tmp_path / name for name in ("calm.png", "red.png", "broken.png")])
    page.get_by_text("3 of 3 images answered").wait_for(state="attached")
    assert sorted(page.locator("h3").all_inner_texts()) == ["I do not know", "No answer", "cat"]
    assert page.get_by_text("unlike those that the model was trained on").is_visible()
    assert page.get_by_text("not an image").is_visible()
    page.get_by_role("button", name="What it looked at").first.press("Enter")
    page.get_by_text("The bright places speak most for cat.").wait_for()
    page.locator("summary").press("Enter")
    assert page.get_by_role("region", name="Model card").inner_text() == "# Model card"
    width, scheme = request.node.callspec.params["watched"]
    page.screenshot(path=screenshots / f"serve-{width}-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert [each for each in watched.requests if not each.startswith((url, "blob:", "data:"))] == []
    assert [each for each in watched.complaints if "400" not in each] == []
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_images_can_be_dropped_and_pasted(watched: Watched, url: str, kind: str) -> None:
    page = watched.page
    page.goto(url)
    page.locator("#model", has_text="version").wait_for()
    files = [[f"{red}.png", base64.b64encode(picture(red)).decode()] for red in (10, 20)]
    page.evaluate(GIVE, [kind, files])
    page.get_by_text("2 of 2 images answered").wait_for(state="attached")
    assert page.locator("#results > li").count() == 2
    assert watched.complaints == []


def test_report_of_the_run_is_shown_and_reaches_nothing(watched: Watched, pages: Path, tmp_path: Path) -> None:
    version_folder(tmp_path / "out")
    for name in ("report.html", "data.html"):
        shutil.copy(pages / name, tmp_path / "out")
    page = watched.page
    with serving(tmp_path / "out") as (url, _):
        page.goto(url)
        page.get_by_role("link", name="Report of the evaluation").click()
        page.locator("main h2").first.wait_for()
        # The model card that is not there.
        assert [each for each in watched.complaints if "404" not in each] == []
        assert page.evaluate("[...document.images].every(each => each.src.startsWith('data:'))")
        assert page.evaluate("getComputedStyle(document.querySelector('.scale i')).left") != "auto"
        assert page.evaluate("fetch('/v1/models').then(() => 'reached', () => 'refused')") == "refused"
        page.get_by_role("navigation", name="Pages of this run").get_by_role("link", name="Data").click()
        page.wait_for_url("**/data.html")
        page.locator("main h2").first.wait_for()
        policy = requests.get(f"{url}/report.html").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "sandbox allow-scripts" in policy and "script-src 'sha256-" in policy


def test_page_runs_no_script_but_its_own_and_can_be_turned_off(url: str, tmp_path: Path) -> None:
    policy = requests.get(url).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy
    publish(tmp_path, tmp_path / "pets", 0)
    with serving(tmp_path / "pets", page=False) as (bare, _):
        assert requests.get(bare).status_code == 404
