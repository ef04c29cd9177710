"""The shells of the tests' ADB daemon: this machine's sh, with the device's folder in the place of some paths."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import struct
from pathlib import Path
from typing import Any

FRAME = struct.Struct("<BI")
_ROOTED = re.compile(r"(?<![\w/.-])/(proc|sys|system|data)/")


async def _spawn(root: Path, command: str, stderr: int) -> asyncio.subprocess.Process:
    rooted = _ROOTED.sub(rf"{root}/\1/", command)
    scratch = root / "data/local/tmp"
    return await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        rooted,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        cwd=scratch,
        env={"PATH": f"{root}/bin:/usr/bin:/bin", "TMPDIR": str(scratch), "DEVICE_ROOT": str(root)},
        start_new_session=True,
        limit=1 << 20,
    )


async def _with_input(root: Path, channel: Any, command: str, stderr: int, stdin: Any, pumps: Any) -> int:
    """Run a command; feed it what `stdin` takes out of the channel; the process outlives a lost connection."""
    process = await _spawn(root, command, stderr)
    feeder = asyncio.create_task(stdin(process.stdin))
    try:
        await asyncio.gather(*pumps(process))
        return await process.wait()
    finally:
        feeder.cancel()
        assert process.stdin is not None
        process.stdin.close()
        if channel.ended.is_set() or process.returncode is None:
            _signal(process, signal.SIGHUP)
            try:
                await asyncio.wait_for(process.wait(), 1)
            except asyncio.TimeoutError:
                channel.left_behind(process)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


async def end(process: asyncio.subprocess.Process) -> None:
    """End a command that outlived its connection, with the device."""
    _signal(process, signal.SIGKILL)
    await process.wait()
    process._transport.close()  # type: ignore[attr-defined]  # what it started may hold its pipes open


async def shell_v2(root: Path, channel: Any, command: str) -> None:
    async def feed(stdin: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, length = FRAME.unpack(await channel.readexactly(FRAME.size))
                data = await channel.readexactly(length)
                if kind == 4:
                    break
                if kind == 0:
                    stdin.write(data)
                    await stdin.drain()
        stdin.close()

    async def pump(stream: asyncio.StreamReader, kind: int) -> None:
        while data := await stream.read(1 << 16):
            await channel.write(FRAME.pack(kind, len(data)) + data)

    def pumps(process: asyncio.subprocess.Process) -> list[Any]:
        assert process.stdout is not None
        assert process.stderr is not None
        return [pump(process.stdout, 1), pump(process.stderr, 2)]

    code = await _with_input(root, channel, command, asyncio.subprocess.PIPE, feed, pumps)
    await channel.write(FRAME.pack(3, 1) + bytes([code if code >= 0 else 128 - code]))


async def raw_shell(root: Path, channel: Any, command: str, newline: bytes) -> None:
    async def feed(stdin: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await channel.read():
                if newline != b"\n":  # a terminal echoes
                    await channel.write(data.replace(b"\n", newline))
                stdin.write(data)
                await stdin.drain()
        stdin.close()

    async def pump(stream: asyncio.StreamReader) -> None:
        while data := await stream.read(1 << 16):
            await channel.write(data.replace(b"\n", newline))

    def pumps(process: asyncio.subprocess.Process) -> list[Any]:
        assert process.stdout is not None
        return [pump(process.stdout)]

    await _with_input(root, channel, command, asyncio.subprocess.STDOUT, feed, pumps)
