"""Files that machines write and read: digests, whole or not at all, and JSON by a declared type."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from syncnas_bench.errors import NotWritable, PathUnreachable
from syncnas_bench.systems.disk import flush, sync_folder

T = TypeVar("T")

_BLOCK_BYTES = 1 << 20
_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EBADF)


def is_file(path: Path) -> bool:
    """Whether a path leads to a regular file. Raises PathUnreachable."""
    return _kind_at(path) == stat.S_IFREG


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder. Raises PathUnreachable."""
    return _kind_at(path) == stat.S_IFDIR


def exists(path: Path) -> bool:
    """Whether a path leads to anything. Raises PathUnreachable."""
    return _kind_at(path) != 0


def _kind_at(path: Path) -> int:
    """What a path leads to, as the bits of its mode; 0 for nothing.

    pathlib's own answers to a path that cannot be looked at differ from one version of Python to the next.

    Raises:
        PathUnreachable: nobody can tell.
    """
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except ValueError:  # a NUL
        return 0
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return 0
        raise PathUnreachable(
            f"{path}: cannot be looked at ({error.strerror}); check its name, its rights and its folder's."
        ) from error


def sha256_of(path: Path) -> str:
    """The SHA-256 of a regular file, in hexadecimal.

    Raises:
        OSError: it cannot be read, or it is something else: a pipe or a device may never end.
    """
    digest = hashlib.sha256()
    left = regular_bytes(path)  # what /proc has is regular, has no bytes, and may never end either
    with path.open("rb") as file:
        while block := file.read(min(left, _BLOCK_BYTES)):
            left -= len(block)
            digest.update(block)
    return digest.hexdigest()


def regular_bytes(path: Path) -> int:
    """How many bytes a regular file has. Raises OSError for anything else."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return found.st_size


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Every OSError in the block means that something at `place` cannot be written.

    Raises:
        NotWritable: in one sentence.
    """
    try:
        yield
    except OSError as e:
        raise NotWritable(
            f"{place} cannot be written ({e.strerror or e}); make room or choose another place, and try again."
        ) from e


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, in place of one that is there. It is on the disk before it gets its name.

    To be called by one process at a time, see `WriterLock`; what a kill leaves is written over by the next. Raises
    OSError.
    """
    raw = content.encode() if isinstance(content, str) else content
    fresh = beside(path, "new")
    try:
        fresh.unlink(missing_ok=True)
        with fresh.open("xb") as file:
            file.write(raw)
            file.flush()
            flush(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(path.parent)


def beside(place: Path, what: str) -> Path:
    """The hidden name beside `place` that nobody but this program uses: ``.NAME.syncnas-WHAT``."""
    return place.parent / f".{place.name}.syncnas-{what}"


def strict_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is no JSON, names a key of an object twice, holds NaN, Infinity, a number of more than 20 digits
            or half of a character, or nests without bottom.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_int=_integer)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except UnicodeEncodeError:
        raise ValueError("it holds half of a character") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {key!r} stands twice in one object")
    return found


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"it holds a number of {len(digits)} digits")
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def decode(kind: type[T], value: Any, what: str) -> T:
    """A plain JSON value as a declared type: a dataclass or a Struct with msgspec's constraints.

    Args:
        what: names the value in the error.

    Raises:
        ValueError: it does not fit; one sentence without its end that names the field, such as "lock.json:
            `$.runtimes[0].bytes`: Expected `int`, got `str`".
    """
    import msgspec

    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at ")
        raise ValueError(f"{what}: {place or '`$`'}: {reason}{_found_at(value, place)}") from error


def _found_at(value: Any, place: str) -> str:
    """The value at a place such as `$.runtimes[0].bytes`, if it is short; a place in a mapping is not followed."""
    for step in place.strip("`").replace("[", ".").replace("]", "").split(".")[1:]:
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError, TypeError, ValueError):
            return ""
    text = json.dumps(value, default=str)
    return f", found {text}" if len(text) <= 60 else ""
