"""Shared fixtures, and the rule that CI skips nothing."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncnas_bench.environment import STORE_VARIABLE
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import load_config
from tests.support.bundle_cases import seeded_bundle
from tests.support.other_systems import SYSTEM, is_tested, lacking
from tests.support.picture_cases import small_branched
from tests.support.program import Program, run_program

# Torch's threads wait for each other by spinning, on a busy machine for minutes; so they sleep. Read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

NOT_TO_BE_HAD = {"timm", "bionic", "wine"}
"""Words of tests that may be skipped in CI: timm needs a torchvision that does not import beside the CPU build of
torch, and no registry carries bionic, Android's own C library. Wine (110 MB to fetch, 670 MB on the disk) and
linking for Windows (a minute of a processor) take more of CI's time than a runner is worth that is in no wheel."""

LACKED = f"{SYSTEM} has no"


def pytest_xdist_auto_num_workers() -> int:
    """Twice as many workers as cores, 8 at most: a test often waits for a process, a device or a timer."""
    return min(8, 2 * (os.cpu_count() or 1))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test that needs what this run's system has not is skipped, and says what it is."""
    needs, missing = {}, {}
    for item in items:
        marks = list(item.iter_markers("needs"))
        needs[item] = [name for mark in marks for name in (*mark.args, *mark.kwargs.values())]
        try:
            missing[item] = lacking(needs[item])
        except ValueError as e:
            raise pytest.UsageError(f"{item.nodeid}: {e}") from e
    known = [item for item in items if not is_tested(item.nodeid.removeprefix("tests/"), needs[item])]
    if known:
        config.hook.pytest_deselected(items=known)
        items[:] = [item for item in items if item not in set(known)]
    for item in items:
        if missing[item]:
            item.add_marker(pytest.mark.skip(reason=f"{LACKED} {missing[item]}"))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With SYNCNAS_NO_SKIPS a skipped test fails the run: .ci/run installs what is needed for all of them."""
    if not os.environ.get("SYNCNAS_NO_SKIPS"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    reports = [] if reporter is None else reporter.stats.get("skipped", [])
    skipped = [
        report
        for report in reports
        if not NOT_TO_BE_HAD & set(re.split(r"\W|_", report.nodeid)) and LACKED not in str(report.longrepr)
    ]
    if skipped:
        print(f"\n{len(skipped)} tests were skipped and SYNCNAS_NO_SKIPS is set: that is a failure.")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def mobilenet() -> ModelConfig:
    """The shipped base model."""
    return load_config("mobilenet_v2")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The files of the small network of two branches. Who changes them takes a copy."""
    return seeded_bundle(tmp_path_factory.mktemp("small") / "bundle", small_branched())


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch computes with one thread: small networks are slower on two."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    """Runs the program in this process."""
    return functools.partial(run_program, monkeypatch, capfd)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test has a folder and a store of its own, and no device of the developer's shell leaks in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(STORE_VARIABLE, str(tmp_path / "store"))
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")  # where no adb server listens
    yield
