"""What was measured is not lost where it cannot be written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from syncnas_deploy.errors import OutputError, OutputExists
from syncnas_deploy.files.measured import write_measured


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where nothing can be written, with a folder for temporary files beside."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "theirs").write_text("theirs")
    return tmp_path / "theirs" / "bench.json"


def test_what_cannot_be_written_is_kept_elsewhere(place: Path) -> None:
    with pytest.raises(OutputError, match="What was measured is kept in ") as raised:
        write_measured(place, {"us": 1.5})
    kept = re.search(r"kept in (.*)\.$", str(raised.value))
    assert kept is not None and json.loads(Path(kept[1]).read_text()) == {"us": 1.5}
    assert place.parent.read_text() == "theirs"


def test_without_any_room_the_first_reason_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(place.parent / "gone"))
    with pytest.raises(OutputError, match=r"bench\.json") as raised:
        write_measured(place, {})
    assert "kept in" not in str(raised.value)


def test_where_another_file_is_it_is_kept_beside(place: Path) -> None:
    with pytest.raises(OutputExists, match="what was to go there is in ") as raised:
        write_measured(place.parent, {"us": 1.5}, force=False)
    assert place.parent.read_text() == "theirs" and "kept in" not in str(raised.value)
