"""A program that nobody vouches for: what it started is ended, what it prints and writes is bounded."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from syncnas_deploy.search.evaluators.program import LAST_WORDS_BYTES, MAX_OUTPUT_BYTES, ProgramEnd, run_program
from tests.support.waiting import wait_for
from tests.support.worker_cases import is_running

DAEMON = """
import os, subprocess, sys, time
def note(): open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
how = sys.argv[2]
sleep = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\\\n'); time.sleep(600)"
command = [sys.executable, "-c", sleep, sys.argv[1]]
if how == "session":
    subprocess.Popen(command, start_new_session=True)
elif how == "no environment":
    subprocess.Popen(command, start_new_session=True, env={})
elif how == "no parent":
    if not os.fork():
        os.setsid()
        if not os.fork():
            os.execv(command[0], command)
        os._exit(0)
    os.wait()
elif how == "many":
    for _ in range(20):
        subprocess.Popen(command, start_new_session=True)
want = 20 if how == "many" else 1
while not os.path.exists(sys.argv[1]) or open(sys.argv[1]).read().count("\\n") < want:
    time.sleep(0.01)
"""
PRINTS_TOO_MUCH = "print('x' * 2_000_000, flush=True); time.sleep(600)"


def run(folder: Path, text: str, *arguments: object, limit_s: float = 100.0) -> ProgramEnd:
    """A Python program in a folder for its files."""
    (folder / "program.py").write_text(text)
    (folder / "in").write_text("{}")
    (folder / "own").mkdir()
    words = [sys.executable, str(folder / "program.py"), *map(str, arguments)]
    return run_program(words, folder / "own", stdin=folder / "in", seed=1, limit_s=limit_s)


@pytest.mark.needs("subreapers")
@pytest.mark.parametrize("end", ["", PRINTS_TOO_MUCH, "os.kill(os.getpid(), 9)", "raise SystemExit(3)"])
@pytest.mark.parametrize("how", ["session", "no environment", "no parent", "many"])
def test_what_it_started_is_ended_with_it(tmp_path: Path, how: str, end: str) -> None:
    ended = run(tmp_path, DAEMON + end, tmp_path / "pids", how)
    assert ended.bound == ("output" if end == PRINTS_TOO_MUCH else "")
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert pids and not any(is_running(pid) for pid in pids)


def test_it_is_ended_with_this_process_and_its_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(
        "import os, pathlib, time\n"
        "pathlib.Path(os.environ['TMPDIR'], 'x').write_text('x')\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(f'{{os.getpid()}} ')\n"
        "time.sleep(600)\n"
    )
    (tmp_path / "tmp").mkdir()
    code = (
        "from syncnas_deploy.search.evaluators import Command; from syncnas_deploy.networks.formats import load_config;"
        f"Command(({sys.executable!r}, {str(tmp_path / 'p.py')!r})).evaluate(load_config('mobilenet_v2'), 1)"
    )
    searching = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path / "tmp")})
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith(" "))
    searching.send_signal(signal.SIGKILL)
    searching.wait()
    wait_for(lambda: not is_running(int((tmp_path / "pid").read_text())))
    wait_for(lambda: not list((tmp_path / "tmp").iterdir()))


@pytest.mark.parametrize("where", ["stdout", "stderr"])
def test_it_may_print_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))  # nothing of it goes through a file
    text = f"import sys\nwhile True: sys.{where}.write('0123456789' * 10000 + '\\n')"
    ended = run(tmp_path, text, limit_s=100 if where == "stdout" else 2)
    assert ended.bound == ("output" if where == "stdout" else "time")
    assert len(ended.output) <= MAX_OUTPUT_BYTES and len(ended.last_words) <= LAST_WORDS_BYTES


@pytest.mark.parametrize("file", ["x", ".hidden", "deep/er/x"])
def test_its_temporary_space_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    class Usage:
        free = 4_000_000

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
    text = (
        "import os, pathlib, time\n"
        f"file = pathlib.Path(os.environ['TMPDIR']) / {file!r}\n"
        "file.parent.mkdir(parents=True, exist_ok=True)\n"
        "file.write_bytes(bytes(MEGABYTES * 1_000_000))\n"
        "(file.parent / 'link').symlink_to('/')\n"
        "END\n"
    )
    assert run(tmp_path, text.replace("MEGABYTES", "3").replace("END", "time.sleep(600)")).bound == "space"
    shutil.rmtree(tmp_path / "own", ignore_errors=True)
    assert run(tmp_path, text.replace("MEGABYTES", "1").replace("END", "time.sleep(1)")).bound == ""


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("no-such-program",), "No such file or directory"),
        (("/etc/passwd",), "Permission denied"),
        (("/",), "Permission denied"),
        (("x" * 200_000,), "Argument list too long"),
    ],
)
def test_one_that_cannot_be_started(tmp_path: Path, words: tuple[str, ...], error: str) -> None:
    (tmp_path / "in").write_text("{}")
    ended = run_program(words, tmp_path, stdin=tmp_path / "in", seed=1, limit_s=100)
    assert ended == ProgramEnd(error=error)


def test_one_that_kills_its_supervisor(tmp_path: Path) -> None:
    text = (
        "import os, signal, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); "
        "os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)"
    )
    try:
        assert run(tmp_path, text, tmp_path / "pid").code == -9
    finally:  # nobody is left to end it
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
