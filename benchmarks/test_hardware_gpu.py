"""The benchmark of a hardware GPU: what holds without one."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.hardware_gpu import pack as packing
from benchmarks.hardware_gpu.__main__ import main
from benchmarks.hardware_gpu.budget import Size, Speed, choose
from benchmarks.hardware_gpu.crossings import SIZES_BYTES, doubling
from benchmarks.hardware_gpu.networks import speed_sizes
from benchmarks.hardware_gpu.pack import PackError, pack
from benchmarks.hardware_gpu.place import check_adapter, check_gpu, cpu_unit
from benchmarks.hardware_gpu.plan import STEPS
from benchmarks.hardware_gpu.profiles import overlap_sizes, prediction_sizes, profile_sizes
from benchmarks.hardware_gpu.rows import FILE, Rows, RowsError, read_rows
from benchmarks.hardware_gpu.session import NoGpu, Session, Step, at_pixels, perform
from benchmarks.hardware_gpu.table import pays, table
from syncnas_bench import HostDevice, RunnerCrashed, Unit, UnitUnavailable
from syncnas_bench.local.vulkan import Adapter
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import load_config
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[1]
LAVAPIPE, CARD = Adapter("llvmpipe", "cpu", "1.3.0"), Adapter("Card 7", "discrete", "1.3.274")


def test_rows_read_back_wherever_the_last_line_is_cut(tmp_path: Path) -> None:
    rows = Rows(tmp_path, software=True)
    for number in range(3):
        rows.add("speed", "value", number=number, text="Grüße")
    rows.close()
    whole = (tmp_path / FILE).read_bytes()
    before = whole[:-1].rindex(b"\n") + 1
    for end in range(before, len(whole) + 1):
        (tmp_path / FILE).write_bytes(whole[:end])
        found = read_rows(tmp_path)
        assert [row["number"] for row in found] == ([0, 1, 2] if end == len(whole) else [0, 1])
        assert all(row["software"] for row in found)


def test_a_damaged_line_before_others_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"at_s":0,"software":true,"step":"a","kind":"b"}\nnonsense\n{}\n')
    with pytest.raises(RowsError, match="line 2 is damaged"):
        read_rows(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "\udcff\udcfe",
        "[" * 100_000,
        '{"at_s":"1","software":true,"step":"a","kind":"b"}',
        '{"at_s":NaN,"software":true,"step":"a","kind":"b"}',
        '{"at_s":1,"software":true,"step":"a","kind":"\\ud800"}',
        "[]",
    ],
)
def test_a_whole_line_that_is_no_row_is_told_even_where_it_is_the_last(tmp_path: Path, line: str) -> None:
    (tmp_path / FILE).write_bytes(line.encode(errors="surrogateescape") + b"\n")
    with pytest.raises(RowsError, match="line 1 is damaged; restore"):
        read_rows(tmp_path)


def test_rows_are_never_mixed(tmp_path: Path) -> None:
    Rows(tmp_path, software=False).close()
    with pytest.raises(RowsError, match="has rows already"):
        Rows(tmp_path, software=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(RowsError, match=r"file: cannot be made a folder \(File exists\)"):
        Rows(tmp_path / "file", software=False)


@pytest.mark.parametrize("minutes", ["0", "inf", "nan", "1e308"])
def test_minutes_that_no_run_has_are_refused(tmp_path: Path, minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--software", "--minutes", minutes, "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "--minutes is not above 0 and at most 1440; give 5, say.\n"
    assert not (tmp_path / "out").exists()


def test_a_software_gpu_is_refused_unless_asked_for() -> None:
    driver = Path("/icd.json")
    with pytest.raises(NoGpu, match=r"software one \(llvmpipe\).*give --software"):
        check_gpu(software=False, adapters=lambda: (LAVAPIPE,), icd=lambda: None)
    with pytest.raises(NoGpu, match="software one"):
        check_gpu(software=False, adapters=lambda: (), icd=lambda: driver)
    with pytest.raises(NoGpu, match="No Vulkan GPU is here"):
        check_gpu(software=False, adapters=lambda: (), icd=lambda: None)
    with pytest.raises(NoGpu, match="No software Vulkan driver"):
        check_gpu(software=True, adapters=lambda: (CARD,), icd=lambda: None)
    check_gpu(software=True, adapters=lambda: (), icd=lambda: driver)
    check_gpu(software=False, adapters=lambda: (LAVAPIPE, CARD), icd=lambda: driver)


def test_a_software_gpu_that_litert_takes_all_the_same_is_refused(tmp_path: Path, mobilenet: ModelConfig) -> None:
    soft = "SwiftShader Device (Subzero), backend=Vulkan, adapterType=CPU / Software"
    with pytest.raises(NoGpu, match="LiteRT takes a software one"):
        check_adapter(soft, software=False)
    check_adapter(soft, software=True)
    check_adapter("Card 7, backend=Vulkan, adapterType=discrete GPU", software=False)
    check_adapter("", software=False)

    def refuse(*_: object) -> None:
        check_adapter(soft, software=False)

    session = session_of(tmp_path, mobilenet)
    with pytest.raises(NoGpu):
        perform(Step("place", "place", 0.5, lambda _: [Size(1.0)], refuse), session, lambda _: None)
    session.rows.close()
    assert [row["kind"] for row in read_rows(tmp_path)] == ["begin", "error"]


def test_the_command_says_it_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*, software: bool) -> None:
        check_gpu(software=software, adapters=lambda: (LAVAPIPE,), icd=lambda: None)

    monkeypatch.setattr("benchmarks.hardware_gpu.__main__.check_gpu", refuse)
    assert main(["--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert main(["--table", str(tmp_path)]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_the_largest_size_that_fits_is_chosen() -> None:
    sizes = [Size(100, 5), Size(40, 3), Size(10, 1)]
    assert choose(sizes, 200, 200) == sizes[0]
    assert choose(sizes, 200, 60) == sizes[1]
    assert choose(sizes, 39, 200) == sizes[2]
    assert choose(sizes, 20, 5) == sizes[2], "its share is too small for any size, and there is time"
    assert choose(sizes, 9, 200) is None


def test_more_minutes_are_never_less_and_few_skip_the_last_steps(mobilenet: ModelConfig) -> None:
    speed = Speed(cpu_us=3_000, gpu_us=1_500, call_us=200, setup_s=2, network_s=0.5)
    ran: list[int] = []
    for minutes in (0.1, 0.5, 1, 2, 5, 15):
        left_s, done = 60 * minutes, 0
        for step in STEPS:
            size = choose(step.sizes(speed), left_s, step.share * 60 * minutes)
            left_s -= size.cost_s if size else 0
            done += size is not None
        assert left_s >= 0
        ran.append(done)
    assert ran == sorted(ran)
    assert ran[0] < ran[-1] == len(STEPS)


@pytest.mark.parametrize("sizes", [speed_sizes, profile_sizes, prediction_sizes, overlap_sizes])
def test_sizes_are_ordered_and_cost_more_on_slower_units(sizes: object) -> None:
    assert callable(sizes)
    quick, slow = sizes(Speed()), sizes(Speed(gpu_us=300_000, call_us=3_000))
    for found in (quick, slow):
        costs = [size.cost_s for size in found]
        assert costs == sorted(costs, reverse=True)
    assert all(a.cost_s < b.cost_s for a, b in zip(quick, slow, strict=True))


def session_of(folder: Path, base: ModelConfig, limit_s: float = 60.0) -> Session:
    network = load_config("syncnas_mobilenet_v2_100")
    rows = Rows(folder, software=True)
    return Session(HostDevice(), Unit("cpu"), True, rows, folder, limit_s, base, network)


def test_a_failing_step_ends_nothing_but_itself(tmp_path: Path, mobilenet: ModelConfig) -> None:
    session, said = session_of(tmp_path, mobilenet), list[str]()

    def crash(*_: object) -> None:
        raise RunnerCrashed("the runner died by SIGSEGV.")

    def odd(*_: object) -> None:
        raise KeyError("x")

    for name, run in (("speed", crash), ("calls", odd), ("overlap", lambda *_: None)):
        perform(Step(name, name, 0.5, lambda _: [Size(1.0)], run), session, said.append)
    perform(Step("profile", "profile", 0.5, lambda _: [Size(999.0)], crash), session, said.append)
    session.rows.close()
    rows = read_rows(tmp_path)
    assert [(row["step"], row["kind"]) for row in rows] == [
        ("speed", "begin"),
        ("speed", "error"),
        ("calls", "begin"),
        ("calls", "error"),
        ("overlap", "begin"),
        ("overlap", "end"),
        ("profile", "skipped"),
    ]
    text = table(rows)
    assert "failed: the runner died by SIGSEGV." in text
    assert "failed: KeyError: 'x'" in text
    assert "skipped, it needs 999.0 s" in text
    assert any("skipped" in line for line in said)


def test_a_run_that_is_stopped_says_so_and_leaves_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.hardware_gpu.__main__.check_gpu", lambda **_: None)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    try:
        for number in numbers:
            out, step = tmp_path / number.name, Step("calls", "calls", 0.5, lambda _: [Size(1.0)], _stop_by(number))
            monkeypatch.setattr("benchmarks.hardware_gpu.__main__.STEPS", (step,))
            assert main(["--software", "--out", str(out)]) == 130
            assert "cut short" in (out / "table.txt").read_text()
            assert "stopped; this is what is there" in capsys.readouterr().err
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full to write to")
def test_a_full_disk_ends_the_run_and_the_table_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(session: Session, *_: object) -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, session.rows._file)
        session.rows.add("calls", "call")

    monkeypatch.setattr("benchmarks.hardware_gpu.__main__.check_gpu", lambda **_: None)
    step = Step("calls", "calls", 0.5, lambda _: [Size(1.0)], fill)
    monkeypatch.setattr("benchmarks.hardware_gpu.__main__.STEPS", (step,))
    assert main(["--software", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert "rows cannot be written any more (No space left on device); what was written is kept." in said.err
    assert "cut short" in said.out


def _stop_by(number: signal.Signals) -> Callable[..., None]:
    return lambda *_: signal.raise_signal(number)


def test_networks_for_small_images_are_the_same_but_for_size(mobilenet: ModelConfig) -> None:
    small = at_pixels(mobilenet, 64)
    assert small.input_size == 64
    assert at_pixels(small, 224) == mobilenet
    two = load_config("syncnas_mobilenet_v2_100")
    assert at_pixels(at_pixels(two, 64), 224) == two


@pytest.mark.parametrize("bytes_", SIZES_BYTES)
def test_the_crossing_graphs_have_the_bytes_they_are_named_by(bytes_: int) -> None:
    graph = doubling(bytes_)
    count = 1
    for n in graph.tensors[graph.outputs[0]].shape:
        count *= n
    assert 4 * count == bytes_


def call_row(software: bool) -> dict[str, object]:
    ns = {"run": [100_000, 300_000, 200_000], "read": [900_000] * 3, "read_again": [50_000] * 3}
    return {
        "at_s": 12.0,
        "software": software,
        "step": "calls",
        "kind": "call",
        "unit": "gpu",
        "model": "base",
        "output_bytes": 4000,
        "ns": ns | {"copy": [1_000] * 3, "write": [2_000] * 3},
    }


@pytest.mark.parametrize("software", [True, False])
def test_the_table_shows_what_the_rows_say(software: bool) -> None:
    text = table(
        [
            call_row(software),
            {"at_s": 12.5, "software": software, "step": "calls", "kind": "end", "seconds": 7.0},
            {
                "at_s": 13.0,
                "software": software,
                "step": "overlap",
                "kind": "bench",
                "row": [1500.0, 1.01, 1.6, 1.7, 1.8, 1.9],
            },
        ]
    )
    assert ("SOFTWARE GPU" in text) is software
    assert re.search(r"^  gpu +base +4,000 +200\.0 +900\.0 +50\.0 +850\.0 +1\.0 +2\.0$", text, re.MULTILINE)
    assert re.search(r"^  median +1,500\.0 +1\.010 +1\.600 +1\.700 +1\.800 +1\.900$", text, re.MULTILINE)
    assert "where a GPU call's time goes" in text
    assert ", 7 s" in text
    assert ": cut short" in text
    assert text.endswith("3 rows, the last after 13 s")


NOISY = {"base_gpu": [2000.0] * 3, "base_cpu": [1000.0, 1010.0, 990.0], "base_cpu_again": [1000.0, 980.0, 1000.0]}


@pytest.mark.parametrize(
    "network, said",
    [
        ([900.0, 900.0, 900.0], "this network is faster on both units (launches 0.891 to 0.909, A/A within 0.5 %)"),
        ([987.0, 1000.0, 987.0], "too close to tell (launches 0.987 to 0.997, A/A within 0.5 %)"),
        ([900.0, 900.0, 1200.0], "too close to tell (launches 0.891 to 1.212, A/A within 0.5 %)"),
        (
            [1200.0, 1200.0, 1200.0],
            "this network does not pay on these units (launches 1.188 to 1.212, A/A within 0.5 %)",
        ),
    ],
)
def test_the_verdict_needs_every_launch_and_more_than_noise(network: list[float], said: str) -> None:
    again = [us / 0.995 for us in network]
    assert pays({**NOISY, "network": network, "network_again": again}) == said


def test_a_cpu_unit_that_cannot_be_measured_is_refused() -> None:
    device = HostDevice()
    with pytest.raises(UnitUnavailable, match="--cpu gpu is no CPU; name one like cpu:1@"):
        cpu_unit(device, "gpu")
    with pytest.raises(UnitUnavailable, match="has cores that this process may not use; choose among"):
        cpu_unit(device, "cpu:2@0,63")
    assert cpu_unit(device, None).kind == "cpu"


def test_rows_that_make_no_sense_do_not_hide_the_others() -> None:
    odd: dict[str, Any] = {"at_s": 1.0, "software": False, "step": "speed", "kind": "run", "run": {"jobs": 3}}
    for row in (odd, {**odd, "kind": "end"}, {**odd, "kind": "error", "error": 3}, {**odd, "kind": "skipped"}):
        text = table([row, call_row(False)])
        assert "these rows cannot be shown" in text
        assert "900.0" in text


def fake_wheels(folder: Path, python: str) -> None:
    with zipfile.ZipFile(folder / f"thing-1-py3-none-any-{python}.whl", "w") as wheel:
        wheel.writestr("thing.py", "")


@pytest.fixture(scope="module")
def mobilenet() -> ModelConfig:
    return load_config("mobilenet_v2")


@pytest.fixture
def packable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A loader; and skips where nothing can be packed."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("a folder is packed on Linux on x86_64")
    if not (ROOT / "bench/syncnas_bench/_native/x86_64-linux/syncnas-runner").is_file():
        pytest.skip("the native runner is not built: python hatch_build.py")
    loader = tmp_path / "libvulkan.so.1.3"
    loader.write_bytes(b"a loader")
    return loader


def test_a_packed_folder_starts_from_a_read_only_copy(packable: Path, tmp_path: Path) -> None:
    """The wheel is a fake: numpy and the like come from the environment of this interpreter."""
    version = f"3.{sys.version_info.minor}"
    folder = tmp_path / "gpu"
    said = pack(folder, version, download=fake_wheels, loader=packable)
    assert "MiB" in said
    assert (folder / "lib" / "libvulkan.so.1").read_bytes() == b"a loader"
    assert not list(folder.rglob("__pycache__"))
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    rows = Rows(tmp_path / "results", software=True)
    rows.add("calls", "skipped", needed_s=9.0, left_s=1.0)
    rows.close()
    work = tmp_path / "work"
    env = {"PATH": os.environ["PATH"], "PYTHON": sys.executable, "WORK": str(work)}
    command = ["sh", str(folder / "start.sh"), "--table", str(tmp_path / "results")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "SOFTWARE GPU" in done.stdout
    assert "skipped, it needs 9.0 s" in done.stdout
    assert (work / "site" / "thing.py").is_file()
    assert os.access(work / "code/syncnas_bench/_native/x86_64-linux/syncnas-runner", os.X_OK)


def test_a_pack_for_another_python_says_so(packable: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gpu"
    pack(folder, "3.99", download=fake_wheels, loader=packable)
    done = subprocess.run(["sh", str(folder / "start.sh")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == (
        "Python 3.99 is not found; name its interpreter in PYTHON, or pack again for the Python that is here.\n"
    )


def test_what_cannot_be_packed(packable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PackError, match="not a version"):
        pack(tmp_path / "a", "2.7", download=fake_wheels, loader=packable)
    with pytest.raises(PackError, match="not a version"):
        pack(tmp_path / "a", "3.٣٣", download=fake_wheels, loader=packable)
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file" / "sub", tmp_path / ("x" * 300)):
        with pytest.raises(PackError, match="cannot be made"):
            pack(wrong, "3.12", download=fake_wheels, loader=packable)

    def appear(wheels: Path, _: str) -> None:
        (tmp_path / "late").mkdir()
        (tmp_path / "late" / "thesis.txt").write_text("mine")

    with pytest.raises(PackError, match=r"late: cannot be made \(Directory not empty\)"):
        pack(tmp_path / "late", "3.12", download=appear, loader=packable)
    assert [path.name for path in (tmp_path / "late").iterdir()] == ["thesis.txt"]
    with pytest.raises(PackError, match="not empty"):
        pack(tmp_path, "3.12", download=fake_wheels, loader=packable)
    with pytest.raises(PackError, match="at most 0"):
        pack(tmp_path / "b", "3.12", download=fake_wheels, loader=packable, limit_mib=0)
    assert not (tmp_path / "b").exists()
    assert not list(tmp_path.glob(".pack-*"))
    monkeypatch.setattr(packing.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(PackError, match="pip is missing"):
        pack(tmp_path / "c", "3.12", loader=packable)
    monkeypatch.setattr(packing.platform, "machine", lambda: "aarch64")
    with pytest.raises(PackError, match="x86_64"):
        pack(tmp_path / "d", "3.12", download=fake_wheels, loader=packable)


WAITS = """#!/bin/sh
[ "$1" = - ] || exec PYTHON "$@"
shift
exec PYTHON -c 'import sys, time, zipfile
def wait(_):
    open(sys.argv[2] + "/begun", "w").close()
    time.sleep(600)
zipfile.ZipFile = wait
exec(sys.stdin.read())' "$@"
"""
"""A Python that never comes to the end of the first wheel."""

AS_A_TERMINAL_STARTS_IT = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
os.execvp("sh", ["sh", *sys.argv[1:]])
"""
"""The tests may be a job in the background, which ignores Ctrl-C and hands that down."""


@pytest.mark.parametrize(("number", "says"), [("INT", "stopped"), ("TERM", "Terminated"), ("HUP", "Hangup")])
def test_nothing_unpacked_is_left_when_it_is_stopped_at_once(
    packable: Path, tmp_path: Path, number: str, says: str
) -> None:
    folder, temporary, python = tmp_path / "gpu", tmp_path / "tmp", tmp_path / "python"
    pack(folder, f"3.{sys.version_info.minor}", download=fake_wheels, loader=packable)
    temporary.mkdir()
    python.write_text(WAITS.replace("PYTHON", sys.executable))
    python.chmod(0o755)
    env = {"PATH": os.environ["PATH"], "PYTHON": str(python), "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", AS_A_TERMINAL_STARTS_IT, str(folder / "start.sh")]
    started = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        wait_for(lambda: list(temporary.glob("*/begun")))
        os.killpg(started.pid, signal.Signals[f"SIG{number}"])
        _, said = started.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.communicate()
    assert started.returncode == 130
    assert said.strip() == says
    assert not list(temporary.iterdir())


def test_the_start_script_is_a_shell_script() -> None:
    script = ROOT / "benchmarks/hardware_gpu/start.sh"
    subprocess.run(["sh", "-n", str(script)], check=True)
    assert json.dumps(script.read_text()).count("@PYTHON@") >= 1
