"""Documents: how files with a schema come in (strictly) and how results go out (whole or not at all)."""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from syncnas_deploy.errors import DocumentError, OutputError, OutputExists

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024

T = TypeVar("T")


class Fields:
    """One JSON object being read: every access is typed, ranged and named in its error.

    Args:
        value: the parsed JSON value that should be an object.
        where: how messages name this place, such as ``model.json: stages[2]``.
        error: the `DocumentError` subclass that is raised.
    """

    def __init__(self, value: object, where: str, error: type[DocumentError]) -> None:
        if not isinstance(value, dict):
            raise error(f"{where}: expected an object, found {_kind(value)}.")
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
            self.fail(key, f"must be an integer, found {_kind(value)}")
        if not low <= value <= high:
            self.fail(key, f"must be between {low} and {high}, found {_short(value)}")
        return int(value)

    def number(self, key: str, low: float, high: float) -> float:
        """A finite number in [low, high]."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.fail(key, f"must be a number, found {_kind(value)}")
        if not (isinstance(value, int) or math.isfinite(value)) or not low <= value <= high:
            self.fail(key, f"must be between {low:g} and {high:g}, found {_short(value)}")
        return float(value)

    def text(self, key: str, *, max_length: int = 256, empty: bool = False) -> str:
        """A string without control characters."""
        value = self._get(key)
        if not isinstance(value, str):
            self.fail(key, f"must be a string, found {_kind(value)}")
        if len(value) > max_length or not value.isprintable() or not (value or empty):
            self.fail(key, f"must be printable text of 1 to {max_length} characters")
        return value

    def choice(self, key: str, allowed: Sequence[str]) -> str:
        """One of the allowed strings."""
        value = self._get(key)
        if value not in allowed:
            self.fail(key, f"must be one of {', '.join(allowed)}, found {_short(value)}")
        return str(value)

    def flag(self, key: str) -> bool:
        """true or false."""
        value = self._get(key)
        if not isinstance(value, bool):
            self.fail(key, f"must be true or false, found {_kind(value)}")
        return value

    def items(self, key: str, low: int, high: int) -> list[Any]:
        """A list of `low` to `high` items."""
        value = self._get(key)
        if not isinstance(value, list):
            self.fail(key, f"must be a list, found {_kind(value)}")
        if not low <= len(value) <= high:
            self.fail(key, f"must have {low} to {high} items, found {len(value)}")
        return value

    def integers(self, key: str, length: tuple[int, int], low: int, high: int) -> tuple[int, ...]:
        """A list of integers, each in [low, high]."""
        values = self.items(key, *length)
        for i, value in enumerate(values):
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                self.fail(f"{key}[{i}]", f"must be an integer between {low} and {high}, found {_short(value)}")
        return tuple(values)

    def numbers(self, key: str, length: tuple[int, int], low: float, high: float) -> tuple[float, ...]:
        """A list of finite numbers, each in [low, high]."""
        values = self.items(key, *length)
        for i, value in enumerate(values):
            ok = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not ok or not math.isfinite(value) or not low <= value <= high:
                self.fail(f"{key}[{i}]", f"must be a number between {low:g} and {high:g}, found {_short(value)}")
        return tuple(float(v) for v in values)

    def fields(self, key: str) -> Fields:
        """A nested object."""
        return Fields(self._get(key), f"{self.where}: {key}", self._error)

    def each(self, key: str, low: int, high: int) -> Iterator[Fields]:
        """A list of objects."""
        for i, value in enumerate(self.items(key, low, high)):
            yield Fields(value, f"{self.where}: {key}[{i}]", self._error)

    def mapping(self, key: str) -> dict[str, str]:
        """A flat object of strings to strings (facts and versions, kept as they were read)."""
        value = self._get(key)
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            self.fail(key, "must be an object whose values are strings")
        return {str(k): str(v) for k, v in value.items()}

    def schema(self, name: str, newest: int) -> int:
        """The ``schema`` field, ``<name>/<version>``; a newer version asks for an upgrade."""
        text = self.text("schema")
        kind, _, version = text.rpartition("/")
        if kind != name or not version.isdecimal() or len(version) > 9:
            self.fail("schema", f"must be '{name}/{newest}', found {_short(text)}")
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
            self.fail(extra[0][:64], "is not a known field; remove it or correct its name")


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _short(value: object) -> str:
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):
        text = _kind(value)
    return text if len(text) <= 40 else text[:37] + "..."


def read_json(path: Path, error: type[DocumentError]) -> object:
    """Parse a JSON file strictly: no NaN or Infinity, no duplicate keys, bounded size.

    Raises:
        DocumentError: (as the given subclass) naming the file and the reason.
    """
    try:
        size = path.stat().st_size
        if size > MAX_DOCUMENT_BYTES:
            raise error(f"{path}: {size} bytes is more than {MAX_DOCUMENT_BYTES}; this is not such a document.")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise error(f"{path}: not UTF-8 text; give a JSON file.") from None
    except OSError as e:
        raise error(f"{path}: cannot be read ({e.strerror}); check the path.") from None
    return parse_json(text, str(path), error)


def parse_json(text: str, where: str, error: type[DocumentError]) -> object:
    """`read_json` for text that is already here; `where` names it in messages."""

    def constant(name: str) -> NoReturn:
        raise error(f"{where}: contains {name}, which is not a JSON number; replace it.")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise error(f"{where}: a key appears twice in one object; remove one.")
        return found

    def integer(digits: str) -> int:
        if len(digits) > 20:
            raise error(f"{where}: contains a number of {len(digits)} digits; no field is that large.")
        return int(digits)

    try:
        return json.loads(text, parse_constant=constant, object_pairs_hook=unique, parse_int=integer)
    except json.JSONDecodeError as e:
        raise error(f"{where}: not JSON (line {e.lineno}, column {e.colno}: {e.msg}).") from None
    except RecursionError:
        raise error(f"{where}: nested too deeply; this is not such a document.") from None


def dump_json(value: object) -> str:
    """JSON text as this project writes it: finite, indented, lists of scalars on one line each."""
    return json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


@contextlib.contextmanager
def atomic_output(path: Path, *, force: bool = True) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` only when the block ends well.

    Raises:
        OutputExists: `path` is there and `force` is false.
        OutputError: the folder cannot be written.
    """
    check_output(path, force=force)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    except OSError as e:
        raise OutputError(f"{path}: cannot be written ({e.strerror}); choose another place.") from None
    part = Path(name)
    try:
        yield part
        part.chmod(0o666 & ~_umask())
        with part.open("rb") as f:
            os.fsync(f.fileno())
        part.replace(path)
    except OSError as e:
        raise OutputError(f"{path}: cannot be written ({e.strerror}); choose another place.") from None
    finally:
        part.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def check_output(path: Path, *, force: bool) -> None:
    """Refuse an output that exists unless forced; called before any long work.

    Raises:
        OutputExists: as said.
    """
    if path.exists() and not force:
        raise OutputExists(f"{path}: exists already; give --force to replace it or choose another --out.")


def write_text(path: Path, text: str, *, force: bool = True) -> None:
    """Write a whole text file or nothing."""
    with atomic_output(path, force=force) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Mapping[str, Any], *, force: bool = True) -> None:
    """Write a whole JSON document or nothing."""
    write_text(path, dump_json(value), force=force)


def decode_document(value: object, kind: type[T], where: str, error: type[DocumentError]) -> T:
    """A parsed JSON value as a `msgspec.Struct`, checked field by field.

    Args:
        value: what `read_json` gave.
        kind: the Struct.
        where: how messages name this place.
        error: the `DocumentError` subclass that is raised.

    Raises:
        DocumentError: (as the given subclass) naming file, field, what is wrong and the remedy.
    """
    import msgspec

    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as e:
        problem, _, place = str(e).partition(" - at `$")
        field = place.rstrip("`").lstrip(".")
        at = f" at {field!r}" if field else ""
        raise error(f"{where}:{at} {problem[:1].lower()}{problem[1:]}; correct the file or make it anew.") from None
