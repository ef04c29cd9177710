"""A private folder on a device: files come in by content, once, and all of it goes when the work is done."""

from __future__ import annotations

import dataclasses
import re
import secrets
from pathlib import Path

from syncnas_bench.adb.link import Link
from syncnas_bench.adb.scratch import SHELL_FUNCTIONS, require_used
from syncnas_bench.errors import StorageFull, TransferFailed
from syncnas_bench.files import sha256_of
from syncnas_bench.plan import BenchPlan, Job, Step
from syncnas_bench.runs import Output

RUNNER, PLAN, PID, OUTPUT = "syncnas-runner", "plan.txt", "pid", "out-"
ROOM_FACTOR = 2
_MAX_OUTPUT_BYTES = 1 << 28

_MADE = f"made='./{RUNNER} ./{PLAN} ./{PID} ./{OUTPUT}*'"

# `remove NAME` removes what a workspace may hold, by its names, and then the folder if nothing else is in it.
_REMOVE = """
remove() (
    name=$1
    enter "$scratch/$name/lib" && [ -O . ] && rm -f ./libLiteRt*.so
    enter "$scratch/$name" && [ -O . ] || exit 0
    set --
    for f in *; do case $f in *[!0-9a-f]*) ;; *) [ ${#f} -eq 64 ] && set -- "$@" "./$f" ;; esac; done
    rm -f $made "$@"
    rmdir ./lib
    enter "$scratch" && rmdir "./$name"
) 2>/dev/null
"""
_BEGIN = """
enter "$scratch" || refuse other
for d in syncnas-*; do
    case ${d#syncnas-} in *[!0-9a-f]*) ;; ????????????????) remove "$d" ;; esac
done
mkdir -m 700 "./$fresh" && mkdir -m 700 "./$fresh/lib"
"""


def free_bytes(link: Link, folder: str) -> int | None:
    """Free bytes of the storage that holds a folder on the device, or None if it does not tell."""
    done = link.shell(["df", "-k", folder])
    match = re.search(r"\s([0-9]{1,15})\s+(?:[0-9]+%|-)\s+\S+\s*$", done.stdout)
    return int(match[1]) * 1024 if done.exit_code == 0 and match else None


class Workspace:
    """One private folder. Whoever holds the device's lease may have one at a time."""

    def __init__(self, link: Link, scratch: str) -> None:
        """Remove the workspaces that killed hosts have left behind, and make the folder.

        Args:
            scratch: see `Probe.scratch`.

        Raises:
            DeviceUnavailable: the scratch folder is behind a link.
            CommandFailed: the folder cannot be made.
            LinkLost: the device cannot be reached.
        """
        self.link = link
        name = f"syncnas-{secrets.token_hex(8)}"
        self.folder = f"{scratch}/{name}"
        self._there: dict[str, str] = {}
        self._functions = f"scratch={scratch} fresh={name}\n{_MADE}{SHELL_FUNCTIONS}{_REMOVE}"
        require_used(link, scratch, link.check(self._functions + _BEGIN, deadline_s=60))

    def is_there(self) -> bool:
        """Whether the device still has the folder. Raises LinkLost."""
        return self.link.shell(["test", "-d", f"{self.folder}/lib"]).exit_code == 0

    def put(self, files: dict[Path, tuple[str, int]]) -> list[str]:
        """Push files that are not there yet, and have the device compute their digests.

        Args:
            files: local file -> name in the folder, or "" for one by content; and mode.

        Returns:
            Where they are on the device.

        Raises:
            StorageFull: there is not twice the room that they need.
            TransferFailed: the device refused one, or has other bytes now.
            LinkLost: the device cannot be reached.
        """
        digests = {local: sha256_of(local) for local in files}
        places = [f"{self.folder}/{name or digests[local]}" for local, (name, _) in files.items()]
        missing = {
            place: local for place, local in zip(places, files, strict=True) if self._there.get(place) != digests[local]
        }
        if not missing:
            return places
        self._require_room(sum(local.stat().st_size for local in missing.values()))
        for place, local in missing.items():
            self.link.push(local, place, files[local][1])
        found = self.link.sha256(list(missing))
        for (place, local), digest in zip(missing.items(), found, strict=True):
            if digest != digests[local]:
                raise TransferFailed(f"{local.name} arrived on {self.link.serial} with other bytes; try again.")
            self._there[place] = digest
        return places

    def _require_room(self, need_bytes: int) -> None:
        free = free_bytes(self.link, self.folder)
        if free is not None and free < ROOM_FACTOR * need_bytes:
            raise StorageFull(
                f"{self.link.serial} has {free / 1e6:.0f} MB free and {ROOM_FACTOR * need_bytes / 1e6:.0f} MB are "
                "needed, twice the files' size; free some room on it."
            )

    def put_plan(self, plan: BenchPlan) -> str:
        """Push a plan whose paths are the device's. Returns where it is. Raises as `put`."""
        place = f"{self.folder}/{PLAN}"
        self.link.push(plan.to_text(ack=True).encode(), place)
        return place

    def remove(self) -> None:
        """Remove the folder, with what was pushed and written there. Raises LinkLost."""
        self.link.shell(self._functions + 'remove "$fresh"')


def stage(workspace: Workspace, plan: BenchPlan, runtime: str | None) -> BenchPlan:
    """Push a plan's files and inputs; return the plan with the device's paths.

    Args:
        runtime: where libLiteRt.so is on the device, with its accelerators beside it.

    Raises:
        StorageFull, TransferFailed, LinkLost: see `Workspace.put`.
    """
    real = any(unit.kind != "sim" for unit in plan.units)
    inputs = {job.input for step in plan.steps for job in step.jobs if job.input is not None}
    wanted = [*(plan.files if real else ()), *sorted(inputs)]
    places = dict(zip(dict.fromkeys(wanted), workspace.put(dict.fromkeys(wanted, ("", 0o644))), strict=True))
    steps = tuple(
        dataclasses.replace(step, jobs=tuple(_staged(workspace, step, job, places) for job in step.jobs))
        for step in plan.steps
    )
    return dataclasses.replace(
        plan,
        files=tuple(Path(places.get(path, path.name)) for path in plan.files),
        steps=steps,
        runtime=Path(runtime) if runtime else None,
        accelerators=None,
    )


def _staged(workspace: Workspace, step: Step, job: Job, places: dict[Path, str]) -> Job:
    return dataclasses.replace(
        job,
        input=Path(places[job.input]) if job.input is not None else None,
        output=Path(output_place(workspace.folder, step, job)) if job.output is not None else None,
    )


def output_place(folder: str, step: Step, job: Job) -> str:
    """Where the runner writes a job's output on the device; names of steps and jobs are allow-listed."""
    return f"{folder}/{OUTPUT}{step.name}-{job.name}"


def pull_output(workspace: Workspace, step: Step, job: Job, output: Output) -> None:
    """Fetch a job's output to where the plan wants it, and remove it from the device.

    Args:
        output: what the runner's row says of it.

    Raises:
        TransferFailed: it is not what the runner's row says.
        LinkLost: the device cannot be reached.
    """
    assert job.output is not None
    place = output_place(workspace.folder, step, job)
    if output.bytes > _MAX_OUTPUT_BYTES:
        raise TransferFailed(f"job {job.name!r} tells of an output of {output.bytes} bytes; the runner is not ours.")
    workspace.link.pull(place, job.output, max_bytes=output.bytes, sha256=output.sha256)
    workspace.link.shell(["rm", "-f", place])
