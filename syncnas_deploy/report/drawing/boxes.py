"""Boxes of a drawing: a block, stem or head as one box whose numbers stand in columns, with its share of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from syncnas_deploy.networks.config import BlockSpec, ModelConfig
from syncnas_deploy.report.drawing.svg import Canvas, fit, text_width

SIZE, SMALL = 12.0, 10.5
LINE, PAD, GAP = 20.0, 12.0, 14.0
BOX_INSET = 5.0
ARROW = "→"
ARROW_ROOM = text_width(ARROW, SIZE) + 12.0
MAX_KERNELS = 100.0
BAR_LENGTH, BAR_GAP = 56.0, 6.0
BAR_ROOM = BAR_LENGTH + 2 * BAR_GAP + text_width("100.0%", SMALL) + PAD
SKIP_OUT = 7.0


@dataclass(frozen=True)
class Line:
    """One line of a box: what it is, its channels (in, expanded, out; expanded may be empty), and a mark."""

    label: str
    channels: tuple[str, str, str]
    mark: str = ""


@dataclass(frozen=True)
class Box:
    """The text of a box.

    Attributes:
        kind: block, stem or head.
        title: the same in words, for viewers that show it and for search.
        skip: whether the input is added to the output; None where not, else "whole" or "partial".
    """

    kind: str
    title: str
    lines: tuple[Line, ...]
    skip: str | None = None

    @property
    def height(self) -> float:
        """Height of the box, pixels."""
        return LINE * len(self.lines) + 2 * BOX_INSET


def block_box(block: BlockSpec, where: str) -> Box:
    """A block's box; `where` says its place in words. Many kernels are shortened in the box, not in its title."""
    channels = (block.in_channels, block.expanded_channels, block.out_channels)
    kernels = "+".join(map(str, block.kernels))
    se = block.squeeze_excite
    title = f"{where}: ({', '.join(map(str, channels))}), k {kernels}, s {block.stride}"
    title += f", SE {se.channels}" if se else ""
    skip = None
    if block.adds_input:
        skip = "whole" if block.in_channels == block.out_channels else "partial"
        title += ", residual" if skip == "whole" else f", residual on the first {block.in_channels} channels"
    label = f"{fit(f'k{kernels}', SIZE, MAX_KERNELS)} s{block.stride}"
    texts = (str(channels[0]), str(channels[1]), str(channels[2]))
    return Box("block", title, (Line(label, texts, f"SE {se.channels}" if se else ""),), skip)


def stem_box(config: ModelConfig) -> Box:
    stem = config.stem
    title = f"stem: ({stem.in_channels}, {stem.out_channels}), k {stem.kernel}, s {stem.stride}"
    return Box(
        "stem", title, (Line(f"k{stem.kernel} s{stem.stride}", (str(stem.in_channels), "", str(stem.out_channels))),)
    )


def head_box(config: ModelConfig) -> Box:
    """The head's box: one line each for convolution and pool, a layer after the pool, and the classifier."""
    head = config.head
    lines = [Line("k1 s1", (str(head.in_channels), "", str(head.out_channels)), "pool")]
    width, title = head.out_channels, f"head: ({head.in_channels}, {head.out_channels}), pool"
    if head.post_pool_channels:
        lines.append(Line("fc", (str(width), "", str(head.post_pool_channels))))
        title += f", post-pool ({width}, {head.post_pool_channels})"
        width = head.post_pool_channels
    lines.append(Line("fc", (str(width), "", str(config.classes))))
    return Box("head", f"{title}, classifier ({width}, {config.classes})", tuple(lines))


@dataclass(frozen=True)
class Columns:
    """Room for each column of text in every box of a drawing, so that numbers stand below each other."""

    label: float
    channels: tuple[float, float, float]
    mark: float

    @classmethod
    def of(cls, boxes: Iterable[Box]) -> Columns:
        """Columns that are wide enough for all these boxes."""
        lines = [line for box in boxes for line in box.lines]
        rooms = [max(text_width(line.channels[i], SIZE) for line in lines) for i in range(3)]
        return cls(
            max(text_width(line.label, SIZE) for line in lines),
            (rooms[0], rooms[1], rooms[2]),
            max(text_width(line.mark, SMALL) for line in lines) + 10.0,
        )

    @property
    def width(self) -> float:
        """Width of a box, pixels."""
        return 2 * PAD + self.label + GAP + sum(self.channels) + 2 * ARROW_ROOM + GAP + self.mark


@dataclass(frozen=True)
class Column:
    """Where one branch stands.

    Attributes:
        branch: 0 or 1.
        tint: 0 or 1, the palette of the branch's unit.
        box_x, box_width: of its boxes.
        panel_x, panel_width: of its segments.
        outward: -1 where its bars grow to the left, 1 to the right.
    """

    branch: int
    tint: int
    box_x: float
    box_width: float
    panel_x: float
    panel_width: float
    outward: int

    @property
    def axis(self) -> float:
        """The middle of its boxes."""
        return self.box_x + self.box_width / 2

    def side(self, outward: bool) -> float:
        """The edge of its boxes that the bars grow from, or the other one."""
        return self.box_x + (self.box_width if (self.outward > 0) == outward else 0.0)


def paint_box(canvas: Canvas, box: Box, column: Column, y: float, columns: Columns) -> None:
    """One box with its top at `y`."""
    with canvas.group(box.kind, box.title):
        edge = f"edge{column.tint}"
        canvas.rect((column.box_x, y), column.box_width, box.height, fill="box", stroke=edge, radius=7)
        for i, line in enumerate(box.lines):
            _paint_line(canvas, line, column, y + BOX_INSET + LINE * (i + 0.5), columns)
        if box.skip:
            _paint_skip(canvas, column, y, box.height, dashed=box.skip == "partial")


def _paint_line(canvas: Canvas, line: Line, column: Column, y: float, columns: Columns) -> None:
    x = column.box_x + PAD
    canvas.text((x, y), line.label, size=SIZE, fill="muted")
    x += columns.label + GAP
    ends = []
    for room in columns.channels:
        ends.append(x + room)
        x += room + ARROW_ROOM
    for i, text in enumerate(line.channels):
        if text:
            canvas.text((ends[i], y), text, size=SIZE, anchor="end", bold=i == 1)
    arrows = [ends[0], ends[1]] if line.channels[1] else [(ends[0] + ends[1]) / 2]
    for end in arrows:
        canvas.text((end + ARROW_ROOM / 2, y), ARROW, size=SIZE, fill="muted", anchor="middle")
    if line.mark:
        width, right = text_width(line.mark, SMALL) + 10.0, column.box_x + column.box_width - PAD
        canvas.rect((right - width, y - 8), width, 16, fill=f"tint{column.tint}", radius=8)
        canvas.text((right - width / 2, y), line.mark, size=SMALL, fill=f"strong{column.tint}", anchor="middle")


def _paint_skip(canvas: Canvas, column: Column, y: float, height: float, *, dashed: bool) -> None:
    """The way around a block, at the side where no bars are."""
    x, away = column.side(outward=False), -column.outward
    out, top, bottom = x + away * SKIP_OUT, y + 0.24 * height, y + 0.76 * height
    stroke = f"strong{column.tint}"
    canvas.line([(x, top), (out, top), (out, bottom), (x + away * 5, bottom)], stroke=stroke, width=1.3, dashed=dashed)
    canvas.arrowhead((x, bottom), (-away, 0), fill=stroke, size=5.5)


def paint_bar(canvas: Canvas, share: float, largest: float, column: Column, y: float) -> None:
    """A box's share of its branch's time, beside it; `y` is the box's middle, `largest` fills the room."""
    length = max(1.0, BAR_LENGTH * share / largest)
    foot = column.side(outward=True) + column.outward * BAR_GAP
    left = foot if column.outward > 0 else foot - length
    with canvas.group("share", f"{100 * share:.1f} % of the branch's time"):
        canvas.rect((left, y - 5), length, 10, fill=f"strong{column.tint}", radius=1.5)
        anchor = "start" if column.outward > 0 else "end"
        at = (foot + column.outward * (length + BAR_GAP), y)
        canvas.text(at, f"{100 * share:.1f}%", size=SMALL, fill="ink", anchor=anchor)
