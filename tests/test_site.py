"""The site of the documents: every link leads somewhere, it is legible, and it asks nobody else for anything."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.support.documents import ROOT, script

pytest.importorskip("furo", reason="needs sphinx, myst-parser and furo, of the extra docs")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IN_PAGE = (ROOT / "tests" / "support" / "in_page.js").read_text()
DEAD = {
    "docs/install.md": "[a](nowhere.md) [b](phone.md#nowhere) [c](#nowhere) [d](../README.md#nowhere) ![e](no.svg)",
    "README.md": "[f](docs/nowhere-else.md) [g](docs/phone.md#nowhere-else)",
    "docs/page.md": "In no menu.",
}
TOLD = (
    "not found: 'nowhere.md'", "doc 'phone': 'nowhere'", "not found: 'nowhere'", "doc 'index': 'nowhere'", "no.svg",
    "not found: 'nowhere-else.md'", "doc 'phone': 'nowhere-else'", "page.md: WARNING: document isn't included",
)  # fmt: skip


def build(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a checkout, as `make docs` does."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "exporters", ROOT / "bench")))
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", str(root / "docs"), str(out)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


class Loaded(HTMLParser):
    """What a page loads, by itself or when a reader clicks."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(known.get("href", ""))
        else:
            self.addresses += [known[name] for name in ("src", "href", "data", "srcset") if name in known]


def test_it_asks_nobody_else_for_anything(site: Path) -> None:
    pages = sorted(site.glob("*.html"))
    assert len(pages) > 15
    for page in pages:
        for address in Loaded(page.read_text(encoding="utf-8")).addresses:
            assert not re.match(r"(https?:)?//", address), (page.name, address)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet


def test_the_demo_is_on_it(site: Path) -> None:
    assert 'src="demo.html"' in (site / "reading-a-report.html").read_text(encoding="utf-8")
    assert "One inference on both units" in (site / "demo.html").read_text(encoding="utf-8")
    assert "What is untested" in (site / "index.html").read_text(encoding="utf-8")


def test_what_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    for name, text in DEAD.items():
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write(f"\n{text}\n")
    done = build(tmp_path, tmp_path / "out")
    assert done.returncode != 0
    assert [text for text in TOLD if text not in done.stderr] == [], done.stderr


def test_pictures_are_what_the_commands_beside_them_draw(tmp_path: Path) -> None:
    made = script("generate_pictures").make(tmp_path)
    kept = ROOT / "docs" / "pictures"
    assert {path.name for path in made} == {path.name for path in kept.iterdir()}
    for path in made:
        assert path.read_bytes() == (kept / path.name).read_bytes(), "run: python docs/generate_pictures.py"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that says nothing."""

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.skipif(BROWSER is None, reason="needs an installed chromium")
def test_it_is_legible(site: Path, address: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    wrong: list[Any] = []
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(reduced_motion="reduce")
        page.on("console", lambda message: wrong.append(message.text))
        page.on("request", lambda asked: asked.url.startswith((address, "data:")) or wrong.append(asked.url))
        for path in sorted(site.glob("*.html")):
            if path.name == "demo.html":
                continue  # looked at in tests/report/html
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                page.goto(address + path.name)
                page.evaluate(IN_PAGE)
                for width in (390, 820, 1440):
                    page.set_viewport_size({"width": width, "height": 900})
                    faults = page.evaluate("legible()")
                    wrong += [(path.name, scheme, width, fault) for fault in faults]
        browser.close()
    assert wrong == []
