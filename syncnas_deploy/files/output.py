"""Output: results that appear whole or not at all, and never in the place of something else.

While a place NAME is written, ``.NAME.syncnas-lock`` beside it is locked, ``.NAME.syncnas-new`` is what will get the
name and ``.NAME.syncnas-old`` the folder that had it. Whoever holds the lock knows that what else a kill left of them
is dead, and cleans up.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncnas_bench.errors import PathUnreachable, PlaceBusy
from syncnas_bench.files import beside
from syncnas_bench.systems.disk import flush
from syncnas_bench.writer_lock import WriterLock
from syncnas_deploy.errors import OutputBusy, OutputError, OutputExists

_WAIT_S = 10.0
"""How long a finished file waits for another process that gives its own the same name."""


def dump_json(value: object) -> str:
    """JSON text as this project writes it: finite, indented, lists of scalars on one line each."""
    return json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def lock_output(path: Path, shown: Path | None = None, *, wait_s: float = 0.0) -> WriterLock:
    """Keep others from writing a place until the lock is released, or its `with` block ends.

    Args:
        shown: how messages call the place; `path` where None.

    Raises:
        OutputBusy: another process, or another lock of this one, holds it.
        OutputError: the place cannot be written.
    """
    try:
        return WriterLock(path, wait_s=wait_s)
    except PlaceBusy as e:
        raise OutputBusy(f"{shown or path}: {e.holder} is writing it; let it end or choose another --out.") from None
    except OSError as e:
        raise unwritable(shown or path, e) from None


@contextlib.contextmanager
def writing(path: Path, shown: Path | None = None, *, wait_s: float = 0.0) -> Iterator[None]:
    """A block that writes a place and nothing else, see `lock_output`: any `OSError` is an `OutputError`."""
    with lock_output(path, shown, wait_s=wait_s):
        try:
            yield
        except PathUnreachable as e:
            raise OutputError(str(e)) from None
        except OSError as e:
            raise unwritable(shown or path, e) from None


def unwritable(path: Path, error: OSError) -> OutputError:
    """The error for a place that cannot be written: its reason, and what to do."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "make room there, or choose another place" if full else "choose another place"
    return OutputError(f"{path}: cannot be written ({error.strerror or error}); {remedy}.")


def check_unmoved(path: Path, opened: os.stat_result) -> None:
    """Refuse to go on where a file or folder is not the one any more that was opened: more would be half a result.

    Raises:
        OutputError: it was removed, or something else has its name.
    """
    with contextlib.suppress(OSError):
        if os.path.samestat(path.stat(), opened):
            return
    raise OutputError(f"{path}: was removed or replaced meanwhile, so nothing more is written; run the command again.")


@contextlib.contextmanager
def atomic_output(path: Path, *, force: bool = True) -> Iterator[Path]:
    """A new file beside `path` that gets its name when the block ends well.

    A link to a file is replaced, and what it leads to is not. Without `force` the name must be free then. Else the file
    is kept under another one: what is in it may have taken hours. Commands ask `check_output` before they begin.

    Raises:
        OutputExists: something is there and `force` is false, or it is no file.
        OutputBusy: another process is writing it.
        OutputError: it cannot be written.
    """
    if force:
        _is_taken(path)  # refuses what is no file
    with writing(path, wait_s=_WAIT_S):
        part = beside(path, "new")
        part.unlink(missing_ok=True)  # it may be another name of the file that is there
        # The kernel takes the umask off these rights: this process never has to ask for it, which would mean to set it.
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            yield part
            with part.open("r+b") as f:
                flush(f.fileno())
            if force and not _is_no_file(path):
                part.replace(path)
            else:
                _give_free_name(part, path)
        finally:
            part.unlink(missing_ok=True)


def _is_no_file(path: Path) -> bool:
    """Whether a path leads to something else than a file, or is a name of what this process has open (/dev/stdout)."""
    if path.is_symlink() and re.fullmatch(r"(?:.*/)?fd/[0-9]+", str(path.readlink())):
        return True
    return path.exists() and not path.is_file()


def _give_free_name(part: Path, path: Path) -> None:
    try:
        _link(part, path)
    except FileExistsError:
        other = path.with_name(f"{path.stem}-{secrets.token_hex(4)}{path.suffix}")
        _link(part, other)
        raise OutputExists(
            f"{path}: exists already and is left as it is, what was to go there is in {other}; --force replaces it."
        ) from None


def _link(part: Path, name: Path) -> None:
    """Give a file a name that nothing has. Raises FileExistsError."""
    try:
        os.link(part, name)
    except FileExistsError:
        raise
    except OSError:  # some file systems have no hard links: there the name is taken before the content comes
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        part.replace(name)


@dataclass(frozen=True)
class FolderKind:
    """A sort of folder that is written as a whole.

    Attributes:
        noun: what messages call it.
        files: the names in a folder that are ours to replace, in the order in which they may go; none if it is no
            folder of this sort.
    """

    noun: str
    files: Callable[[Path], Collection[str]]


@contextlib.contextmanager
def atomic_folder(path: Path, kind: FolderKind, *, force: bool) -> Iterator[Path]:
    """A new folder beside `path` that gets its name when the block ends well.

    The name must be free, or an empty folder's. With `force` it may be an older folder's of the same sort: that one is
    renamed, the new one takes its name, what others have put into the old one comes along, and our files in it are
    deleted. Wherever the process is killed, the old or the new one is whole. The next call cleans up.

    Raises:
        OutputExists: something is there that may not be replaced.
        OutputBusy: another process is writing it.
        OutputError: it cannot be written.
    """
    place = Path(os.path.realpath(path))  # `resolve` fails on links in a circle
    with writing(place, path):
        _recover(place, kind)
        _check_folder(place, path, kind, force)
        work = beside(place, "new")
        work.mkdir()
        try:
            yield work
            _check_folder(place, path, kind, force)
            _swap(place, work, kind)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def check_folder(path: Path, kind: FolderKind, *, force: bool) -> None:
    """Refuse a place where `atomic_folder` cannot go, before any work; what it left when it was killed is cleaned up.

    Raises:
        OutputExists, OutputBusy, OutputError: see `atomic_folder`.
    """
    place = Path(os.path.realpath(path))
    with writing(place, path):
        _recover(place, kind)
        _check_folder(place, path, kind, force)


def check_no_file(path: Path) -> None:
    """Refuse a place for a folder where a file is.

    Raises:
        OutputExists: something is there that is no folder.
    """
    if os.path.lexists(path) and not path.is_dir():
        raise OutputExists(f"{path}: is a file, and a folder is needed; choose another --out.")


def _check_folder(place: Path, path: Path, kind: FolderKind, force: bool) -> None:
    if _is_free(place):
        return
    if not kind.files(place):
        file = "" if place.is_dir() else " but a file, and a folder is needed"
        raise OutputExists(f"{path}: exists and is not a {kind.noun}{file}; choose another --out.")
    if not force:
        raise OutputExists(f"{path}: exists already; give --force to replace it or choose another --out.")


def _is_free(place: Path) -> bool:
    return not os.path.lexists(place) or (place.is_dir() and not any(place.iterdir()))


def _swap(place: Path, work: Path, kind: FolderKind) -> None:
    aside = beside(place, "old")
    own = kind.files(place)
    for entry in _others(place, own):
        if os.path.lexists(work / entry.name):
            raise OutputExists(
                f"{entry}: is not of the {kind.noun} that is replaced, but the new one needs its name; move it away."
            )
    if own:
        place.rename(aside)
    _rename_folder(work, place, or_back=aside)
    if own:
        _take_over(aside, place, own)


def _rename_folder(folder: Path, place: Path, *, or_back: Path | None = None) -> None:
    """Give a folder a free name. Where that fails, another folder gets the name back."""
    with contextlib.suppress(OSError):
        place.rmdir()  # an empty folder: not every system renames over it
    try:
        folder.rename(place)
    except OSError:
        if or_back is not None and or_back.exists():
            or_back.rename(place)
        raise


def _take_over(aside: Path, place: Path, own: Collection[str]) -> None:
    """Bring what others have put into a replaced folder into the new one, then delete ours."""
    for entry in _others(aside, own):
        if not os.path.lexists(place / entry.name):
            entry.rename(place / entry.name)
    for name in own:
        if not _is_real_folder(aside / name):
            (aside / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # a name was taken meanwhile: nothing of others' is deleted
        aside.rmdir()


def _others(folder: Path, own: Collection[str]) -> list[Path]:
    """What in a folder is not ours, if there is a folder."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return [entry for entry in entries if entry.name not in own or _is_real_folder(entry)]


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _recover(place: Path, kind: FolderKind) -> None:
    """Clean up after a killed `atomic_folder`; to be called while holding the lock."""
    shutil.rmtree(beside(place, "new"), ignore_errors=True)
    aside = beside(place, "old")
    if not aside.is_dir():
        return
    if _is_free(place):
        _rename_folder(aside, place)
    elif kind.files(place):
        _take_over(aside, place, kind.files(aside))


def check_output(path: Path, *, force: bool) -> None:
    """Refuse a file that exists unless forced, and a place where none can be made, before any work.

    What `atomic_output` left there when it was killed goes.

    Raises:
        OutputExists: something is there and `force` is false, or it is no file.
        OutputError: nothing can be written there.
    """
    taken = _is_taken(path)
    with contextlib.suppress(OutputBusy), writing(path):  # who writes it now may have ended by then
        beside(path, "new").unlink(missing_ok=True)
    if taken and not force:
        raise OutputExists(f"{path}: exists already; give --force to replace it or choose another name.")


def _is_taken(path: Path) -> bool:
    """Whether a file is there. Raises OutputExists for anything else, OutputError where nobody can tell."""
    try:
        if not os.path.lexists(path):
            return False
        no_file = _is_no_file(path)
    except OSError as e:
        raise unwritable(path, e) from None
    if path.is_dir():
        raise OutputExists(f"{path}: is no file but a folder; name a file, in it or elsewhere.")
    if no_file:
        raise OutputExists(f"{path}: exists and is no file; choose another name.")
    return True


def write_text(path: Path, text: str, *, force: bool = True) -> None:
    """Write a whole text file or nothing."""
    with atomic_output(path, force=force) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Mapping[str, Any], *, force: bool = True) -> None:
    """Write a whole JSON document or nothing."""
    write_text(path, dump_json(value), force=force)
