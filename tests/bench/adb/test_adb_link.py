"""Commands, streams and files over both ways to a device, with new and old daemons."""

from __future__ import annotations

import hashlib
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from syncnas_bench.adb.direct import connect_tcp
from syncnas_bench.adb.discovery import find_adb_device, list_adb_devices, usb_state
from syncnas_bench.adb.keys import key_paths, load_signers
from syncnas_bench.adb.link import Link, quote
from syncnas_bench.adb.server import ServerTransport, server_version
from syncnas_bench.discovery import device_specs, find_device
from syncnas_bench.environment import Environment
from syncnas_bench.errors import (
    CommandFailed,
    DeviceNotFound,
    DeviceUnavailable,
    LinkLost,
    LinkStalled,
    StorageFull,
    TransferFailed,
)
from syncnas_bench.systems import HOME_VARIABLE
from tests.support.adb_cases import (
    AdbServer,
    connect_directly,
    connect_to,
    free_port,
    new_phone,
    no_server_env,
)
from tests.support.adb_daemon import AdbDaemon
from tests.support.fake_adb_server import FakeAdbServer, okay
from tests.support.waiting import wait_for

WAYS = [("direct", False), ("direct", True), ("server", False), ("server", True)]


@dataclass
class Reached:
    """A device, and a link to it."""

    daemon: AdbDaemon
    connect: Callable[[], Link]
    link: Link
    folder: Path

    @property
    def scratch(self) -> Path:
        return self.daemon.root / "data/local/tmp"


@pytest.fixture(scope="module", params=WAYS, ids=["-".join([way, "old" if old else "new"]) for way, old in WAYS])
def reached(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reached]:
    way, legacy = request.param
    home = tmp_path_factory.mktemp("home")
    with new_phone(legacy=legacy) as daemon:
        if way == "server":
            server = request.getfixturevalue("server")
            connect = connect_to(server.connect(daemon), server.env)
        else:
            connect = connect_to(daemon.address, no_server_env(home))
        link = connect()
        yield Reached(daemon, connect, link, home)
        link.close()


@pytest.mark.parametrize("code", [0, 1, 7, 127, 255])
def test_exit_codes_and_separated_streams(reached: Reached, code: int) -> None:
    done = reached.link.shell(f"echo out; echo err >&2; printf 'no newline'; exit {code}")
    assert (done.exit_code, done.stdout, done.stderr.rstrip()) == (code, "out\nno newline", "err")


def test_signals_are_told_apart_from_exit_codes(reached: Reached) -> None:
    assert reached.link.shell("sh -c 'kill -9 $$'").exit_code == 128 + 9
    assert reached.link.shell("sh -c 'kill -SEGV $$'").exit_code == 128 + 11


@pytest.mark.parametrize("word", ["a b", "$HOME", "`id`", "'", '"', "a;b", "*", "\\", "-n x", "ü", "a\nb", "#"])
def test_words_arrive_as_they_are(reached: Reached, word: str) -> None:
    assert reached.link.shell(["printf", "%s", word]).stdout == word


def test_output_that_looks_like_a_marker_and_no_input(reached: Reached) -> None:
    assert reached.link.shell("echo syncnas; echo syncnas:0:; cat").stdout == "syncnas\nsyncnas:0:\n"


def test_large_output_and_a_cap_on_it(reached: Reached) -> None:
    done = reached.link.shell("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done")
    assert done.stdout == "".join(f"line {i}\n" for i in range(3000))
    with pytest.raises(CommandFailed, match="more than"):
        reached.link.shell("cat /dev/zero | head -c 1500000")
    assert reached.link.shell("echo still here").stdout == "still here\n"


def test_stream_with_input(reached: Reached) -> None:
    script = "while read -r x; do echo got $x; done; echo last; echo end >&2; exit 3"
    with reached.link.stream(script) as stream:
        for word in (b"one", b"two"):
            stream.write(word + b"\n")
            assert stream.line(time.monotonic() + 5) == b"got " + word + b"\n"


def test_a_stream_that_is_closed_ends_its_command(reached: Reached) -> None:
    with reached.link.stream("echo here; cat; echo over > ended") as stream:
        assert stream.line(time.monotonic() + 5) == b"here\n"
    wait_for((reached.scratch / "ended").exists)
    (reached.scratch / "ended").unlink()


def test_two_streams_at_once(reached: Reached) -> None:
    with reached.link.stream("cat") as first, reached.link.stream("cat") as second:
        second.write(b"2\n")
        first.write(b"1\n")
        assert reached.link.shell("echo 3").stdout == "3\n"
        assert first.line(time.monotonic() + 5) == b"1\n"
        assert second.line(time.monotonic() + 5) == b"2\n"


def test_large_files_byte_for_byte(reached: Reached) -> None:
    size = 30_000_000
    sent, back = reached.folder / "sent", reached.folder / "back"
    sent.write_bytes(os.urandom(size))
    remote = str(reached.scratch / "file")
    reached.link.push(sent, remote, 0o755)
    assert (reached.scratch / "file").read_bytes() == sent.read_bytes()
    assert (reached.scratch / "file").stat().st_mode & 0o777 == 0o755
    reached.link.pull(remote, back, max_bytes=size)
    assert back.read_bytes() == sent.read_bytes()


@pytest.mark.parametrize("content", [b"", b"x", b"\r\n\0\xff" * 1000, bytes(65536), bytes(65537)])
def test_files_of_awkward_sizes(reached: Reached, content: bytes) -> None:
    back = reached.folder / "small"
    reached.link.push(content, str(reached.scratch / "small"))
    reached.link.pull(str(reached.scratch / "small"), back, max_bytes=len(content))
    assert back.read_bytes() == content


def test_pull_refuses_and_leaves_nothing(reached: Reached, tmp_path: Path) -> None:
    remote = str(reached.scratch / "refused")
    reached.link.push(b"12345", remote)
    with pytest.raises(TransferFailed, match="longer than the 4 bytes"):
        reached.link.pull(remote, tmp_path / "x", max_bytes=4)
    with pytest.raises(TransferFailed, match="other bytes"):
        reached.link.pull(remote, tmp_path / "x", max_bytes=5, sha256="0" * 64)
    with pytest.raises(TransferFailed, match="cannot be read"):
        reached.link.pull(f"{remote}-none", tmp_path / "x", max_bytes=5)
    with pytest.raises(TransferFailed, match="longer than 1024"):
        reached.link.push(b"", "/" + "a" * 2000)
    assert list(tmp_path.iterdir()) == []


def test_digests_of_more_files_than_one_command_takes(reached: Reached) -> None:
    names = [str(reached.scratch / f"a file of a plan with a long name, number {i}") for i in range(60)]
    for i in (0, 30, 59):
        reached.link.push(b"%d" % i, names[i])
    asked = [names[i] for i in (0, 30, 59) for _ in range(20)]
    wanted = [hashlib.sha256(b"%d" % i).hexdigest() for i in (0, 30, 59) for _ in range(20)]
    assert reached.link.sha256(asked) == wanted
    with pytest.raises(TransferFailed, match="cannot be read"):
        reached.link.sha256([*asked, names[1]])


def test_digests_without_sha256sum(reached: Reached) -> None:
    fake = reached.daemon.root / "bin/sha256sum"
    fake.write_text("#!/bin/sh\nexit 127\n")
    fake.chmod(0o755)
    try:
        reached.link.push(b"abc", str(reached.scratch / "abc"))
        (digest,) = reached.link.sha256([str(reached.scratch / "abc")])
    finally:
        fake.unlink()
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_full_storage(reached: Reached) -> None:
    reached.daemon.quota_bytes = 0
    try:
        with pytest.raises(StorageFull, match="storage is full"):
            reached.link.push(bytes(3_000_000), str(reached.scratch / "big"))
    finally:
        reached.daemon.quota_bytes = None
    assert not (reached.scratch / "big").exists()
    assert reached.link.shell("echo still here").stdout == "still here\n"


def test_a_command_that_is_too_long(reached: Reached) -> None:
    with pytest.raises(CommandFailed, match="push it as a file"):
        reached.link.shell("#" * (1 << 20))


def test_lost_in_the_middle_of_a_command(reached: Reached) -> None:
    link = reached.connect()
    with link.stream("echo here; sleep 20") as stream:
        assert stream.line(time.monotonic() + 5) == b"here\n"
        reached.daemon.drop()
        with pytest.raises(LinkLost):
            stream.line(time.monotonic() + 10)
    link.close()
    reached.link.close()
    wait_for(lambda: _answers(reached))


def _answers(reached: Reached) -> bool:
    reached.link.close()
    try:
        reached.link = reached.connect()
        return reached.link.shell("echo 1").stdout == "1\n"
    except (LinkLost, DeviceUnavailable):
        return False


def test_stalled_device_costs_no_more_than_the_deadline(reached: Reached, tmp_path: Path) -> None:
    link = reached.connect()
    reached.daemon.faults.stalled = True
    try:
        for call in (
            lambda: link.shell("true", deadline_s=0.5),
            lambda: link.push(bytes(20_000_000), str(reached.scratch / "stalled"), deadline_s=0.5),
            lambda: link.pull("/x", tmp_path / "x", max_bytes=1, deadline_s=0.5),
            lambda: link.pull("/x", tmp_path / "x", max_bytes=1, sha256="0", deadline_s=0.5),
        ):
            start = time.monotonic()
            with pytest.raises(LinkStalled):
                call()
            assert time.monotonic() - start < 1.5
    finally:
        reached.daemon.faults.stalled = False
        link.close()


def test_unknown_key_is_refused_and_then_accepted(tmp_path: Path) -> None:
    env = no_server_env(tmp_path)
    with new_phone(keys=True) as daemon:
        with pytest.raises(DeviceUnavailable, match="accept this computer's key") as caught:
            connect_tcp("127.0.0.1", daemon.port, Environment(env).adb_keys)
        assert caught.value.state == "unauthorized"
        daemon.accept_shown_keys()
        link = Link(connect_tcp("127.0.0.1", daemon.port, Environment(env).adb_keys))
        assert link.shell("echo in").stdout == "in\n"
        link.close()
        other = env | {HOME_VARIABLE: str(tmp_path / "other"), "ADB_VENDOR_KEYS": str(tmp_path / ".android/adbkey")}
        Link(connect_tcp("127.0.0.1", daemon.port, Environment(other).adb_keys)).close()
    key = tmp_path / ".android/adbkey"
    assert key.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in key.parent.iterdir()) == ["adbkey", "adbkey.pub"]


def test_unknown_key_through_a_server(server: AdbServer) -> None:
    with new_phone(keys=True) as daemon:
        serial = server.connect(daemon)
        states = {entry.serial: entry for entry in list_adb_devices(server.address)}
        assert states[serial].state == "unauthorized"
        assert "accept this computer's key" in states[serial].remedy
        with pytest.raises(DeviceUnavailable, match="unauthorized"):
            find_device(serial, Environment(server.env))
        daemon.accept_shown_keys()
        wait_for(lambda: serial in device_specs(Environment(server.env)))
        assert find_device(serial, Environment(server.env)).name == serial


def test_keys_that_are_no_keys(tmp_path: Path) -> None:
    bad = tmp_path / "bad.adb_key"
    bad.write_text("hello")
    env = {HOME_VARIABLE: str(tmp_path), "ADB_VENDOR_KEYS": str(tmp_path)}
    assert [path.name for path in key_paths(Environment(env).adb_keys)] == ["adbkey", "bad.adb_key"]
    with pytest.raises(DeviceUnavailable, match=r"bad\.adb_key cannot be read"):
        load_signers(Environment(env).adb_keys)


def test_a_key_that_cannot_be_shown_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "syncnas_bench.adb.keys")
    monkeypatch.setitem(sys.modules, "adb_shell.auth", None)
    missing = pytest.raises(DeviceUnavailable, match=r"wants a key.*syncnas-deploy\[direct\]")
    with new_phone(keys=True) as daemon, missing:
        connect_directly(daemon, no_server_env(tmp_path))


def test_what_a_server_sends_together_with_its_okay_is_not_lost() -> None:
    """A loaded server's OKAY and the first bytes of an answer arrive as one: they were dropped once."""
    frames = struct.pack("<BI", 1, 6) + b"whole\n" + struct.pack("<BI", 3, 1) + b"\0"

    def answer(request: str) -> bytes:
        if request == "host:devices-l":
            return okay(b"A device\n")
        if request.endswith(":features"):
            return okay(b"shell_v2,cmd")
        return b"OKAY" if request == "host:transport:A" else b"OKAY" + frames

    with FakeAdbServer(answer) as server:
        link = Link(ServerTransport(server.address, "A"))
        assert link.shell("true").stdout == "whole\n"
        link.close()


def test_where_the_server_is() -> None:
    assert Environment({}).adb_server == ("127.0.0.1", 5037)
    assert Environment({"ANDROID_ADB_SERVER_PORT": "6000"}).adb_server == ("127.0.0.1", 6000)
    both = {"ADB_SERVER_SOCKET": "tcp:far:6001", "ANDROID_ADB_SERVER_PORT": "1"}
    assert Environment(both).adb_server == ("far", 6001)
    assert Environment({"ADB_SERVER_SOCKET": "tcp:6001"}).adb_server == ("127.0.0.1", 6001)
    for env in ({"ADB_SERVER_SOCKET": "local:x"}, {"ANDROID_ADB_SERVER_PORT": "x"}, {"ANDROID_ADB_SERVER_PORT": "0"}):
        with pytest.raises(DeviceUnavailable, match="or unset it"):
            _ = Environment(env).adb_server


def test_nobody_there(tmp_path: Path) -> None:
    env = no_server_env(tmp_path)
    assert server_version(Environment(env).adb_server) is None
    assert list_adb_devices(Environment(env).adb_server) == ()
    with pytest.raises(DeviceUnavailable, match="no device answers"):
        find_device(f"127.0.0.1:{free_port()}", Environment(env))
    with pytest.raises(DeviceNotFound, match="there is no device 'R5CT'"):
        find_device("R5CT", Environment(env))


@pytest.mark.parametrize("text", ["", "-s", "a b", "a;b", "$(id)", "a\n", "x" * 200, "../x", "ü"])
def test_hostile_serials(text: str, tmp_path: Path) -> None:
    with pytest.raises(DeviceNotFound):
        find_adb_device(text, Environment(no_server_env(tmp_path)))


def test_states_of_usb_ports() -> None:
    class USBErrorBusy(Exception):  # as libusb names them
        pass

    class USBErrorAccess(Exception):
        pass

    assert usb_state(USBErrorBusy())[0] == "busy"
    assert "another adb server owns" in usb_state(USBErrorBusy())[1]
    assert usb_state(USBErrorAccess())[0] == "no permissions"
    assert usb_state(ValueError())[0] == "offline"


def test_a_terminal_in_between(tmp_path: Path) -> None:
    with new_phone(legacy=True) as daemon:
        daemon.faults.refused_services = frozenset({"exec"})
        link = connect_directly(daemon, no_server_env(tmp_path))
        done = link.shell("echo out; echo err >&2; exit 7")
        assert (done.exit_code, done.stdout, done.stderr.rstrip()) == (7, "out\n", "err")
        with link.stream("echo 1; read -r x; echo 2") as stream:
            assert stream.line(time.monotonic() + 5) == b"1\n"
            stream.write(b"\n")
            assert stream.line(time.monotonic() + 5) == b"2\n"
        link.close()


def test_only_one_place_quotes() -> None:
    assert quote(["a", "b c"]) == "a 'b c'"
    assert quote("a; b") == "a; b"
