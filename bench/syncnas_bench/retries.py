"""A plan that outlives its runner: after a crash a fresh process goes on with the first step that is not finished."""

from __future__ import annotations

import dataclasses

from syncnas_bench.device import Device, OnRun
from syncnas_bench.errors import RunnerCrashed
from syncnas_bench.plan import BenchPlan
from syncnas_bench.runs import Run
from syncnas_bench.session import MAX_TRIES


def run_with_retries(
    device: Device,
    plan: BenchPlan,
    *,
    on_run: OnRun,
    redo: tuple[type[Exception], ...] = (),
    deadline_s: float = 3600.0,
    stall_s: float = 600.0,
) -> None:
    """Run a plan to its end. A step that kills the runner, or whose row is refused, is tried three times.

    Each try is a process of its own, so nothing runs where a GPU has failed before. A `Run` whose step was tried
    before has in `metadata["failures"]` why: the signal's name, or the message of what `on_run` raised.

    Args:
        on_run: called with each row; a step is finished when it returns.
        redo: what `on_run` raises to have the step measured again.
        deadline_s: for each launch.
        stall_s: for the set-up, and for each step.

    Raises:
        RunnerCrashed: no signal ended it, or it was the third of one step.
        Exception: one of `redo`, the third of one step.
        BenchError: see `Device.run`.
    """
    done, failures = 0, list[str]()
    retried: tuple[type[Exception], ...] = (RunnerCrashed, *redo)

    def keep(run: Run) -> None:
        nonlocal done
        more = {"failures": list(failures)} if failures else {}
        on_run(dataclasses.replace(run, row=done).with_metadata(more))
        done += 1
        failures.clear()

    while done < len(plan.steps):
        rest = dataclasses.replace(plan, steps=plan.steps[done:])
        try:
            device.run(rest, on_run=keep, deadline_s=deadline_s, stall_s=stall_s)
        except retried as error:
            reason = error.signal_name if isinstance(error, RunnerCrashed) else str(error)
            if reason is None or len(failures) == MAX_TRIES - 1:
                raise
            if done < len(plan.steps):
                failures.append(reason)
