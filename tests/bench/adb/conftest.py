"""A phone, a device that leads to it, and an adb server of the real adb."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncnas_bench.adb.device import AdbDevice
from tests.support.adb_cases import AdbServer, device_of, find_adb, new_phone, no_server_env
from tests.support.adb_daemon import AdbDaemon


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    adb = find_adb()
    if adb is None:
        pytest.skip("there is no adb program: install Debian's adb, or `pip install adbutils`")
    server = AdbServer(adb, tmp_path_factory.mktemp("home"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def phone() -> Iterator[AdbDaemon]:
    with new_phone() as phone:
        yield phone


@pytest.fixture
def device(phone: AdbDaemon, tmp_path: Path) -> Iterator[AdbDevice]:
    with device_of(phone.address, no_server_env(tmp_path)) as device:
        yield device
