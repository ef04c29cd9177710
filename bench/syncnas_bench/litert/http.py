"""One request over HTTP, within bounds: where it may lead, how much may come, and how slowly.

Redirects are followed here and not by `urllib`, which would follow them from https to http and to ftp, and would read
the whole body of each into memory.
"""

from __future__ import annotations

import functools
import http.client
import io
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from syncnas_bench.errors import DownloadFailed

MAX_REDIRECTS = 5
_MAX_HEADER_BYTES = 64 << 10
_LEAST_BYTES_PER_S = 1024
_REDIRECTS = (301, 302, 303, 307, 308)


def shown(url: str) -> str:
    """An address without what may be a secret: a user's name and password, the query, and the fragment."""
    return re.sub(r"//[^/]*@", "//", re.split(r"[?#]", url, maxsplit=1)[0])


def open_address(
    url: str, headers: Mapping[str, str], *, silence_s: float, max_bytes: int
) -> tuple[http.client.HTTPResponse, str]:
    """Ask for `url` and follow its redirects.

    Args:
        silence_s: within each such time, `_LEAST_BYTES_PER_S` must come on average, in headers and in the body.
        max_bytes: how large the body may be.

    Returns:
        The answer, of any code but a redirect's, and the address that it came from.

    Raises:
        DownloadFailed: the address, or one that it led to, is none to go to; or a certificate is refused.
        OSError, http.client.HTTPException: the connection failed.
    """
    asked = url
    for _ in range(MAX_REDIRECTS + 1):
        answer = _open_one(
            asked, headers, functools.partial(_Answer, silence_s=silence_s, max_bytes=max_bytes), silence_s
        )
        if answer.status not in _REDIRECTS:
            return answer, asked
        with answer:
            asked = _following(asked, answer.headers.get("Location", ""))
    raise DownloadFailed(f"{shown(url)} leads from one address to the next {MAX_REDIRECTS} times; check it.")


def _open_one(
    url: str, headers: Mapping[str, str], answer: Callable[..., Any], timeout_s: float
) -> http.client.HTTPResponse:
    def connection(kind: type[http.client.HTTPConnection], host: str, **options: Any) -> http.client.HTTPConnection:
        made = kind(host, **options)
        made.response_class = answer  # type: ignore[assignment] # a partial of the class
        return made

    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler(), _Http(connection), _Https(connection)):
        opener.add_handler(handler)
    try:
        _check(url)
        found = opener.open(urllib.request.Request(_quoted(url), headers=dict(headers)), timeout=timeout_s)
    except (ValueError, http.client.InvalidURL) as e:  # also a host name that no name server can be asked for
        raise DownloadFailed(f"{shown(url)} is not an http or https address without a user's name; correct it.") from e
    except urllib.error.URLError as e:
        if isinstance(e.reason, ssl.SSLCertVerificationError):
            raise DownloadFailed(
                f"{shown(url)}: its certificate is refused ({e.reason.verify_message}); check this host's clock, "
                "or name the authority's certificate with SSL_CERT_FILE."
            ) from e
        raise
    assert isinstance(found, http.client.HTTPResponse)
    return found


def _check(url: str) -> None:
    """Raise ValueError unless this is an address to go to."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.port == 0:
        raise ValueError("not an http or https address")


def _following(asked: str, location: str) -> str:
    """The address that a redirect leads to."""
    try:
        url = urllib.parse.urljoin(asked, location)
        _check(url)
    except ValueError as e:
        raise DownloadFailed(
            f"{shown(asked)} leads to {shown(location)[:200]!r}, which is not an http or https address; "
            "find another source."
        ) from e
    if asked.startswith("https:") and not url.startswith("https:"):
        raise DownloadFailed(f"{shown(asked)} leads to {shown(url)}, which is not encrypted; find another source.")
    return url


def _quoted(url: str) -> str:
    return urllib.parse.quote(url, safe="!#$%&'()*+,/:;=?@[]~")


class _Http(urllib.request.HTTPHandler):
    """Opens http addresses; answers of any code are answers."""

    def __init__(self, connection: Callable[..., http.client.HTTPConnection]) -> None:
        super().__init__()
        self._connection = connection

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(self._connection, http.client.HTTPConnection), req)


class _Https(urllib.request.HTTPSHandler):
    """Opens https addresses."""

    def __init__(self, connection: Callable[..., http.client.HTTPConnection]) -> None:
        super().__init__()
        self._connection = connection

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        made = functools.partial(self._connection, http.client.HTTPSConnection, context=ssl.create_default_context())
        return self.do_open(made, req)


class _Answer(http.client.HTTPResponse):
    """An answer whose headers and body come within bounds."""

    def __init__(self, sock: Any, *args: Any, silence_s: float, max_bytes: int, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        # Each byte of a body may come in a chunk of its own, with six bytes around it.
        self._max_bytes = _MAX_HEADER_BYTES + 7 * max_bytes
        self._source = PacedSource(self.fp.detach(), silence_s, _MAX_HEADER_BYTES)
        self.fp = io.BufferedReader(self._source)

    def begin(self) -> None:
        super().begin()
        self._source.max_bytes = self._max_bytes


class PacedSource(io.RawIOBase):
    """Bytes of a source, as long as enough of them come.

    Args:
        raw: read from; unbuffered.
        silence_s: within each such time, `_LEAST_BYTES_PER_S` must come on average.
        max_bytes: how many may come at all.
        clock: seconds that only grow.
    """

    def __init__(
        self, raw: io.RawIOBase, silence_s: float, max_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._raw, self._silence_s, self.max_bytes, self._clock = raw, silence_s, max_bytes, clock
        self._all, self._recent, self._since = 0, 0, clock()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Raises OSError when too much comes, or too little."""
        count = self._raw.readinto(buffer)
        self._all += count or 0
        self._recent += count or 0
        if self._all > self.max_bytes:
            raise OSError("more came than there should be")
        passed = self._clock() - self._since
        if count and passed > self._silence_s:
            if self._recent < _LEAST_BYTES_PER_S * passed:
                raise TimeoutError(f"{self._recent} bytes came in {passed:.0f} s")
            self._recent, self._since = 0, self._clock()
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
