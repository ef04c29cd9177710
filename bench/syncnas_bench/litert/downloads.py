"""One file over HTTP: resumed where it broke off, checked for length and checksum, there whole or not at all."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from syncnas_bench.errors import DownloadFailed
from syncnas_bench.files import sha256_of, strict_json

MAX_BYTES = 1 << 30
TRIES = 4
SILENCE_S = 30.0
_CHUNK_BYTES = 1 << 18

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
            note = strict_json(self._note.read_text())
            if note.get("url") == url and isinstance(note.get("validator"), str) and self.path.is_file():
                return str(note["validator"])
        return ""

    def begin(self, url: str, validator: str) -> None:
        """Forget what was there and remember what comes."""
        self.path.write_bytes(b"")
        self._note.write_text(json.dumps({"url": url, "validator": validator}))

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
    """Download `url` to `into` and return its SHA-256.

    Args:
        partial: where the file grows; kept when the download fails, so that a later call goes on from there.
        sha256: what the file must be.
        silence_s: how long the server may say nothing.

    Raises:
        NotThere: the server has no such file.
        DownloadFailed: any other failure.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DownloadFailed(f"{url} is not an http or https address; correct it.")
    part = _Partial(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    problem = ""
    for _ in range(TRIES):
        try:
            _continue(url, part, max_bytes, silence_s, on_progress or (lambda _have, _all: None))
            break
        except _Broken as e:
            problem = str(e)
    else:
        raise DownloadFailed(f"{url} broke off {TRIES} times ({problem}); try again to go on from there.")
    found = sha256_of(partial)
    if sha256 is not None and found != sha256:
        part.forget()
        raise DownloadFailed(f"{url} has SHA-256 {found}, not {sha256}; do not use it, and find out who changed it.")
    into.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(into)
    part.forget()
    return found


def _continue(url: str, part: _Partial, max_bytes: int, silence_s: float, on_progress: OnProgress) -> None:
    """One request: for the rest if there is a part, else for all of it.

    Raises:
        _Broken: it broke off.
    """
    validator = part.validator(url)
    have = part.path.stat().st_size if validator else 0
    request = urllib.request.Request(url, headers={"User-Agent": "syncnas-deploy", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", validator)
    try:
        with urllib.request.urlopen(request, timeout=silence_s) as answer:
            _receive(url, part, answer, have, max_bytes, on_progress)
    except urllib.error.HTTPError as e:
        _refused(url, part, e)
    except (OSError, http.client.HTTPException) as e:
        raise _Broken(str(e) or type(e).__name__) from e


def _refused(url: str, part: _Partial, answer: urllib.error.HTTPError) -> None:
    with answer:
        if answer.code == 416:  # the part is no part of what is there now
            part.forget()
            raise _Broken("the file has changed")
        if answer.code in (403, 404, 410):  # a bucket answers 403 for what it does not have
            raise NotThere(f"{url} does not exist (HTTP {answer.code}); check the version and the address.")
        if answer.code in (408, 429) or answer.code >= 500:
            raise _Broken(f"HTTP {answer.code}")
        raise DownloadFailed(f"{url} was refused (HTTP {answer.code}); check the address.")


def _receive(
    url: str, part: _Partial, answer: http.client.HTTPResponse, have: int, max_bytes: int, on_progress: OnProgress
) -> None:
    resumed = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if answer.status == 206 and (resumed is None or int(resumed[1]) != have):
        part.forget()
        raise _Broken("the server sent another part than it was asked for")
    if answer.status != 206:
        have = 0
        etag = answer.headers.get("ETag", "")
        part.begin(url, etag if etag.startswith('"') else answer.headers.get("Last-Modified", ""))
    length = answer.headers.get("Content-Length", "")
    total = have + int(length) if length.isdigit() else 0
    with part.path.open("ab") as file:
        while chunk := answer.read1(_CHUNK_BYTES):
            have += len(chunk)
            if have > max_bytes:
                part.forget()
                raise DownloadFailed(f"{url} is larger than {max_bytes} bytes; it is not what was asked for.")
            file.write(chunk)
            on_progress(have, total)
    if have < total:
        raise _Broken(f"{have} of {total} bytes arrived")
