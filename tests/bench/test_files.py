"""Digests, whole files, strict JSON, and values by a declared type."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from syncnas_bench.files import decode, sha256_of, strict_json, write_whole


@dataclasses.dataclass(frozen=True)
class Item:
    size: Annotated[int, Meta(ge=1)]


@dataclasses.dataclass(frozen=True)
class Shelf:
    name: str
    items: tuple[Item, ...]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_whole(path, "first")
    write_whole(path, b"second")
    assert path.read_text() == "second" and sha256_of(path) == hashlib.sha256(b"second").hexdigest()

    def fails(_self: Path, _target: Path) -> None:
        raise OSError("no space")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="no space"):
        write_whole(path, "third")
    assert path.read_text() == "second" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "'c' stands twice"),
        ("[NaN]", "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("[" * 100_000, "nests too deeply"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_json_is_strict(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        strict_json(text)


def test_a_value_gets_its_type_and_what_does_not_fit_is_named() -> None:
    assert decode(Shelf, {"name": "a", "items": [{"size": 2}]}, "shelf") == Shelf("a", (Item(2),))
    for value, reason in (
        ({"name": "a", "items": [{"size": 2}, {"size": 0}]}, r"shelf: `\$\.items\[1\]\.size`: Expected .* found 0"),
        ({"name": "a", "items": [{"size": "2"}]}, r"`\$\.items\[0\]\.size`: Expected `int`, got `str`, found \"2\""),
        ({"name": "a"}, r"shelf: .*missing required field `items`"),
        ([], r"shelf: `\$`: Expected `object`, got `array`"),
    ):
        with pytest.raises(ValueError, match=reason):
            decode(Shelf, value, "shelf")
