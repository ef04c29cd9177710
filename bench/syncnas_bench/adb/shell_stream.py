"""A command that runs on a device: its lines, its stdin, its stderr and its exit code.

New daemons (shell_v2) send frames: an id byte, a little-endian length, the data. For older ones the command is
wrapped so that its stderr and exit code come after a random marker at the end of its stdout.
"""

from __future__ import annotations

import struct
import time
from typing import Protocol

from syncnas_bench.adb.channel import Channel
from syncnas_bench.errors import LinkLost

_FRAME = struct.Struct("<BI")
_STDIN, _STDOUT, _STDERR, _EXIT = 0, 1, 2, 3
_KEPT_STDERR_BYTES = 64 * 1024
_MAX_FRAME_BYTES = 16 * 1024 * 1024
_NEWLINE = 0x0A


class ShellOutput(Protocol):
    """Takes what the channel delivers apart."""

    exit_code: int | None
    stderr: bytearray

    def feed(self, data: bytes) -> bytes:
        """Take bytes in, and return those of stdout."""
        ...

    def stdin(self, data: bytes) -> bytes:
        """How `data` is sent to the command."""
        ...

    def end(self) -> None:
        """No more bytes will come."""
        ...


class V2Output:
    """Frames of shell_v2."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.stderr = bytearray()
        self._buffer = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take frames in; return the bytes of stdout.

        Raises:
            LinkLost: a frame is absurdly long.
        """
        self._buffer += data
        stdout = bytearray()
        while len(self._buffer) >= _FRAME.size:
            kind, length = _FRAME.unpack_from(self._buffer)
            if length > _MAX_FRAME_BYTES:
                raise LinkLost("the device sent a malformed frame; reconnect it.")
            if len(self._buffer) < _FRAME.size + length:
                break
            payload = self._buffer[_FRAME.size : _FRAME.size + length]
            del self._buffer[: _FRAME.size + length]
            if kind == _STDOUT:
                stdout += payload
            elif kind == _STDERR:
                self.stderr += payload
                if len(self.stderr) > 2 * _KEPT_STDERR_BYTES:  # seldom, so that tiny frames cost little
                    del self.stderr[:-_KEPT_STDERR_BYTES]
            elif kind == _EXIT and payload:
                self.exit_code = payload[0]
        return bytes(stdout)

    def stdin(self, data: bytes) -> bytes:
        """One stdin frame."""
        return _FRAME.pack(_STDIN, len(data)) + data

    def end(self) -> None:
        """Nothing is left to do."""


class MarkedOutput:
    """Raw output with a marker, an exit code and the stderr at its end.

    Args:
        terminal: a terminal lies between: \\r\\n is read as \\n, and empty lines are dropped, since it
            echoes what is written to stdin.
    """

    def __init__(self, token: bytes, *, terminal: bool = False) -> None:
        self.exit_code: int | None = None
        self.stderr = bytearray()
        self._token, self._terminal = token, terminal
        self._buffer = bytearray()
        self._line_begins = True

    def feed(self, data: bytes) -> bytes:
        """Take bytes in; return those before the marker, except for what may be the marker's beginning.

        Raises:
            LinkLost: what follows the marker is absurdly long.
        """
        self._buffer += data
        found = self._buffer.find(self._token)
        if len(self._buffer) - max(found, 0) > _MAX_FRAME_BYTES:
            raise LinkLost("the device sent a malformed answer; reconnect it.")
        count = found if found >= 0 else len(self._buffer) - self._held()
        stdout = bytes(self._buffer[:count])
        del self._buffer[:count]  # what follows the marker stays in the buffer until the end
        return self._without_echo(stdout) if self._terminal else stdout

    def _held(self) -> int:
        """Bytes at the end of the buffer that may be the beginning of the marker, or of a line end."""
        if self._terminal and self._buffer.endswith(b"\r"):
            return 1
        most = min(len(self._token), len(self._buffer))
        return next((n for n in range(most, 0, -1) if self._buffer.endswith(self._token[:n])), 0)

    def _without_echo(self, stdout: bytes) -> bytes:
        kept = bytearray()
        for byte in stdout.replace(b"\r\n", b"\n"):
            if byte != _NEWLINE or not self._line_begins:
                kept.append(byte)
            self._line_begins = byte == _NEWLINE
        return bytes(kept)

    def stdin(self, data: bytes) -> bytes:
        """As it is."""
        return data

    def end(self) -> None:
        """Read the exit code and the stderr behind the marker, if it came."""
        head, _, stderr = bytes(self._buffer).removeprefix(self._token).removeprefix(b":").partition(b":")
        if self._buffer.startswith(self._token) and head.isdigit():
            self.exit_code = int(head)
            self.stderr = bytearray(stderr.replace(b"\r\n", b"\n") if self._terminal else stderr)


def marked(script: str, token: str) -> str:
    """`script` wrapped for `MarkedOutput`: stdout passes through, stderr is kept and told at the end."""
    return (
        "{ syncnas_err=$( {\n" + script + "\n} 2>&1 1>&3 3>&- ); } 3>&1\n"
        f"printf '{token}:%d:' $?; printf %s \"$syncnas_err\""
    )


class ShellStream:
    """A running command; closing it ends the command's input."""

    def __init__(self, channel: Channel, output: ShellOutput) -> None:
        self._channel, self._output = channel, output
        self._pending = bytearray()

    def __enter__(self) -> ShellStream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the command up."""
        self._channel.close()

    @property
    def stderr(self) -> bytes:
        """The last of its stderr so far; an old daemon delivers it at the end."""
        return bytes(self._output.stderr[-_KEPT_STDERR_BYTES:])

    @property
    def exit_code(self) -> int:
        """Its exit code, once `read` or `line` has returned None."""
        assert self._output.exit_code is not None, "the command has not ended"
        return self._output.exit_code

    def read(self, deadline_at: float) -> bytes | None:
        """Some bytes of its stdout, or None once it has ended.

        Raises:
            LinkLost: the connection ended without an exit code: how the command went is not known.
            LinkStalled: nothing came in time.
        """
        while self._output.exit_code is None:
            data = self._channel.read(deadline_at)
            if data:
                stdout = self._output.feed(data)
                if stdout:
                    return stdout
                continue
            self._output.end()
            if self._output.exit_code is None:
                raise LinkLost("the connection to the device ended while a command was running.")
        return None

    def line(self, deadline_at: float, most_bytes: int = 65_536) -> bytes | None:
        """The next line of its stdout with its newline, or None once it has ended.

        Raises:
            LinkLost, LinkStalled: as `read`; the line is longer than `most_bytes`.
        """
        scanned = 0
        while (end := self._pending.find(b"\n", scanned)) < 0:
            scanned = len(self._pending)
            chunk = self.read(deadline_at)
            if chunk is None:
                rest = bytes(self._pending)
                self._pending.clear()
                return rest or None
            self._pending += chunk
            if len(self._pending) > most_bytes and b"\n" not in self._pending[: most_bytes + 1]:
                raise LinkLost(f"the device sends a line of more than {most_bytes} bytes; reconnect it.")
        line = bytes(self._pending[: end + 1])
        del self._pending[: end + 1]
        return line

    def write(self, data: bytes, deadline_s: float = 10.0) -> None:
        """Write to its stdin. Raises LinkLost, LinkStalled."""
        self._channel.write(self._output.stdin(data), time.monotonic() + deadline_s)
