"""One file over HTTP: resumed where it broke off, checked for length and checksum, there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from syncnas_bench.errors import DownloadFailed
from syncnas_bench.files import sha256_of, strict_json, writing
from syncnas_bench.litert.http import open_address, shown

MAX_BYTES = 1 << 30
TRIES = 4
SILENCE_S = 30.0
_CHUNK_BYTES = 1 << 18
_NUMBER = r"[0-9]{1,18}"

OnProgress = Callable[[int, int], None]
"""Told how many bytes are here, and how many there will be (0 if the server does not say)."""


class NotThere(DownloadFailed):
    """The server has no such file."""


class _Broken(Exception):
    """The transfer broke off; what has arrived is kept."""


@dataclass(frozen=True)
class _Partial:
    """A download under way: the file so far, and beside it what it is a part of."""

    path: Path

    @property
    def _note(self) -> Path:
        return self.path.with_suffix(".json")

    def validator(self, url: str) -> str:
        """What the server called the version that the file is a part of; "" if it is not a part of `url`."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            note = strict_json(self._note.read_text(encoding="utf-8"))
            if note.get("url") == _digest(url) and isinstance(note.get("validator"), str) and self.path.is_file():
                return str(note["validator"])
        return ""

    def begin(self, url: str, validator: str) -> None:
        """Forget what was there and remember what comes. The address may hold a secret, so its digest is kept."""
        self.path.write_bytes(b"")
        self._note.write_text(json.dumps({"url": _digest(url), "validator": validator}), encoding="utf-8")

    def forget(self) -> None:
        """Remove both."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def download(
    url: str,
    into: Path,
    *,
    partial: Path,
    sha256: str | None = None,
    max_bytes: int = MAX_BYTES,
    silence_s: float = SILENCE_S,
    on_progress: OnProgress | None = None,
) -> str:
    """Download `url` to `into`.

    Args:
        partial: where the file grows; kept when the download fails, so that a later call goes on from there.
        sha256: what the file must be.
        silence_s: how long the server may say nothing, or almost nothing.

    Returns:
        The address that it really came from, after all redirects, without its query.

    Raises:
        NotThere: the server has no such file.
        NotWritable: there is no room for it.
        DownloadFailed: any other failure.
    """
    part = _Partial(partial)
    with writing(partial):
        partial.parent.mkdir(parents=True, exist_ok=True)
    problem = ""
    for _ in range(TRIES):
        try:
            origin = _continue(url, part, max_bytes, silence_s, on_progress or (lambda _have, _all: None))
            break
        except _Broken as e:
            problem = str(e)
    else:
        raise DownloadFailed(f"{shown(url)} broke off {TRIES} times ({problem}); try again to go on from there.")
    with writing(into):
        found = sha256_of(partial)
        if sha256 is not None and found != sha256:
            part.forget()
            raise DownloadFailed(
                f"{shown(url)} has SHA-256 {found}, not {sha256}; do not use it, and find out who changed it."
            )
        into.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(into)
        part.forget()
    return shown(origin)


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()


def _continue(url: str, part: _Partial, max_bytes: int, silence_s: float, on_progress: OnProgress) -> str:
    """One request: for the rest if there is a part, else for all of it. Returns the address that answered.

    Raises:
        _Broken: it broke off.
    """
    validator = part.validator(url)
    have = part.path.stat().st_size if validator else 0
    headers = {"User-Agent": "syncnas-deploy", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    try:
        answer, origin = open_address(url, headers, silence_s=silence_s, max_bytes=max_bytes)
        with answer:
            have = _begin(url, part, answer, have)
            _receive(url, part, answer, have, max_bytes, on_progress)
    except (OSError, http.client.HTTPException) as e:
        raise _Broken(str(e)[:200] or type(e).__name__) from e
    return origin


def _begin(url: str, part: _Partial, answer: http.client.HTTPResponse, have: int) -> int:
    """Look at an answer's head. Returns how many bytes are here already; the rest follows."""
    code = answer.status
    if code == 206 and have:
        range_ = re.fullmatch(rf"bytes ({_NUMBER})-{_NUMBER}/({_NUMBER}|\*)", answer.headers.get("Content-Range", ""))
        if range_ is not None and int(range_[1]) == have:
            return have
        part.forget()
        raise _Broken("the server sent another part than it was asked for")
    if code == 416:  # the part is no part of what is there now
        part.forget()
        raise _Broken("the file has changed")
    if code in (403, 404, 410):  # a bucket answers 403 for what it does not have
        raise NotThere(f"{shown(url)} does not exist (HTTP {code}); check the version and the address.")
    if code in (408, 429) or code >= 500:
        raise _Broken(f"HTTP {code}")
    if code != 200:
        raise DownloadFailed(f"{shown(url)} was refused (HTTP {code}); check the address.")
    etag = answer.headers.get("ETag", "")
    with writing(part.path):
        part.begin(url, etag if etag.startswith('"') else answer.headers.get("Last-Modified", ""))
    return 0


def _receive(
    url: str, part: _Partial, answer: http.client.HTTPResponse, have: int, max_bytes: int, on_progress: OnProgress
) -> None:
    length = answer.headers.get("Content-Length", "")
    total = have + int(length) if re.fullmatch(_NUMBER, length) else 0
    # Never more at once than tells that it is too much, so that one reason is given however fast it comes.
    while chunk := answer.read1(max(1, min(_CHUNK_BYTES, max_bytes + 1 - have))):
        have += len(chunk)
        if have > max_bytes:
            part.forget()
            raise DownloadFailed(f"{shown(url)} is larger than {max_bytes} bytes; it is not what was asked for.")
        with writing(part.path), part.path.open("ab") as file:
            file.write(chunk)
        on_progress(have, total)
    if have < total:
        raise _Broken(f"{have} of {total} bytes arrived")
