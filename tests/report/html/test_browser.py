"""The page in a real browser: widths, light and dark, with and without its script, and what a hostile file can do."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncnas_deploy.report.comparison import read_all

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs an installed chromium")

SLOWEST = """() => {
    const input = document.querySelector('[data-runs]');
    input.value = input.max;
    input.dispatchEvent(new Event('input'));
}"""
WIDTHS_OF_TRACKS = """() => [...document.querySelectorAll('#m0 .track')].map(
    (track) => [...track.children].reduce((sum, item) => sum + parseFloat(item.style.width), 0))"""
BARS = """() => {
    const bar = (inside, kind) => `<${inside[0]} class="${inside[1]}"><i class="${kind}"></i></${inside[0]}>`;
    const stack = "work slowed crossing wait idle".split(" ").map((kind) => bar(["div", "stack u0"], kind));
    const beside = bar(["span", "bb"], "");
    const contenders = "own rival app today".split(" ").map((kind) => `<p class="${kind}">${beside}</p>`);
    return [stack, contenders].map((kinds) => kinds.map((html) => {
        const place = document.body.appendChild(document.createElement("div"));
        place.innerHTML = html;
        const style = getComputedStyle(place.querySelector("i"));
        const look = [style.backgroundImage.split(/rgba?.[^)]*./g), style.borderStyle];
        const empty = style.backgroundImage === "none" && /0\\)$|rgb.255, 255, 255/.test(style.backgroundColor);
        place.remove();
        return JSON.stringify([look, empty]);
    }));
}"""
"""By chart, how each kind of bar looks to somebody who sees no colours: patterns, borders, and whether it is empty."""
IN_PAGE = (Path(__file__).parents[2] / "support" / "in_page.js").read_text()
WIDTHS = (390, 820, 1440)
NAMES = ("phone", "hostile", "large", "probe", "demo", "comparison", "benches")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visit:
    """A page that is open, and everything that it should not have done."""

    def __init__(self, browser: Any, path: Path, *, js: bool = True) -> None:
        view = {"width": 1440, "height": 900}
        self.context = browser.new_context(viewport=view, offline=True, java_script_enabled=js, reduced_motion="reduce")
        self.page, self.wrong = self.context.new_page(), list[str]()
        self.page.on("console", lambda message: self.wrong.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.wrong.append("dialog"), dialog.dismiss()))
        self.page.on("request", self._asked)
        self._url = path.as_uri()
        self.page.goto(self._url)

    def _asked(self, request: Any) -> None:
        if request.url.partition("#")[0] != self._url and not request.url.startswith("data:"):
            self.wrong.append(f"request: {request.url[:80]}")

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_legible_and_asks_for_nothing(browser: Any, pages: dict[str, Path], name: str) -> None:
    visit = Visit(browser, pages[name])
    with visit as page:
        page.evaluate(IN_PAGE)
        for opened in ("false", "true"):
            page.evaluate(f"document.querySelectorAll('details').forEach((part) => {{ part.open = {opened}; }})")
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)
                    assert page.evaluate("faults()") == [], (width, scheme, opened)
        moving = {kind: page.locator(kind).count() for kind in ("table", "svg", ".track li", "figure")}
    assert visit.wrong == []

    without = Visit(browser, pages[name], js=False)
    with without as page:
        assert {kind: page.locator(kind).count() for kind in moving} == moving
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.locator("h1").first.is_visible() and not page.locator("#theme").is_visible()
            assert not any(pick.is_visible() for pick in page.locator(".pick").all())
    assert without.wrong == []


def test_the_timeline_moves(browser: Any, pages: dict[str, Path]) -> None:
    visit = Visit(browser, pages["phone"])
    with visit as page:
        page.focus("#m0 .track.u1 li[tabindex='0']")
        first = page.inner_text("#tip")
        page.keyboard.press("ArrowRight")
        assert page.inner_text("#tip") != first and " us (" in first
        told = page.inner_text("#m0 .run-name")
        page.evaluate(SLOWEST)
        assert page.inner_text("#m0 .run-name") != told
        one, other = page.evaluate(WIDTHS_OF_TRACKS)
        assert one == pytest.approx(other, abs=1e-3)
        page.click("#theme")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.hover(".plot.small .area")
        assert page.pdf(format="A4").startswith(b"%PDF")
    assert visit.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["comparison", "benches", "phone"])
def test_a_narrow_screen_shows_names_and_that_there_is_more(
    browser: Any, pages: dict[str, Path], name: str, scheme: str
) -> None:
    with Visit(browser, pages[name]) as page:
        page.set_viewport_size({"width": 360, "height": 900})
        page.emulate_media(color_scheme=scheme)
        names = page.locator(".sheet tbody th").all()
        widths = [name.bounding_box()["width"] for name in names]
        assert bool(widths) == (name != "phone") and all(width >= 120 for width in widths), widths
        wider = "box => box.scrollWidth > box.clientWidth"
        boxes = [box for box in page.locator(".scroll").all() if box.is_visible() and box.evaluate(wider)]
        assert boxes
        for box in boxes:
            # Without its content there is the edge alone.
            box.evaluate("box => { box.firstElementChild.style.visibility = 'hidden' }")
            begin = box.screenshot()
            box.evaluate("box => { box.scrollLeft = box.scrollWidth }")
            assert begin != box.screenshot()


def test_bars_of_each_kind_differ_without_their_colours(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["phone"]) as page:
        for looks in page.evaluate(BARS):
            assert len(set(looks)) == len(looks) > 3, looks


def test_the_charts_of_a_notebook_are_drawn(browser: Any, phone: list[Path], tmp_path: Path) -> None:
    (tmp_path / "n.html").write_text(f"<!doctype html><title>n</title>{read_all(phone).results[0]._repr_html_()}")
    visit = Visit(browser, tmp_path / "n.html")
    with visit as page:
        page.click("summary:text('charts')")
        frame = page.frame_locator("iframe")
        assert frame.locator(".gantt .track li.work").first.is_visible() and frame.locator("h1").first.is_visible()
    assert visit.wrong == []


def test_the_raw_data_comes_out_as_it_went_in(browser: Any, pages: dict[str, Path], phone: list[Path]) -> None:
    with Visit(browser, pages["phone"]) as page:
        with page.expect_download() as download:
            page.click("a[download='bench.json.gz']")
        content = gzip.decompress(Path(download.value.path()).read_bytes())
    assert content == phone[-1].read_bytes() and json.loads(content)["schema"].startswith("syncnas-deploy/bench-result")


def test_what_is_planted_is_refused_and_found(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    # The checks above see something: each fault is planted, and told.
    planted = "<script>window.owned = 1</script><img src='https://example.invalid/x.png'><p style='color:#ccc'>pale</p>"
    planted += "<p>one line of text</p><p style='margin-top:-36px'>another line over it</p>"
    (tmp_path / "p.html").write_text(pages["phone"].read_text().replace("</main>", planted + "</main>"))
    visit = Visit(browser, tmp_path / "p.html")
    with visit as page:
        page.evaluate(IN_PAGE)
        told = " ".join(page.evaluate("faults()"))
        assert (
            "contrast" in told
            and "overlap: one line" in told
            and "<img" in told
            and page.evaluate("window.owned") is None
        )
    assert any("Content Security Policy" in text for text in visit.wrong)
