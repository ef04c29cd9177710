"""A plan on a device that heats up, is unplugged, restarts and fills up: finished rows stay, the rest is redone.

A row is handed over once, after the device's condition was read behind it. A launch ends early when the link
breaks or the condition went bad; the next one starts with the first step that has not been handed over.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from syncnas_bench import errors
from syncnas_bench.adb.lease import LEASE_S, Lease, take_lease
from syncnas_bench.adb.link import Link
from syncnas_bench.adb.probe import (
    CONDITION_SCRIPT,
    FACTS_SCRIPT,
    PhoneCondition,
    Probe,
    ask,
    parse_condition,
    parse_probe,
)
from syncnas_bench.adb.process import AdbProcess, kill_left
from syncnas_bench.adb.scratch import claim
from syncnas_bench.adb.workspace import PID, RUNNER, Workspace, pull_output, stage
from syncnas_bench.device import DeviceFacts, OnRun
from syncnas_bench.plan import BenchPlan
from syncnas_bench.runs import Run
from syncnas_bench.session import MAX_TRIES, Launch, longest_line_bytes, read_session


@dataclass(frozen=True)
class Patience:
    """How long to put up with a device's habits.

    Attributes:
        reconnect_s: to wait for a device that was lost.
        cool_s: to wait, before a step, until it has cooled or charged.
        poll_s: between two looks at it.
        lease_s: to wait for another host.
    """

    reconnect_s: float = 120.0
    cool_s: float = 300.0
    poll_s: float = 2.0
    lease_s: float = 0.0


@dataclass(frozen=True)
class Load:
    """What a plan's launch needs on the device.

    Attributes:
        libraries: libLiteRt.so first, then its accelerators; none for simulated units.
        scratch: a folder that the shell may write to.
    """

    runner: Path
    libraries: tuple[Path, ...]
    scratch: str


class Connection:
    """A link that can be made again, to the same device: each time it is asked who it is."""

    def __init__(self, serial: str, connect: Callable[[], Link]) -> None:
        self.serial = serial
        self._connect = connect
        self._link: Link | None = None
        self._probe: Probe | None = None

    @property
    def link(self) -> Link:
        """The link; made when there is none.

        Raises:
            DeviceUnavailable, LinkLost: the device cannot be reached.
            DeviceLost: another one answers in its place, or it tells only parts of what it is asked.
        """
        if self._link is None:
            self._link = self._connect()
            try:
                self.probe(again=True)
            except BaseException:
                self.drop()
                raise
        return self._link

    def probe(self, *, again: bool = False) -> Probe:
        """What the device says about itself, when the link was made or now. Raises as `link`."""
        link, known = self.link, self._probe
        if known is not None and not again:
            return known
        found = parse_probe(ask(link, FACTS_SCRIPT))
        if known is not None and found.identity != known.identity:
            self.drop()
            raise errors.DeviceLost(
                f"another device answers at {self.serial}: it is {found.identity} and not {known.identity}; "
                "connect the first one again and run the same command again, which goes on where it stopped."
            )
        self._probe = found
        return found

    def drop(self) -> None:
        """Give the link up."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def reconnect(self, patience: Patience) -> Link:
        """Make the link again, as soon as the device is back.

        Raises:
            DeviceLost: it did not come back in time, or another one did.
        """
        end = time.monotonic() + patience.reconnect_s
        while True:
            self.drop()
            try:
                return self.link
            except (errors.LinkLost, errors.DeviceUnavailable, errors.ServiceRefused) as error:
                if time.monotonic() >= end:
                    raise errors.DeviceLost(
                        f"{self.serial} was lost and did not come back within {patience.reconnect_s:g} s; "
                        "reconnect it and run the same command again, which goes on where it stopped."
                    ) from error
            time.sleep(min(0.25, patience.poll_s))


MOST_RESTARTS = 2
"""Restarts of the device in one step, after which the step is given up."""


class _Spoiled(Exception):
    """A step has to be measured again."""


def read_condition(link: Link) -> PhoneCondition:
    """The device's present condition. Raises LinkLost, DeviceLost."""
    return parse_condition(ask(link, CONDITION_SCRIPT))


class DeviceRun:
    """One plan on one device; `run` may be called once."""

    def __init__(
        self, connection: Connection, plan: BenchPlan, load: Load, facts: DeviceFacts, on_run: OnRun, patience: Patience
    ) -> None:
        self._connection, self._plan, self._load, self._facts = connection, plan, load, facts
        self._on_run, self._patience = on_run, patience
        self._done = 0
        self._tries: Counter[int] = Counter()
        self._before: PhoneCondition | None = None
        self._lease: Lease | None = None
        self._workspace: Workspace | None = None
        self._boot_id = facts.boot_id
        self._restarts: Counter[int] = Counter()

    def run(self, deadline_s: float, stall_s: float) -> Launch:
        """Run it to its end. See `Device.run` for what is raised."""
        deadline_at = time.monotonic() + deadline_s
        lease_s = max(LEASE_S, 1.5 * stall_s)
        try:
            while True:
                try:
                    self._prepare(lease_s)
                    return self._launch(deadline_at, stall_s)
                except _Spoiled:
                    continue
                except errors.LinkLost:
                    if self._done == len(self._plan.steps):
                        return Launch("", None, (), "the connection was lost after the last row")
                    self._recover(min(deadline_at, time.monotonic() + self._patience.reconnect_s))
        finally:
            self._clean_up()

    def _prepare(self, lease_s: float) -> None:
        link = self._connection.link
        claim(link, self._load.scratch)
        if self._lease is None:
            self._lease = take_lease(link, self._load.scratch, seconds=lease_s, wait_s=self._patience.lease_s)
        if self._workspace is None:
            self._workspace = Workspace(link, self._load.scratch)

    def _recover(self, until: float) -> None:
        """After a lost link: same boot, go on in the same folder; after a restart, begin with a new one."""
        left = dataclasses.replace(self._patience, reconnect_s=max(0.0, until - time.monotonic()))
        link = self._connection.reconnect(left)
        boot_id = self._connection.probe().boot_id
        if boot_id != self._boot_id:
            self._boot_id = boot_id
            self._count_restart()
            self._facts = dataclasses.replace(self._facts, boot_id=boot_id)
            if self._lease is not None:
                self._lease.forget()
            self._lease = self._workspace = None
            return
        if self._workspace is not None:
            self._workspace.link = link
            kill_left(link, f"{self._workspace.folder}/{PID}")
            if not self._workspace.is_there():
                self._workspace = None

    def _count_restart(self) -> None:
        """A graph that makes the device restart is not run again and again. Raises RunnerCrashed."""
        self._restarts[self._done] += 1
        if self._restarts[self._done] == MOST_RESTARTS:
            step = self._plan.steps[self._done].name
            raise errors.RunnerCrashed(
                f"{self._connection.serial} restarted {MOST_RESTARTS} times while step {step!r} was measured; its "
                "GPU's driver may hang in it: choose another unit. The finished rows are kept.",
                None,
            )

    def _clean_up(self) -> None:
        # What a lost device keeps is removed by the next run.
        with contextlib.suppress(errors.LinkLost, errors.DeviceUnavailable, errors.DeviceLost):
            try:
                self._remove_all(self._connection.link)
            except errors.LinkLost:
                self._connection.drop()
                self._remove_all(self._connection.link)
        if self._lease is not None:
            self._lease.forget()

    def _remove_all(self, link: Link) -> None:
        if self._workspace is not None:
            self._workspace.link = link
            self._workspace.remove()
        if self._lease is not None:
            self._lease.release(link)

    def _launch(self, deadline_at: float, stall_s: float) -> Launch:
        assert self._workspace is not None
        workspace, load = self._workspace, self._load
        rest = dataclasses.replace(self._plan, steps=self._plan.steps[self._done :])
        programs = {load.runner: (RUNNER, 0o755)}
        programs |= {library: (f"lib/{library.name}", 0o644) for library in load.libraries}
        runner, *libraries = workspace.put(programs)
        staged = stage(workspace, rest, libraries[0] if libraries else None)
        place = workspace.put_plan(staged)
        self._before = self._wait_until_fit()
        with AdbProcess(
            workspace.link,
            runner,
            place,
            f"{workspace.folder}/{PID}",
            deadline_at=deadline_at,
            stall_s=stall_s,
            line_bytes=longest_line_bytes(staged),
        ) as process:
            return read_session(staged, process, self._take)

    def _wait_until_fit(self) -> PhoneCondition:
        """Wait, a while, until the device is cool and charged. Raises LinkLost, DeviceLeased."""
        assert self._lease is not None
        end = time.monotonic() + self._patience.cool_s
        while True:
            self._lease.extend(self._connection.link)
            condition = read_condition(self._connection.link)
            if not condition.trouble or time.monotonic() >= end:
                return condition
            time.sleep(self._patience.poll_s)

    def _take(self, run: Run) -> None:
        """Judge a row by what happened around it; hand it over, or have it measured again."""
        assert self._before is not None
        assert self._lease is not None
        link = self._connection.link
        self._lease.extend(link)
        after = read_condition(link)
        reason = self._before.trouble or after.trouble or after.change_since(self._before)
        if reason:
            self._tries[self._done] += 1
            if self._tries[self._done] < MAX_TRIES:
                raise _Spoiled(reason)
        self._hand_over(run, after, reason)
        self._before = read_condition(link)

    def _hand_over(self, run: Run, after: PhoneCondition, reason: str) -> None:
        assert self._before is not None
        assert self._workspace is not None
        step = self._plan.steps[self._done]
        for job, got in zip(step.jobs, run.jobs, strict=True):
            if job.output is not None:
                pull_output(self._workspace, step, job, got.output)
        metadata = {
            "device": self._facts.to_dict(),
            "condition_before": self._before.to_dict(),
            "condition_after": after.to_dict(),
            "tries": self._tries[self._done] + (0 if reason else 1),
        }
        judged = run.as_unusable(reason) if reason else run
        self._on_run(dataclasses.replace(judged, row=self._done).with_metadata(metadata))
        self._done += 1
