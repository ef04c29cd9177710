"""Digests, whole files, strict JSON, and values by a declared type."""

import dataclasses
import errno
import hashlib
import os
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from syncnas_bench.errors import PathUnreachable
from syncnas_bench.files import decode, is_file, is_folder, sha256_of, strict_json, write_whole


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
        ("[" + "1" * 21 + "]", "it holds a number of 21 digits"),
        ("-" + "1" * 5_000, "it holds a number of 5001 digits"),
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


@pytest.mark.parametrize(
    ("name", "file", "folder"),
    [
        ("file", True, False),
        ("link", True, False),
        ("pipe", False, False),
        ("folder", False, True),
        ("none", False, False),
        ("file/below", False, False),
        ("x" * 300, False, False),
        ("x\0", False, False),
        ("dead", False, False),
    ],
)
def test_what_is_at_a_path(name: str, file: bool, folder: bool, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dead").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert (is_file(tmp_path / name), is_folder(tmp_path / name)) == (file, folder)


@pytest.mark.parametrize(("number", "says"), [(errno.EACCES, "denied"), (errno.EIO, "rror"), (errno.ENOTCONN, "onnec")])
def test_a_path_that_cannot_be_looked_at_is_told(
    number: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for ask in (is_file, is_folder):
        with pytest.raises(PathUnreachable, match=r"loop/x: cannot be looked at \(.*links\); check its name"):
            ask(tmp_path / "loop/x")

    def refused(_self: Path) -> os.stat_result:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "stat", refused)
    for ask in (is_file, is_folder):
        with pytest.raises(PathUnreachable, match=says):
            ask(tmp_path)
