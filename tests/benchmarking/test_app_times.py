"""An app's own times beside a bench: what the library writes is read back, and nothing else is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncnas_bench.local.host import find_litert
from syncnas_deploy import pipeline
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.errors import AppTimesError
from syncnas_deploy.networks.config import branched
from tests.support.app_cases import app, run_app
from tests.support.picture_cases import small_config
from tests.support.program import Program


@pytest.fixture(scope="module")
def written(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = app() or pytest.skip("no C compiler (Debian: gcc libc6-dev)")
    path = tmp_path_factory.mktemp("t") / "app.json"
    done = run_app(program, "measure", find_litert(), bundle.folder, 30, path)
    assert done.returncode == 0, done.stdout + done.stderr
    return path


def test_what_an_app_wrote_is_read_back(bundle: Bundle, written: Path) -> None:
    times = pipeline.app_times(written, bundle)
    assert times.units == ("cpu:1", "cpu:1")
    row = json.loads(written.read_text().splitlines()[1])["jobs"][0]
    assert times.makespan.samples_us == tuple(ns / 1e3 for ns in row["makespan_ns"])
    assert len(times.makespan.samples_us) == 30


@pytest.mark.needs("host units")
def test_bench_lays_it_beside(bundle: Bundle, written: Path, program: Program) -> None:
    words = ("bench", bundle.folder, "--device", "host", "--unit", "cpu:1", "--unit", "cpu:2", "--samples", 12)
    shown = program(*words, "--launches", 1, "--from", written)
    assert shown.code in (0, 6), shown.err  # a busy machine makes it worthless
    assert "in the app, on cpu:1 + cpu:1: " in shown.out
    assert " ms here on cpu:1 + cpu:2" in shown.out
    assert len(json.loads(program(*words, "--launches", 1, "--from", written, "--json").out)["app"]["samples_us"]) == 30


def test_a_report_lays_it_beside(bundle: Bundle, written: Path, program: Program, tmp_path: Path) -> None:
    done = program("report", bundle.folder, written, "--html", tmp_path / "p.html")
    assert done.code == 0 and "in the app, on cpu:1 + cpu:1: " in done.out
    assert "in an app, on cpu:1 and cpu:1" in (tmp_path / "p.html").read_text()
    assert json.loads(program("report", written, bundle.folder, "--json").out)["apps"][0]["units"] == ["cpu:1", "cpu:1"]
    pipeline.export(branched(small_config(), "nnc"), tmp_path / "other")
    reasons = {(): "name the bundle that it ran", (tmp_path / "other",): "is not what an app measured of "}
    for others, says in reasons.items():
        refused = program("report", *others, written)
        assert refused.code == 3 and says in refused.err and refused.err.count("\n") == 1


def _cut(lines: list[str]) -> list[str]:
    return lines[:-1]


def _change(old: str, new: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [line.replace(old, new, 1) for line in lines]


def _sealed(change: Callable[[Any, Any], object]) -> Callable[[list[str]], list[str]]:
    """Change header and row, and give them a trailer that fits."""

    def spoil(lines: list[str]) -> list[str]:
        header, row, trailer = (json.loads(line) for line in lines)
        change(header["header"], row)
        first, second = json.dumps(header), json.dumps(row)
        trailer["trailer"]["sha256"] = hashlib.sha256(f"{first}\n{second}\n".encode()).hexdigest()
        return [first, second, json.dumps(trailer)]

    return spoil


def _all(value: object) -> Callable[[Any, Any], object]:
    """All times of all runs alike."""

    def change(_header: Any, row: Any) -> None:
        (job,) = row["jobs"]
        job["makespan_ns"] = [value] * 30
        for phase in (phase for lane in job["lanes"] for phase in lane["phases"]):
            phase.update({name: [value] * 30 for name in ("begin_ns", "end_ns", "arrive_ns")})

    return change


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_sealed(_all(0)), "a run takes no time, or begins before the one before it ends)"),
        (_sealed(_all(2**61)), "a run takes no time, or begins before the one before it ends)"),
        (_sealed(_all(-5)), "is not all ns counts)"),
        (_sealed(_all(float("nan"))), "is not all ns counts)"),
        (_sealed(_all(1.5)), "is not all ns counts)"),
        (_sealed(_all("1000")), "is not all ns counts)"),
        (_sealed(lambda _, row: row["jobs"][0]["t0_ns"].reverse()), "begins before the one before it ends)"),
        (_sealed(lambda header, _: header.update(app=["cpu:1"])), "unit 1, but the plan has 1)"),
        (_sealed(lambda header, _: header.update(units=[])), "the app's header does not list the plan's units)"),
        (_sealed(lambda header, _: header.update(app=["x" * 10**7])), "unit 'xxx"),
        (_sealed(lambda header, _: header.update(litert=["x" * 10**7])), "does not tell which LiteRT it has)"),
        (_sealed(lambda _, row: row["jobs"][0].update(job="x" * 10**7)), "its jobs are not the step's)"),
        (_sealed(lambda _, row: row["jobs"][0]["output"].pop("sha256")), "the app's row is malformed: 'sha256' is"),
        (lambda lines: [*lines, lines[-1]], "the app wrote more after its trailer)"),
        (lambda lines: [lines[0], '{"error":{"kind":"run","message":"x; y"}}'], "no header and row of an app"),
        (_cut, "the app's output ended without a trailer after 1 rows)"),
        (_change('"phase":1', '"phase":7'), "has other lanes or phases"),
        (_change('"makespan_ns":[', '"makespan_ns":[1,'), "has 31 samples instead of 30"),
        (_change('"app"', '"apps"'), "its first lines are no header and row of an app"),
        (_change('"cpu:1"', '"npu"'), "npu"),
        (_change('"setup_ms":', '"setup_ms":1'), "do not have the trailer's sha256"),
        (lambda _: ["{}"], "its first lines are no header and row of an app"),
        (lambda _: ["[" * 100_000, "{"], "its first lines are no header and row of an app"),
        (lambda _: [], "its first lines are no header and row of an app"),
    ],
)
def test_what_is_no_apps_times_is_refused(
    spoil: Callable[[list[str]], list[str]], reason: str, bundle: Bundle, written: Path
) -> None:
    Path("app.json").write_text("".join(f"{line}\n" for line in spoil(written.read_text().splitlines())))
    with pytest.raises(AppTimesError) as caught:
        pipeline.app_times(Path("app.json"), bundle)
    message = str(caught.value)
    assert message.startswith("app.json: is not what an app measured of small_nca (") and len(message) < 1100
    assert reason in message and "runner" not in message
    assert message.endswith(", with the module that `syncnas-deploy app` makes of this bundle.")


@pytest.mark.parametrize("version", [0, 99, "7"])
def test_a_library_of_another_version_is_named(version: object, bundle: Bundle, written: Path, tmp_path: Path) -> None:
    lines = _sealed(lambda header, _: header.update(plan=version))(written.read_text().splitlines())
    (tmp_path / "old.json").write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(AppTimesError, match=r"old\.json: was written by a library of another version; make the app's"):
        pipeline.app_times(tmp_path / "old.json", bundle)


def test_another_network_and_no_file_are_refused(
    written: Path, bundle: Bundle, program: Program, tmp_path: Path
) -> None:
    base = pipeline.export("mobilenet_v2", tmp_path / "base")
    refused = program("bench", base.folder, "--device", "host", "--from", written)
    assert refused.code == 3
    assert "is not what an app measured of " in refused.err
    refused = program("bench", bundle.folder, "--device", "host", "--from", tmp_path / "absent.json")
    assert refused.code == 4
    assert "cannot be read (No such file or directory); give the file that the app wrote." in refused.err
