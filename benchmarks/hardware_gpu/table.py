"""The table at the end: everything that the rows say, and nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.hardware_gpu.call_times import PARTS
from benchmarks.hardware_gpu.crossings import SIZES_BYTES
from benchmarks.hardware_gpu.plan import STEPS
from benchmarks.hardware_gpu.rows import Row
from benchmarks.hardware_gpu.session import LABEL
from benchmarks.overlap import COLUMNS
from benchmarks.prediction import WAYS, kendall_tau, summary
from syncnas_bench import JobRun, Run

Lines = list[str]
Cells = Sequence[str]
_WAY_NAMES = dict(zip(WAYS, ("both at once,", "CPU alone,", "GPU alone,"), strict=True))

Quantity = Callable[[JobRun], NDArray[np.float64]]


def table(rows: Sequence[Row]) -> str:
    """The table of a run, whole or cut short."""
    software = any(row["software"] for row in rows)
    lines = [f"{LABEL}: it proves that the path works; its times say nothing about a GPU."] if software else []
    for step in STEPS:
        mine = [row for row in rows if row["step"] == step.name]
        if not mine:
            continue
        title = f"{step.title}{f' ({LABEL})' if software else ''}"
        lines += ["", title]
        try:
            lines[-1] = f"{title}{_state(mine)}"
            lines += [f"  {line}".rstrip() for line in _PARTS_OF[step.name](mine)]
        except Exception as error:  # a row of another version may hold anything; the other steps are shown
            lines.append(f"  these rows cannot be shown ({type(error).__name__}: {error})")
    if rows:
        lines += ["", f"{len(rows)} rows, the last after {rows[-1]['at_s']:.0f} s"]
    return "\n".join(lines) if lines else "no rows"


def _state(rows: Sequence[Row]) -> str:
    """How a step ended, in words."""
    last = rows[-1]
    if last["kind"] == "end":
        return f", {last['seconds']:.0f} s"
    if last["kind"] == "skipped":
        return f": skipped, it needs {last['needed_s']:.1f} s and {last['left_s']:.1f} s were left"
    if last["kind"] == "error":
        return f": failed: {last['error'].splitlines()[0] if last['error'] else 'no reason told'}"
    return ": cut short"


def _grid(head: Cells, rows: Iterable[Cells]) -> Lines:
    """Columns, text to the left and numbers to the right."""
    all_rows = [head, *rows]
    if len(all_rows) == 1:
        return []
    widths = [max(len(row[i]) for row in all_rows) for i in range(len(head))]
    left = [i for i, name in enumerate(head) if i == 0 or name in ("units", "model")]

    def cell(row: Cells, i: int) -> str:
        return row[i].ljust(widths[i]) if i in left else row[i].rjust(widths[i])

    return ["  ".join(cell(row, i) for i in range(len(head))) for row in all_rows]


def _of(rows: Sequence[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["kind"] == kind]


def _runs(rows: Sequence[Row]) -> list[Run]:
    return [Run.from_record(row["run"]) for row in _of(rows, "run")]


def _place(rows: Sequence[Row]) -> Lines:
    lines = []
    for row in _of(rows, "place"):
        device, mhz = row["device"], [v for v in row["condition"]["cpu_mhz"].values() if isinstance(v, float)]
        gpus = [f"{a['name']} ({a['type']}, Vulkan {a['api']})" for a in row["adapters"]]
        if row["software"]:
            gpus = [f"{LABEL} by {row['software_icd']}"]
        clocks = f", {min(mhz):.0f} to {max(mhz):.0f} MHz" if mhz else ", clocks cannot be read"
        lines += [
            f"GPU: {', '.join(gpus) or 'none'}; unit {row['gpu']}",
            f"CPU: {device['cpu_model']}, {device['cores']} cores{clocks}; unit {row['cpu']}",
            f"{device['runtime']}, Python {row['python']}, {row['libc']}, {device['os']}, kernel {device['kernel']}",
        ]
        lines += [f"{key}: {value}" for key, value in row["nvidia"].items()]
    lines += [f"LiteRT takes: {row['adapter'] or 'it does not tell'}" for row in _of(rows, "adapter")]
    return lines


def _right(rows: Sequence[Row]) -> Lines:
    cells = []
    for row in _of(rows, "right"):
        error = f"{row['max_relative_error']:.1e}" if row["finite"] else "not finite"
        cells.append((row["unit"], str(row["pixels"]), error, f"{row['us']:,.0f}"))
    lines = _grid(("unit", "pixels", "largest relative error", "us, a first look"), cells)
    lines += [f"from here on images of {row['pixels']} pixels: the GPU is slow" for row in _of(rows, "smaller")]
    return lines


def _median_us(run: Run, job: str, value: Quantity = lambda job: job.makespan_us) -> float:
    return float(np.median(value(run.job(job))))


def _speed(rows: Sequence[Row]) -> Lines:
    runs = _runs(rows)
    if not runs:
        return []
    by_job = {job.name: [_median_us(run, job.name) for run in runs] for job in runs[0].jobs}
    middle = {name: statistics.median(us) for name, us in by_job.items()}
    units = {job.name: " + ".join(runs[0].units[lane.unit_index] for lane in job.lanes) for job in runs[0].jobs}
    cells = []
    for name, us in by_job.items():
        again = by_job.get(f"{name}_again")
        ratio = f"{statistics.median(a / b for a, b in zip(us, again, strict=True)):.3f}" if again else "-"
        spread = f"{100 * (max(us) / min(us) - 1):.1f}"
        cells.append((name, units[name], f"{middle[name]:,.1f}", spread, ratio))
    lines = _grid(("job", "units", "median us", "spread of launches (%)", "A/A"), cells)
    beside = [
        statistics.median(float(np.median(run.job("base_both").busy_us(lane))) for run in runs) for lane in (0, 1)
    ]
    alone = [middle["base_cpu"], middle["base_gpu"]]
    slower = [f"{b / a:.3f}" for a, b in zip(alone, beside, strict=True)]
    lines.append(f"base beside the base on the other unit: CPU {slower[0]}, GPU {slower[1]} times as long as alone;")
    rate = min(alone) * sum(1 / us for us in beside)
    lines.append(f"  both together: {rate:.3f} times the images a second of the faster one alone")
    solo = middle["network_cpu"] + middle["network_gpu"]
    lines.append(
        f"network: both branches' solo times over both at once {solo / middle['network']:.3f} (over 1: overlap)"
    )
    faster = ("CPU", "GPU")[alone.index(min(alone))]
    lines.append(f"network over the base on the faster unit ({faster}) alone {middle['network'] / min(alone):.3f}:")
    lines.append(f"  {pays(by_job)}")
    count = len(runs[0].jobs[0].t0_ns)
    lines.append(f"{len(runs)} launches of {count} runs. network: a branch on either unit, both at once; its _cpu and")
    lines.append("_gpu: that branch alone; _again: the same once more. A/A: a job over the same again")
    return lines


def pays(by_job: Mapping[str, Sequence[float]]) -> str:
    """Whether the network on both units takes less time than the base on the faster one, in words.

    It says so only where every launch does, and by more than the same jobs differ from themselves.

    Args:
        by_job: median of each launch, us.
    """
    twins = [(us, by_job[f"{name}_again"]) for name, us in by_job.items() if f"{name}_again" in by_job]
    noise = max(abs(statistics.median(a / b for a, b in zip(*twin, strict=True)) - 1) for twin in twins)
    alone = min((by_job["base_cpu"], by_job["base_gpu"]), key=statistics.median)
    ratios = [us / base for us, base in zip(by_job["network"], alone, strict=True)]
    found = f"launches {min(ratios):.3f} to {max(ratios):.3f}, A/A within {100 * noise:.1f} %"
    if max(ratios) * (1 + noise) < 1:
        return f"this network is faster on both units ({found})"
    if min(ratios) / (1 + noise) > 1:
        return f"this network does not pay on these units ({found})"
    return f"too close to tell ({found})"


def _calls(rows: Sequence[Row]) -> Lines:
    cells = []
    for row in _of(rows, "call"):
        us = {part: statistics.median(row["ns"][part]) / 1e3 for part in PARTS if row["ns"][part]}
        waits = us["read"] - us["read_again"]
        kept = (us["run"], us["read"], us["read_again"], waits, us["copy"], us["write"])
        name = "base" if row["model"] == "base" else "x + x"
        cells.append((row["unit"], name, f"{row['output_bytes']:,}", *(f"{v:,.1f}" for v in kept)))
    head = ("unit", "model", "output bytes", "run", "lock + read", "read again", "wait", "copy", "write")
    lines = _grid(head, cells)
    if cells:
        lines.append("microseconds. run: submission returns. lock + read: waits for the work and reads back; once more")
        lines.append(
            "without work: read again. wait: their difference. copy: so many bytes in host memory. write: the input"
        )
    return lines


def _crossings(rows: Sequence[Row]) -> Lines:
    runs = _runs(rows)
    cells = []
    for bytes_ in SIZES_BYTES if runs else ():
        row = [f"{bytes_:,}"]
        row += [_us(runs, f"{unit}_{bytes_}", lambda job: job.makespan_us) for unit in ("cpu", "gpu")]
        ways = ("up", "down", "both")
        row += [_us(runs, f"{way}_{bytes_}", lambda job: job.sync_overhead_us(0)) for way in ways]
        row.append(_us(runs, f"up_{bytes_}", lambda job: job.busy_us(1)))
        row.append(f"{max(_differ(runs, f'{way}_{bytes_}') for way in ways):.1f}x" if len(runs) > 1 else "-")
        cells.append(row)
    columns = ("CPU call", "GPU call", "CPU to GPU", "GPU to CPU", "exchange", "GPU after", "launches")
    lines = _grid(("bytes", *columns), cells)
    if cells:
        lines.append(
            "microseconds, medians over launches. CPU to GPU: from the end of the CPU's call until the GPU's may"
        )
        lines.append(
            "begin; exchange: both ways at once; GPU after: the GPU's call that follows. A GPU call has its own"
        )
        lines.append("read-back in it: the whole way from GPU to CPU is `read again` (the step before) and GPU to CPU.")
        lines.append(
            "launches: largest over smallest median of a launch among the three ways; far above 1: too busy to tell"
        )
    return lines


def _differ(runs: Sequence[Run], job: str) -> float:
    """Largest over smallest median of a launch."""
    us = [_median_us(run, job, lambda job: job.sync_overhead_us(0)) for run in runs]
    return max(us) / max(min(us), 1e-3)


def _us(runs: Sequence[Run], job: str, value: Quantity) -> str:
    return f"{statistics.median(_median_us(run, job, value) for run in runs):,.1f}"


def _profile(rows: Sequence[Row]) -> Lines:
    lines = []
    for row in _of(rows, "profile"):
        base = ", ".join(f"{unit} {us:,.1f} us" for unit, us in zip(row["units"], row["base_us"], strict=True))
        lines.append(f"{row['file']}: {row['points']} points; base: {base}")
        for number, unit in enumerate(row["units"]):
            factors = [c["factor"] for c in row["contention"] if c["unit"] == number]
            if factors:
                lines.append(f"contention of {unit}: {min(factors):.2f} to {max(factors):.2f}")
        lines += [f"warning: {text}" for text in row["warnings"]]
    progress = _of(rows, "progress")
    if progress and not lines:
        lines.append(f"{progress[-1]['done']} of {progress[-1]['total']} steps are in its journal")
    return lines


def _prediction(rows: Sequence[Row]) -> Lines:
    networks = _of(rows, "network")
    cells = []
    for way in WAYS if networks else ():
        found = [row[way] for row in networks]
        tau = kendall_tau([f[0] for f in found], [f[1] for f in found]) if len(found) > 1 else float("nan")
        for name, at in (("error", 2), ("at that day's speed", 4), ("A/A", 3)):
            told = summary([f[at] for f in found])
            values = [f"{told[key]:.1f}" for key in ("median", "worst", "bias", "within_5", "within_10")]
            cells.append((f"{_WAY_NAMES[way]} {name}", *values, f"{tau:.2f}" if name == "error" else "-"))
    lines = _grid(("% of the measured", "median", "worst", "bias", "within 5 %", "within 10 %", "tau"), cells)
    if networks:
        lines.append("error: predicted over measured. A/A: measured again over measured, which no prediction can beat")
        lines.append("drift: of the base since the profile. tau: the order of the networks, 1 where all are in order")
        drifts = [max(abs(row["drift"][unit] - 1) for row in networks) for unit in (0, 1)]
        lines.append(
            f"{len(networks)} networks; drift of the base up to {100 * drifts[0]:.1f} and {100 * drifts[1]:.1f} %"
        )
    lines += [f"shortened: {row['measured']} of {row['wanted']} networks" for row in _of(rows, "shortened")]
    return lines


def _overlap(rows: Sequence[Row]) -> Lines:
    found = [row["row"] for row in _of(rows, "bench")]
    if not found:
        return []
    cells = [(str(i), f"{row[0]:,.1f}", *(f"{v:.3f}" for v in row[1:])) for i, row in enumerate(found, start=1)]
    middle = [statistics.median(column) for column in zip(*found, strict=True)]
    cells.append(("median", f"{middle[0]:,.1f}", *(f"{v:.3f}" for v in middle[1:])))
    return _grid(("launch", *COLUMNS), cells)


_PARTS_OF: dict[str, Callable[[Sequence[Row]], Lines]] = {
    "place": _place,
    "right": _right,
    "speed": _speed,
    "calls": _calls,
    "crossings": _crossings,
    "profile": _profile,
    "prediction": _prediction,
    "overlap": _overlap,
    "speed_fp16": _speed,
    "profile_fp16": _profile,
}
