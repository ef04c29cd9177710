"""Regret over evaluations: a panel per family, a line per algorithm, bands from the 10th to the 90th percentile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.search_runs import RunOutcome
from syncnas_deploy.report.drawing.svg import Canvas, Position

EVALUATIONS = 100
WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP = 250.0, 150.0, 46.0, 120.0, 58.0, 52.0
COLUMNS = 2
BANDS = {"surrogate": ("tint0", "strong0"), "evolution": ("tint1", "strong1")}
"""Algorithms with a band: its colour, and the line's; the others are grey lines."""


def regret_plot(outcomes: Mapping[tuple[str, str], Sequence[RunOutcome]]) -> str:
    """The drawing, as SVG.

    Args:
        outcomes: by family and algorithm.
    """
    canvas = Canvas()
    families = sorted({family for family, _ in outcomes})
    canvas.text((LEFT, 20), "Regret by evaluations (1: median strategy, 0: the best)", size=14, bold=True)
    canvas.text((LEFT, 38), "Lines: medians of seeds. Bands: 10th to 90th percentile.", size=11, fill="muted")
    pitch = LEFT + WIDTH + RIGHT
    for number, family in enumerate(families):
        corner = (LEFT + (number % COLUMNS) * pitch, TOP + 14 + (number // COLUMNS) * (HEIGHT + GAP))
        _panel(canvas, corner, family, {a: o for (f, a), o in outcomes.items() if f == family})
    rows = -(-len(families) // COLUMNS)
    size = (COLUMNS * pitch, TOP + rows * (HEIGHT + GAP) + 14)
    description = f"Panels: {', '.join(families)}. Algorithms: {', '.join(sorted({a for _, a in outcomes}))}."
    return canvas.document(*size, "Regret of search algorithms", description)


def _panel(canvas: Canvas, corner: Position, family: str, outcomes: Mapping[str, Sequence[RunOutcome]]) -> None:
    x, y = corner
    canvas.text((x, y - 9), family, size=12, bold=True)
    for value in (1.0, 0.5, 0.0):
        level = y + HEIGHT * (1 - value)
        canvas.line([(x, level), (x + WIDTH, level)], stroke="hairline", width=1)
        canvas.text((x - 6, level), f"{value:g}", size=10, fill="muted", anchor="end")
    for n in range(0, EVALUATIONS + 1, 25):
        canvas.text((x + WIDTH * n / EVALUATIONS, y + HEIGHT + 12), str(n), size=10, fill="muted", anchor="middle")
    curves = {name: np.array([[o.regret_at(n) for n in _GRID] for o in runs]) for name, runs in outcomes.items()}
    for name in BANDS:
        if name in curves:
            low, high = np.quantile(curves[name], (0.1, 0.9), axis=0)
            canvas.area([*_points(corner, low), *_points(corner, high)[::-1]], fill=BANDS[name][0])
    ends: list[tuple[float, str, str]] = []
    for name, curve in sorted(curves.items(), key=lambda item: item[0] in BANDS):
        middle = np.median(curve, axis=0)
        colour = BANDS[name][1] if name in BANDS else "faint"
        canvas.line(_points(corner, middle), stroke=colour, width=1.8 if name in BANDS else 1.1)
        ends.append((_points(corner, middle)[-1][1], name, colour if name in BANDS else "muted"))
    highest = y + HEIGHT + 12
    # Labels where the lines end, pushed up where they would overlap.
    for level, name, colour in sorted(ends, reverse=True):
        highest = min(level, highest - 12)
        canvas.text((x + WIDTH + 8, highest), name, size=10, fill=colour)


_GRID = tuple(range(1, EVALUATIONS + 1))


def _points(corner: Position, regrets: Sequence[float]) -> list[Position]:
    x, y = corner
    return [(x + WIDTH * n / EVALUATIONS, y + HEIGHT * (1 - min(r, 1.0))) for n, r in zip(_GRID, regrets, strict=True)]
