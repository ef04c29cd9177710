"""A report of several files: what stands in it, and what must not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from syncnas_deploy import pipeline
from syncnas_deploy.errors import DocumentError
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.report.comparison import read_all
from syncnas_deploy.search.loop import SearchSettings
from tests.support.latency_cases import law_profile

HISTORY = """\
trial,strategy,feasible,predicted_us,reward,seconds,budget_us,repeat,outcome,note,energy_mj
1,aaaaaaa,true,900.0,0.5,1.0,1000.0,0,evaluated,,
2,ccccccc,true,905.0,0.9,1.0,1000.0,0,partial,given up,
3,nnnnnna,true,910.0,0.75,1.0,1000.0,0,evaluated,,
4,nnnnnnc,false,915.0,,1.0,1000.0,0,infeasible,,
5,nnannna,false,915.0,,0.0,1000.0,0,failed,its worker was lost twice,
"""
FRONT = """\
budget,budget_us,strategy,predicted_us,reward,evaluations,standard_error,sure,config,energy_mj
1.0x,1000.0,nnnnnna,910.0,0.75,1,0.01,true,best.json,
"""
PRINTED = """\
search in {folder}
2 evaluated, 1 partial, 1 failed, 1 infeasible
budget  (ms)  strategy  predicted (ms)  reward  standard error  evaluations  sure
------  ----  --------  --------------  ------  --------------  -----------  ----
1.0x    1.00  nnnnnna            0.910  0.7500  0.0100                    1  yes
strategy: a letter for each stage; n: the branches do not meet, a: their features are added, c: put side by side
reward: larger is better; sure: yes where scatter cannot hide that another one that was tried is better

trial  strategy  predicted (ms)  reward
-----  --------  --------------  ------
    3  nnnnnna            0.910  0.7500
    1  aaaaaaa            0.900  0.5000"""


def test_only_whole_evaluations_are_among_the_best(mobilenet: ModelConfig, tmp_path: Path) -> None:
    # Trial 2 was given up early: its reward is an estimate, however large.
    write_config(tmp_path / "best.json", branched(mobilenet, "nnnnnna"))
    (tmp_path / "history.csv").write_text(HISTORY)
    (tmp_path / "front.csv").write_text(FRONT)
    assert read_all([tmp_path]).to_text() == PRINTED.format(folder=tmp_path)


@pytest.mark.parametrize("name", ["history.csv", "front.csv", "verdict.json", "search.json"])
def test_a_pipe_or_a_device_in_a_searchs_folder_is_refused_at_once(
    name: str, mobilenet: ModelConfig, tmp_path: Path
) -> None:
    settings = SearchSettings(trials=2)
    pipeline.search(law_profile(mobilenet), evaluator="capacity", settings=settings, out=tmp_path / "s")
    for make in (os.mkfifo, lambda file: file.symlink_to("/dev/zero")):
        (tmp_path / "s" / name).unlink()
        make(tmp_path / "s" / name)
        with pytest.raises(DocumentError):
            read_all([tmp_path / "s"])
