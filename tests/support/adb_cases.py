"""Ways to the tests' device that the tests of ADB share."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from syncnas_bench.adb.device import AdbDevice
from syncnas_bench.adb.direct import connect_tcp
from syncnas_bench.adb.discovery import connector
from syncnas_bench.adb.link import Link
from syncnas_bench.adb.run import Patience
from syncnas_bench.adb.server import server_devices, server_version
from syncnas_bench.adb.target import find_runtime
from syncnas_bench.environment import DEVICE_LITERT_VARIABLE, Environment
from syncnas_bench.local.host import find_litert
from syncnas_bench.systems import HOME_VARIABLE
from tests.support.adb_daemon import AdbDaemon
from tests.support.adb_phone import make_phone
from tests.support.other_systems import SYSTEM
from tests.support.waiting import wait_for

QUICK = Patience(reconnect_s=15, cool_s=0.15, poll_s=0.05)


def find_adb() -> Path | None:
    """An adb program: in PATH, or in the adbutils package."""
    found = shutil.which("adb")
    if found:
        return Path(found)
    try:
        import adbutils
    except ImportError:
        return None
    path = Path(adbutils.__file__).parent / "binaries" / "adb"
    return path if path.is_file() else None


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment_of(home: Path, port: int) -> dict[str, str]:
    """An environment with a home of its own, and a port for the adb server."""
    places = {"HOME": str(home), HOME_VARIABLE: str(home)}
    if SYSTEM != "linux":  # whose LiteRT a board cannot load
        places[DEVICE_LITERT_VARIABLE] = str(find_litert().parent)
    return {**places, "PATH": os.environ["PATH"], "ANDROID_ADB_SERVER_PORT": str(port)}


class AdbServer:
    """A private adb server of the real adb, with an environment that leads to it."""

    def __init__(self, adb: Path, home: Path) -> None:
        self.adb, self.port = adb, free_port()
        self.address = ("127.0.0.1", self.port)
        self.env = environment_of(home, self.port)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [self.adb, "-P", str(self.port), "nodaemon", "server"],
            env=self.env | {"ADB_MDNS_AUTO_CONNECT": "0", "ADB_MDNS": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: server_version(self.address) is not None)

    def stop(self) -> None:
        """End it, and what a client may have started in its place meanwhile."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        if server_version(self.address) is not None:
            self.run("kill-server")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the adb client on it."""
        command = [self.adb, "-P", str(self.port), *words]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60, check=False)

    def connect(self, daemon: AdbDaemon) -> str:
        """Have it connect to a daemon; returns the serial."""
        serial = daemon.address
        self.run("connect", serial)
        wait_for(lambda: any(e.serial == serial and e.state != "offline" for e in server_devices(self.address)))
        return serial


def no_server_env(home: Path) -> dict[str, str]:
    """An environment with a home of its own and a port where no adb server listens."""
    return environment_of(home, free_port())


def connect_to(serial: str, env: Mapping[str, str]) -> Callable[[], Link]:
    """The way to a device that environment variables lead to."""
    environment = Environment(env)
    return connector(serial, environment.adb_server, environment.adb_keys)


def connect_directly(daemon: AdbDaemon, env: Mapping[str, str], deadline_s: float = 10.0) -> Link:
    """A link without a server in between."""
    return Link(connect_tcp("127.0.0.1", daemon.port, Environment(env).adb_keys, deadline_s))


def device_of(
    serial: str, env: Mapping[str, str], patience: Patience = QUICK, kind: type[AdbDevice] = AdbDevice, **more: Any
) -> Any:
    """The device, with little patience, as the given class."""
    runtime = functools.partial(find_runtime, environment=Environment(env))
    return kind(serial, connect_to(serial, env), patience=patience, **{"runtime": runtime, **more})


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short path, as the device's folder stands in each of its commands."""
    with tempfile.TemporaryDirectory(prefix="adb-") as folder:
        yield Path(folder).resolve()


@contextmanager
def new_phone(**options: bool) -> Iterator[AdbDaemon]:
    """A phone that listens; see `AdbDaemon`."""
    with short_folder() as folder, AdbDaemon(make_phone(folder / "p"), **options) as phone:
        yield phone
