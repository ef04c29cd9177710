"""What is printed of each thing. The head of a column says whether its latencies are milliseconds or microseconds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from syncnas_bench.doctor import Check
from syncnas_deploy.benchmarking.app_times import AppTimes
from syncnas_deploy.benchmarking.result import BenchResult, RunSamples
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.weights import parameter_count
from syncnas_deploy.networks.widths import WIDTH_STEP
from syncnas_deploy.prediction.drift import drift
from syncnas_deploy.prediction.identity import label
from syncnas_deploy.prediction.predict import Prediction
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.width_probe import WidthProbe, explained
from syncnas_deploy.prediction.width_steps import ERRATIC
from syncnas_deploy.profiling.recheck import ProfileCheck
from syncnas_deploy.report.judgement import (
    bench_lines,
    breakdown_rows,
    crossing_line,
    drift_text,
    foretold_text,
    outlook_text,
)
from syncnas_deploy.report.page import Cell, Page, Table
from syncnas_deploy.shown import ms_text
from syncnas_deploy.verdict import no_hardware

SHOWN_RULES = 3
LARGE_BIAS = 0.02
"""Median of the relative errors of predictions from which a reader is told of it."""


def checks_table(checks: Sequence[Check]) -> Table:
    """What a device's examination found."""
    rows = [[check.name, check.status, check.value, check.advice] for check in checks]
    return Table(["what", "status", "found", "what it does to numbers, or the remedy"], rows)


def config_page(config: ModelConfig) -> Page:
    """A model and its blocks."""
    return Page(models_table([config]), "", blocks_table(config))


def models_table(configs: Sequence[ModelConfig]) -> Table:
    """One line per model."""
    rows: list[list[Cell]] = [
        [
            c.name,
            len(c.stages),
            c.strategy or "-",
            f"{parameter_count(c):,}".rjust(11),
            c.macs() / 1e6,
            c.base or "-",
            c.source,
        ]
        for c in configs
    ]
    return Table(["model", "stages", "strategy", "     params", "MACs (M)", "base", "source"], rows, spare=(6, 1, 5))


def blocks_table(config: ModelConfig) -> Table:
    """One line per block."""
    rows: list[list[Cell]] = []
    for branch, stage, index, block in config.blocks():
        se = block.squeeze_excite
        rows.append(
            [
                branch if config.branch_count == 2 else None,
                stage + 1,
                index + 1,
                "+".join(map(str, block.kernels)),
                block.stride,
                block.input_size,
                block.in_channels,
                block.expanded_channels,
                block.out_channels,
                se.channels if se else None,
                block.activation,
                block.macs() / 1e6,
                config.sync_ops[stage].name.lower(),
            ]
        )
    head = ["branch", "stage", "block", "kernel", "stride", "size", "in", "expanded", "out", "SE"]
    return Table([*head, "activation", "MACs (M)", "sync after stage"], rows, spare=(10, 5, 4, 9, 3))


def _runs_text(settings: Mapping[str, str]) -> str:
    """Rounds of a launch, and runs of a round where the settings tell them."""
    repeats = f" of {settings['repeats']} runs" if "repeats" in settings else ""
    return f"{settings.get('rounds', '?')} rounds{repeats}"


def profile_page(profile: DeviceProfile) -> Page:
    """A profile in brief."""
    head = [
        f"{profile.kind} profile of {profile.base.name} on {profile.device.get('name', 'a device')}, {profile.created}",
        f"{len(profile.points)} points, {len(profile.syncs)} syncs; "
        f"{profile.settings.get('launches', '?')} launches of {_runs_text(profile.settings)}",
    ]
    rows: list[list[Cell]] = []
    for unit, text in enumerate(profile.units):
        contention = [row.factor for row in profile.contention if row.unit == unit and row.part == "stage"]
        rows.append(
            [
                text,
                profile.table.network_us(unit) / 1e3,
                f"{min(contention):.2f}-{max(contention):.2f}",
                profile.table.invocation_us(unit),
            ]
        )
    lines = ["contention: how many times as long a unit takes while the other one works; invocation: what a call costs"]
    syncs = [row.sample.median_us for row in profile.syncs if row.place == "sync"]
    if syncs:
        lines.append(f"sync overhead, of a crossing between the units: {min(syncs):.1f} to {max(syncs):.1f} us")
        lines.append(_crossing_text(profile))
    model = profile.power_model
    if model is not None:
        lines.append(
            f"power: {model.idle_w:.2f} W at rest, {model.unit_w[0]:.2f} and {model.unit_w[1]:.2f} W more while a unit "
            f"works, {model.together:.2f} times their sum while both do"
        )
    lines += [_learning(profile, unit) for unit in (0, 1) if any(row.unit == unit for row in profile.learning)]
    lines += [line for unit in (0, 1) for line in _width_lines(profile, unit)]
    lines += [expected_error_text(profile)] if profile.held_out else []
    lines += filter(None, [profile.doubt])
    lines += [f"warning: {text}" for text in profile.warnings]
    return Page(*head, Table(["unit", "base (ms)", "contention", "invocation (us)"], rows), *lines)


def _crossing_text(profile: DeviceProfile) -> str:
    """Where the time of a sync goes; a segment is submitted to each unit after it."""
    rows = [row for row in profile.syncs if row.place == "sync"]

    def both(name: str, values: Sequence[tuple[float, float]]) -> str:
        medians = [statistics.median(column) for column in zip(*values, strict=True)]
        return f"{name} {medians[0]:.1f} and {medians[1]:.1f} us"

    share = statistics.fmean(row.slept for row in rows)
    slept = f"asleep in {share:.0%} of the runs" if share else ""
    parts = (
        both("download", [row.downloads_us for row in rows]),
        f"wait {statistics.median(row.barrier_us for row in rows):.1f} us ({slept or 'polling'})",
        both("upload", [row.uploads_us for row in rows]),
        both("then submission", [(profile.table.invocation_us(0), profile.table.invocation_us(1))]),
    )
    return f"  of it {', '.join(parts)} ({profile.units[0]} and {profile.units[1]}; medians)"


def _learning(profile: DeviceProfile, unit: int) -> str:
    steps = [
        f"{row.network_error:.1%} after {row.points} points"
        for row in sorted(profile.learning, key=lambda r: r.points)
        if row.unit == unit
    ]
    return f"{profile.units[unit]}: a chain of unseen widths was predicted within {', '.join(steps)}"


def _width_lines(profile: DeviceProfile, unit: int) -> list[str]:
    """What is peculiar about latency over width on a unit; nothing where nothing is."""
    rule, step = profile.shapes[unit].rule, profile.width_steps[unit]
    lines = [f"{profile.units[unit]}: takes what it dispatches in work groups ({rule})"] if rule is not None else []
    if step > WIDTH_STEP:
        lines.append(
            f"{profile.units[unit]}: blocks of unseen widths were off by more than {ERRATIC:.0%}, so `search` takes "
            f"multiples of {step} there; --width-step overrides this"
        )
    return lines


def expected_error_text(profile: DeviceProfile, predicted_us: float | None = None, *, doubt: bool = True) -> str:
    """How far the profile's predictions are off, by the networks that were held out; and what one prediction means.

    Args:
        profile: that predicts.
        predicted_us: the prediction.
        doubt: whether to say with it why the profile is doubtful; a verdict says it itself.
    """
    if profile.expected_error is None:
        told = "how far predictions are off is not known: no networks were measured as a test"
    else:
        errors = [row.error for row in profile.held_out]
        opening = f"expected error {profile.expected_error:.1%}"
        if predicted_us is not None:
            bounds = max(0.0, *errors), max(-0.99, min(0.0, *errors))
            low_ms, high_ms = (predicted_us / 1e3 / (1 + bound) for bound in bounds)
            most = max(3, 2 - math.floor(math.log10(max(high_ms, 1e-6))))
            digits = max(0, min(most, 1 - math.floor(math.log10(max(high_ms - low_ms, 1e-6)))))
            low, high = math.floor(low_ms * 10**digits + 1e-9), math.ceil(high_ms * 10**digits - 1e-9)
            opening = f"expect {low / 10**digits:.{digits}f} to {high / 10**digits:.{digits}f} ms"
        told = (
            f"{opening}: of {len(errors)} network{'s' * (len(errors) > 1)} measured as a test, 9 in 10 were predicted "
            f"within {profile.expected_error:.1%}, all within {max(abs(error) for error in errors):.1%}"
        )
        bias = statistics.median(errors)
        if abs(bias) >= LARGE_BIAS:
            side = "long" if bias > 0 else "short"
            told += f"; predictions were {abs(bias):.1%} too {side} in the median, and are shown as they are"
    odd = profile.doubt if doubt and predicted_us is not None else ""
    return f"{told}; {odd}" if odd else told


def check_page(check: ProfileCheck) -> Page:
    """Whether a profile still holds: the sample then and now, and a verdict."""
    rows: list[list[Cell]] = [[r.name, r.units, r.then_us, r.now_us, 100 * r.change] for r in check.rows]
    lines = [f"different: {text}" for text in check.differences]
    lines += [f"warning: {text}" for text in check.warnings]
    verdict = "holds" if check.holds else "does not hold: measure the device again, in the condition it will be used in"
    lines.append(f"{check.change:+.1%} in the median: the profile {verdict}")
    return Page(Table(["network", "units", "then (us)", "now (us)", "change (%)"], rows), *lines)


def probe_page(probe: WidthProbe, predicted_us: Mapping[int, float]) -> Page:
    """A width probe: every width, and which rules of work groups explain it best.

    Args:
        probe: what was measured.
        predicted_us: by width, what a profile says; empty without one.
    """
    rows: list[list[Cell]] = []
    for row in probe.rows:
        said, found = predicted_us.get(row.width), row.sample.median_us
        rows.append([row.width, found, said, _error(said, found)])
    return Page(
        f"{probe.kind} width probe: {probe.key} of {probe.base} on {probe.unit}, {label(probe.device)}",
        Table(["width", "measured (us)", "predicted (us)", "error (%)"], rows),
        *probe_rules(probe),
    )


def probe_rules(probe: WidthProbe) -> list[str]:
    """The rules of work groups that explain a probe best."""
    rules = [f"{rule or 'no work groups'}: all but {left:.1%} explained" for rule, left in explained(probe)]
    return rules[:SHOWN_RULES]


def label_lines(profile: DeviceProfile) -> list[str]:
    """What to keep in mind where nothing or no GPU of a profile's is hardware."""
    return [f"note: {text}" for text in no_hardware(profile.kind == "simulated", profile.software_gpu)]


def prediction_page(prediction: Prediction, units: Sequence[str]) -> Page:
    """A prediction, segment by segment."""
    rows: list[list[Cell]] = []
    for phase in prediction.phases:
        for segment in phase.segments:
            rows.append([segment.name, units[segment.branch], segment.solo_us, segment.concurrent_us])
        if phase is not prediction.phases[-1]:
            rows.append(["  crossing", "", None, phase.sync_us])
    rows.append(["total", "", None, prediction.makespan_us])
    table = Table(["segment", "unit", "solo (us)", "concurrent (us)"], rows)
    lines = [crossing_line(prediction.crossings_us, prediction.makespan_us)]
    if prediction.energy_mj is not None:
        lines.append(f"energy of an inference besides the idle device: {prediction.energy_mj:.3f} mJ")
    return Page(table, *lines)


def bench_page(result: BenchResult, prediction: Prediction | None = None, profile: DeviceProfile | None = None) -> Page:
    """A result, with a prediction and its profile beside it where there is one. The verdict is the last line."""
    lines: list[str | Table] = [f"{result.config.name} on {result.device}" + labels(result)]
    lines.append(_segments(result, prediction))
    if result.config.branch_count == 2:
        lines.append(
            f"overlap (solo times / makespan): {result.overlap:.2f} of at most {result.overlap_ceiling:.2f} with these "
            f"segments; where both branches work {result.branch_overlap:.2f} of {result.branch_overlap_ceiling:.2f}"
        )
        lines.append(crossing_line(result.crossings_us, result.makespan.median_us))
    lines.append(f"A/A {result.aa_ratio:.3f} (the same network twice)")
    lines += [f"warning: {text}" for text in result.warnings]
    if result.difference is not None:
        lines.append(f"logits equal the exporting host's within {result.difference:.1e} (relative)")
    if result.baselines:
        lines += ["", *comparison(result)]
    predicted = prediction.energy_mj if prediction else None
    lines += ["", *_energy(result, predicted)]
    if result.config.branch_count == 2:
        shares = breakdown_rows(prediction, result)
        if prediction is None:
            lines += ["", Table(["where the time goes", "measured (%)"], [[name, found] for name, _, found in shares])]
        else:
            lines += ["", Table(["where the time goes", "predicted (%)", "measured (%)"], shares)]
    if profile is not None and prediction is not None:
        lines.append(outlook_text(result.config, profile, prediction))
        if len(result.today_us) == 2:
            found = drift(result.config, profile, result.today_us)
            lines.append(drift_text(found, result.units, result.makespan.median_us))
        lines += filter(None, [foretold_text(result, prediction, profile)])
    return Page(*lines, "", *bench_lines(result))


def app_page(app: AppTimes, results: Sequence[BenchResult]) -> Page:
    """What an app measured, beside results: phones often run a network faster in an app than in a shell."""
    times = app.makespan
    told = (
        f"in the app, on {' + '.join(app.units)}: {ms_text(times.median_us)} ms (p10 {ms_text(times.p10_us)}, "
        f"p90 {ms_text(times.p90_us)}, {len(times.samples_us)} runs)"
    )
    for result in results:
        here = result.makespan.median_us
        told += f", {times.median_us / here:.2f} of the {ms_text(here)} ms here on {' + '.join(result.units)}"
    return Page(told)


def _energy(result: BenchResult, predicted_mj: float | None) -> list[str | Table]:
    energy = result.energy
    if energy is None:
        return [f"energy: not measured ({result.no_energy.rstrip('.')})"]
    rows: list[list[Cell]] = []
    for base, mj in zip(result.baselines, energy.baselines_mj, strict=True):
        rows.append([base.name, base.unit, None, f"{mj:.3f}"])
    said = None if predicted_mj is None else f"{predicted_mj:.3f}"
    rows.append([result.config.name, " + ".join(result.units), said, f"{energy.network_mj:.3f}"])
    head = f"energy of an inference besides the idle device's {energy.idle_w:.2f} W ({energy.source}):"
    return [head, Table(["model", "units", "predicted (mJ)", "measured (mJ)"], rows)]


def labels(result: BenchResult) -> str:
    labels = []
    if result.simulated:
        labels.append("SIMULATED units: no real device was measured")
    if result.software_gpu:
        labels.append("SOFTWARE GPU: its times say nothing about a GPU")
    return "".join(f" [{label}]" for label in labels)


def _segments(result: BenchResult, prediction: Prediction | None) -> Table:
    rows: list[list[Cell]] = []
    guess = {} if prediction is None else {s.name: s for p in prediction.phases for s in p.segments}
    last = result.segments[-1].phase
    for phase in range(last + 1):
        for s in (s for s in result.segments if s.phase == phase):
            said = guess.get(s.name)
            beside = said.concurrent_us if said else None
            rows.append(
                [
                    s.name,
                    result.units[s.branch],
                    said.solo_us if said else None,
                    s.solo.median_us,
                    beside,
                    s.concurrent.median_us,
                    _error(beside, s.concurrent.median_us),
                ]
            )
        if phase < last:
            sync = None if prediction is None else prediction.phases[phase].sync_us
            rows.append(["  crossing", "", None, None, sync, result.syncs[phase].median_us, None])
    total = None if prediction is None else prediction.makespan_us
    measured = result.makespan.median_us
    rows.append(["total", "", None, None, total, measured, _error(total, measured)])
    if prediction is None:
        return Table(["segment", "unit", "solo (us)", "concurrent (us)"], [[*row[:2], row[3], row[5]] for row in rows])
    columns = ["solo: predicted (us)", "measured", "concurrent: predicted", "measured", "error (%)"]
    return Table(["segment", "unit", *columns], rows, spare=(2, 3, 1))


def _error(predicted: float | None, measured: float) -> float | None:
    return None if predicted is None else 100.0 * (predicted / measured - 1.0)


def comparison(result: BenchResult) -> list[str | Table]:
    """The network beside networks of one branch, all measured in the same rounds."""
    fastest = min((b.makespan.median_us for b in result.baselines), default=result.makespan.median_us)
    rows: list[list[Cell]] = []
    for b in result.baselines:
        rows.append([b.name, b.unit, b.macs / 1e6, *_ms(b.makespan), f"{b.makespan.median_us / fastest:.2f}x"])
    units = " + ".join(result.units)
    rows.append(
        [
            result.config.name,
            units,
            result.config.macs() / 1e6,
            *_ms(result.makespan),
            f"{result.makespan.median_us / fastest:.2f}x",
        ]
    )
    columns = ["model", "units", "MACs (M)", "median (ms)", "p10-p90 (ms)", "latency"]
    lines: list[str | Table] = [Table(columns, rows, spare=(4,))]
    lines.append("MACs: multiply-accumulates, the work of one image; latency: in times of the fastest base or rival")
    if any(b.role == "rival" for b in result.baselines):
        lines.append("NAME_x1.41, a rival of one branch: the base so wide that it does 1.41 times the work")
    return lines


def _ms(samples: RunSamples) -> tuple[str, str]:
    return ms_text(samples.median_us), f"{ms_text(samples.p10_us)}-{ms_text(samples.p90_us)}"
