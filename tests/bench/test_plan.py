"""Plans: what Python refuses to build, and what the runner refuses to read."""

from pathlib import Path

import pytest

from syncnas_bench import BenchPlan, Call, Job, Lane, PlanError, Spend, Step
from tests.support.bench_cases import branches, plan_of, run_text, sim_plan

CALL = Call(0, 0, "s")


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: Call(-1, 0, "s"), "phase"),
        (lambda: Call(0, 64, "s"), "file index"),
        (lambda: Call(0, 0, "a b"), "signature name"),
        (lambda: Call(0, 0, "s" * 96), "signature name"),
        (lambda: Call(0, 0, "s", ()), "inputs"),
        (lambda: Call(0, 0, "s", ("other",)), "none of external"),  # type: ignore[arg-type]
        (lambda: Spend(float("nan")), "a time is in"),
        (lambda: Spend(1, -1), "a time is in"),
        (lambda: Spend(shared=1.1), "a share is in"),
        (lambda: plan_of("sim:a", Step("s", (Job.solo("j", 0, CALL),)), simulation=("a", "b")), "for each unit"),
        (lambda: plan_of("sim:a", Step("s", (Job.solo("j", 0, CALL),)), simulation=("a\nend",)), "NAME=NUMBER"),
        (lambda: Lane(0, ()), "at least one call"),
        (lambda: Lane(0, (Call(1, 0, "s"), Call(1, 0, "s"))), "ascend"),
        (lambda: Lane(0, (Call(0, 0, "s", ("own",)),)), "no earlier output"),
        (lambda: Job("j", ()), "lanes"),
        (lambda: Job("j", (Lane(0, (CALL,)), Lane(0, (CALL,)))), "both lanes"),
        (lambda: Job("j", (Lane(0, (Call(1, 0, "s"),)),)), "without gaps"),
        (lambda: Job("j", (Lane(0, (CALL, Call(1, 0, "s", ("partner",)))),)), "reads its partner"),
        (lambda: Step("s", ()), "jobs"),
        (lambda: Step("s", (Job.solo("j", 0, CALL), Job.solo("j", 0, CALL))), "same name"),
        (lambda: Step("s", (Job.solo("j", 0, CALL),), rounds=0), "rounds"),
        (lambda: Step("s", (Job.solo("j", 0, CALL),), repeats=0), "repeats"),
        (lambda: Step("s", (Job.solo("j", 0, CALL),), rounds=2000, repeats=501), "recorded runs"),
        (lambda: plan_of("cpu:1", Step("s", (Job.solo("j", 1, CALL),))), "runs on unit 1"),
        (lambda: plan_of("cpu:1", Step("s", (Job.solo("j", 0, CALL),))), "calls file 0"),
        (lambda: plan_of("sim:a", *[Step("s", (Job.solo("j", 0, CALL),))] * 2), "same name"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(build: object, reason: str) -> None:
    with pytest.raises(PlanError, match=reason):
        build()  # type: ignore[operator]


def test_real_unit_needs_a_runtime() -> None:
    plan = plan_of("cpu:1", Step("s", (Job.solo("j", 0, CALL),)), files=(Path("m.tflite"),))
    with pytest.raises(PlanError, match=r"libLiteRt\.so"):
        plan.to_text()


def test_text_of_a_plan() -> None:
    step = Step("net", (Job("both", branches(), serial=True, output=Path("out put")),), rounds=7, repeats=2, gap_us=3)
    plan = plan_of("cpu:2@0,1 gpu:fp16", step, files=(Path("/a b/ü%.tflite"),), runtime=Path("/l/libLiteRt.so"))
    assert plan.to_text(ack=True).splitlines() == [
        "syncnas-plan 5",
        "seed 0",
        "spin_us 200",
        "ack 1",
        "runtime /l/libLiteRt.so",
        "accelerators /l",
        "unit cpu 2 0,1",
        "unit gpu fp16 hardware",
        "file /a%20b/%C3%BC%25.tflite",
        "step net 7 0 2 3",
        "job both serial - out%20put",
        "lane 0",
        "call 0 0 left0 external",
        "call 1 0 left1 own,partner",
        "lane 1",
        "call 0 0 right0 external",
        "call 1 0 right1 own,partner",
        "end",
    ]


SIM_A = "unit sim a\n"


def sim_text() -> str:
    job = Job("net", branches())
    return plan_of("sim:a sim:b", Step("s", (job,), rounds=1)).to_text()


def test_runner_takes_the_unspoiled_text(tmp_path: Path) -> None:
    assert run_text(tmp_path, sim_text()).returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("syncnas-plan 5", "syncnas-plan 1", 1, "version 5"),
        ("syncnas-plan 5\n", "", 1, "first line"),
        ("seed 0", "seed -1", 2, "out of range"),
        ("seed 0", "seed x", 2, "whole number"),
        ("seed 0", "seed 0 0", 2, "wrong number of words"),
        ("spin_us 200", "spin_us 1e3", 3, "whole number"),
        ("spin_us 200", "", 3, "empty"),
        ("spin_us 200", "spun_us 200", 3, "not known"),
        (SIM_A, "unit sim a noise=nan\n", 5, "out of range"),
        (SIM_A, "unit sim a slowdown=0.5\n", 5, "out of range"),
        (SIM_A, "unit sim a slowdown=0x\n", 5, "number is expected"),
        (SIM_A, "unit sim a slowdown=\n", 5, "number is expected"),
        (SIM_A, "unit sim a noise\n", 5, "not NAME=NUMBER"),
        (SIM_A, "unit sim a run_us=1\n", 5, "not NAME=NUMBER"),
        (SIM_A, "unit sim a noise=0 noise=0\n", 5, "stands twice"),
        (SIM_A, "unit sim a/b\n", 5, "name holds"),
        (SIM_A, "unit sim " + "a" * 96 + "\n", 5, "longer than 95"),
        (SIM_A, "unit sim a" + " noise=0" * 10 + "\n", 5, "too many words"),
        (SIM_A, "unit npu a 1\n", 5, "a unit is"),
        (SIM_A, "unit cpu 0 -\n", 5, "out of range"),
        (SIM_A, "unit cpu 1 0,0\n", 5, "named twice"),
        (SIM_A, "unit gpu fp8 hardware\n", 5, "fp32 or fp16"),
        (SIM_A, "unit gpu fp16 soft\n", 5, "hardware or software"),
        (SIM_A, "power watts /a\n" + SIM_A, 5, "number is expected"),
        (SIM_A, "power 0 /a\n" + SIM_A, 5, "out of range"),
        (SIM_A, "power 1\n" + SIM_A, 5, "wrong number of words"),
        (SIM_A, "power 1 /a /b /c\n" + SIM_A, 5, "wrong number of words"),
        (SIM_A, "power 1 -\n" + SIM_A, 5, "path is missing"),
        (SIM_A, "power 1 /a\npower 1 /a\n" + SIM_A, 6, "told twice"),
        ("step s 1", "step s rounds", 7, "whole number"),
        ("step s 1", "step s 0", 7, "out of range"),
        ("step s 1 0 1 0", "step s 1 0 0 0", 7, "out of range"),
        ("step s 1 0 1 0", "step s 2000 0 501 0", 7, "more than 1000000 recorded runs"),
        ("job net concurrent - -", "job net parallel - -", 8, "concurrent or serial"),
        ("job net concurrent - -", "job net concurrent - - later", 8, "a job ends with: unread"),
        ("job net concurrent - -", "job net concurrent - - unread unread", 8, "wrong number of words"),
        ("job net concurrent - -", "job net concurrent %zz -", 8, "percent escape"),
        ("job net concurrent - -", "job net concurrent %00 -", 8, "percent escape"),
        ("lane 1", "lane 2", 12, "out of range"),
        ("lane 1", "lane 0", 15, "both lanes on one unit"),
        ("lane 1\n", "lane 1\nlane 1\n", 13, "more than two lanes"),
        ("call 1 0 left1 own,partner", "call 1 0 left1 own,other", 11, "external, own or partner"),
        ("call 1 0 left1 own,partner", "call 0 0 left1 own,partner", 15, "do not ascend"),
        ("call 1 0 left1 own,partner", "call 64 0 left1 own,partner", 11, "out of range"),
        ("call 0 0 left0 external", "call 0 0 left0 own", 15, "own input without"),
        ("call 0 0 right0 external", "call 0 0 right0 partner", 15, "partner input without"),
        ("call 0 0 left0 external", "call 0 0 left0 external run_us=inf", 10, "out of range"),
        ("call 0 0 left0 external", "call 0 0 left0 external shared=2", 10, "out of range"),
        ("call 0 0 left0 external", "call 0 0 left0 external run_us=1 run_us=1", 10, "stands twice"),
        ("call 0 0 left0 external", "call 0 0 left0 " + "external," * 8 + "external", 10, "than 8 inputs"),
        ("seed 0", "seed " + "0" * 9000, 2, "too long"),
        ("end\n", "end\nseed 1\n", 16, "after the end"),
        ("end\n", "end", 15, "whole line: end"),
    ],
)  # fmt: skip
def test_runner_refuses_a_spoiled_text(tmp_path: Path, old: str, new: str, line: int, reason: str) -> None:
    text = sim_text()
    assert old in text
    done = run_text(tmp_path, text.replace(old, new, 1))
    assert done.returncode == 2
    assert f"plan line {line}: " in done.stderr
    assert reason in done.stderr
    assert '{"error":{"kind":"plan",' in done.stdout


def test_runner_refuses_a_plan_cut_anywhere(tmp_path: Path) -> None:
    text = sim_text()
    for length in range(0, len(text) - 1, 11):
        assert run_text(tmp_path, text[:length]).returncode == 2, text[:length]


def test_every_limit_of_python_is_one_of_the_runner(tmp_path: Path) -> None:
    phases = tuple(Call(i, 63, "s" * 95, ("external",) * 8 if i == 0 else ("own",)) for i in range(64))
    job = Job("j" * 95, (Lane(7, phases),))
    step = Step("t" * 95, (job,), rounds=1, discard=1000, repeats=1000, gap_us=0)
    plan = BenchPlan(plan_of("sim:a", *sim_plan().steps).units * 8, (), (step,), seed=2**63 - 1, spin_us=10**6)
    assert run_text(tmp_path, plan.to_text()).returncode == 0
