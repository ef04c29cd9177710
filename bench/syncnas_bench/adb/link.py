"""A connection to a device over ADB: commands, files, and streams, each call with a deadline.

How bytes get there, through an adb server or directly, is the business of a `Transport`; everything above it
exists once. `quote` is the only place where words become shell text.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from syncnas_bench.adb import sync as adb_sync
from syncnas_bench.adb.channel import Channel, is_sendable
from syncnas_bench.adb.shell_stream import MarkedOutput, ShellStream, V2Output, marked
from syncnas_bench.errors import CommandFailed, ServiceRefused, TransferFailed
from syncnas_bench.systems.disk import NO_FOLLOW

Command = str | Sequence[str]

CALL_S = 20.0
TRANSFER_S = 600.0
MAX_OUTPUT_BYTES = 1024 * 1024
NAMES_BYTES = 2048
"""Names of files in one command; Android 6 and older take 4096 bytes with all that is around them."""
_NO_INPUT = "exec </dev/null\n"


class Transport(Protocol):
    """What opens services of a device's ADB daemon."""

    @property
    def serial(self) -> str:
        """The device's serial, or HOST:PORT."""
        ...

    @property
    def features(self) -> frozenset[str]:
        """What the daemon says it can, e.g. "shell_v2"."""
        ...

    @property
    def max_service_bytes(self) -> int:
        """Longest service text that fits its first message."""
        ...

    def open(self, service: str, deadline_at: float) -> Channel:
        """Open a service.

        Raises:
            ServiceRefused: the device has no such service.
            DeviceUnavailable, LinkLost: the device cannot be reached.
        """
        ...

    def close(self) -> None:
        """Close the connection and all channels on it."""
        ...


@dataclass(frozen=True)
class ShellResult:
    """How a command ended. A command that a signal ended has 128 and the signal's number as its exit code."""

    exit_code: int
    stdout: str
    stderr: str


def _in_batches(names: Sequence[str]) -> Iterator[list[str]]:
    """The names, as many at once as one command takes."""
    some: list[str] = []
    for name in names:
        if some and len(quote([*some, name]).encode()) > NAMES_BYTES:
            yield some
            some = []
        some.append(name)
    if some:
        yield some


def quote(command: Command) -> str:
    """Shell text of a command: words are quoted, a script is taken as it is."""
    return command if isinstance(command, str) else shlex.join(command)


class Link:
    """A device at the other end of a transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def serial(self) -> str:
        """The device's serial, or HOST:PORT."""
        return self._transport.serial

    @property
    def has_shell_v2(self) -> bool:
        """Whether the daemon sends exit codes and separates the streams by itself (Android 7 and later)."""
        return "shell_v2" in self._transport.features

    def close(self) -> None:
        self._transport.close()

    def stream(self, command: Command, deadline_s: float = CALL_S) -> ShellStream:
        """Start a command whose lines are read, and whose stdin is written, one by one.

        Args:
            deadline_s: for the start alone.

        Raises:
            LinkLost, DeviceUnavailable: the device cannot be reached.
            CommandFailed: the command is too long for one message, or no text.
        """
        deadline_at = time.monotonic() + deadline_s
        script = quote(command)
        if self.has_shell_v2:
            return ShellStream(self._open(f"shell,v2,raw:{script}", deadline_at), V2Output())
        token = f"syncnas{secrets.token_hex(12)}"
        script = marked(script, token)
        try:
            return ShellStream(self._open(f"exec:{script}", deadline_at), MarkedOutput(token.encode()))
        except ServiceRefused:  # before Android 5; a terminal turns \n into \r\n and echoes what is written
            output = MarkedOutput(token.encode(), terminal=True)
            return ShellStream(self._open(f"shell:{script}", deadline_at), output)

    def _open(self, service: str, deadline_at: float) -> Channel:
        if not is_sendable(service):
            raise CommandFailed(f"a command for {self.serial} holds a NUL or half a character; leave them out.")
        if len(service.encode()) > self._transport.max_service_bytes:
            raise CommandFailed(
                f"a command of {len(service)} bytes does not fit one message to {self.serial}; push it as a file."
            )
        return self._transport.open(service, deadline_at)

    def shell(self, command: Command, deadline_s: float = CALL_S) -> ShellResult:
        """Run a command to its end, without input.

        Raises:
            LinkLost, DeviceUnavailable: the device cannot be reached; LinkStalled after `deadline_s`.
            CommandFailed: it wrote more than 1 MiB.
        """
        deadline_at = time.monotonic() + deadline_s
        with self.stream(_NO_INPUT + quote(command), deadline_s) as stream:
            stdout = bytearray()
            while (chunk := stream.read(deadline_at)) is not None:
                stdout += chunk
                if len(stdout) > MAX_OUTPUT_BYTES:
                    raise CommandFailed(f"a command on {self.serial} wrote more than {MAX_OUTPUT_BYTES} bytes.")
            return ShellResult(
                stream.exit_code, stdout.decode("utf-8", "replace"), stream.stderr.decode("utf-8", "replace")
            )

    def check(self, command: Command, deadline_s: float = CALL_S) -> str:
        """The stdout of a command that must succeed.

        Raises:
            CommandFailed: its exit code is not 0.
            LinkLost, DeviceUnavailable: as `shell`.
        """
        done = self.shell(command, deadline_s)
        if done.exit_code != 0:
            said = (done.stderr or done.stdout).strip()[-300:] or "nothing"
            raise CommandFailed(f"a command on {self.serial} failed with exit code {done.exit_code} and said: {said}.")
        return done.stdout

    def push(self, source: Path | bytes, remote: str, mode: int = 0o644, deadline_s: float = TRANSFER_S) -> None:
        """Write one file on the device; compare `sha256` afterwards.

        Raises:
            StorageFull, TransferFailed: the device refused it.
            LinkLost, DeviceUnavailable: the device cannot be reached.
        """
        deadline_at = time.monotonic() + deadline_s
        channel = self._transport.open("sync:", deadline_at)
        try:
            if isinstance(source, bytes):
                adb_sync.send(channel, [source], remote, mode, deadline_at)
            else:
                with source.open("rb") as file:
                    adb_sync.send(channel, adb_sync.blocks(file), remote, mode, deadline_at)
        finally:
            channel.close()

    def pull(
        self, remote: str, local: Path, *, max_bytes: int, sha256: str | None = None, deadline_s: float = TRANSFER_S
    ) -> None:
        """Fetch one named file into a fresh local file, which appears whole or not at all.

        Args:
            max_bytes: a longer file is refused, whatever the device said of its size.
            sha256: what it must be; None asks the device.

        Raises:
            TransferFailed: there is no such file, it is too long, or its digest differs.
            LinkLost, DeviceUnavailable: the device cannot be reached.
        """
        deadline_at = time.monotonic() + deadline_s
        wanted = sha256 or self.sha256([remote], deadline_s)[0]
        part = local.with_name(f".{local.name}.{secrets.token_hex(4)}.part")
        digest = hashlib.sha256()
        channel = self._transport.open("sync:", deadline_at)
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o644), "wb") as file:
                for block in adb_sync.receive(channel, remote, max_bytes, deadline_at):
                    file.write(block)
                    digest.update(block)
            if digest.hexdigest() != wanted:
                raise TransferFailed(f"{remote} arrived from {self.serial} with other bytes; try again.")
            part.replace(local)
        finally:
            channel.close()
            part.unlink(missing_ok=True)

    def sha256(self, remotes: Sequence[str], deadline_s: float = TRANSFER_S) -> list[str]:
        """Hex digests of files on the device; where it has no sha256sum they are read back to compute them.

        Raises:
            TransferFailed: a file cannot be read.
            LinkLost, DeviceUnavailable: the device cannot be reached.
        """
        digests: list[str] = []
        for some in _in_batches(remotes):
            done = self.shell(["sha256sum", *some], deadline_s)
            if done.exit_code == 127:
                return [self._read_back(remote, deadline_s) for remote in remotes]
            found = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
            if done.exit_code != 0 or len(found) != len(some):
                raise TransferFailed(f"files on {self.serial} cannot be read: {done.stderr.strip()[-300:]}.")
            digests += found
        return digests

    def _read_back(self, remote: str, deadline_s: float) -> str:
        deadline_at = time.monotonic() + deadline_s
        digest = hashlib.sha256()
        channel = self._transport.open("sync:", deadline_at)
        try:
            for block in adb_sync.receive(channel, remote, 1 << 40, deadline_at):
                digest.update(block)
        finally:
            channel.close()
        return digest.hexdigest()
