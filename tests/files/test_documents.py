"""Documents by schema: whatever is wrong, one sentence names the file, the field, the value and the remedy."""

from __future__ import annotations

import doctest
import sys
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, field

from syncnas_deploy.errors import ProfileError
from syncnas_deploy.files import documents
from syncnas_deploy.files.documents import Schema, Sha256, Text, decode_document, parse_json, read_json


class Point(Schema, frozen=True):
    width: Annotated[int, Meta(ge=4, le=4096)]
    latency_us: Annotated[float, Meta(gt=0)]
    op: Literal["add", "concat"] = "add"
    spread_us: Annotated[float, Meta(ge=0)] | None = None


class Table(Schema, frozen=True):
    schema: str
    device: Text
    points: Annotated[tuple[Point, ...], Meta(min_length=1, max_length=3)]
    files: dict[str, Sha256] = field(default_factory=dict)
    pair: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        widths = [point.width for point in self.points]
        if widths != sorted(widths):
            raise ValueError("'points' must rise in width")


POINT = {"width": 8, "latency_us": 1.5}
GOOD: dict[str, Any] = {"schema": "test/table/2", "device": "a phone", "points": [POINT]}


def decode(value: object) -> Table:
    return decode_document(Table, value, "t.json", ProfileError, version=("test/table", 2))


def test_a_good_document_becomes_its_schema() -> None:
    table = decode(GOOD | {"pair": [3, 4], "points": [POINT | {"latency_us": 2, "spread_us": None}]})
    assert table.points == (Point(width=8, latency_us=2.0),)
    assert table.pair == (3, 4)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"points": [POINT | {"width": 2}]},
            "'points[0].width' must be an integer from 4 to 4096, found 2; correct",
        ),
        (
            {"points": [POINT, POINT | {"width": True}]},
            "'points[1].width' must be an integer from 4 to 4096, found tr",
        ),
        (
            {"points": [POINT | {"width": 10**30}]},
            f"'points[0].width' must be an integer from 4 to 4096, found {10**30}",
        ),
        ({"points": [POINT | {"latency_us": 0}]}, "'points[0].latency_us' must be a number above 0, found 0"),
        ({"points": [POINT | {"op": "\x1b[31m"}]}, "'points[0].op' must be one of add, concat, found \"\\u001b[31m\""),
        (
            {"points": [POINT | {"spread_us": "x"}]},
            "'points[0].spread_us' must be a number of at least 0 or null",
        ),
        ({"points": []}, "'points' must be a list of 1 to 3 items, found a list of 0;"),
        ({"points": {}}, "'points' must be a list of 1 to 3 items, found an object"),
        ({"points": [POINT | {"widht": 1}]}, "'points[0].widht' is not a known field; remove it or correct its name."),
        ({"points": [POINT | {"\x1b": 1}]}, "'points[0].\\x1b' is not a known field"),
        ({"points": [{"width": 8}]}, "'points[0].latency_us' is missing; add it."),
        ({"points": [POINT, POINT | {"width": 4}]}, "'points' must rise in width."),
        ({"device": "red\x1b[31m"}, "'device' must be printable text of 1 to 256 characters, found \"red\\u001b[31m\""),
        ({"device": ""}, "'device' must be printable text"),
        ({"device": "x" * 257}, "'device' must be printable text"),
        ({"device": "x\n"}, "'device' must be printable text"),
        ({"files": {"a": "0" * 63}}, "'files[...]' must be a sha256: 64 hexadecimal digits; correct it."),
        ({"pair": [1]}, "'pair' must be a list of 2 items, found a list of 1;"),
        ({"pair": [1, None]}, "'pair[1]' must be an integer, found null"),
        ({"schema": "test/table/3"}, "'schema' is version 3, this program reads up to 2; upgrade syncnas-deploy."),
        ({"schema": "other/table/1"}, "'schema' must be 'test/table/2', found"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ProfileError) as caught:
        decode(GOOD | change)
    assert str(caught.value).startswith(f"t.json: {sentence}")
    assert str(caught.value).isprintable() and str(caught.value).endswith(".")


def test_a_document_that_is_no_object_is_refused() -> None:
    with pytest.raises(ProfileError, match=r"t\.json: the document must be an object, found a list of 0; correct it\."):
        decode_document(Point, [], "t.json", ProfileError)


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', "[NaN]", "[-Infinity]", "[1e999]", "[" * 100_000, f"[{'9' * 21}]"]
)
def test_json_beyond_the_standard_is_refused(text: str) -> None:
    with pytest.raises(ProfileError, match=r"^t\.json: .*\.$"):
        parse_json(text, "t.json", ProfileError)


def test_text_admits_no_character_that_a_terminal_obeys() -> None:
    wrong = []
    for code in range(0x10000):
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
            try:
                decode(GOOD | {"device": chr(code)})
            except ProfileError:
                continue
            wrong.append(hex(code))
    assert not wrong


def test_words_of_any_language_are_text() -> None:
    for text in ("Größe 4", "手机", "телефон", "फ़ोन", "📱", "a'b\"c\\d"):
        assert decode(GOOD | {"device": text}).device == text


def test_the_example_in_the_docstring_runs() -> None:
    globs = dict(vars(sys.modules[documents.__name__]))
    assert doctest.testmod(documents, globs=globs, optionflags=doctest.IGNORE_EXCEPTION_DETAIL).failed == 0


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'\xef\xbb\xbf{"a": "\xc3\xa9"}', {"a": "é"}),
        (b"\xef\xbb\xbf\r\n[1]\r\n", [1]),
        (b"\xef\xbb\xbf", "not JSON"),
        (b"\xef\xbb\xbf\xef\xbb\xbf[1]", "not JSON"),
        ("[1]".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_byte_order_mark_of_an_editor_is_read(content: bytes, found: object, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    if not isinstance(found, str):
        assert read_json(tmp_path / "x.json", ProfileError) == found
        return
    with pytest.raises(ProfileError, match=found):
        read_json(tmp_path / "x.json", ProfileError)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "not JSON but empty"),
        (" \n", "not JSON but empty"),
        ("{", "not JSON (line 1, column 2: Expecting property name enclosed in double quotes)"),
        ('{"a": 1', "not JSON (line 1, column 8: Expecting ',' delimiter)"),
        ("x", "not JSON (line 1, column 1: Expecting value)"),
    ],
)
def test_what_is_no_json_is_told_with_what_to_do(content: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ProfileError) as told:
        read_json(tmp_path / "x.json", ProfileError)
    assert str(told.value) == f"{tmp_path / 'x.json'}: {found}; correct it or give another."
