"""Plots as files: the learning curve of a profile, and what one block took by width."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.prediction.identity import label
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.width_probe import WidthProbe
from syncnas_deploy.report.drawing.svg import Canvas, Position, fit

TOP, BOTTOM, SMALL, SIZE = 76.0, 56.0, 11.0, 12.0


@dataclass(frozen=True)
class _Axes:
    """Ascending counts from left to right, and values upwards from zero to `top`."""

    left: float
    width: float
    height: float
    counts: Sequence[int]
    top: float

    def at(self, count: int, value: float) -> Position:
        span = max(self.counts[-1] - self.counts[0], 1)
        return self.left + self.width * (count - self.counts[0]) / span, TOP + self.height * (1 - value / self.top)

    def canvas(
        self, head: Sequence[str], room: float, kind: str, labels: Iterable[int], level_text: Callable[[float], str]
    ) -> Canvas:
        """A canvas with the head's two lines fitted into `room`, three levels, and labels below."""
        canvas = Canvas()
        canvas.text((self.left, 20), fit(head[0], 14, room), size=14, bold=True)
        canvas.text((self.left, 40), fit(head[1], SMALL, room), size=SMALL, fill="muted")
        if kind == "simulated":
            canvas.text((self.left, 58), "SIMULATED: no hardware was measured", size=SMALL, fill="warning", bold=True)
        for value in (0.0, self.top / 2, self.top):
            _, level = self.at(self.counts[0], value)
            canvas.line([(self.left, level), (self.left + self.width, level)], stroke="hairline", width=1)
            canvas.text((self.left - 8, level), level_text(value), size=SMALL, fill="muted", anchor="end")
        below = TOP + self.height + 16
        for count in labels:
            canvas.text((self.at(count, 0)[0], below), str(count), size=SMALL, fill="muted", anchor="middle")
        return canvas


def learning_plot(profile: DeviceProfile) -> str:
    """How far a chain of unseen widths was off, over the points measured so far, as SVG.

    For each unit the error of a whole chain (a line) and of its blocks in the median (dashed).

    Raises:
        ProfileMismatch: the profile has no learning curve.
    """
    if not profile.learning:
        raise ProfileMismatch("The profile has no learning curve; measure again with more --launches.")
    points = sorted({row.points for row in profile.learning})
    highest = max(max(row.network_error, row.point_error) for row in profile.learning)
    top = next(step for step in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, highest) if step >= highest)
    left, width, height, right = 56.0, 420.0, 200.0, 190.0
    axes = _Axes(left, width, height, points, top)
    title = f"{profile.base.name} on {label(profile.device)}"
    said = "Error for unseen widths. Line: a chain's blocks in sum. Dashed: one block, median."
    head = (f"Learning curve: {title}", said)
    canvas = axes.canvas(head, width + right, profile.kind, points, lambda error: f"{100 * error:g} %")
    middle = (left + width / 2, TOP + height + 36)
    canvas.text(middle, "points measured on the unit", size=SMALL, fill="muted", anchor="middle")
    for unit in (0, 1):
        rows = sorted((row for row in profile.learning if row.unit == unit), key=lambda row: row.points)
        if not rows:
            continue
        networks = [axes.at(row.points, row.network_error) for row in rows]
        blocks = [axes.at(row.points, row.point_error) for row in rows]
        canvas.line(networks, stroke=f"strong{unit}", width=2)
        canvas.line(blocks, stroke=f"strong{unit}", width=1.3, dashed=True)
        for place in networks:
            canvas.circle(place, 3.5, stroke=f"strong{unit}")
        text = fit(f"{profile.units[unit]}: {rows[-1].network_error:.1%}", SIZE, right - 20)
        canvas.text((left + width + 14, TOP + 14 + 22 * unit), text, size=SIZE, fill=f"strong{unit}", bold=True)
    return canvas.document(left + width + right, TOP + height + BOTTOM, "Learning curve of a profile", title)


def width_plot(probe: WidthProbe, predicted_us: Mapping[int, float]) -> str:
    """Measured times as circles, those of a profile's curve as a line, as SVG.

    Args:
        probe: what was measured.
        predicted_us: by width, what a profile says; empty without one.
    """
    widths = [row.width for row in probe.rows]
    top = 1.05 * max([*(row.sample.median_us for row in probe.rows), *predicted_us.values()])
    left, width, height, right = 64.0, 520.0, 220.0, 24.0
    axes = _Axes(left, width, height, widths, top)
    title = f"{probe.key} of {probe.base} on {probe.unit}, {label(probe.device)}"
    line = "; line: the profile's curve" if predicted_us else ""
    head = (title, f"Latency by expanded channels. Circles: measured{line}.")
    labels = widths[:: max(1, len(widths) // 10)]
    canvas = axes.canvas(head, width, probe.kind, labels, lambda us: f"{us:.0f} us")
    if predicted_us:
        canvas.line([axes.at(*point) for point in sorted(predicted_us.items())], stroke="strong0", width=1.5)
    for row in probe.rows:
        canvas.circle(axes.at(row.width, row.sample.median_us), 3.5, stroke="strong1")
    return canvas.document(left + width + right, TOP + height + BOTTOM, "A width probe", title)
