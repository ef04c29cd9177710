"""The page of a task that runs: what it shows, how often it is written, and that nothing of it stops the task."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from syncnas_deploy.errors import OutputExists
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.progress import Progress
from syncnas_deploy.report.html.live import EVERY_S, LivePage, search_charts, training_charts
from tests.support.latency_cases import law_profile
from tests.support.page_cases import HOSTILE
from tests.support.program import Program

REFRESH = 'http-equiv="refresh"'
ROW = '{"row":{"strategy":"%s","reward":%s,"partial":%s},"sha256":"0"}\n'


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def at(done: int, doing: str, eta_s: float | None) -> Progress:
    return Progress(done=done, total=40, doing=doing, elapsed_s=1.0, eta_s=eta_s)


def test_it_is_written_now_and_then_and_at_last_without_a_refresh(tmp_path: Path) -> None:
    path, clock = tmp_path / "p.html", Clock()
    page = LivePage(path, HOSTILE, list, force=False, clock=clock)
    assert REFRESH in path.read_text() and "it begins" in path.read_text() and "<img" not in path.read_text()
    page.tell(at(1, HOSTILE, 78.0))
    assert "1 of 40" in path.read_text() and "about 78 s to go" in path.read_text()
    clock.now_s += EVERY_S / 2
    page.tell(at(2, "step 2", None))
    assert "2 of 40" not in path.read_text()
    clock.now_s += EVERY_S
    page.tell(at(3, "step 3", 70.0))
    assert "3 of 40" in path.read_text() and "step 2" in path.read_text()
    page.tell(at(4, "step 4", 69.0))
    page.end()
    assert "4 of 40" in path.read_text() and REFRESH not in path.read_text() and "<img" not in path.read_text()
    with pytest.raises(OutputExists):
        LivePage(path, "x", list, force=False)


def test_a_page_that_cannot_be_written_any_more_stops_nothing(tmp_path: Path) -> None:
    page = LivePage(tmp_path / "p.html", "x", list, force=False)
    (tmp_path / "p.html").unlink()
    (tmp_path / "p.html").mkdir()
    page.tell(at(1, "x", 1.0))
    page.end()
    assert (tmp_path / "p.html").is_dir()


@pytest.mark.parametrize(
    ("journal", "charts"),
    [
        ("", 0),
        ('{"journal":1}\n', 0),
        ('{"journal":1}\n' + ROW % ("nna", 0.5, "false") + ROW % ("nnc", 0.7, "false"), 1),
        ('{"journal":1}\n' + ROW % ("nna", 0.5, "true"), 0),
        ('{"journal":1}\n' + ROW % ("nna", 0.5, "false") + '{"row":{"strat', 1),
        ('{"journal":1}\n' + ROW % ("nna", "NaN", "false") + ROW % ("nna", "1e999", "false") + "[[[\n", 0),
        ('{"journal":1}\n' + ROW % (HOSTILE.replace('"', ""), 0.5, "false"), 1),
    ],
)
def test_a_journal_that_is_being_written_is_read_as_far_as_it_goes(tmp_path: Path, journal: str, charts: int) -> None:
    (tmp_path / "j").write_text(journal)
    found = search_charts(tmp_path / "j")
    assert len(found) == charts and "<img" not in "".join(found)


def test_what_is_no_file_has_no_chart(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "nothing", "."):
        assert not search_charts(tmp_path / name) and not training_charts(tmp_path / name)


def test_a_training_shows_losses_and_accuracy(tmp_path: Path) -> None:
    head = "epoch,lr,train_loss,val_loss,top1,top5,seconds\n"
    (tmp_path / "h.csv").write_text(head + "1,0.1,2.3,2.2,0.2,0.5,3\n2,0.1,2.0,x,0.3,0.6,3\n")
    loss, accuracy = training_charts(tmp_path / "h.csv")
    assert "Losses of 2 epochs" in loss and "Accuracy of 2 epochs" in accuracy
    (tmp_path / "h.csv").write_text(head)
    assert training_charts(tmp_path / "h.csv") == []


def test_a_search_is_watched(program: Program, mobilenet: ModelConfig, tmp_path: Path) -> None:
    write_profile(tmp_path / "p.json", law_profile(mobilenet))
    done = program(
        "search", "--profile", tmp_path / "p.json", "--evaluator", "capacity", "--trials", 5,
        "--out", tmp_path / "s", "--watch", tmp_path / "w.html",
    )  # fmt: skip
    text = (tmp_path / "w.html").read_text()
    assert done.code == 0 and "5 of 5" in text and "Reward by trial" in text and REFRESH not in text
    refused = program(
        "search", "--profile", tmp_path / "p.json", "--evaluator", "capacity", "--trials", 5,
        "--out", tmp_path / "s2", "--watch", tmp_path / "w.html",
    )  # fmt: skip
    assert refused.code == 8 and not (tmp_path / "s2").exists()


def test_a_profile_is_watched_and_several_are_not(program: Program, tmp_path: Path) -> None:
    several = program(
        "profile", "--device", "sim:phone", "--device", "sim:steps", "--base", "mobilenet_v2", "--watch", "w.html"
    )
    assert several.code == 2 and "one device" in several.err
    checked = program("profile", "--check", "mobilenet_v2-sim-phone", "--watch", "w.html")
    assert checked.code == 2
