"""Comparisons: what differs is told with its chance, and what cannot be compared is refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from syncnas_bench import SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.result import BenchResult, RunSamples
from syncnas_deploy.benchmarking.result_files import result_to_json
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.cli.fitting import fitted
from syncnas_deploy.errors import Incomparable
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.pipeline import comparing
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.report.contrast.sheets import Sheet, sheets_json, short_names
from syncnas_deploy.report.html.document import page_text
from syncnas_deploy.report.page import Page, Table
from syncnas_deploy.search.loop import SearchSettings
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import small_branched, small_config
from tests.support.program import Program


@pytest.fixture(scope="module")
def result(bundle: Bundle) -> BenchResult:
    return pipeline.bench(bundle, SimDevice("phone"), samples=90)


def slower(result: BenchResult, ratio: float, **changes: Any) -> BenchResult:
    times = [RunSamples(tuple(ratio * us for us in s.samples_us)) for s in (result.makespan, result.again)]
    return msgspec.structs.replace(result, makespan=times[0], again=times[1], stamps=(), **changes)


def files(folder: Path, *results: BenchResult) -> list[Path]:
    paths = [folder / f"{i}.json" for i in range(len(results))]
    for path, one in zip(paths, results, strict=True):
        path.write_text(json.dumps(result_to_json(one)))
    return paths


SIMULATED = "note: the units are SIMULATED: no hardware was measured"


def cell(sheet: Sheet, row: int, column: str) -> str:
    return sheet.rows[row][sheet.head.index(column)]


@pytest.mark.parametrize(("ratio", "says"), [(1.001, "may be chance"), (1.2, "+20.0 %"), (0.9, "-10.0 %")])
def test_a_difference_is_told_with_its_chance(result: BenchResult, tmp_path: Path, ratio: float, says: str) -> None:
    _, (latency, segments) = pipeline.compare(files(tmp_path, result, slower(result, ratio)))
    told = cell(latency, 1, "beside the first")
    assert says in told and ("may be chance" in told) == (says == "may be chance")
    assert cell(latency, 0, "beside the first") == "-" and cell(latency, 0, "device") == "sim:phone"
    assert SIMULATED in latency.notes
    assert [row[0] for row in segments.rows] == [*(s.name for s in result.segments), "all crossings"]


def real(found: Any, **changes: Any) -> Any:
    """The same on units that are not simulated."""
    return msgspec.structs.replace(found, units=("cpu:1", "gpu"), **changes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: msgspec.structs.replace(r, units=("sim:gpu", "sim:cpu")), "the same device ran it on sim:gpu"),
        (lambda r: msgspec.structs.replace(r, units=("cpu:1", "gpu")), "the kind of units is cpu fp32 and gpu fp32"),
        (lambda r: real(r, simulated=False, facts={}), "what was measured is hardware, not a simulated"),
        (lambda r: msgspec.structs.replace(r, config=small_branched(size=48)), "the input is 48 px, not 32 px"),
    ],
)
def test_results_that_say_nothing_about_each_other_are_refused(
    result: BenchResult, tmp_path: Path, change: Callable[[BenchResult], BenchResult], says: str
) -> None:
    with pytest.raises(Incomparable, match=says):
        pipeline.compare(files(tmp_path, result, change(result)))


@pytest.mark.parametrize(
    ("other", "kinds"),
    [
        (("cpu:2:int8", "gpu"), "cpu int8 and gpu fp32"),
        (("cpu:2", "gpu:fp16"), "cpu fp32 and gpu fp16"),
        (("cpu:4:int8:split", "gpu:fp16:software"), "cpu int8 and gpu fp16 software"),
    ],
)
def test_formats_are_not_compared_with_each_other(
    result: BenchResult, tmp_path: Path, other: tuple[str, str], kinds: str
) -> None:
    fp32, others = (msgspec.structs.replace(result, units=units) for units in (("cpu:2", "gpu"), other))
    with pytest.raises(Incomparable, match=f"the kind of units is {kinds}, not cpu fp32 and gpu fp32"):
        pipeline.compare(files(tmp_path, fp32, others))


def renamed(profile: DeviceProfile, name: str, **changes: Any) -> DeviceProfile:
    return msgspec.structs.replace(profile, device={"name": name}, **changes)


def small_law(**shape: int) -> DeviceProfile:
    return msgspec.structs.replace(law_profile(small_config(**shape)), held_out=())


def profiles(folder: Path, *found: DeviceProfile) -> list[Path]:
    paths = [folder / f"{i}.json" for i in range(len(found))]
    for path, profile in zip(paths, found, strict=True):
        write_profile(path, profile)
    return paths


def test_several_phones_stand_in_one_table_and_run_each_others_networks(mobilenet: ModelConfig, tmp_path: Path) -> None:
    law = law_profile(mobilenet)
    swapped = tuple(msgspec.structs.replace(row, factor=2.0) for row in law.contention)
    paths = profiles(tmp_path, renamed(law, "one"), renamed(law, "two", contention=swapped))
    _, (devices, elsewhere) = pipeline.compare(paths, budget="0.9x")
    assert [cell(devices, i, "device") for i in (0, 1)] == ["one", "two"] and SIMULATED in devices.notes
    assert cell(devices, 1, "contention") == "2.00/2.00"
    for row in (0, 1):
        own, other = (float(cell(elsewhere, row, f"on {i}.json (ms)")) for i in (row, 1 - row))
        # Each keeps the budget at home; away it may not.
        assert own <= 0.9 * law.table.network_us(0) / 1e3 + 0.001 and own != other


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: real(p, kind="measured"), "what was measured is hardware, not a law"),
        (lambda p: msgspec.structs.replace(p, units=("cpu:4", "gpu:fp16")), "kind of units is cpu fp32 and gpu fp16"),
        (lambda p: small_law(size=48), "the input is 48 px, not 32 px"),
        (lambda p: small_law(width=8), "the base model is small"),
    ],
)
def test_profiles_that_say_nothing_about_each_other_are_refused(
    tmp_path: Path, change: Callable[[DeviceProfile], DeviceProfile], says: str
) -> None:
    law = small_law()
    with pytest.raises(Incomparable, match=says):
        pipeline.compare(profiles(tmp_path, law, change(law)))


@pytest.fixture(scope="module")
def searched(mobilenet: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, law = tmp_path_factory.mktemp("searched"), law_profile(mobilenet)
    for seed in (0, 1):
        settings = SearchSettings(trials=6, seed=seed)
        pipeline.search(law, evaluator="capacity", settings=settings, budget=("0.9x", "1.0x"), out=folder / f"s{seed}")
    return [folder / "s0", folder / "s1"]


def test_searches_are_compared_budget_by_budget(searched: list[Path], tmp_path: Path) -> None:
    _, (best, verdicts) = pipeline.compare(searched)
    assert [row[:2] for row in best.rows] == [("s0", "0.9x"), ("s0", "1.0x"), ("s1", "0.9x"), ("s1", "1.0x")]
    assert best.notes.count(SIMULATED) == 1
    assert len(verdicts.rows) == 4 and sheets_json([best])[0]["title"] == "the best by budget"


def test_rewards_of_other_evaluators_are_refused(searched: list[Path], mobilenet: ModelConfig, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "strategy,reward\n" + "".join(f"{s},{i}\n" for i, s in enumerate(["nnnnnna", "nnnnnnc"]))
    )
    pipeline.search(
        law_profile(mobilenet), evaluator=f"table:{tmp_path / 't.csv'}", settings=SearchSettings(2), out=tmp_path / "s"
    )
    with pytest.raises(Incomparable, match="the evaluator is"):
        pipeline.compare([*searched, tmp_path / "s"])


def test_files_of_several_kinds_and_single_ones_are_refused(
    result: BenchResult, searched: list[Path], mobilenet: ModelConfig, tmp_path: Path
) -> None:
    own = files(tmp_path, result)
    with pytest.raises(Incomparable, match="it is none; name files of one kind"):
        pipeline.compare([*own, *searched])
    for path in (own[0], searched[0]):
        with pytest.raises(Incomparable, match="nothing to compare"):
            pipeline.compare([path])
    bundle = pipeline.export("mobilenet_v2", tmp_path / "bundle")
    with pytest.raises(Incomparable, match="Only profiles, searches and bench results"):
        pipeline.compare([bundle.folder, bundle.folder])


def test_of_an_assessments_folder_the_bench_counts(result: BenchResult, mobilenet: ModelConfig, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_profile(tmp_path / name / "profile.json", law_profile(mobilenet))
        (tmp_path / name / "bench.json").write_text(json.dumps(result_to_json(result)))
    _, (latency, _) = pipeline.compare([tmp_path / "one", tmp_path / "two"])
    assert [cell(latency, i, "file") for i in (0, 1)] == ["one/bench.json", "two/bench.json"]
    for name in ("a", "b"):
        write_profile(tmp_path / "both" / f"{name}.profile.json", law_profile(mobilenet))
    with pytest.raises(Incomparable, match="holds several"):
        pipeline.compare([tmp_path / "both", tmp_path / "one"])


def test_shipped_profiles_have_their_own_names_and_doubts(
    mobilenet: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "_best", lambda *_: {})
    law, name = law_profile(mobilenet), "mobilenet_v2-sim-phone"
    (own,) = profiles(tmp_path, msgspec.structs.replace(law, warnings=()))
    _, (devices, elsewhere) = pipeline.compare([name, own])
    assert [row[0] for row in devices.rows] == [name, "0.json"] and f"on {name} (ms)" in elsewhere.head
    assert cell(devices, 0, "device") == "sim:phone"
    assert [cell(devices, i, "trust") for i in (0, 1)] == ["trustworthy", "trustworthy"]
    (doubted,) = profiles(tmp_path, law)
    _, (devices, _) = pipeline.compare([name, doubted])
    assert [cell(devices, i, "trust") for i in (0, 1)] == ["trustworthy", "doubtful"]
    (note,) = [note for note in devices.notes if note.startswith("0.json")]
    assert "the profile is doubtful (1 warning: made by hand)" in note and note.endswith("; profile again")


def test_names_are_as_short_as_tells_them_apart() -> None:
    assert short_names([Path("a/x.json"), Path("a/y.json")]) == ["x.json", "y.json"]
    assert short_names([Path("a/x.json"), Path("b/x.json")]) == ["a/x.json", "b/x.json"]
    assert short_names([Path("x.json"), Path("x.json")]) == ["x.json#1", "x.json#2"]


@pytest.mark.parametrize("name", ["profile.json", "mobilenet_v2-sim-phone", "1-shared"])
def test_a_file_beside_itself_is_named_in_one_piece(name: str) -> None:
    names = short_names([Path(name)] * 2)
    lines = fitted(
        Page(Table(["file", *(f"on {name} (ms)" for name in names)], [[names[0], 1.0, 2.0]])), 80, colour=False
    )
    assert all(any(name in line.split() for line in lines) for name in names), lines


def test_the_command_prints_and_writes_a_page(result: BenchResult, program: Program, tmp_path: Path) -> None:
    paths = files(tmp_path, result, slower(result, 1.5))
    done = program("compare", *paths, "--html", tmp_path / "c.html")
    assert done.code == 0 and "+50.0 %" in done.out and f"the page is {tmp_path / 'c.html'}" in done.err
    assert "What differs, and by how much" in (tmp_path / "c.html").read_text()
    assert json.loads(program("compare", *paths, "--json").out)[0]["title"] == "latency"
    refused = program("compare", paths[0])
    assert refused.code == 2 and "nothing to compare" in refused.err and refused.err.count("\n") == 1


def test_a_comparisons_page_has_the_files_timelines_too(result: BenchResult, tmp_path: Path) -> None:
    paths = files(tmp_path, result, slower(result, 1.5))
    read, sheets = pipeline.compare(paths)
    text = page_text(read, sheets=sheets)
    assert text.count('class="gantt"') == 2 and text.index("What differs") < text.index("One inference")
