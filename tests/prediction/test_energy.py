"""Energy: watts out of a few states, predicted by hand, and measured on simulated units whose watts are known."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import msgspec
import pytest

from syncnas_bench import PowerMeter, RunnerHung, SimDevice
from syncnas_bench.simulated.power import IDLE_W
from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.result_files import read_result, result_to_json
from syncnas_deploy.errors import MeasurementError, ProfileError
from syncnas_deploy.measuring import power
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.prediction.energy import PowerModel
from syncnas_deploy.prediction.predict import predict
from syncnas_deploy.prediction.profile_files import read_profile, write_profile
from syncnas_deploy.prediction.rows import PowerRow
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.progress import Progress
from syncnas_deploy.report.comparison import read_all
from syncnas_deploy.report.tables import bench_page, prediction_page, profile_page
from syncnas_deploy.search.loop import SearchSettings
from tests.support.latency_cases import law_profile, quick

# By the law: 1 W at rest, units of 2 and 3 W, a tenth more together.
ROWS = (
    PowerRow("idle", 1.1, (0.05, 0.0)),
    PowerRow("unit_0", 2.8, (0.9, 0.0)),
    PowerRow("unit_1", 3.4, (0.0, 0.8)),
    PowerRow("both", 5.29, (0.9, 0.7)),
)
FAST = ProfileSettings(launches=1, rounds=3, discard=1, repeats=1, networks=1)
WATTS = {law.name: law.watts for law in quick("battery")}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "SETTLE_S", 0.2)
    monkeypatch.setattr(power, "MEASURED_S", 1.2)


def test_the_model_finds_the_law() -> None:
    model = PowerModel.of(ROWS)
    assert model.idle_w == pytest.approx(1.0)
    assert model.unit_w == pytest.approx((2.0, 3.0))
    assert model.together == pytest.approx(1.1)
    # 300 us of unit 0 and 500 us of unit 1, 300 us of them together.
    assert model.phase_mj([300.0, 500.0]) == pytest.approx((2 * 300 * 1.1 + 3 * (300 * 1.1 + 200)) / 1e3)
    assert model.phase_mj([0.0, 500.0]) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (ROWS[:1], "state 'unit_0'"),
        ((ROWS[0], *(PowerRow(row.state, 0.0, row.busy) for row in ROWS[1:])), "drew nothing"),
        (tuple(PowerRow(row.state, row.watts, ROWS[0].busy) for row in ROWS), "too much alike"),
    ],
)
def test_power_that_tells_nothing_is_refused_with_the_file(
    rows: tuple[PowerRow, ...], says: str, mobilenet: ModelConfig, tmp_path: Path
) -> None:
    write_profile(tmp_path / "p.json", msgspec.structs.replace(law_profile(mobilenet), power=rows))
    with pytest.raises(ProfileError, match=rf"p\.json: power: .*{says}"):
        read_profile(tmp_path / "p.json")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (ROWS[:3], "in state 'both'"),
        ((ROWS[0], msgspec.structs.replace(ROWS[1], busy=(0.05, 0.0)), *ROWS[2:]), "too much alike"),
        ((ROWS[0], msgspec.structs.replace(ROWS[1], watts=0.9), *ROWS[2:]), "drew nothing while it worked"),
    ],
)
def test_rows_that_tell_no_law(rows: tuple[PowerRow, ...], says: str) -> None:
    with pytest.raises(MeasurementError, match=says):
        PowerModel.of(rows)


def test_the_energy_of_a_prediction_by_hand(mobilenet: ModelConfig, tmp_path: Path) -> None:
    narrow = [[16], *([b.expanded_channels // 2 for b in st.branches[0]] for st in mobilenet.stages[1:])]
    widths = Widths.of([narrow, narrow])
    config = branched(mobilenet, "nnanncc", widths, placement=Placement(1))
    profile = law_profile(mobilenet)
    assert predict(config, profile).energy_mj is None
    told = msgspec.structs.replace(profile, power=ROWS)
    found = predict(config, told)
    wanted_mj = 0.0
    for phase in found.phases:
        us = {segment.branch: segment.concurrent_us for segment in phase.segments}
        both = min(us.values()) if len(us) == 2 else 0.0
        wanted_mj += (2 * us.get(0, 0.0) + 3 * us.get(1, 0.0) + 0.1 * (2 + 3) * both) / 1e3
    assert found.energy_mj == pytest.approx(wanted_mj)
    assert f"idle device: {wanted_mj:.3f} mJ" in str(prediction_page(found, told.units))
    assert "1.00 W at rest, 2.00 and 3.00 W more" in str(profile_page(told))
    write_profile(tmp_path / "p.json", told)
    assert read_profile(tmp_path / "p.json") == told
    # A profile of before energy was measured has no such rows.
    value = json.loads((tmp_path / "p.json").read_text())
    del value["power"]
    (tmp_path / "old.json").write_text(json.dumps(value))
    assert read_profile(tmp_path / "old.json") == profile


@pytest.mark.usefixtures("short")
def test_profile_and_bench_find_what_simulated_units_draw(mobilenet: ModelConfig, tmp_path: Path) -> None:
    device = SimDevice("battery", quick("battery"))
    profile = pipeline.profile(mobilenet, device, out=tmp_path / "p.json", settings=FAST)
    model = profile.power_model
    assert model is not None and not any("energy" in text for text in profile.warnings)
    assert model.idle_w == pytest.approx(IDLE_W, abs=0.05)
    assert model.unit_w == pytest.approx((WATTS["cpu"], WATTS["gpu"]), rel=0.05)
    assert model.together == pytest.approx(1.0, abs=0.05)

    found = pipeline.search(profile, mobilenet, evaluator="capacity", settings=SearchSettings(trials=2))
    bundle = pipeline.export(found.config, tmp_path / "bundle", seed=0, force=True)
    base = pipeline.export(mobilenet, tmp_path / "base", seed=0, force=True)
    result = pipeline.bench(bundle, device, samples=12, launches=1, baselines=[(base, None)], out=tmp_path / "b.json")
    measured = result.energy
    assert measured is not None and measured.source == "simulated gauge"
    assert measured.idle_w == pytest.approx(IDLE_W, abs=0.05)
    prediction = predict(found.config, profile)
    assert prediction.energy_mj == pytest.approx(measured.network_mj, rel=0.15)
    for baseline, mj in zip(result.baselines, measured.baselines_mj, strict=True):
        watts = WATTS[baseline.unit.removeprefix("sim:")]
        assert mj == pytest.approx(watts * baseline.makespan.median_us / 1e3, rel=0.15)
    assert read_result(tmp_path / "b.json") == result
    assert result_to_json(result)["energy"]["network_mj"] == measured.network_mj
    text = str(bench_page(result, prediction))
    assert "simulated gauge" in text and f"{measured.network_mj:.3f}" in text
    assert f"{prediction.energy_mj:.3f}" in read_all([tmp_path / "p.json", tmp_path / "b.json"]).to_text()


class Deaf(SimDevice):
    """Its meter was found and tells nothing."""

    def power_meter(self) -> tuple[PowerMeter | None, str]:
        return PowerMeter("dead gauge", (), 1.0), ""

    def run(self, plan, **more):  # type: ignore[no-untyped-def]
        def deaf(run):  # type: ignore[no-untyped-def]
            kept = None if run.power is None else dataclasses.replace(run.power, time_ns=run.power.time_ns[:0])
            kept = kept and dataclasses.replace(kept, microwatts=run.power.microwatts[:0])
            on_run(dataclasses.replace(run, power=kept))

        on_run = more.pop("on_run")
        return super().run(plan, on_run=deaf, **more)


@pytest.mark.usefixtures("short")
def test_a_meter_that_tells_nothing_spoils_nothing_else(mobilenet: ModelConfig, tmp_path: Path) -> None:
    device = Deaf("battery", quick("battery"))
    profile = pipeline.profile(mobilenet, device, out=tmp_path / "p.json", settings=FAST)
    assert profile.power == () and profile.power_model is None
    (text,) = [text for text in profile.warnings if "energy" in text]
    assert "gave 0 values during idle" in text
    base = pipeline.export(mobilenet, tmp_path / "base", seed=0)
    result = pipeline.bench(base, device, samples=12, launches=1, out=tmp_path / "b.json")
    assert result.energy is None and "gave 0 values" in result.no_energy
    assert "energy: not measured (The power meter gave 0" in read_all([tmp_path / "b.json"]).to_text()
    assert read_result(tmp_path / "b.json") == result


class Brittle(SimDevice):
    """It is lost as soon as its power is read."""

    def run(self, plan, **more):  # type: ignore[no-untyped-def]
        if plan.power is not None:
            raise RunnerHung("the runner missed its deadline and was killed; allow more time.")
        return super().run(plan, **more)


@pytest.mark.usefixtures("short")
def test_latencies_are_not_lost_with_the_power(mobilenet: ModelConfig, tmp_path: Path) -> None:
    device = Brittle("battery", quick("battery"))
    profile = pipeline.profile(mobilenet, device, out=tmp_path / "p.json", settings=FAST)
    assert profile.power == () and any("no energy: the runner missed" in text for text in profile.warnings)
    base = pipeline.export(mobilenet, tmp_path / "base", seed=0)
    result = pipeline.bench(base, device, samples=12, launches=1)
    assert result.makespan.median_us > 0 and "missed its deadline" in result.no_energy


class Feverish(SimDevice):
    """Too warm while its power is read, as a phone may be."""

    def run(self, plan, *, on_run, **more):  # type: ignore[no-untyped-def]
        reason = "thermal status 2" if plan.power is not None else ""
        return super().run(plan, on_run=lambda run: on_run(run.as_unusable(reason) if reason else run), **more)


@pytest.mark.usefixtures("short")
def test_power_read_on_an_unfit_device_counts_for_nothing(mobilenet: ModelConfig, tmp_path: Path) -> None:
    base = pipeline.export(mobilenet, tmp_path / "base", seed=0)
    result = pipeline.bench(base, Feverish("battery", quick("battery")), samples=12, launches=1)
    assert result.energy is None and "thermal status 2" in result.no_energy


@pytest.mark.usefixtures("short")
def test_the_reading_of_power_is_resumed_too(
    mobilenet: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = SimDevice("battery", quick("battery"))
    out, asked = tmp_path / "p.json", []
    run = SimDevice.run

    def stopped(self: SimDevice, plan, **more):  # type: ignore[no-untyped-def]
        if plan.power is None:
            return run(self, plan, **more)
        asked.append([step.name for step in plan.steps])
        keep = more.pop("on_run")

        def keep_two(found):  # type: ignore[no-untyped-def]
            keep(found)
            if len(asked) == 1 and found.step == "unit_0":
                raise KeyboardInterrupt

        return run(self, plan, on_run=keep_two, **more)

    monkeypatch.setattr(SimDevice, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        pipeline.profile(mobilenet, device, out=out, settings=FAST)
    steps: list[Progress] = []
    profile = pipeline.profile(mobilenet, device, out=out, settings=FAST, resume=True, on_progress=steps.append)
    assert [p.doing for p in steps] == ["power, of branch 1", "power, of both", "power"]
    assert steps[-1].done == steps[-1].total
    assert asked == [["idle", "unit_0", "unit_1", "both"], ["unit_1", "both"]]
    assert {row.state for row in profile.power} == {"idle", "unit_0", "unit_1", "both"}
