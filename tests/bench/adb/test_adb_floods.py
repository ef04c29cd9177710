"""Devices that send more than anyone asked for: cut off before this computer's memory is theirs."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncnas_bench.adb.direct import connect_tcp
from syncnas_bench.adb.link import Link
from syncnas_bench.environment import Environment
from syncnas_bench.errors import CommandFailed, LinkLost
from syncnas_bench.session import longest_line_bytes
from syncnas_bench.systems import HOME_VARIABLE
from tests.support.adb_daemon import HEAD
from tests.support.bench_cases import run_text, sim_plan

MB = 1 << 20
SENT_BYTES, MOST_BYTES = 100 * MB, 40 * MB
"""What a flood has, and what the kernels' buffers and ours may take of it."""


def packet(name: bytes, first: int, second: int, payload: bytes = b"") -> bytes:
    return HEAD.pack(name, first, second, len(payload), 0, int.from_bytes(name, "little") ^ 0xFFFFFFFF) + payload


def frame(kind: int, data: bytes) -> bytes:
    return struct.pack("<BI", kind, len(data)) + data


BANNER = packet(b"CNXN", 0x01000001, MB, b"device::features=shell_v2\0")


class Flood:
    """A daemon whose answer to an OPEN is always the same packet, as often as the client takes it."""

    def __init__(self, payload: bytes, *, opens: bool = True, keeps_to_protocol: bool = False) -> None:
        self.payload, self.opens, self.waits = payload, opens, keeps_to_protocol
        self.sent = 0

    @contextlib.contextmanager
    def listening(self) -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=self._serve, args=(server,), daemon=True)
            thread.start()
            yield int(server.getsockname()[1])
        thread.join(timeout=60)
        assert not thread.is_alive()

    def _serve(self, server: socket.socket) -> None:
        client, _ = server.accept()
        with client, contextlib.suppress(OSError, struct.error):  # the client leaves when it has had enough
            client.settimeout(60)
            self._take(client)
            client.sendall(BANNER)
            _, theirs, _ = self._take(client)
            if self.opens:
                client.sendall(packet(b"OKAY", 7, theirs))
            flood = packet(b"WRTE", 7, theirs, self.payload)
            while self.sent < SENT_BYTES:
                client.sendall(flood)
                self.sent += len(flood)
                if self.waits:
                    self._take(client)
            time.sleep(0.1)

    def _take(self, client: socket.socket) -> tuple[bytes, int, int]:
        name, first, second, length, _, _ = HEAD.unpack(client.recv(HEAD.size, socket.MSG_WAITALL))
        client.recv(length, socket.MSG_WAITALL)
        return name, first, second


FLOODS = {
    "before the channel is open": Flood(frame(1, b"x" * (MB - 5)), opens=False),
    "without waiting": Flood(frame(1, b"x" * (MB - 5))),
    "tiny frames of stderr": Flood(frame(2, b"e") * 170_000),
    "empty frames": Flood(frame(2, b"") * 200_000),
    "empty packets": Flood(b""),
    "half a frame": Flood(b"\1" + struct.pack("<I", 1 << 31) + b"x" * 1000),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_cut_off(name: str, tmp_path: Path) -> None:
    flood = FLOODS[name]
    with flood.listening() as port:
        link = Link(connect_tcp("127.0.0.1", port, Environment({HOME_VARIABLE: str(tmp_path)}).adb_keys))
        with pytest.raises((LinkLost, CommandFailed), match=r"sends more without waiting|malformed frame|more than"):
            link.shell("true", deadline_s=120)
        link.close()
    assert flood.sent < MOST_BYTES


@pytest.mark.parametrize("lines", [False, True])
def test_an_endless_answer_that_keeps_to_the_protocol_has_an_end(lines: bool, tmp_path: Path) -> None:
    flood = Flood(frame(1, b"x" * (MB // 4)), keeps_to_protocol=True)
    with flood.listening() as port:
        link = Link(connect_tcp("127.0.0.1", port, Environment({HOME_VARIABLE: str(tmp_path)}).adb_keys))
        with pytest.raises((LinkLost, CommandFailed), match="more than"):
            if lines:
                link.stream("true", 120).line(time.monotonic() + 120, 1000)
            else:
                link.shell("true", deadline_s=120)
        link.close()
    assert flood.sent < MOST_BYTES


@pytest.mark.parametrize("count", [0, 19, 21, 245, 246, 5000])
def test_a_token_is_twenty_bytes(count: int, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client, contextlib.suppress(OSError):
                client.recv(4096)
                client.sendall(packet(b"AUTH", 1, 0, b"A" * count))
                client.recv(4096)
                client.sendall(BANNER)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(LinkLost, match=f"token has {count} bytes instead of 20.*check the address"):
            connect_tcp("127.0.0.1", server.getsockname()[1], Environment({HOME_VARIABLE: str(tmp_path)}).adb_keys, 60)
        thread.join(timeout=60)


def test_a_line_has_room_for_what_was_asked_for_and_no_more(tmp_path: Path) -> None:
    for plan in (sim_plan(), sim_plan(rounds=2000), sim_plan(steps=3, rounds=100)):
        lines = run_text(tmp_path, plan.to_text()).stdout.splitlines()
        longest = max(map(len, lines))
        assert longest <= longest_line_bytes(plan) < 65_536 + 5 * longest
