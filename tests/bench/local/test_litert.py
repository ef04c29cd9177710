"""Real LiteRT on CPU units: right numbers whether lanes run in turns or at once, and typed refusals."""

import dataclasses
import hashlib
import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from syncnas_bench import (
    Call,
    HostDevice,
    Job,
    Lane,
    ModelRejected,
    PlanError,
    Run,
    RuntimeMismatch,
    RuntimeMissing,
    Step,
    Unit,
    UnitUnavailable,
    seeded_input,
)
from syncnas_bench.environment import Environment
from syncnas_bench.local.host import find_litert
from tests.support.bench_cases import SHAPE, VALUES, Collector, branches, only_child, plan_of, write_branches

pytestmark = pytest.mark.needs("host units")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_branches(tmp_path_factory.mktemp("models") / "branches %1.tflite")


def reference(model: Path) -> np.ndarray:
    """The outputs of both lanes by LiteRT's Python interpreter, one after the other."""
    interpreter = Interpreter(str(model), num_threads=1)

    def run(name: str, *inputs: np.ndarray) -> np.ndarray:
        runner = interpreter.get_signature_runner(name)
        (output,) = runner(**dict(zip(("x", "y"), inputs, strict=False))).values()
        return np.asarray(output)

    left, right = (run(f"{s}0", seeded_input(3, 0, f"{s}0", 0, SHAPE)) for s in ("left", "right"))
    return np.concatenate([run("left1", left, right).ravel(), run("right1", right, left).ravel()])


def solo_step(signature: str = "left0", **fields: object) -> Step:
    job = Job.solo("job", 0, Call(0, 0, signature))
    return Step("step", (dataclasses.replace(job, **fields),), rounds=2)  # type: ignore[arg-type]


def test_concurrent_equals_serial_equals_interpreter(model: Path, tmp_path: Path) -> None:
    at_once, in_turns = tmp_path / "at once.f32", tmp_path / "in turns.f32"
    step = Step(
        "net",
        (
            Job("at_once", branches(), output=at_once),
            Job("in_turns", branches(), serial=True, output=in_turns),
        ),
        rounds=20,
        discard=1,
    )
    runs = Collector()
    HostDevice().run(plan_of("cpu:1 cpu:2", step, files=(model,), seed=3), on_run=runs)
    assert at_once.read_bytes() == in_turns.read_bytes()
    got = np.fromfile(at_once, "<f4")
    np.testing.assert_allclose(got, reference(model), rtol=0, atol=1e-5)
    for job in runs[0].jobs:
        assert job.output.bytes == 2 * 4 * VALUES
        assert job.output.finite
        assert job.output.sha256 == hashlib.sha256(at_once.read_bytes()).hexdigest()
        assert all(lane.buffer_type == 1 for lane in job.lanes), "features are not in host memory"


def test_lanes_in_turns_never_overlap(model: Path) -> None:
    runs = Collector()
    step = Step("net", (Job("j", branches(), serial=True),), rounds=20)
    HostDevice().run(plan_of("cpu:1 cpu:1", step, files=(model,)), on_run=runs)
    calls = [runs[0].job("j").call(lane, phase) for phase in (0, 1) for lane in (0, 1)]
    for earlier, later in itertools.pairwise(calls):
        assert (earlier.end_ns <= later.begin_ns).all()


def test_no_lane_starts_before_both_features_are_ready(model: Path) -> None:
    runs = Collector()
    step = Step("net", (Job("j", branches()),), rounds=50)
    HostDevice().run(plan_of("cpu:1 cpu:1", step, files=(model,)), on_run=runs)
    job = runs[0].job("j")
    for lane in (0, 1):
        for other in (0, 1):
            assert (job.call(lane, 1).begin_ns >= job.call(other, 0).arrive_ns).all()
    later = [np.maximum(job.call(0, p).end_ns, job.call(1, p).end_ns) for p in (0, 1)]
    begins = np.maximum(job.call(0, 1).begin_ns, job.call(1, 1).begin_ns)
    assert (job.sync_overhead_us(0) == (begins - later[0]) / 1e3).all()


def test_input_file_feeds_all_external_inputs_in_order(model: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(2 * VALUES).astype("<f4")
    given, out = tmp_path / "in.f32", tmp_path / "out.f32"
    given.write_bytes(values.tobytes())
    lanes = (Lane(0, (Call(0, 0, "left0"),)), Lane(1, (Call(0, 0, "left0"),)))
    step = Step("s", (Job("j", lanes, input=given, output=out),), rounds=1)
    HostDevice().run(plan_of("cpu:1 cpu:1", step, files=(model,)), on_run=Collector())
    interpreter = Interpreter(str(model))
    runner = interpreter.get_signature_runner("left0")
    expected = [next(iter(runner(x=half.reshape(SHAPE)).values())).ravel() for half in np.split(values, 2)]
    np.testing.assert_allclose(np.fromfile(out, "<f4"), np.concatenate(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [4 * VALUES - 4, 4 * VALUES + 4])
def test_input_file_of_another_size_is_refused(model: Path, tmp_path: Path, size: int) -> None:
    given = tmp_path / "in.f32"
    given.write_bytes(bytes(size))
    with pytest.raises(PlanError, match="than the 18432 bytes of job job"):
        HostDevice().run(plan_of("cpu:1", solo_step(input=given), files=(model,)), on_run=Collector())


def test_many_jobs_of_one_signature_keep_their_own_outputs(model: Path) -> None:
    jobs = tuple(Job.solo(f"j{i}", 0, Call(0, 0, f"{side}0")) for i, side in enumerate(("left", "right") * 4))
    runs = Collector()
    step = Step("s", jobs, rounds=3, discard=1)
    HostDevice().run(plan_of("cpu:1", step, files=(model,)), on_run=runs)
    digests = [job.output.sha256 for job in runs[0].jobs]
    assert len(set(digests[::2])) == len(set(digests[1::2])) == 1
    assert digests[0] != digests[1]


def test_missing_library(model: Path, tmp_path: Path) -> None:
    plan = plan_of("cpu:1", solo_step(), files=(model,), runtime=tmp_path / "libLiteRt.so")
    with pytest.raises(RuntimeMissing, match="cannot be loaded"):
        HostDevice().run(plan, on_run=Collector())


def test_library_of_another_kind_names_the_missing_symbol(model: Path) -> None:
    plan = plan_of("cpu:1", solo_step(), files=(model,), runtime=Path("libm.so.6"))
    with pytest.raises(RuntimeMismatch, match="has no function LiteRtCreateEnvironment"):
        HostDevice().run(plan, on_run=Collector())


def test_litert_variable_comes_first(tmp_path: Path) -> None:
    library = tmp_path / "libLiteRt.so"
    with pytest.raises(RuntimeMissing, match="SYNCNAS_LITERT"):
        find_litert(Environment({"SYNCNAS_LITERT": str(library)}).litert)
    library.write_bytes(b"")
    assert find_litert(Environment({"SYNCNAS_LITERT": str(library)}).litert) == library


@pytest.mark.parametrize("length", [0, 7, 8, 100, 1000, -1000, -1])
def test_truncated_model(model: Path, tmp_path: Path, length: int) -> None:
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(model.read_bytes()[:length])
    with pytest.raises(ModelRejected, match=r"cut\.tflite"):
        HostDevice().run(plan_of("cpu:1", solo_step(), files=(cut,)), on_run=Collector())


def test_not_a_model(tmp_path: Path) -> None:
    text = tmp_path / "model.tflite"
    text.write_text("this is not a flatbuffer")
    with pytest.raises(ModelRejected, match=r"is not a \.tflite file"):
        HostDevice().run(plan_of("cpu:1", solo_step(), files=(text,)), on_run=Collector())
    with pytest.raises(ModelRejected, match="cannot be read"):
        HostDevice().run(plan_of("cpu:1", solo_step(), files=(tmp_path / "none",)), on_run=Collector())


@pytest.mark.parametrize(("signature", "reason"), [("left9", "has no signature left9"), ("left1", "2 inputs and 1")])
def test_signature_is_not_what_the_plan_says(model: Path, signature: str, reason: str) -> None:
    with pytest.raises(ModelRejected, match=reason):
        HostDevice().run(plan_of("cpu:1", solo_step(signature), files=(model,)), on_run=Collector())


def test_hardware_gpu_is_refused_where_there_is_none(model: Path) -> None:
    device = HostDevice(
        environment=Environment({**os.environ, "VK_DRIVER_FILES": "/none.json", "VK_ICD_FILENAMES": "/none.json"})
    )
    with pytest.raises(UnitUnavailable, match="gpu:software"):
        device.run(plan_of("gpu", solo_step(), files=(model,)), on_run=Collector())


def test_core_that_may_not_be_used(model: Path) -> None:
    plan = plan_of("cpu:1@1023", solo_step(), files=(model,))
    with pytest.raises(UnitUnavailable, match="1023"):
        HostDevice().run(plan, on_run=Collector())


def test_launch_says_what_ran(model: Path, tmp_path: Path) -> None:
    library = find_litert()
    runs = Collector()
    launch = HostDevice().run(plan_of("cpu:1", solo_step(), files=(model,)), on_run=runs)
    assert (launch.litert, launch.exit) == (str(library), "0")
    assert [(unit.unit, unit.models) for unit in launch.units] == [("cpu:1", 1)]
    metadata = runs[0].metadata
    assert metadata["launch_id"] == launch.launch_id
    assert metadata["device"]["name"] == "host"
    assert metadata["condition_before"]["monotonic_ns"] < runs[0].jobs[0].t0_ns[0]
    assert metadata["condition_after"]["monotonic_ns"] > runs[0].jobs[0].t0_ns[-1]


def test_pinned_unit_and_its_workers_stay_on_their_core(model: Path) -> None:
    core = max(os.sched_getaffinity(0))
    allowed = []

    def look(run: Run) -> None:
        for status in Path(f"/proc/{only_child()}/task").glob("*/status"):
            lines = status.read_text().splitlines()
            allowed.append(next(line.split()[1] for line in lines if line.startswith("Cpus_allowed_list")))

    unit = Unit("cpu", threads=2, cores=(core,))
    HostDevice().run(plan_of(str(unit), solo_step(), files=(model,)), on_run=look)
    assert allowed.count(str(core)) >= 2, "the unit's thread and one XNNPACK worker"


def test_model_path_with_odd_characters(model: Path, tmp_path: Path) -> None:
    odd = tmp_path / "ä %20 \t-.tflite"
    shutil.copy(model, odd)
    runs = Collector()
    HostDevice().run(plan_of("cpu:1", solo_step(), files=(odd,)), on_run=runs)
    assert runs[0].jobs[0].output.finite
