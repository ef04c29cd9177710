"""What an adb server lists: any serial, two phones of one serial, none at all; a bad phone hides no other device."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncnas_bench import DeviceUnavailable, default_device, find_device
from syncnas_bench.adb import discovery
from syncnas_bench.adb.discovery import connector, is_serial, list_adb_devices
from syncnas_bench.adb.keys import key_paths
from syncnas_bench.discovery import phone_specs
from syncnas_bench.environment import Environment, KeyPlaces
from syncnas_bench.errors import DeviceNotFound, LinkLost
from syncnas_deploy import pipeline
from tests.support.adb_cases import free_port
from tests.support.fake_adb_server import Answer, FakeAdbServer, listing, okay
from tests.support.program import Program

WIFI = "adb-2233aa19-9mXXXX (2)._adb-tls-connect._tcp"
MORE = "usb:1-1 product:x model:Pixel_8 device:x transport_id:7"
NO_SERIAL = "without a usable serial number"


@pytest.mark.parametrize(
    ("line", "serial", "state", "model"),
    [
        (f"{WIFI} device product:x model:Pixel device:x transport_id:7", WIFI, "device", "Pixel"),
        (f"MY BOARD 01 device {MORE}", "MY BOARD 01", "device", "Pixel_8"),
        (f"a device 2 offline {MORE}", "a device 2", "offline", "Pixel_8"),
        ("device device transport_id:7", "device", "device", "unknown"),
        (f"R58/1;x$(id) device {MORE}", "R58/1;x$(id)", "device", "Pixel_8"),
        ("Gerät 1    unauthorized 3-1 transport_id:1", "Gerät 1", "unauthorized", "unknown"),
        ("bd9d00cc               device 3-1 product:manet model:2311 device:manet", "bd9d00cc", "device", "2311"),
        ("MY PHONE no permissions (user is in no device group); see [http://x/device.html] usb:1-1",
         "MY PHONE", "no permissions", "unknown"),
        ("????????????    no permissions (udev rules); see [x] usb:1", "????????????", "no permissions", "unknown"),
        (f"(no serial number)     device {MORE}", "(no serial number)", NO_SERIAL, "Pixel_8"),
        (f"????????????    device {MORE}", "????????????", NO_SERIAL, "Pixel_8"),
        (f"{'x' * 129} device {MORE}", "x" * 129, NO_SERIAL, "Pixel_8"),
        ("A\x1b[2J device", "A\x1b[2J", NO_SERIAL, "unknown"),
        ("ZY3222LBDC   dreaming usb:1X product:omni", "ZY3222LBDC", "dreaming", "unknown"),
    ],
)  # fmt: skip
def test_a_line_of_the_list(line: str, serial: str, state: str, model: str) -> None:
    with FakeAdbServer(listing(line)) as server:
        (entry,) = list_adb_devices(server.address)
        usable = (serial,) if state == "device" else ()
        assert phone_specs(Environment(server.env)) == usable
        choice = default_device(Environment(server.env))
    assert (entry.serial, entry.state, entry.model, bool(entry.remedy)) == (serial, state, model, not usable)
    if not usable:
        assert choice.spec == "host" and f"{serial} is {state}: " in choice.note, "the host is never taken silently"


@pytest.mark.parametrize("listed", [["X1", "X1"], ["A B", "A B", "A B"], ["X1", "ok", "X1"]])
def test_devices_of_one_serial_are_told_and_not_used(listed: list[str]) -> None:
    serial, count = listed[0], listed.count(listed[0])
    with FakeAdbServer(listing(*(f"{name} device usb:1-{n} model:A" for n, name in enumerate(listed)))) as server:
        environment = Environment(server.env)
        states = {entry.serial: entry.state for entry in list_adb_devices(server.address)}
        assert states.pop(serial) == f"one of {count} devices with this serial" and set(states.values()) <= {"device"}
        assert phone_specs(environment) == tuple(states)
        with pytest.raises(DeviceUnavailable, match=f"{serial} is one of {count} devices .*; unplug all but one"):
            find_device(serial, environment)
        if not states:
            with pytest.raises(DeviceNotFound, match=rf"can be used \(.*{serial} is one of {count} devices"):
                pipeline.device_names(["all"], environment)


@pytest.mark.parametrize("text", ["", " ", " x", "x ", "a\nb", "a\0b", "(no serial number)", "????????????", "x" * 129])
def test_what_can_be_no_serial(text: str) -> None:
    assert not is_serial(text)
    with pytest.raises(DeviceNotFound):
        find_device(text or " ", Environment({"ANDROID_ADB_SERVER_PORT": str(free_port())}))


def failing(reason: str, *lines: str) -> Answer:
    """A server that lists devices and refuses each."""
    text = reason.encode()
    refused = b"FAIL%04x" % len(text) + text

    def answer(request: str) -> bytes:
        if request.startswith("host:transport:") or request.endswith(":features"):
            return refused
        return okay(b"0029") if request == "host:version" else okay("".join(f"{line}\n" for line in lines).encode())

    return answer


@pytest.mark.parametrize(
    ("reason", "state", "says"),
    [
        ("device 'R58M1' not found", "failed", "does not reach device R58M1 (device 'R58M1' not found)"),
        ("protocol fault (couldn't read status): Connection reset by peer", "failed", "protocol fault"),
        ("closed", "failed", "does not reach device R58M1 (closed)"),
        ("device still authorizing", "authorizing", "wait a moment"),
        ("more than one device with serial R58M1", "one of several devices with this serial", "unplug all but one"),
    ],
)
def test_a_phone_that_fails_is_named_and_hides_no_other_device(
    reason: str, state: str, says: str, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeAdbServer(failing(reason, f"R58M1 device {MORE}", "R58M2 offline")) as server:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        code, out, _ = program("devices", "--simulated")
        assert "host" in [device.name for device in pipeline.devices()]
    told = next(line for line in out.splitlines() if line.startswith("R58M1"))
    assert code == 0 and f"no: {state}" in told and says in told
    assert {"host", "sim:duo", "R58M2"} <= {line.split()[0] for line in out.splitlines()}


def test_a_device_that_cannot_be_read_hides_no_other() -> None:
    def read(device: object) -> str:
        name: str = getattr(device, "name", "")
        if name.startswith("sim:p"):
            raise LinkLost(f"{name} is gone.")
        return name

    found, others = pipeline.read_devices(read, Environment({"ANDROID_ADB_SERVER_PORT": str(free_port())}))
    assert "host" in found and "sim:phone" not in found
    assert {"name": "sim:phone", "state": "failed", "remedy": "sim:phone is gone."} in others


class Wire:
    """A device on USB that opens or does not."""

    def __init__(self, serial: str, error: type[Exception] | None = None) -> None:
        self.serial_number, self._error = serial, error

    def connect(self, _timeout_s: float) -> None:
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Nothing is open."""


def test_a_bad_port_on_usb_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = type("LIBUSB_ERROR_BUSY", (Exception,), {})
    wires = [Wire("", busy), Wire("A"), Wire("B 1"), Wire(""), Wire("C"), Wire("C")]
    monkeypatch.setattr(discovery, "_usb_transports", lambda: wires)
    nobody = ("127.0.0.1", free_port())
    states = [(entry.serial, entry.state) for entry in list_adb_devices(nobody)]
    twice = "one of 2 devices with this serial"
    assert states == [
        ("unknown", "busy"), ("A", "device"), ("B 1", "device"), ("(no serial number)", NO_SERIAL), ("C", twice),
        ("C", twice),
    ]  # fmt: skip
    monkeypatch.setattr("syncnas_bench.adb.direct.DirectTransport", lambda _wire, serial, _keys: serial)
    assert connector("B 1", nobody, KeyPlaces(Path("key")))()._transport == "B 1"
    with pytest.raises(DeviceUnavailable, match="a device on USB is busy"):
        connector("D", nobody, KeyPlaces(Path("key")))()


def test_a_folder_of_keys_that_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for keys in (KeyPlaces(tmp_path / "loop/adbkey"), KeyPlaces(tmp_path / "adbkey", (tmp_path / "loop",))):
        with pytest.raises(DeviceUnavailable, match=r"loop.*: cannot be looked at"):
            key_paths(keys)
