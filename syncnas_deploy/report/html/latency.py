"""The latency table of a profile: curves over width, contention, crossings, and how predictions became better."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from syncnas_deploy.networks.config import SyncOp
from syncnas_deploy.networks.resizing import step_multiples
from syncnas_deploy.networks.widths import BlockKey
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.rows import PointRow, SyncRow
from syncnas_deploy.report.html.markup import Content, Markup, data_table, joined, micro, ms, tag
from syncnas_deploy.report.html.plot import Plot

MOST_WIDTHS = 80
"""Places of a curve that are drawn, besides those that were measured."""
MOST_CURVES = 200


def latency_section(profile: DeviceProfile) -> Markup:
    """Everything that predictions are made of."""
    units = [tag("li", tag("i", class_=f"sw u{unit}"), text) for unit, text in enumerate(profile.units)]
    keys = tag("ul", units, tag("li", "dots and squares: measured; band: two standard deviations"), class_="legend")
    full, halved = ([_curve(profile, key) for key in _keys(profile, half)] for half in (False, True))
    half = tag(
        "details", tag("summary", f"{len(halved)} blocks with half of their outputs"), tag("div", halved, class_="many")
    )
    others = tag("div", _contention(profile), _crossings(profile), *_learning(profile), class_="two")
    return joined(
        _bases(profile),
        tag("h3", "Latency over expanded width"),
        keys,
        tag("div", full, class_="many") if full else tag("p", "No curves were measured.", class_="note"),
        half if halved else None,
        others,
        _crossing_table(profile),
    )


def _bases(profile: DeviceProfile) -> Markup:
    rows = []
    for unit, text in enumerate(profile.whole_units):
        samples = [row.sample for row in profile.networks if row.unit == unit and row.pair == 0]
        if samples:
            spread = f"{ms(samples[0].p10_us)} to {ms(samples[0].p90_us)}"
            rows.append([text, ms(samples[0].median_us), spread, f"{samples[0].disagreement:.1%}"])
    head = ["unit", "base network", "p10 to p90", "launches differ by"]
    return data_table(head, rows, caption=f"{profile.base.name} as one graph on each unit", wide=(2,))


def _keys(profile: DeviceProfile, halved: bool) -> list[BlockKey]:
    keys = {curve.key for curve in profile.curves if curve.halved == halved}
    return sorted(keys, key=lambda key: (key.stage, key.block))[:MOST_CURVES]


def _curve(profile: DeviceProfile, key: BlockKey) -> Markup:
    """A block's latency on both units, with what is not known of it."""
    measured: dict[int, list[PointRow]] = defaultdict(list)
    for row in profile.points:
        if row.point.part == "block" and row.point.expands and row.point.key == key:
            measured[row.unit].append(row)
    bands, highest, widest = {}, 0.0, 1
    for unit, rows in measured.items():
        widths = _widths([row.point.width for row in rows])
        us, deviation = profile.table.curve_with_deviation(unit, key, widths)
        low, high = us * np.maximum(0.0, 1 - 2 * deviation), us * (1 + 2 * deviation)
        bands[unit] = list(zip(widths.tolist(), us.tolist(), low.tolist(), high.tolist(), strict=True))
        highest = max(highest, float(us.max()) * 1.15, *(row.sample.median_us for row in rows))
        widest = max(widest, int(widths[-1]))
    plot = Plot((0.0, float(widest)), (0.0, 1.05 * highest))
    for unit, places in sorted(bands.items()):
        plot.band([(width, low, high) for width, _, low, high in places], f"u{unit}")
        plot.line([(width, us) for width, us, _, _ in places], f"u{unit}")
    for unit, points in sorted(measured.items()):
        dots = [(row.point.width, row.sample.median_us) for row in points]
        tips = [
            f"{profile.units[unit]}, width {row.point.width}: {micro(row.sample.median_us)} us, "
            f"launches differ by {row.sample.disagreement:.0%}"
            for row in points
        ]
        plot.dots(dots, f"u{unit}", tips)
    title = f"Stage {key.stage + 1}, block {key.block + 1}" + (", half" if key.halved else "")
    counts = " and ".join(str(len(measured[unit])) for unit in (0, 1))
    told = f"Latency over expanded width of {title}: {counts} measured points on the two units."
    return plot.figure(title, told, ("width", "us"), small=True, ticks=(3, 3))


def _widths(measured: Sequence[int]) -> np.ndarray:
    """Multiples of 4 in the measured range, not too many, and what was measured itself, ascending, [n]."""
    all_ = step_multiples(min(measured), max(measured))
    kept = all_[:: max(1, len(all_) // MOST_WIDTHS)]
    return np.union1d(kept, np.array(sorted(set(measured)), dtype=np.int64))


def _contention(profile: DeviceProfile) -> Markup:
    rows = sorted((row for row in profile.contention if row.part == "stage"), key=lambda row: row.stage)
    plot = Plot.around([(row.stage + 1, row.factor) for row in rows] + [(1, 1.0)])
    stages = len(profile.base.stages)
    plot.line([(1, 1.0), (stages, 1.0)], "faint")
    for unit in (0, 1):
        mine = [(row.stage + 1, row.factor) for row in rows if row.unit == unit]
        if mine:
            plot.line(mine, f"u{unit}")
            plot.dots(
                mine,
                f"u{unit}",
                [f"{profile.units[unit]}, stage {s}: {factor:.2f} times as long" for s, factor in mine],
            )
    told = "How many times as long each stage takes while the other unit works, by unit: " + "; ".join(
        f"stage {row.stage + 1} unit {row.unit} {row.factor:.2f}" for row in rows[:60]
    )
    return plot.figure("Contention: beside the other unit over alone", told, ("stage", "times"))


def _crossings(profile: DeviceProfile) -> Markup | None:
    rows = [row for row in profile.syncs if row.place == "sync"]
    if not rows:
        return None
    plot = Plot.around([(row.stage + 1, row.sample.median_us) for row in rows], from_zero=True)
    for op, kind in ((SyncOp.ADD, "ink"), (SyncOp.CONCAT, "muted")):
        mine = sorted((row.stage + 1, row.sample.median_us) for row in rows if row.op is op and row.trunk == 0)
        if mine:
            plot.line(mine, kind)
            plot.dots(mine, kind, [f"{op.name}, stage {stage}: {micro(us)} us" for stage, us in mine])
    told = "Time of a crossing after each stage, ADD dark dots and CONCAT pale squares; numbers are in the table below."
    return plot.figure("Crossings: ADD dark dots, CONCAT pale squares", told, ("after stage", "us"))


def _crossing_table(profile: DeviceProfile) -> Markup:
    def place(row: SyncRow) -> str:
        after = f"{row.place} after stage {row.stage + 1}, {row.op.name}" if row.stage >= 0 else row.place
        return f"{after}, trunk {row.trunk}"

    rows: list[list[Content]] = [
        [
            place(row),
            micro(row.sample.median_us),
            " / ".join(map(micro, row.downloads_us)),
            micro(row.barrier_us),
            " / ".join(map(micro, row.uploads_us)),
            f"{row.bytes:,}",
        ]
        for row in profile.syncs
    ]
    head = ["crossing", "whole (us)", "downloads", "barrier", "uploads", "bytes"]
    table = data_table(head, rows, caption="Crossings by place, microseconds; of unit 0 and of unit 1", wide=(2, 3, 4))
    return tag("details", tag("summary", f"{len(rows)} crossings by place, and their parts"), table)


def _learning(profile: DeviceProfile) -> list[Markup]:
    rows = sorted(profile.learning, key=lambda row: row.points)
    if not rows:
        return []
    values = [(row.points, 100 * row.network_error) for row in rows] + [
        (row.points, 100 * row.point_error) for row in rows
    ]
    plot = Plot.around(values, from_zero=True)
    for unit in (0, 1):
        whole = [(row.points, 100 * row.network_error) for row in rows if row.unit == unit]
        single = [(row.points, 100 * row.point_error) for row in rows if row.unit == unit]
        if whole:
            plot.line(single, f"u{unit} dashed")
            plot.line(whole, f"u{unit}")
            plot.dots(whole, f"u{unit}", [f"{profile.units[unit]}, {n} points: off by {e:.1f} %" for n, e in whole])
    told = "Error of predictions for widths not measured yet, over the number of points; networks solid, blocks dashed."
    return [plot.figure("Learning curve: networks solid, blocks dashed", told, ("points of the unit", "error, %"))]
