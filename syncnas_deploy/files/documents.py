"""Documents: JSON files of a known schema, read strictly.

`read_json` and `parse_json` turn text into JSON values. `decode_document` turns such a value into a msgspec `Struct`,
whose annotations are the schema. `Fields` reads a value field by field, for schemas whose defaults depend on other
fields (model configs). All of them raise one sentence that names the file, the field, the value and the remedy.

    >>> from syncnas_deploy.errors import ProfileError
    >>> class Point(Schema, frozen=True):
    ...     width: Annotated[int, Meta(ge=4, le=4096)]
    >>> decode_document(Point, {"width": 8}, "point.json", ProfileError)
    Point(width=8)
    >>> decode_document(Point, {"width": 2}, "point.json", ProfileError)
    Traceback (most recent call last):
    ...
    syncnas_deploy.errors.ProfileError: point.json: 'width' must be an integer from 4 to 4096, found 2; correct it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
from msgspec import Meta

from syncnas_bench.errors import nearest
from syncnas_bench.files import regular_bytes
from syncnas_deploy.errors import ABSENT, DocumentError
from syncnas_deploy.files.places import is_stream
from syncnas_deploy.files.validation import kind_of, sentence, short

MAX_DOCUMENT_BYTES = 8 * 1024 * 1024

T = TypeVar("T")

_NOT_PRINTABLE = (
    r"\x00-\x1f\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000"
    r"\ud800-\uf8ff\ufeff\ufff9-\uffff"
)

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def printable_text(max_length: int) -> Meta:
    """The range of a string that can be shown on a terminal.

    It has no control characters, and none that changes the direction of text.
    """
    return Meta(
        min_length=1,
        max_length=max_length,
        pattern=f"^[^{_NOT_PRINTABLE}]*\\Z",
        description=f"printable text of 1 to {max_length} characters",
    )


Text = Annotated[str, printable_text(256)]
"""A short string that can be shown on a terminal."""

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", description="a sha256: 64 hexadecimal digits")]
"""The digest of a file, as hexadecimal digits."""


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An object of a document. Each field's annotation is its type and range; a field without a default is required.

    Say ``frozen=True`` in each subclass as well: type checkers do not inherit it.

    A check that needs several fields goes into ``__post_init__`` and raises ValueError with a sentence's end, such as
    ``"must rise from width to width"``.
    """


def decode_document(
    schema: type[T], value: object, where: str, error: type[DocumentError], *, version: tuple[str, int] | None = None
) -> T:
    """Turn a JSON value into an object of its schema.

    Args:
        schema: a `Schema`, or any other type that msgspec knows.
        value: what `read_json` or `parse_json` returned.
        where: how messages name the document, such as its path.
        error: the `DocumentError` subclass that is raised.
        version: name and newest version of the ``schema`` field, which is looked at before all others: a newer
            document has fields that this program does not know.

    Raises:
        DocumentError: (as the given subclass) naming document, field, value and remedy.
    """
    if version is not None:
        Fields(value, where, error).schema(*version)
    try:
        return msgspec.convert(value, schema)
    except msgspec.ValidationError as e:
        raise error(f"{where}: {sentence(schema, value, str(e))}") from None


class Fields:
    """One JSON object being read: every access is typed, ranged and named in its error.

    Args:
        value: the parsed JSON value that should be an object.
        where: how messages name this place, such as ``model.json: stages[2]``.
        error: the `DocumentError` subclass that is raised.
    """

    def __init__(self, value: object, where: str, error: type[DocumentError]) -> None:
        if not isinstance(value, dict):
            raise error(f"{where}: expected an object, found {kind_of(value)}.")
        self._value: dict[str, Any] = value
        self.where = where
        self._error = error
        self._seen: set[str] = set()

    def fail(self, key: str, problem: str) -> NoReturn:
        """Raise the document's error for field `key`."""
        raise self._error(f"{self.where}: {key!r} {problem}.")

    def _get(self, key: str) -> Any:
        self._seen.add(key)
        if key not in self._value:
            self.fail(key, "is missing; add it")
        return self._value[key]

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        self._seen.add(key)
        return self._value.get(key) is not None

    def names(self) -> tuple[str, ...]:
        """The keys of the object, in its order."""
        return tuple(self._value)

    def integer(self, key: str, low: int, high: int) -> int:
        """An integer in [low, high]."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(key, f"must be an integer, found {kind_of(value)}")
        if not low <= value <= high:
            self.fail(key, f"must be between {low} and {high}, found {short(value)}")
        return int(value)

    def number(self, key: str, low: float, high: float) -> float:
        """A finite number in [low, high]."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.fail(key, f"must be a number, found {kind_of(value)}")
        if not (isinstance(value, int) or math.isfinite(value)) or not low <= value <= high:
            self.fail(key, f"must be between {low:g} and {high:g}, found {short(value)}")
        return float(value)

    def text(self, key: str, *, max_length: int = 256) -> str:
        """A string without control characters."""
        value = self._get(key)
        if not isinstance(value, str):
            self.fail(key, f"must be a string, found {kind_of(value)}")
        if len(value) > max_length or not value.isprintable() or not value:
            self.fail(key, f"must be printable text of 1 to {max_length} characters")
        return value

    def choice(self, key: str, allowed: Sequence[str]) -> str:
        """One of the allowed strings."""
        value = self._get(key)
        if value not in allowed:
            self.fail(key, f"must be one of {', '.join(allowed)}, found {short(value)}")
        return str(value)

    def flag(self, key: str) -> bool:
        """true or false."""
        value = self._get(key)
        if not isinstance(value, bool):
            self.fail(key, f"must be true or false, found {kind_of(value)}")
        return value

    def items(self, key: str, low: int, high: int) -> list[Any]:
        """A list of `low` to `high` items."""
        value = self._get(key)
        if not isinstance(value, list):
            self.fail(key, f"must be a list, found {kind_of(value)}")
        if not low <= len(value) <= high:
            self.fail(key, f"must have {low} to {high} items, found {len(value)}")
        return value

    def integers(self, key: str, length: tuple[int, int], low: int, high: int) -> tuple[int, ...]:
        """A list of integers, each in [low, high]."""
        values = self.items(key, *length)
        for i, value in enumerate(values):
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                self.fail(f"{key}[{i}]", f"must be an integer between {low} and {high}, found {short(value)}")
        return tuple(values)

    def fields(self, key: str) -> Fields:
        """A nested object."""
        return Fields(self._get(key), f"{self.where}: {key}", self._error)

    def each(self, key: str, most: int) -> Iterator[Fields]:
        """A list of 1 to `most` objects."""
        for i, value in enumerate(self.items(key, 1, most)):
            yield Fields(value, f"{self.where}: {key}[{i}]", self._error)

    def schema(self, name: str, newest: int) -> int:
        """The ``schema`` field, ``<name>/<version>``; a newer version asks for an upgrade."""
        text = self.text("schema")
        kind, _, version = text.rpartition("/")
        if kind != name or not version.isdecimal() or len(version) > 9:
            self.fail("schema", f"must be '{name}/{newest}', found {short(text)}")
        if not 1 <= int(version) <= newest:
            self.fail("schema", f"is version {version}, this program reads up to {newest}; upgrade syncnas-deploy")
        return int(version)

    def rest(self, *read: str) -> dict[str, Any]:
        """All fields but those named, as they are; they count as read."""
        self._seen |= set(self._value)
        return {key: value for key, value in self._value.items() if key not in read}

    def done(self) -> None:
        """Refuse keys that nothing asked for: a typing error must not be silently ignored."""
        extra = sorted(set(self._value) - self._seen)
        if extra:
            near = nearest(extra[0], self._seen - self._value.keys()).strip()
            self.fail(extra[0][:64], f"is not a known field; remove it or correct its name{near and f' ({near})'}")


def read_json(path: Path, error: type[DocumentError], *, max_bytes: int = MAX_DOCUMENT_BYTES) -> object:
    """Parse a JSON file strictly: no NaN or Infinity, no duplicate keys, bounded size.

    Raises:
        DocumentError: (as the given subclass) naming the file and the reason.
    """
    try:
        size = max_bytes + 1 if is_stream(path) else regular_bytes(path)
        if size > max_bytes and not is_stream(path):
            raise error(f"{path}: {size} bytes is more than {max_bytes}; this is not such a document.")
        with path.open("rb") as file:
            content = file.read(size)
        if len(content) > max_bytes:
            raise error(f"{path}: more than {max_bytes} bytes come from there; this is not such a document.")
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error(f"{path}: not UTF-8 text; give a JSON file.") from None
    except OSError as e:
        code = ABSENT if isinstance(e, FileNotFoundError) else None
        raise error(f"{path}: cannot be read ({e.strerror}); check the path.", code=code) from None
    return parse_json(text, str(path), error)


def parse_json(text: str, where: str, error: type[DocumentError]) -> object:
    """`read_json` for text that is already here; `where` names it in messages."""

    def constant(name: str) -> NoReturn:
        raise error(f"{where}: contains {name}, which is not a JSON number; replace it.")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            raise error(f"{where}: a key appears twice in one object; remove one.")
        return value

    def integer(digits: str) -> int:
        if len(digits) > 20:
            raise error(f"{where}: contains a number of {len(digits)} digits; no field is that large.")
        return int(digits)

    def real(digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            raise error(f"{where}: contains {digits[:40]}, which is too large for a number; replace it.")
        return value

    try:
        value: object = json.loads(
            text, parse_constant=constant, object_pairs_hook=unique, parse_int=integer, parse_float=real
        )
        if _SURROGATE.search(text):  # half a character is valid JSON, and no text
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError:
        raise error(f"{where}: contains half of a character (\\ud800 to \\udfff); write it whole.") from None
    except json.JSONDecodeError as e:
        found = f"not JSON (line {e.lineno}, column {e.colno}: {e.msg})" if text.strip() else "not JSON but empty"
        raise error(f"{where}: {found}; correct it or give another.") from None
    except RecursionError:
        raise error(f"{where}: nested too deeply; this is not such a document.") from None
