"""A stream of bytes to one service of a device, with a deadline on every call."""

from __future__ import annotations

import time
from typing import Protocol

from syncnas_bench.errors import LinkLost, LinkStalled


class Channel(Protocol):
    """Two-way bytes. Deadlines are points in time of `time.monotonic()`."""

    def read(self, deadline_at: float) -> bytes:
        """The next bytes, or b"" at the end. Raises LinkLost, LinkStalled."""
        ...

    def write(self, data: bytes, deadline_at: float) -> None:
        """Write all of it. Raises LinkLost, LinkStalled."""
        ...

    def close(self) -> None:
        """Give the service up; its end of input."""
        ...


def left_s(deadline_at: float) -> float:
    """Seconds until a deadline.

    Raises:
        LinkStalled: there are none.
    """
    left = deadline_at - time.monotonic()
    if left <= 0:
        raise stalled()
    return left


def stalled() -> LinkStalled:
    """What a missed deadline raises."""
    return LinkStalled("the device did not answer in time; check its cable or network.")


def is_sendable(text: str) -> bool:
    """Whether a text has UTF-8 bytes and none of them is NUL, which ends texts in ADB's protocol."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


class ExactReader:
    """Reads exactly as many bytes as asked for."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._buffer = bytearray()

    def take(self, count: int, deadline_at: float) -> bytes:
        """The next `count` bytes. Raises LinkLost, LinkStalled."""
        while len(self._buffer) < count:
            chunk = self._channel.read(deadline_at)
            if not chunk:
                raise LinkLost("the connection ended in the middle of an answer; check the device's cable or network.")
            self._buffer += chunk
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken
