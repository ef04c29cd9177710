"""What carries ADB's packets to a daemon without an adb server in between: a TCP socket, or a USB port by adb-shell."""

from __future__ import annotations

import contextlib
import selectors
import socket
from typing import Any, Protocol

_Poll = getattr(selectors, "PollSelector", selectors.SelectSelector)  # Windows has no poll
_KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


class Wire(Protocol):
    """Bytes both ways. One thread may read while another writes."""

    def read(self, most_bytes: int, wait_s: float) -> bytes:
        """Some bytes, at most so many, or b"" at the end. Raises TimeoutError if none come, OSError if it broke."""
        ...

    def write(self, data: memoryview, wait_s: float) -> int:
        """How many bytes were taken. Raises TimeoutError if none were, OSError if it broke."""
        ...

    def close(self) -> None:
        """Close it, whoever is reading. May be called twice."""
        ...


class TcpWire:
    """A socket to a daemon that listens on a TCP port.

    Raises:
        OSError: nobody answers in time.
    """

    def __init__(self, host: str, port: int, deadline_s: float) -> None:
        self._socket = socket.create_connection((host, port), timeout=deadline_s)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A device that is gone is found out by the kernels, without a packet that would wake the device's daemon.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                self._socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def _wait(self, events: int, wait_s: float) -> None:
        number = self._socket.fileno()
        if number < 0:
            raise OSError("it was closed here")
        with _Poll() as poll:
            poll.register(number, events)
            if not poll.select(wait_s):
                raise TimeoutError

    def read(self, most_bytes: int, wait_s: float) -> bytes:
        self._wait(selectors.EVENT_READ, wait_s)
        return self._socket.recv(most_bytes)

    def write(self, data: memoryview, wait_s: float) -> int:
        self._wait(selectors.EVENT_WRITE, wait_s)
        return self._socket.send(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class UsbWire:
    """A USB port, opened by one of adb-shell's transports."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def read(self, most_bytes: int, wait_s: float) -> bytes:
        return bytes(self._call(self._transport.bulk_read, most_bytes, wait_s))

    def write(self, data: memoryview, wait_s: float) -> int:
        return int(self._call(self._transport.bulk_write, bytes(data), wait_s))

    def close(self) -> None:
        self._transport.close()

    def _call(self, transfer: Any, what: Any, wait_s: float) -> Any:
        from adb_shell.exceptions import UsbReadFailedError, UsbWriteFailedError

        try:
            return transfer(what, wait_s)
        except (UsbReadFailedError, UsbWriteFailedError) as error:
            if "TIMEOUT" in str(getattr(error, "usb_error", "")).upper():
                raise TimeoutError from error
            raise OSError(str(error)) from error
        except (ValueError, TypeError, AttributeError) as error:  # closed meanwhile
            raise OSError(str(error)) from error
