"""The learning curve of a profile: how far a chain of unseen widths was off, over the points measured so far."""

from __future__ import annotations

from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.prediction.identity import label
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.report.drawing.svg import Canvas, Position, fit

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 420.0, 200.0, 56.0, 76.0, 190.0, 56.0
SMALL, SIZE = 11.0, 12.0


def learning_plot(profile: DeviceProfile) -> str:
    """The drawing, as SVG: for each unit the error of a whole chain (a line) and of its blocks in the median (dashed).

    Raises:
        ProfileMismatch: the profile has no learning curve.
    """
    if not profile.learning:
        raise ProfileMismatch("The profile has no learning curve; measure again with more --launches.")
    points = sorted({row.points for row in profile.learning})
    highest = max(max(row.network_error, row.point_error) for row in profile.learning)
    top = next(step for step in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, highest) if step >= highest)
    span = max(points[-1] - points[0], 1)

    def at(count: int, error: float) -> Position:
        return LEFT + WIDTH * (count - points[0]) / span, TOP + HEIGHT * (1 - error / top)

    canvas = Canvas()
    title = f"{profile.base.name} on {label(profile.device)}"
    canvas.text((LEFT, 20), fit(f"Learning curve: {title}", 14, WIDTH + RIGHT), size=14, bold=True)
    said = "Error for unseen widths. Line: a chain's blocks in sum. Dashed: one block, median."
    canvas.text((LEFT, 40), fit(said, SMALL, WIDTH + RIGHT), size=SMALL, fill="muted")
    if profile.kind == "simulated":
        canvas.text((LEFT, 58), "SIMULATED: no hardware was measured", size=SMALL, fill="warning", bold=True)
    for share in (0.0, 0.5, 1.0):
        _, level = at(points[0], share * top)
        canvas.line([(LEFT, level), (LEFT + WIDTH, level)], stroke="hairline", width=1)
        canvas.text((LEFT - 8, level), f"{100 * share * top:g} %", size=SMALL, fill="muted", anchor="end")
    for count in points:
        canvas.text((at(count, 0)[0], TOP + HEIGHT + 16), str(count), size=SMALL, fill="muted", anchor="middle")
    middle = (LEFT + WIDTH / 2, TOP + HEIGHT + 36)
    canvas.text(middle, "points measured on the unit", size=SMALL, fill="muted", anchor="middle")
    for unit in (0, 1):
        rows = sorted((row for row in profile.learning if row.unit == unit), key=lambda row: row.points)
        if not rows:
            continue
        networks = [at(row.points, row.network_error) for row in rows]
        canvas.line(networks, stroke=f"strong{unit}", width=2)
        canvas.line([at(row.points, row.point_error) for row in rows], stroke=f"strong{unit}", width=1.3, dashed=True)
        for x, y in networks:
            canvas.circle((x, y), 3.5, fill="page", stroke=f"strong{unit}")
        text = fit(f"{profile.units[unit]}: {rows[-1].network_error:.1%}", SIZE, RIGHT - 20)
        canvas.text((LEFT + WIDTH + 14, TOP + 14 + 22 * unit), text, size=SIZE, fill=f"strong{unit}", bold=True)
    size = (LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM)
    return canvas.document(*size, "Learning curve of a profile", title)
