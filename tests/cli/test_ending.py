"""What ends the program from outside: signals, full disks, paths that cannot be looked at. One sentence and a code."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from syncnas_deploy.cli.ending import system_ending
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_text
from tests.support.program import Program
from tests.support.waiting import wait_for

MAIN = [sys.executable, "-c", "from syncnas_deploy.cli import main; main()"]
WAIT_S = 300.0
PROFILE = ["profile", "--device", "sim:phone:runner", "--base", "mobilenet_v2", "--launches", "9", "--rounds", "500"]
SEARCH = ["search", "--base", "mobilenet_v2", "--profile", "law.json", "--trials", "9", "--evaluator"]


def ended_by_default() -> None:
    """In a child: tests that run below `nohup`, or in the background, would hand it ignored signals."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def child(program: str) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        preexec_fn=ended_by_default,
    )


@pytest.mark.needs("signals")
@pytest.mark.parametrize(
    ("words", "file", "number"),
    [
        (PROFILE, "plan.txt", signal.SIGTERM),
        (PROFILE, "plan.txt", signal.SIGHUP),
        ([*SEARCH, "command:sleep 600"], "*.json", signal.SIGTERM),
        ([*SEARCH, "command:sleep 600", "--workers", "2"], "*.json", signal.SIGHUP),
    ],
    ids=["profile TERM", "profile HUP", "search TERM", "search of two HUP"],
)
def test_a_signal_leaves_no_temporary_files_and_is_told(
    words: list[str], file: str, number: signal.Signals, law: Path, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(
        [*MAIN, *words, "--out", "out"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=ended_by_default,
    ) as running:
        try:
            wait_for(lambda: any(temporary.rglob(file)) or running.poll() is not None)
            os.killpg(running.pid, number)  # as a terminal does that closes
            _, said = running.communicate(timeout=WAIT_S)
        finally:
            running.kill()
    assert running.returncode == 128 + number, said
    message, going_on = [line for line in said.splitlines() if line.startswith(("syncnas-deploy: ", "go on with"))][-2:]
    assert message == f"syncnas-deploy: Ended by {number.name}; what was finished is kept."
    assert going_on.startswith(f"go on with: syncnas-deploy {words[0]} ") and going_on.endswith(" --resume")
    assert list(temporary.iterdir()) == []


@pytest.mark.needs("signals")
@pytest.mark.parametrize(
    ("before", "while_it_waits", "code"),
    [
        ("signal.signal(signal.SIGHUP, signal.SIG_IGN)", "signal.raise_signal(signal.SIGHUP)", 0),
        ("", "signal.raise_signal(signal.SIGHUP)", 129),
        ("", "signal.raise_signal(signal.SIGTERM)", 143),
        ("", "import swallows; swallowed.append(1); time.sleep(600)", 143),
        ("", "import swallows; swallowed.append(1)", 143),
        ("", "clean()", 143),
        ("", "signal.raise_signal(signal.SIGINT)", 130),
        ("signal.signal(signal.SIGINT, signal.SIG_IGN)", "signal.raise_signal(signal.SIGINT)", 0),
        ("", "swallow(); time.sleep(600)", 143),
        ("", "watched(); time.sleep(600)", 130),
        ("", "raise Slow", -signal.SIGTERM),
        ("", "atexit.register(signal.raise_signal, signal.SIGINT)", -signal.SIGINT),
        ("", "threading.Thread(target=held_up).start()", -signal.SIGHUP),
    ],
    ids=["nohup", "HUP", "TERM", "in an import", "in the last import", "twice", "INT", "INT ignored", "in __del__",
         "in a weak reference", "while an error is told", "after the end", "while threads are waited for"],
)  # fmt: skip
def test_when_a_signal_ends_the_program(before: str, while_it_waits: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "swallows.py").write_text(
        "import signal\ntry:\n    signal.raise_signal(signal.SIGTERM)\nexcept:\n    pass\n"
    )
    program = f"""
import atexit, signal, sys, threading, time, weakref
import click
from syncnas_deploy.cli import cli, main
sys.path.insert(0, ".")
swallowed = []

def clean():
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.raise_signal(signal.SIGHUP)
        print("cleaned")

class Slow(click.ClickException):
    def __init__(self):
        super().__init__("x")

    def format_message(self):
        signal.raise_signal(signal.SIGTERM)
        return "x"

class Deaf:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

def swallow():
    Deaf()

def watched():
    kept = Deaf.__new__(type("Plain", (), dict()))
    weakref.finalize(kept, signal.raise_signal, signal.SIGINT)

def held_up():
    time.sleep(0.5)
    signal.raise_signal(signal.SIGHUP)

@cli.command()
def waits():
    {while_it_waits}
    print("done", flush=True)

{before}
sys.argv = ["syncnas-deploy", "waits"]
try:
    main()
finally:
    print("swallowed", swallowed)
"""
    done = child(program)
    assert done.returncode == code and "Traceback" not in done.stderr, done.stderr
    too_late = while_it_waits.endswith("append(1)")
    assert ("done" in done.stdout) == (too_late or code in (0, -signal.SIGINT, -signal.SIGHUP))
    assert ("cleaned" in done.stdout) == (while_it_waits == "clean()")
    assert ("[1]" in done.stdout) == ("import" in while_it_waits), "the module was imported whole"


@pytest.mark.needs("signals")
@pytest.mark.parametrize(
    "module",
    [
        "syncnas_deploy.cli",
        "click",
        "syncnas_deploy.cli.training",
        "syncnas_deploy.pipeline",
        "syncnas_deploy.report.tables",
    ],
)
def test_ctrl_c_is_told_from_the_first_import_on(module: str) -> None:
    program = f"""
import signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
sys.argv = ["syncnas-deploy", "models"]
from syncnas_deploy.__main__ import main
main()
"""
    done = child(program)
    # One that comes while the command imports its own is told all the same, perhaps after what it printed meanwhile.
    late = module in ("syncnas_deploy.pipeline", "syncnas_deploy.report.tables")
    assert done.returncode == 130 and (late or not done.stdout), done.stderr
    assert "syncnas-deploy: Interrupted; what was finished is kept." in done.stderr.splitlines()
    assert "Traceback" not in done.stderr


@pytest.mark.needs("signals")
@pytest.mark.parametrize("first", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("second", ["SIGTERM", "SIGHUP"])
def test_a_worker_that_cleans_up_is_not_interrupted_again(first: str, second: str) -> None:
    done = child(f"""
import signal
from syncnas_deploy.search.workers import local
signal.signal(signal.SIGTERM, local._leave)
signal.signal(signal.SIGHUP, local._leave)
try:
    signal.raise_signal(signal.{first})
finally:
    signal.raise_signal(signal.{second})
    print("cleaned")
""")
    assert (done.returncode, done.stdout) == (1, "cleaned\n"), done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full to write to")
@pytest.mark.parametrize("words", [["models"], ["models", "--json"], ["--help"], ["--version"], ["devices"], ["x"]])
def test_a_full_disk_behind_both_outputs_is_exit_code_8(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        told = subprocess.run([*MAIN, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        silent = subprocess.run([*MAIN, *words], stdout=full, stderr=full, check=False)
    code = 2 if words == ["x"] else 8
    assert told.returncode == code and "Traceback" not in told.stderr and "Internal error" not in told.stderr
    assert silent.returncode in (code, 8)


@pytest.mark.parametrize(
    ("number", "path", "code"),
    [
        (errno.ENOSPC, None, 8),
        (errno.EIO, None, 8),
        (errno.EROFS, "/x", 8),
        (errno.EACCES, "/x", 3),
        (errno.ENAMETOOLONG, "/x", 4),
        (errno.ELOOP, "/x", 3),
        (errno.EACCES, None, None),
        (errno.EBADMSG, "/x", None),
    ],
)
def test_what_the_system_refuses(number: int, path: str | None, code: int | None) -> None:
    ending = system_ending(OSError(number, os.strerror(number), path))
    assert (ending and ending[1]) == code
    assert ending is None or ((path or "the output") in ending[0] and ending[0].endswith("."))
    assert system_ending(ValueError("x")) is None


TOO_LONG = "x" * 300
PROC = ["/proc"] if Path("/proc/self").exists() else []
COMMANDS: dict[str, tuple[list[str], set[int]]] = {
    "config": (["models", "{}"], {3, 4}),
    "export": (["export", "{}", "--out", "o"], {3, 4}),
    "weights": (["export", "small.json", "--weights", "{}.pth", "--out", "o"], {3, 4}),
    "convert": (["weights", "convert", "{}.npz", "--config", "small.json", "--out", "o.safetensors"], {3, 4}),
    "bundle": (["bench", "{}", "--device", "sim:duo"], {3, 4}),
    "report": (["report", "{}"], {3, 4}),
    "profile": (["predict", "small.json", "--profile", "{}"], {3, 4}),
    "base": (["profile", "--device", "sim:duo", "--base", "{}"], {3, 4}),
    "runtime": (["runtime", "add", "{}", "--version", "2.1.0"], {3, 4, 5}),
    "table": ([*SEARCH, "table:{}", "--out", "s"], {3, 4}),
    "out of export": (["export", "small.json", "--out", "{}/b"], {8}),
    "out of draw": (["draw", "small.json", "--out", "{}/o.svg"], {8}),
    "out of profile": (["profile", "--device", "sim:duo", "--base", "small.json", "--out", "{}/o.json"], {8}),
    "out of several": (
        ["profile", "--device", "sim:duo", "--device", "sim:steps", "--base", "small.json", "--out", "{}/o"], {8}
    ),
    "out of search": ([*SEARCH, "capacity", "--out", "{}/o"], {8}),
    "out of assess": (["assess", "--base", "small.json", "--device", "sim:duo", "--out", "{}/o"], {8}),
}  # fmt: skip


@pytest.mark.parametrize("path", ["loop", TOO_LONG, "hid/x", "hid", *PROC])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_path_that_cannot_be_looked_at_is_one_sentence(
    command: str, path: str, law: Path, small: None, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, codes = COMMANDS[command]
    for name in ("loop", "loop.pth", "loop.npz"):
        Path(name).symlink_to(name)
    stat = Path.stat

    def refused(self: Path, **how: bool) -> os.stat_result:
        if "hid" in self.parts or self.stem == "hid":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return stat(self, **how)

    if 8 not in codes:
        monkeypatch.setattr(Path, "stat", refused)  # whoever runs this may look into every folder
    elif path.startswith("hid"):
        Path("hid").touch()
    code, _, said = program(*(word.format(path) for word in words))
    assert code in codes and "Internal error" not in said, said
    told = [line for line in said.splitlines() if path in line]
    assert len(told) == (2 if command == "out of several" else 1) and told[-1] == said.splitlines()[-1], said


@pytest.fixture
def small(mobilenet: ModelConfig) -> None:
    """small.json: a base of small pictures."""
    Path("small.json").write_text(json.dumps(json.loads(config_text(mobilenet)) | {"input_size": 32}))
