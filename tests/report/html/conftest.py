"""Pages that the tests of this room share; each worker makes them once."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncnas_deploy import pipeline
from syncnas_deploy.report.comparison import read_all
from syncnas_deploy.report.html.document import page_text
from tests.support import page_cases


@pytest.fixture(scope="session")
def phone(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The paths of an assessment."""
    return page_cases.assessed(tmp_path_factory.mktemp("page") / "a")


@pytest.fixture(scope="session")
def pages(phone: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of pages by name."""
    folder = tmp_path_factory.mktemp("pages")
    sources = {
        "phone": phone,
        "hostile": page_cases.hostile(phone[0].parent, folder / "h"),
        "large": page_cases.large(folder / "l"),
        "probe": page_cases.probed(folder / "p"),
        "demo": page_cases.demo(),
    }
    for name, paths in sources.items():
        (folder / f"{name}.html").write_text(page_text(read_all(paths)), encoding="utf-8")
    compared = {"comparison": [phone[0], sources["large"][0]], "benches": [phone[-1], sources["demo"][2]]}
    for name, paths in compared.items():
        read, sheets = pipeline.compare(paths)
        (folder / f"{name}.html").write_text(page_text(read, sheets=sheets), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in (*sources, *compared)}
