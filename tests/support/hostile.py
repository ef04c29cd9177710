"""Devices, adb servers, runners and names that mean harm. What each case may end in: a typed refusal, or being taken
as the plain text it is; never a traceback, and never a file outside the folder that was meant.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from syncnas_bench import BenchError, Job, Run, Spend, Step, default_device, find_device
from syncnas_bench.adb.direct import connect_tcp
from syncnas_bench.adb.discovery import list_adb_devices
from syncnas_bench.adb.lease import take_lease
from syncnas_bench.adb.link import Link
from syncnas_bench.environment import Environment
from syncnas_bench.plan import Call
from syncnas_bench.session import read_session
from tests.support.adb_cases import connect_directly, device_of, no_server_env, short_folder
from tests.support.adb_daemon import HEAD, AdbDaemon
from tests.support.adb_phone import COOL, battery, make_phone, power, set_dump
from tests.support.bench_cases import run_text, sim_plan
from tests.support.fake_adb_server import FakeAdbServer, okay

NAMES = (
    "", ".", "..", "/", "../../outside/x", "/../../../outside/x", "..\\x", "a/../../outside/x", "~/x", "x\0y", "x\ny",
    "\r", "-rf", "--", "$(touch outside/x)", "`touch outside/x`", "x; touch outside/x", "x && touch outside/x", "x|cat",
    "*", "?", "%s%n", "'", '"', "\x1b[2J\x1b]0;title\x07", "\u202e", "\ud800", "\udcff", "ä" * 600, "x" * 5000, "host:",
    "sim:../x", "sim:", "all", "[::1]:99999", "1.2.3.4:-1", "a:b:c:1", "CON", "\x7f", " ", "\t",
)  # fmt: skip
ESCAPE = "\x1b[31mred\x1b[0m"
TEXTS = (
    "9" * 5000, "9" * 400, "1e999", "-1e999", "nan", "inf", "-1", "²", "٣", "0x10", "1_000", "", " ", "\0", ESCAPE,
    "\r", "@@boot", "@@", "[", "]: [", "[ro.product.model]: [\x1b]0;x\x07]", "0-9999," * 500, "9999-0", "1-", "%n%s",
    ":" * 50, "../../outside/x", "$(touch outside/x)", "ä\u202e", "x" * 20_000, "Permission denied", "kB", "\u2028",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**62, 2**70, 10**400, 1.5, float("nan"), float("inf"), "", "x", ESCAPE, [], {}, [[]], [None],
    {"row": 0}, [0] * 9,
)  # fmt: skip


class Sandbox:
    """A phone, a home and a folder that may be written to; whatever else changes on the disk is told."""

    def __init__(self, base: Path, phone: AdbDaemon) -> None:
        self.base, self.phone = base, phone
        self.inside, self.outside, self.home = base / "inside", base / "outside", base / "home"
        for folder in (self.inside, self.outside, self.home):
            folder.mkdir()
        self.env = no_server_env(self.home)
        self.serial = phone.address
        self.good_output = run_text(base, sim_plan(steps=2).to_text()).stdout
        connect_directly(phone, self.env).close()
        self.before = self._state()

    def _state(self) -> dict[Path, str]:
        kept = (self.inside, self.home / ".android", self.phone.root)
        files = (path for path in self.base.rglob("*") if not any(path.is_relative_to(folder) for folder in kept))
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}

    @contextlib.contextmanager
    def link(self) -> Iterator[Link]:
        """A link to the phone."""
        link = connect_directly(self.phone, self.env)
        try:
            yield link
        finally:
            link.close()

    def provoke(self, case: Case, rng: random.Random) -> str:
        """What a case ended in, as words; in capitals where it should not have."""
        try:
            case(self, rng)
            outcome = "taken as it is"
        except BenchError as error:
            outcome = "refused" if str(error).isprintable() and str(error) else f"UNPRINTABLE {error!r}"
        except Exception as error:
            outcome = f"TRACEBACK {type(error).__name__}: {error}"
        finally:
            self.phone.faults.instead = {}
        if self._state() != self.before:
            outcome = "WROTE OUTSIDE"
        for path in self.inside.iterdir():
            path.unlink()
        return outcome


Case = Callable[[Sandbox, random.Random], None]


@contextlib.contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A fresh one."""
    with short_folder() as base, AdbDaemon(make_phone(base / "p")) as phone:
        yield Sandbox(base, phone)


def names_of_files(box: Sandbox, rng: random.Random) -> None:
    """A file of a hostile name on the device, fetched."""
    with box.link() as link:
        link.pull(rng.choice(NAMES), box.inside / "x", max_bytes=100, deadline_s=3)


def names_in_commands(box: Sandbox, rng: random.Random) -> None:
    """A hostile word in a command."""
    word = rng.choice(NAMES)
    with box.link() as link:
        said = link.check(["printf", "%s", word])
    assert said == word, f"{word!r} arrived as {said!r}"


def names_of_devices(box: Sandbox, rng: random.Random) -> None:
    """A hostile name where a device's is asked for."""
    find_device(rng.choice(NAMES), Environment(box.env))


def names_in_plans(box: Sandbox, rng: random.Random) -> None:
    """Steps, jobs and signatures become parts of file names and of lines."""
    name, at = rng.choice(NAMES), rng.randrange(3)
    call = Call(0, 0, name if at == 0 else "call", spend=Spend(1.0))
    Step(name if at == 1 else "step", (Job.solo(name if at == 2 else "job", 0, call),))


def _sync_head(rng: random.Random) -> bytes:
    name = rng.choice((b"DATA", b"DONE", b"FAIL", b"OKAY", b"DENT", b"LIST", b"\0\0\0\0", rng.randbytes(4)))
    return name + struct.pack("<I", rng.choice((0, 1, 7, 65536, 65537, 2**31, 2**32 - 1)))


def file_service_that_lies(box: Sandbox, rng: random.Random) -> None:
    """Headers that promise what does not come, too much, or something else."""

    async def lie(channel: Any) -> None:
        await channel.read()
        for _ in range(rng.randint(1, 6)):
            await channel.write(_sync_head(rng) + rng.randbytes(rng.choice((0, 1, 7, 300, 70_000))))

    box.phone.faults.instead = {"sync": lie}
    with box.link() as link:
        if rng.random() < 0.3:
            link.push(rng.randbytes(200_000), "/data/x", deadline_s=1)
        else:
            link.pull("/data/../x", box.inside / "x", max_bytes=1000, sha256="0" * 64, deadline_s=1)


def shell_that_lies(box: Sandbox, rng: random.Random) -> None:
    """Frames of any kind and length, empty packets, and an end without an exit code."""

    async def lie(channel: Any) -> None:
        for _ in range(rng.randint(1, 8)):
            length = rng.choice((0, 1, 5, 2000))
            told = length if rng.random() < 0.7 else rng.choice((0, 9, 2**24, 2**32 - 1))
            await channel.write(struct.pack("<BI", rng.choice((0, 1, 2, 3, 9)), told) + rng.randbytes(length))
            if rng.random() < 0.2:
                for _ in range(1200):  # a reader that recurses would not survive this
                    await channel._peer.send(b"WRTE", channel.ours, channel.theirs)

    box.phone.faults.instead = {"shell": lie, "exec": lie}
    device = device_of(box.serial, box.env)
    try:
        rng.choice((device.facts, device.condition, lambda: take_lease(device.link, "/data"), device.examine))()
    finally:
        device.close()


def _spoiled(text: str, rng: random.Random) -> str:
    """`text` with some of its words replaced."""
    words = text.split(" ")
    for _ in range(rng.randint(1, 3)):
        words[rng.randrange(len(words))] = rng.choice(TEXTS)
    return " ".join(words)


def texts_of_a_phone(box: Sandbox, rng: random.Random) -> None:
    """Properties, sensors and dumps that say anything at all; then a whole run on that phone."""
    root = box.phone.root
    properties = (root / "getprop.txt").read_text()
    files = [path for path in (root / "sys").rglob("*") if path.is_file()]
    spoiled = {path: path.read_bytes() for path in rng.sample(files, 3)}
    try:
        (root / "getprop.txt").write_bytes(_spoiled(properties.replace("=", "= "), rng).encode("utf-8", "replace"))
        for path in spoiled:
            path.write_text(rng.choice(TEXTS))
        for service, text in (("thermalservice", COOL), ("battery", battery(80)), ("power", power("Awake"))):
            set_dump(root, service, _spoiled(text, rng))
        for program in rng.sample(("uname", "getconf", "df", "date"), 2):
            (root / "bin" / f"{program}.txt").write_text(rng.choice(TEXTS))
            spoiled |= {root / "bin" / program: (root / "bin" / program).read_bytes()} if program == "df" else {}
            (root / "bin" / program).write_text(f'#!/bin/sh\ncat "$DEVICE_ROOT/bin/{program}.txt"\n')
            (root / "bin" / program).chmod(0o755)
        device = device_of(box.serial, box.env)
        try:
            _use(device)
        finally:
            device.close()
    finally:
        (root / "getprop.txt").write_text(properties)
        for program in ("uname", "getconf", "date"):
            (root / "bin" / program).unlink(missing_ok=True)
        for path, content in spoiled.items():
            path.write_bytes(content)
        for service, text in (("thermalservice", COOL), ("battery", battery(80)), ("power", power("Awake"))):
            set_dump(root, service, text)


def _use(device: Any) -> None:
    """All that is shown of a device must be JSON and printable; then a plan is run on it."""
    shown = [device.facts().to_dict(), device.condition().to_dict(), [check.to_dict() for check in device.examine()]]
    shown.append([f"{info.unit} {info.description} {info.reason}" for info in device.units()])
    assert _is_printable(json.loads(json.dumps(shown, allow_nan=False))), "a text would move the cursor"
    runs: list[Run] = []
    device.run(sim_plan(rounds=1), on_run=runs.append, deadline_s=20)
    assert all(_is_printable(run.to_record()) for run in runs)


def _is_printable(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_printable(part) for item in value.items() for part in item)
    if isinstance(value, list):
        return all(map(_is_printable, value))
    return not isinstance(value, str) or value.isprintable()


class _Said:
    """A runner's output that is known beforehand."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines

    def lines(self) -> Iterator[bytes]:
        return iter(self._lines)

    def acknowledge(self) -> None:
        pass

    def exit_text(self) -> str:
        return "0"

    def failure(self, error: BenchError) -> BenchError:
        return error


def replaced(value: Any, rng: random.Random) -> Any:
    """A JSON value with one of its parts, or itself, replaced."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        return {**value, key: replaced(value[key], rng)} if rng.random() < 0.95 else {**value, key + "x": 1}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return [*value[:at], replaced(value[at], rng), *value[at + 1 :]]
    return rng.choice(VALUES)


def rows_that_lie(box: Sandbox, rng: random.Random) -> None:
    """A runner's lines with another value, out of order, nested too deeply or cut; the trailer's sum is right."""
    *lines, _ = box.good_output.splitlines()
    at = rng.randrange(len(lines))
    kind = rng.randrange(5)
    if kind <= 1:
        lines[at] = json.dumps(replaced(json.loads(lines[at]), rng))
    elif kind == 2:
        lines[at] = rng.choice(("[" * 100_000, '{"row":' * 5000, lines[at][: rng.randrange(len(lines[at]))], "\x1b[2J"))
    elif kind == 3:
        rng.shuffle(lines)
    else:
        lines[at] = json.dumps({"error": {"kind": rng.choice(("run", "x")), "message": rng.choice(TEXTS)}})
    text = "".join(f"{line}\n" for line in lines).encode()
    trailer = {"trailer": {"rows": 2, "sha256": hashlib.sha256(text).hexdigest()}}
    said = [*text.splitlines(keepends=True), json.dumps(trailer).encode() + b"\n"]
    runs: list[Run] = []
    read_session(sim_plan(steps=2), _Said(said), runs.append)
    for run in runs:
        Run.from_record(json.loads(json.dumps(run.to_record())))


def daemon_that_lies(box: Sandbox, rng: random.Random) -> None:
    """Packets of ADB's protocol that are wrong from the first one on."""
    with answering(_packets(rng)) as port:
        link = Link(connect_tcp("127.0.0.1", port, Environment(box.env).adb_keys, deadline_s=2))
        try:
            link.shell("true", deadline_s=2)
        finally:
            link.close()


def _packets(rng: random.Random) -> list[bytes]:
    """What is answered to the first, second, third packet."""
    answers = []
    for _ in range(3):
        name = rng.choice((b"CNXN", b"CNXN", b"AUTH", b"OKAY", b"WRTE", b"CLSE", b"STLS", b"OPEN", rng.randbytes(4)))
        payload = rng.choice(
            (b"", b"device::features=shell_v2\0", b"device::", rng.randbytes(20), rng.randbytes(900), b"\xff=;" * 50)
        )
        length = len(payload) if rng.random() < 0.8 else rng.choice((0, 2**20 + 1, 2**32 - 1))
        magic = int.from_bytes(name, "little") ^ (0xFFFFFFFF if rng.random() < 0.9 else 0)
        numbers = rng.choice((0, 1, 2, 0x01000001, 2**32 - 1)), rng.choice((0, 1, 4096, 2**32 - 1))
        answers.append(HEAD.pack(name, *numbers, length, 0, magic) + payload)
    return answers


@contextlib.contextmanager
def answering(answers: list[bytes]) -> Iterator[int]:
    """A port where each client gets the answers, one for each thing it says, and then the end."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client, contextlib.suppress(OSError):
                        client.settimeout(5)
                        for answer in answers:
                            client.recv(1 << 16)
                            client.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)


def server_that_lies(box: Sandbox, rng: random.Random) -> None:
    """An adb server whose version, list of devices and answers are anything."""

    def answer(request: str) -> bytes:
        if request == "host:version" and rng.random() < 0.8:
            return okay(b"0029")
        lines = [(rng.choice((*NAMES[:20], "A")), rng.choice(("device", "offline", ESCAPE)), rng.choice(TEXTS)[:99])]
        text = "".join(f"{name} {state} {more}\n" for name, state, more in lines * 3)
        raw = text.encode("utf-8", "replace")
        return rng.choice(
            (
                okay(raw),
                b"FAIL" + b"%04x" % len(raw) + raw,
                b"OKAYffff",
                b"OKAY-001",
                b"OKAY zz",
                b"",
                rng.randbytes(30),
            )
        )

    with FakeAdbServer(answer) as server:
        env = Environment(box.env | server.env)
        json.dumps([entry.serial for entry in list_adb_devices(env.adb_server, 2.0)])
        default_device(env)
        find_device("A", env)


CASES: dict[str, Case] = {
    "names of files": names_of_files,
    "names in commands": names_in_commands,
    "names of devices": names_of_devices,
    "names in plans": names_in_plans,
    "file service that lies": file_service_that_lies,
    "shell that lies": shell_that_lies,
    "texts of a phone": texts_of_a_phone,
    "rows that lie": rows_that_lie,
    "daemon that lies": daemon_that_lies,
    "adb server that lies": server_that_lies,
}
