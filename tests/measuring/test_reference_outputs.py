"""A device that computes something else than this host gives no row and no table; the real runner says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from syncnas_bench import BenchPlan, HostDevice, Launch, Run, SimDevice, Unit
from syncnas_bench.local import vulkan
from syncnas_deploy import pipeline
from syncnas_deploy.errors import WrongOutput
from syncnas_deploy.measuring.reference_outputs import OutputCheck
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_text
from syncnas_deploy.precision import TOLERANCE, tolerance
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.profiling.measure import measure
from tests.support.configs import parse_config
from tests.support.litert_stub import lying_litert

QUICK = ProfileSettings(launches=1, rounds=3, discard=1, repeats=1, networks=1)
UNITS = (Unit.parse("cpu:1"), Unit.parse("cpu:2"))


@pytest.fixture(scope="module")
def tiny(mobilenet: ModelConfig) -> ModelConfig:
    """The base model at 32 pixels."""
    return parse_config(json.dumps(json.loads(config_text(mobilenet)) | {"input_size": 32}), "tiny")


class Spoiled(HostDevice):
    """This machine, with outputs that are changed `times` times before they are looked at."""

    def __init__(self, spoil: Callable[[np.ndarray], None], times: int) -> None:
        super().__init__()
        self._spoil, self.left, self.launches = spoil, times, 0

    def run(self, plan: BenchPlan, *, on_run: Any, deadline_s: float = 60.0, stall_s: float = 60.0) -> Launch:
        self.launches += 1
        job = plan.steps[0].jobs[-1]

        def spoil_first(run: Run) -> None:
            if run.step == plan.steps[0].name and self.left > 0:
                self.left -= 1
                assert job.output is not None
                values = np.fromfile(job.output, "<f4")
                self._spoil(values)
                values.tofile(job.output)
            on_run(run)

        return super().run(plan, on_run=spoil_first, deadline_s=deadline_s, stall_s=stall_s)


def nothing(values: np.ndarray) -> None:
    """Leaves outputs as they are."""


def zeros(values: np.ndarray) -> None:
    """What a kernel that did not run leaves."""
    values[:] = 0


def one_wrong(values: np.ndarray) -> None:
    """A tile that was computed twice."""
    values[3] += 0.01 * np.abs(values).max()


def not_a_number(values: np.ndarray) -> None:
    """An overflow in fp16."""
    values[-1] = np.nan


def cut_short(values: np.ndarray) -> None:
    """Zeros in the second half."""
    values[len(values) // 2 :] = 0


def rows_of(journal: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["row"] for line in journal.read_text().splitlines()[1:]]


@pytest.mark.needs("host units")
def test_outputs_of_every_step_equal_the_interpreters(tiny: ModelConfig, tmp_path: Path) -> None:
    device = Spoiled(nothing, 0)
    seen: list[tuple[str, float]] = []
    check = OutputCheck.check

    def keep(self: OutputCheck, run: Run) -> float:
        seen.append((run.step, check(self, run)))
        return seen[-1][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OutputCheck, "check", keep)
        measure(tiny, device, UNITS, QUICK, tmp_path / "j")
    assert [step for step, _ in seen] == ["pair_0", "pair_1", "pair_2", "pair_3", "networks", "held_out"]
    assert max(difference for _, difference in seen) < 1e-5
    assert device.launches == 1


@pytest.mark.needs("host units")
def test_a_wrong_output_is_measured_again(tiny: ModelConfig, tmp_path: Path) -> None:
    device = Spoiled(one_wrong, 2)
    profile = measure(tiny, device, UNITS, QUICK, tmp_path / "j")
    assert device.launches == 3
    assert any(text.startswith("1 steps were measured again") for text in profile.warnings)
    runs = [Run.from_record(row["run"]) for row in rows_of(tmp_path / "j")]
    assert [len(run.metadata.get("failures", [])) for run in runs] == [2, 0, 0, 0, 0, 0]


@pytest.mark.needs("host units")
@pytest.mark.parametrize("spoil", [zeros, not_a_number, cut_short])
def test_an_output_that_stays_wrong_is_no_row(
    tiny: ModelConfig, tmp_path: Path, spoil: Callable[[np.ndarray], None]
) -> None:
    device = Spoiled(spoil, 3)
    with pytest.raises(WrongOutput, match=r"job whole_1 of step pair_0 on cpu:2 gave .* do not count"):
        measure(tiny, device, UNITS, QUICK, tmp_path / "j")
    assert device.launches == 3
    assert not (tmp_path / "j").exists()


@pytest.mark.needs("host units")
@pytest.mark.parametrize("lie", ["NANS", "ZEROS", "ONE_WRONG"])
def test_a_runtime_that_computes_nonsense_gives_no_profile(tiny: ModelConfig, tmp_path: Path, lie: str) -> None:
    device = HostDevice(litert=lying_litert(lie))
    with pytest.raises(WrongOutput, match="gave NaN" if lie == "NANS" else "differ from this host's"):
        pipeline.profile(tiny, device, out=tmp_path / "p.json", units=("cpu:1", "cpu:2"), settings=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_simulated_units_compute_nothing_and_pass(tiny: ModelConfig, tmp_path: Path) -> None:
    device = SimDevice("duo", by_runner=True)
    measure(tiny, device, device.default_units(), QUICK, tmp_path / "j")
    assert [row["step"] for row in rows_of(tmp_path / "j")][-1] == "held_out"


@pytest.mark.needs("host units")
@pytest.mark.skipif(
    vulkan.software_icd() is None,
    reason="a software Vulkan driver is missing (Debian: chromium-common and libvulkan1)",
)
def test_half_precision_is_within_its_own_tolerance(
    tiny: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the CPU computes passes this, and what a GPU computes in fp16 does not.
    monkeypatch.setitem(TOLERANCE, "fp32", 1e-5)
    measure(tiny, HostDevice(), (Unit.parse("cpu:1"), Unit.parse("gpu:fp16:software")), QUICK, tmp_path / "j")


def test_tolerances_of_what_is_computed_in_add_up() -> None:
    assert [tolerance(p) for p in (["fp32"], ["fp32", "fp16"], ["int8", "int8"])] == [1e-3, 5e-2, 5e-2]
    assert tolerance(["int8", "fp16"]) == pytest.approx(1e-1)
