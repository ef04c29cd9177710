"""Width probes: one block's latency at every width, over the curve that a profile has of it."""

from __future__ import annotations

import numpy as np

from syncnas_deploy.networks.resizing import step_multiples
from syncnas_deploy.prediction.identity import label
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.width_probe import WidthProbe
from syncnas_deploy.report.html.markup import Content, Markup, data_table, joined, micro, tag
from syncnas_deploy.report.html.plot import XY, Plot
from syncnas_deploy.report.tables import probe_rules


def probe_name(probe: WidthProbe) -> str:
    """What was probed, and where."""
    return f"{str(probe.key).capitalize()} of {probe.base} on {probe.unit}, {label(probe.device)}"


def probe_section(probe: WidthProbe, found: tuple[DeviceProfile, int] | None) -> Markup:
    """A probe's chart, the rules of work groups that explain it, and every width.

    Args:
        found: a profile of the same device, and which of its units was probed; None without one.
    """
    points = [(float(row.width), row.sample.median_us) for row in probe.rows]
    curve, known = ([], []) if found is None else _of_profile(probe, *found)
    edges = [(width, edge) for width, _, low, high in curve for edge in (low, high)]
    plot = Plot.around([*points, *edges, *known])
    if curve:
        plot.band([(width, low, high) for width, _, low, high in curve], "u0")
        plot.line([(width, us) for width, us, _, _ in curve], "u0")
    plot.dots(points, "u1", [f"probed, width {width:.0f}: {micro(us)} us" for width, us in points])
    plot.dots(known, "ink", [f"in the profile, width {width:.0f}: {micro(us)} us" for width, us in known])
    line = "; line and band: the profile's curve with two standard deviations" if curve else ""
    told = f"Latency of {len(points)} widths from {points[0][0]:.0f} to {points[-1][0]:.0f}{line}."
    colours = [("u1", "probed")]
    colours += [("u0", "the profile's curve, and two standard deviations")] if curve else []
    colours += [("ink", "measured in the profile")] if known else []
    legend = tag("ul", [tag("li", tag("i", class_=f"sw {kind}"), text) for kind, text in colours], class_="legend")
    said = {width: us for width, us, _, _ in curve}
    rows: list[list[Content]] = [
        [
            f"{row.width}",
            micro(row.sample.median_us),
            micro(said[row.width]) if row.width in said else "-",
            f"{said[row.width] / row.sample.median_us - 1:+.1%}" if row.width in said else "-",
        ]
        for row in probe.rows
    ]
    table = data_table(["width", "probed (us)", "curve (us)", "error"], rows, caption=f"Widths of {probe_name(probe)}")
    return joined(
        legend,
        plot.figure("Latency over expanded width", told, ("width", "us"), ticks=(6, 4)),
        tag("ul", [tag("li", rule) for rule in probe_rules(probe)], class_="checks"),
        tag("details", tag("summary", f"{len(rows)} widths"), table),
    )


def _of_profile(
    probe: WidthProbe, profile: DeviceProfile, unit: int
) -> tuple[list[tuple[float, float, float, float]], list[XY]]:
    """The profile's curve where the probe looked, as width, latency, low and high; and what it was made from there."""
    least, most = probe.rows[0].width, probe.rows[-1].width
    measured = [row for row in profile.points if row.unit == unit and row.point.part == "block" and row.point.expands]
    own = {row.point.width: row.sample.median_us for row in measured if row.point.key == probe.key}
    if not own:
        return [], []
    low, high = max(least, min(own)), min(most, max(own))
    probed = [row.width for row in probe.rows if low <= row.width <= high]
    widths = np.union1d(step_multiples(low, high), np.array(probed, dtype=np.int64)) if low <= high else np.array([])
    if not len(widths):
        return [], []
    us, deviation = profile.table.curve_with_deviation(unit, probe.key, widths)
    bounds = us * np.maximum(0.0, 1 - 2 * deviation), us * (1 + 2 * deviation)
    curve = list(zip(widths.tolist(), us.tolist(), *(bound.tolist() for bound in bounds), strict=True))
    return curve, [(float(width), us) for width, us in sorted(own.items()) if least <= width <= most]
