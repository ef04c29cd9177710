"""The notebook of the documents runs from start to end, and shows what it says."""

from __future__ import annotations

import html
import os
import re
import sys
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import pytest

from tests.support.documents import ROOT

nbformat = pytest.importorskip("nbformat", reason="the notebook needs nbclient and ipykernel")
nbclient = pytest.importorskip("nbclient", reason="the notebook needs nbclient and ipykernel")
pytest.importorskip("ipykernel", reason="the notebook needs nbclient and ipykernel")


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook after it ran in a kernel of this environment, with this checkout."""
    found = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in found.cells), "keep it without outputs"
    folder = tmp_path_factory.mktemp("notebook")
    before, places = os.environ.get("PYTHONPATH"), (ROOT, ROOT / "exporters", ROOT / "bench")
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, places))
    try:
        client = nbclient.NotebookClient(found, timeout=600, resources={"metadata": {"path": str(folder)}})
        client.kernel_cmd = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        client.execute()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    if kept := os.environ.get("SYNCNAS_KEEP_NOTEBOOK"):
        nbformat.write(found, Path(kept))
    return found


def shown(notebook: Any, code: str) -> dict[str, str]:
    """What the cell that ends so shows as its value."""
    (cell,) = (cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.endswith(code))
    (value,) = (output for output in cell.outputs if output.output_type == "execute_result")
    return dict(value.data)


@pytest.mark.parametrize(
    "code", ["phone", "\nbase", "\nprofile", "\nfound", "config, profile)", "config, profile=profile)", "\nresult"]
)
def test_a_value_is_one_short_line(notebook: Any, code: str) -> None:
    text = shown(notebook, code)["text/plain"]
    assert re.fullmatch(r"<\w+ [^\n]+>", text) and len(text) < 200


@pytest.mark.parametrize(
    ("code", "says"),
    [("\nprofile", "expected error"), ("\nfound", "pay"), ("\nresult", "SIMULATED"), ("config, profile)", "total")],
)
def test_a_value_is_a_table(notebook: Any, code: str, says: str) -> None:
    text = shown(notebook, code)["text/html"]
    assert "<table>" in text and says in text


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("\nprofile", "Contention: beside the other unit"),
        ("\nfound", "Reward over predicted latency"),
        ("\nresult", "One inference on both units"),
        ("config, profile)", "Predicted: "),
    ],
)
def test_a_value_has_the_charts_of_the_page(notebook: Any, code: str, says: str) -> None:
    frame = re.search(r'<iframe [^>]*srcdoc="([^"]*)"', shown(notebook, code)["text/html"])
    assert frame is not None and says in html.unescape(frame[1])


@pytest.mark.parametrize(("code", "says"), [("\nbase", "mobilenet_v2"), ("config, profile=profile)", "SIMULATED")])
def test_a_network_is_a_picture(notebook: Any, code: str, says: str) -> None:
    root = xml.etree.ElementTree.fromstring(shown(notebook, code)["image/svg+xml"])
    assert root.tag.endswith("svg") and says in " ".join(root.itertext())


def test_what_takes_long_showed_one_line_of_progress(notebook: Any) -> None:
    for code in ("\nprofile", "\nfound", "\nresult"):
        (cell,) = (cell for cell in notebook.cells if cell.source.endswith(code))
        (line,) = (output for output in cell.outputs if output.output_type == "display_data")
        done, total = re.match(r"\[(\d+)/(\d+)\]", line.data["text/plain"]).groups()  # type: ignore[union-attr]
        assert 0 < int(done) <= int(total) and "<progress" in line.data["text/html"]


def test_nothing_went_to_the_streams_but_the_error_that_is_shown(notebook: Any) -> None:
    streams = [o.text for cell in notebook.cells for o in cell.get("outputs", ()) if o.output_type == "stream"]
    assert len(streams) == 1 and "1000 classes instead of 4" in streams[0]
