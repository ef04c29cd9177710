"""Whether a device computes the right values: its outputs beside those of LiteRT on this host's CPU.

The runner feeds seeded values. So this host can compute the outputs with LiteRT's interpreter, one call after the
other. Neither the runner nor its buffers take part in that. The last recorded run of each job is compared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from syncnas_bench import BenchPlan, Call, Job, JobRun, Run, Step, seeded_input
from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.errors import WrongOutput
from syncnas_deploy.precision import tolerance
from syncnas_exporters import TfliteRunner, difference

Outputs = tuple[Float32Array, ...]
"""A job's outputs: one flat array [values] for each lane that has a call in the last phase."""


class OutputCheck:
    """The outputs that devices must give, computed once per step.

    Simulated units compute nothing, so their steps pass unchecked.

    Args:
        folder: where outputs go until they are compared.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plan: BenchPlan | None = None
        self._expected: dict[str, Mapping[str, Outputs]] = {}

    def watched(self, plan: BenchPlan) -> BenchPlan:
        """The plan with its outputs written to files. From now on, its runs are checked.

        Args:
            plan: its jobs have neither input nor output files. A step that an earlier plan had must be the same.
        """
        steps = tuple(_with_outputs(plan, step, self._folder) for step in plan.steps)
        self._plan = dataclasses.replace(plan, steps=steps)
        return self._plan

    def check(self, run: Run) -> float:
        """Compare the files that a step's jobs have written, and remove them.

        Returns:
            The largest difference, relative; 0 for simulated units.

        Raises:
            WrongOutput: an output is not finite, not there, or too far from this host's.
        """
        assert self._plan is not None, "runs are of a plan that is watched"
        plan = self._plan
        step = next(step for step in plan.steps if step.name == run.step)
        # All of them are taken first, so that none is left for the next try.
        found = [(job, _take_file(job.output)) for job in step.jobs if job.output is not None]
        return max((self._check_job(plan, step, job, run.job(job.name), values) for job, values in found), default=0.0)

    def _check_job(self, plan: BenchPlan, step: Step, job: Job, run: JobRun, found: Float32Array) -> float:
        units = [plan.units[lane.unit_index] for lane in job.lanes]
        where = f"job {job.name} of step {step.name} on {' and '.join(map(str, units))}"
        halves = any(unit.precision == "fp16" for unit in units)
        if not run.output.finite:
            raise WrongOutput(f"{where} gave NaN or infinity; {_OVERFLOW if halves else _REMEDY}.")
        if step.name not in self._expected:
            self._expected[step.name] = expected_outputs(plan, step)
        expected = self._expected[step.name][job.name]
        if found.size != sum(part.size for part in expected):
            raise WrongOutput(f"{where} gave {found.size} of {sum(p.size for p in expected)} values; {_REMEDY}.")
        ends = np.cumsum([part.size for part in expected])[:-1]
        largest = max(difference(f, e).max_rel for f, e in zip(np.split(found, ends), expected, strict=True))
        allowed = tolerance([unit.precision for unit in units])
        if largest > allowed:
            raise WrongOutput(
                f"{where} gave values that differ from this host's by {largest:.2g} (relative), "
                f"more than {allowed:g}; {_REMEDY}."
            )
        return largest


_REMEDY = "its times do not count: update the device's system or choose another unit"


_OVERFLOW = "numbers of 16 bits may overflow there: its times do not count, take unit gpu instead of gpu:fp16"


def _with_outputs(plan: BenchPlan, step: Step, folder: Path) -> Step:
    jobs = []
    for job in step.jobs:
        simulated = any(plan.units[lane.unit_index].kind == "sim" for lane in job.lanes)
        path = None if simulated else folder / f"{step.name}-{job.name}.f32"
        jobs.append(dataclasses.replace(job, output=path))
    return dataclasses.replace(step, jobs=tuple(jobs))


def _take_file(path: Path) -> Float32Array:
    """The values of a file, [values]; the file is removed. Empty where there is no file."""
    if not path.exists():
        return np.zeros(0, np.float32)
    values = np.fromfile(path, "<f4").astype(np.float32)
    path.unlink()
    return values


def expected_outputs(plan: BenchPlan, step: Step) -> Mapping[str, Outputs]:
    """The outputs that each job of a step must give, by the job's name. Jobs with equal calls are computed once.

    Args:
        plan: has the files and the seed.
        step: one whose jobs have no input files.
    """
    models: dict[int, TfliteRunner] = {}
    known: dict[tuple[tuple[Call, ...], ...], Outputs] = {}
    for job in step.jobs:
        calls = tuple(lane.calls for lane in job.lanes)
        if calls not in known:
            known[calls] = _job_outputs(plan, job, models)
    return {job.name: known[tuple(lane.calls for lane in job.lanes)] for job in step.jobs}


def _job_outputs(plan: BenchPlan, job: Job, models: dict[int, TfliteRunner]) -> Outputs:
    done: dict[tuple[int, int], Float32Array] = {}
    for phase in range(job.phases):
        for index, lane in enumerate(job.lanes):
            call = next((call for call in lane.calls if call.phase == phase), None)
            if call is None:
                continue
            if call.file_index not in models:
                models[call.file_index] = TfliteRunner(plan.files[call.file_index])
            inputs = _inputs(plan, job, index, call, models[call.file_index], done)
            (output,) = models[call.file_index].run(call.signature, inputs).values()
            done[index, phase] = output
    last = job.phases - 1
    return tuple(done[index, last].ravel() for index in range(len(job.lanes)) if (index, last) in done)


def _inputs(
    plan: BenchPlan, job: Job, index: int, call: Call, model: TfliteRunner, done: Mapping[tuple[int, int], Float32Array]
) -> dict[str, Float32Array]:
    """The inputs of a call, by the signature's names."""
    values = {}
    shapes = model.signatures[call.signature].inputs
    for i, ((name, shape), source) in enumerate(zip(shapes.items(), call.inputs, strict=True)):
        if source == "external":
            values[name] = seeded_input(plan.seed, call.file_index, call.signature, i, shape)
        else:
            lane = index if source == "own" else 1 - index
            read = job.lanes[lane].latest_before(call.phase)
            assert read is not None, "a plan's job has a source for every input"
            values[name] = done[lane, read.phase].reshape(shape)
    return values
