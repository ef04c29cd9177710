"""Output: results that appear whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from syncnas_deploy.errors import OutputError, OutputExists


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
    part = unused_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The kernel takes the umask off these rights: this process never has to ask for it, which would mean to set it.
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as e:
        raise OutputError(f"{path}: cannot be written ({e.strerror}); choose another place.") from None
    try:
        yield part
        with part.open("rb") as f:
            os.fsync(f.fileno())
        part.replace(path)
    except OSError as e:
        raise OutputError(f"{path}: cannot be written ({e.strerror}); choose another place.") from None
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that becomes `path` only when the block ends well; an older `path` goes.

    The older folder is renamed, the new one takes its name, then the older one is deleted. Wherever the process is
    killed, one of them is whole. `recover_folder`, which runs first here, puts it back and deletes the rest.

    Raises:
        OutputError: the folder cannot be written.
    """
    place = path.resolve()
    recover_folder(place)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        work = unused_name(place)
        work.mkdir()
        with _locked(work):
            try:
                yield work
                _replace_folder(place, work)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except OSError as e:
        raise OutputError(f"{path}: cannot be written ({e.strerror}); choose another --out.") from None


def _replace_folder(place: Path, work: Path) -> None:
    replaced = _replaced_name(place)
    if place.exists():
        place.rename(replaced)
    try:
        work.rename(place)
    except OSError:
        if replaced.exists():
            replaced.rename(place)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def recover_folder(path: Path) -> None:
    """Put back what a killed `atomic_folder` of this path left aside, and delete what it had not finished."""
    place = path.resolve()
    replaced = _replaced_name(place)
    with contextlib.suppress(OSError):  # a place that cannot be written has nothing to recover
        if replaced.exists() and not place.exists():
            replaced.rename(place)
    shutil.rmtree(replaced, ignore_errors=True)
    for work in place.parent.glob(f".{glob.escape(place.name)}.*.part"):
        with contextlib.suppress(OSError), _locked(work):  # locked by another process: not abandoned
            shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _replaced_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.replaced")


def unused_name(path: Path) -> Path:
    """A hidden name beside `path` that nothing has: ``.NAME.RANDOM.part``."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def check_output(path: Path, *, force: bool) -> None:
    """Refuse an output that exists unless forced; called before any long work.

    Raises:
        OutputExists: `path` is there and `force` is false.
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
