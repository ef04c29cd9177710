"""Progress on stderr: few lines in a pipe, one for each part with --verbose, none with --quiet."""

from __future__ import annotations

import threading

import pytest

from syncnas_deploy.cli import progress
from syncnas_deploy.cli.progress import Volume, duration_text, showing
from syncnas_deploy.progress import Progress


def told(done: int, total: int, so_far: str = "") -> Progress:
    doing = f"{done} of {total} parts"
    return Progress(done=done, total=total, doing=doing, elapsed_s=done, eta_s=float(total - done), so_far=so_far)


@pytest.mark.parametrize(("volume", "most", "least"), [("quiet", 0, 0), ("usual", 14, 12), ("verbose", 1002, 1001)])
@pytest.mark.parametrize("total", [1000, 1001])
def test_lines_in_a_pipe(
    volume: Volume,
    most: int,
    least: int,
    total: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(progress, "volume", lambda: volume)
    monkeypatch.setattr(progress, "LONGEST_PAUSE_S", 1e9)
    with showing("counting") as shown:
        for done in range(total + 1):
            shown(told(done, total, "best 7"))
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and least <= len(lines) <= most + (total - 1000)
    if lines:
        assert lines[0] == "counting" and lines[1] == f"  0 %  0 of {total} parts; {duration_text(total)} left; best 7"
        assert lines[-1].startswith("100 %")


def test_several_devices_report_from_their_threads(capsys: pytest.CaptureFixture[str]) -> None:
    with showing("profiling 2 devices") as shown:
        threads = [
            threading.Thread(target=lambda name=name: [shown(told(done, 40), name) for done in range(41)])
            for name in ("R1", "R2")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = capsys.readouterr().err.splitlines()
    for name in ("R1", "R2"):
        assert [line[:9] for line in lines if line.startswith(name)] == [
            f"{name}: {share:3} %" for share in range(0, 101, 10)
        ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (9e5, "250 h 00 min"),
    ],
)
def test_a_duration_as_people_say_it(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
