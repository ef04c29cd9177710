"""The site of the documents: `make docs` builds it into site/. A link or an anchor that leads nowhere is an error.

Sphinx runs this. Besides what is in docs/, the site has the README as its home, and the page of a demo.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

from syncnas_deploy.files.output import write_text
from syncnas_deploy.pipeline import documents_in
from syncnas_deploy.report.comparison import read_all
from syncnas_deploy.report.html.document import page_text

ROOT = Path(__file__).parents[1]
OUTSIDE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Documents outside of docs/, and the pages in which they stand."""
DEMO, PLACE = "demo.html", "<!-- the demo's page -->"
FRAME = f'<p><a href="{DEMO}">The page by itself</a></p><iframe src="{DEMO}" title="A report" class="demo"></iframe>'

project = "syncnas-deploy"
extensions = ["myst_parser"]
exclude_patterns = ["demo"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = project
html_favicon = "icon.svg"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
highlight_language = "none"


def setup(app: Sphinx) -> None:
    """What the site has besides docs/."""
    app.connect("source-read", _read)
    app.connect("build-finished", _add_demo)


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    """Put documents from outside in their places; links out of docs/ lead to where those are on the site."""
    text = _moved(source[0], "../").replace(PLACE, FRAME)
    for name, place in OUTSIDE.items():
        if place == f"{page}.md":
            outside = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
            text = text.replace(f"<!-- {name} -->", _moved(outside, ""))
    source[0] = text


def _moved(text: str, above: str) -> str:
    for name, place in OUTSIDE.items():
        text = re.sub(rf"\]\({re.escape(above + name)}(#[\w-]+)?\)", rf"]({place}\1)", text)
    return text


def _add_demo(app: Sphinx, exception: Exception | None) -> None:
    if exception is None:
        report = page_text(read_all(documents_in([ROOT / "docs" / "demo", ROOT / "docs" / "demo" / "probe.json"])))
        write_text(Path(app.outdir) / DEMO, report, force=True)
