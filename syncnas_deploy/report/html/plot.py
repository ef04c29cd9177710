"""A chart that fits any width: labels are HTML at their own size, and the lines between them stretch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from syncnas_deploy.report.escaping import escaped
from syncnas_deploy.report.html.markup import Markup, joined, number, percent, tag

XY = tuple[float, float]
LARGEST = 1e15
"""What is beyond stands at the edge: the differences of larger numbers could be infinite."""


class Plot:
    """Marks on two axes, in the order in which they are painted.

    Args:
        x, y: least and largest value of each axis. Where both are the same there is room around it.
    """

    def __init__(self, x: XY, y: XY) -> None:
        self._x, self._y = _roomy(x), _roomy(y)
        self._marks: list[str] = []

    @classmethod
    def around(cls, points: Iterable[XY], *, from_zero: bool = False) -> Plot:
        """A plot with room for all of these points."""
        xs, ys = zip(*points, strict=True)
        (left, right), (low, high) = (min(xs), max(xs)), (min(ys), max(ys))
        aside, above = 0.04 * (right - left), 0.06 * (high - low)
        return cls((left - aside, right + aside), (min(0.0, low) if from_zero else low - above, high + above))

    def line(self, points: Iterable[XY], kind: str) -> None:
        """Straight pieces; `kind` names the colour: u0 and u1 of a unit, ink, faint."""
        self._marks.append(f'<path class="l {kind}" d="M{self._path(points)}"/>')

    def steps(self, points: Sequence[XY], kind: str) -> None:
        """A line that stays at a value until the next point."""
        corners = [points[0]]
        for before, after in itertools.pairwise(points):
            corners += [(after[0], before[1]), after]
        self.line(corners, kind)

    def band(self, points: Sequence[tuple[float, float, float]], kind: str) -> None:
        """The area between a low and a high value of y."""
        edge = [(x, low) for x, low, _ in points] + [(x, high) for x, _, high in reversed(points)]
        self._marks.append(f'<path class="a {kind}" d="M{self._path(edge)}Z"/>')

    def bars(self, points: Iterable[tuple[float, float, float]], kind: str) -> None:
        """A vertical line from a low to a high value of y."""
        pieces = "".join(f"M{self._at(x, low)}V{self._at(x, high).split()[1]}" for x, low, high in points)
        self._marks.append(f'<path class="l {kind}" d="{pieces}"/>')

    def dots(self, points: Iterable[XY], kind: str, tips: Sequence[str] = ()) -> None:
        """Dots, each a stroke without a length; a tip is shown where one is pointed at."""
        path = "".join(f"M{self._at(*point)}h0" for point in points)
        told = "|".join(escaped(tip[:200].replace("|", "/")) for tip in tips)
        self._marks.append(f'<path class="d {kind}" d="{path}"' + (f' data-tips="{told}"' if tips else "") + "/>")

    def figure(
        self,
        title: str,
        description: str,
        axes: tuple[str, str],
        *,
        small: bool = False,
        ticks: tuple[int, int] = (4, 4),
    ) -> Markup:
        """The chart with its title and axes.

        Args:
            description: what it shows, for those who cannot see it.
            axes: what the axes are, x and then y.
            small: one of many.
            ticks: about how many labels each axis has.
        """
        across, up = round_values(*self._x, ticks[0]), round_values(*self._y, ticks[1])
        grid = "".join(f'<path class="grid" d="M0 {_whole(self._up(v))}H1000"/>' for v in up)
        svg = (
            f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="{escaped(description)}">'
            f"{grid}{''.join(self._marks)}</svg>"
        )
        area = tag("div", Markup(svg), class_="area")
        left = [tag("span", text, style=f"top:{percent(self._up(v) / 1000)}") for v, text in _labels(up)]
        below = [tag("span", text, style=f"left:{percent(self._across(v) / 1000)}") for v, text in _labels(across)]
        box = tag(
            "div",
            tag("div", left, class_="ys", aria_hidden="true"),
            area,
            tag("div", below, class_="xt", aria_hidden="true"),
            class_="box",
        )
        names = joined(tag("span", f"↑ {axes[1]}"), tag("span", f"{axes[0]} →"))
        axis = tag("p", names, class_="ax", aria_hidden="true")
        return tag("figure", tag("figcaption", title), box, axis, class_="plot small" if small else "plot")

    def _across(self, x: float) -> float:
        return 1000 * _share(x, self._x)

    def _up(self, y: float) -> float:
        return 1000 * (1 - _share(y, self._y))

    def _at(self, x: float, y: float) -> str:
        return f"{_whole(self._across(x))} {_whole(self._up(y))}"

    def _path(self, points: Iterable[XY]) -> str:
        return "L".join(self._at(x, y) for x, y in points)


def round_values(low: float, high: float, count: int) -> list[float]:
    """About `count` round values between two."""
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in (1, 2, 2.5, 5) if factor * power >= rough * (1 - 1e-9)), 10 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * i for i in range(first, min(last, first + 20) + 1)]


def _labels(values: Sequence[float]) -> list[tuple[float, str]]:
    """Values with their texts, in as many digits as tell them apart."""
    texts = [number(value) for value in values]
    for digits in range(5, 16):
        if len(set(texts)) == len(texts):
            break
        texts = [f"{value:.{digits}g}" for value in values]
    return list(zip(values, texts, strict=True))


def _roomy(range_: XY) -> XY:
    low, high = (min(max(value, -LARGEST), LARGEST) for value in range_)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        room = 0.1 * max(abs(low), abs(high)) or 1.0
        return low - room, high + room
    return low, high


def _share(value: float, range_: XY) -> float:
    """Where a value is between the ends of an axis; what is beyond is a little beyond."""
    return min(max((value - range_[0]) / (range_[1] - range_[0]), -0.02), 1.02)


def _whole(value: float) -> str:
    return f"{value:.0f}"
