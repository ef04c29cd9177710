"""How fast files travel over ADB: beside the adb client itself, and to eight devices at once beside one.

    python -m benchmarks.adb_throughput

The devices are the tests' stand-ins, on this machine's loopback. In the second part each takes no more than a given
rate, as a cable would; what is shown is that devices do not wait for each other.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from syncnas_bench.adb.link import Link
from tests.support.adb_cases import AdbServer, connect_to, find_adb, no_server_env, short_folder
from tests.support.adb_daemon import AdbDaemon
from tests.support.adb_phone import make_phone

PUSH_BYTES = 100_000_000
ROUNDS = 10
DEVICES = 8
SHARED_BYTES = 4_000_000
RATE_BYTES_PER_S = 2_000_000


def beside_adb(home: Path) -> None:
    """Push the same file in turns with our two ways in and with the adb client; adb twice is A/A."""
    adb = find_adb()
    if adb is None:
        print("push: no adb program to compare with (Debian's adb, or `pip install adbutils`)")
        return
    payload = home / "payload"
    payload.write_bytes(os.urandom(PUSH_BYTES))
    with short_folder() as folder, _phone_in_a_process(folder) as port:
        server = AdbServer(adb, home)
        server.start()
        try:
            serial = f"127.0.0.1:{port}"
            server.run("connect", serial)
            links = {"server": connect_to(serial, server.env)(), "direct": connect_to(serial, no_server_env(home))()}

            def client() -> object:
                return server.run("-s", serial, "push", str(payload), "/f")

            ways: dict[str, Callable[[], object]] = {"adb": client, "adb again": client}
            for name, link in links.items():
                ways[name] = lambda link=link: link.push(payload, "/f")
            best = dict.fromkeys(ways, 0.0)
            for _ in range(ROUNDS):
                for name, push in ways.items():
                    best[name] = max(best[name], PUSH_BYTES / 1e6 / _seconds(push))
            print(f"push of {PUSH_BYTES / 1e6:.0f} MB, MB/s, best of {ROUNDS}:", _rates(best))
            for link in links.values():
                link.close()
        finally:
            server.stop()


def _serve(folder: Path, pipe: Connection) -> None:
    with AdbDaemon(make_phone(folder / "p")) as phone:
        pipe.send(phone.port)
        pipe.recv()


@contextlib.contextmanager
def _phone_in_a_process(folder: Path) -> Iterator[int]:
    """The port of a stand-in with a process of its own: it must not share one with our client, when adb's has none."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(folder, there), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send("end")
        process.join(timeout=20)


def _seconds(action: Callable[[], object]) -> float:
    start = time.monotonic()
    action()
    return time.monotonic() - start


def _rates(rates: dict[str, float]) -> str:
    return ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())


def several(home: Path) -> None:
    """Push to one slow device, twice, and to eight at once, each in a thread."""
    payload = os.urandom(SHARED_BYTES)
    with contextlib.ExitStack() as stack:
        links = []
        for index in range(DEVICES):
            folder = stack.enter_context(short_folder())
            phone = stack.enter_context(AdbDaemon(make_phone(folder / "p"), serial=f"device{index}"))
            phone.faults.bytes_per_s = RATE_BYTES_PER_S
            link = connect_to(f"127.0.0.1:{phone.port}", no_server_env(home))()
            stack.callback(link.close)
            links.append(link)
        rates = [len(some) * SHARED_BYTES / 1e6 / _push_all(some, payload) for some in (links[:1], links[:1], links)]
    one, again, all_of_them = rates
    print(
        f"push of {SHARED_BYTES / 1e6:.0f} MB each, at most {RATE_BYTES_PER_S / 1e6:.0f} MB/s a device, MB/s together: "
        f"one {one:.2f}, one again {again:.2f}, {DEVICES} at once {all_of_them:.2f}: {all_of_them / one:.2f} times one"
    )


def _push_all(links: list[Link], payload: bytes) -> float:
    """Seconds until all devices have the payload."""
    threads = [threading.Thread(target=link.push, args=(payload, "/f")) for link in links]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - start


def main() -> None:
    """Run both."""
    with tempfile.TemporaryDirectory(prefix="syncnas-throughput-") as folder:
        beside_adb(Path(folder))
        several(Path(folder))


if __name__ == "__main__":
    main()
