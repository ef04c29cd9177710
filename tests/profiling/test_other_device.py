"""A journal is of one device: another one at the same name cannot go on with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syncnas_bench import DeviceFacts, DeviceIdentity, SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.errors import JournalMismatch, OutputExists
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.progress import Progress
from tests.support.latency_cases import quick

SETTINGS = ProfileSettings(launches=1, rounds=4, discard=1, repeats=1, networks=1)
FIRST = DeviceIdentity("Example Nine, EX1", "R1", "example/9")


class Phone(SimDevice):
    """One of several that answer to the same name."""

    def __init__(self, identity: DeviceIdentity, model: str = "Nine") -> None:
        super().__init__("duo", quick("duo"))
        self._identity, self._model = identity, model

    def identity(self) -> DeviceIdentity:
        return self._identity

    def facts(self) -> DeviceFacts:
        return DeviceFacts(**{**super().facts().to_dict(), "model": self._model})


def stop_after_two(progress: Progress) -> None:
    if progress.done == 2:
        raise KeyboardInterrupt


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Of a profile that was interrupted."""
    with pytest.raises(KeyboardInterrupt):
        pipeline.profile(
            "mobilenet_v2", Phone(FIRST), out=tmp_path / "p.json", settings=SETTINGS, on_progress=stop_after_two
        )
    return tmp_path / "p.json.journal"


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (DeviceIdentity("Example Ten, EX2", "R1", "example/9"), 'kind is "Example Nine, EX1", here it is "Example Ten'),
        (DeviceIdentity("Example Nine, EX1", "R2", "example/9"), 'serial is "R1", here it is "R2"'),
        (DeviceIdentity("Example Nine, EX1", "", "example/9"), 'serial is "R1", here it is ""'),
        (DeviceIdentity("Example Nine, EX1", "R1", "example/10"), 'system is "example/9", here it is "example/10"'),
    ],
)
def test_another_device_does_not_go_on(journal: Path, other: DeviceIdentity, says: str) -> None:
    before = journal.read_bytes()
    with pytest.raises(JournalMismatch, match=f"belongs to another run: its device_{says}"):
        pipeline.profile("mobilenet_v2", Phone(other), out=journal.with_suffix(""), settings=SETTINGS, resume=True)
    assert journal.read_bytes() == before


def test_the_same_device_goes_on_and_a_finished_profile_is_its_own(journal: Path) -> None:
    out = journal.with_suffix("")
    pipeline.profile("mobilenet_v2", Phone(FIRST), out=out, settings=SETTINGS, resume=True)
    pipeline.profile("mobilenet_v2", Phone(FIRST), out=out, settings=SETTINGS, resume=True)
    with pytest.raises(OutputExists, match="finished profile of another run"):
        pipeline.profile("mobilenet_v2", Phone(FIRST, "Ten"), out=out, settings=SETTINGS, resume=True)


def test_a_journal_of_before_is_refused_in_the_usual_sentence(journal: Path) -> None:
    header, *rows = journal.read_text().splitlines(keepends=True)
    value = json.loads(header)
    value["key"] = {name: told for name, told in value["key"].items() if not name.startswith("device_")}
    journal.write_text(json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n" + "".join(rows))
    with pytest.raises(
        JournalMismatch,
        match=r"its device_kind is null, here it is .*choose another",
    ):
        pipeline.profile("mobilenet_v2", Phone(FIRST), out=journal.with_suffix(""), settings=SETTINGS, resume=True)
