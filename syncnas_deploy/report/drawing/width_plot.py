"""A width probe as a picture: what one block took by width, over the curve of a profile."""

from __future__ import annotations

from collections.abc import Mapping

from syncnas_deploy.prediction.identity import label
from syncnas_deploy.prediction.width_probe import WidthProbe
from syncnas_deploy.report.drawing.svg import Canvas, Position, fit

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 520.0, 220.0, 64.0, 76.0, 24.0, 56.0
SMALL = 11.0


def width_plot(probe: WidthProbe, predicted_us: Mapping[int, float]) -> str:
    """The drawing, as SVG: measured times as circles, those of a profile's curve as a line.

    Args:
        probe: what was measured.
        predicted_us: by width, what a profile says; empty without one.
    """
    widths = [row.width for row in probe.rows]
    top = 1.05 * max([*(row.sample.median_us for row in probe.rows), *predicted_us.values()])
    span = max(widths[-1] - widths[0], 1)

    def at(width: int, us: float) -> Position:
        return LEFT + WIDTH * (width - widths[0]) / span, TOP + HEIGHT * (1 - us / top)

    canvas = Canvas()
    title = f"{probe.key} of {probe.base} on {probe.unit}, {label(probe.device)}"
    canvas.text((LEFT, 20), fit(title, 14, WIDTH), size=14, bold=True)
    line = "; line: the profile's curve" if predicted_us else ""
    canvas.text((LEFT, 40), f"Latency by expanded channels. Circles: measured{line}.", size=SMALL, fill="muted")
    if probe.kind == "simulated":
        canvas.text((LEFT, 58), "SIMULATED: no hardware was measured", size=SMALL, fill="warning", bold=True)
    for share in (0.0, 0.5, 1.0):
        _, level = at(widths[0], share * top)
        canvas.line([(LEFT, level), (LEFT + WIDTH, level)], stroke="hairline", width=1)
        canvas.text((LEFT - 8, level), f"{share * top:.0f} us", size=SMALL, fill="muted", anchor="end")
    for width in widths[:: max(1, len(widths) // 10)]:
        canvas.text((at(width, 0)[0], TOP + HEIGHT + 16), str(width), size=SMALL, fill="muted", anchor="middle")
    if predicted_us:
        canvas.line([at(width, us) for width, us in sorted(predicted_us.items())], stroke="strong0", width=1.5)
    for row in probe.rows:
        canvas.circle(at(row.width, row.sample.median_us), 3.5, fill="page", stroke="strong1")
    return canvas.document(LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM, "A width probe", title)
