"""An architecture as a drawing: one column of blocks per branch, stage below stage, and what crosses between the units.

Tinted panels are segments, so a panel is what one unit runs without waiting for the other. Between panels of both
columns are the crossings: a fork after the stem, a joint on each unit that adds or concatenates, and what has to be
carried there. With a profile, bars show where each branch's time goes. The drawing depends on its input alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from syncnas_bench import UnitError
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.segments import Feed, Segment, cut
from syncnas_deploy.networks.weights import parameter_count
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.report.drawing.boxes import (
    BAR_ROOM,
    SIZE,
    SMALL,
    Box,
    Column,
    Columns,
    block_box,
    head_box,
    paint_bar,
    paint_box,
    stem_box,
)
from syncnas_deploy.report.drawing.shares import HEAD, STEM, Place, Shares, shares, unit_of
from syncnas_deploy.report.drawing.svg import Canvas, fit, text_width

MARGIN = 36.0
PANEL_PAD, PANEL_HEAD = 14.0, 30.0
CENTRE = 150.0
STAGE_ROOM = 106.0
BLOCK_GAP, STAGE_GAP = 8.0, 22.0
CROSSING, CROSSING_AXIS, JOINT = 66.0, 30.0, 10.0
TITLE_SIZE = 19.0
LEGEND_LINE = 18.0


@dataclass(frozen=True)
class Part:
    """A box and where it belongs; `stage` is -1 in the stem and -2 in the head."""

    place: Place
    box: Box

    @property
    def stage(self) -> int:
        """Boxes of one stage stand in one row of stages."""
        return self.place[0]


def draw(
    config: ModelConfig,
    *,
    units: tuple[str, ...] | None = None,
    profile: DeviceProfile | None = None,
    part_of_page: bool = False,
) -> str:
    """An architecture as a standalone SVG, for light and dark viewers; or as an element of an HTML page.

    Args:
        config: of one or two branches.
        units: one text per branch; the profile's where None.
        profile: of the config's base, for predicted times; a base model itself is shown on `units`, or on the faster
            unit where None.

    Raises:
        UnitError: not one unit per branch.
        ProfileMismatch: the profile is of another base, other units or lacks an entry.
    """
    named = units or ()
    if named and len(named) != config.branch_count:
        raise UnitError(
            f"{config.name} has {config.branch_count} branch{'es' if config.branch_count > 1 else ''}, and units were "
            f"named for {len(named)}; name one for each, or none."
        )
    times = None
    if profile is not None:
        times = shares(config, profile, unit_of(profile, named, config.branch_count))
        named = times.unit_texts
    return _Artwork(config, named, times, Canvas(part_of_page=part_of_page)).svg()


class _Artwork:
    """One drawing while it is made; `_y` is where the next row begins."""

    def __init__(self, config: ModelConfig, units: tuple[str, ...], times: Shares | None, canvas: Canvas) -> None:
        self._config, self._units, self._times, self._canvas = config, units, times, canvas
        self._segments = cut(config)
        self._parts = {segment.name: _parts(segment, config) for segment in self._segments}
        self._texts = Columns.of(part.box for parts in self._parts.values() for part in parts)
        self._largest = max(times.parts.values()) if times else 1.0
        bars = BAR_ROOM if times else 0.0
        panel = self._texts.width + 2 * PANEL_PAD + bars
        first = MARGIN if config.branch_count == 2 else MARGIN + STAGE_ROOM
        self._columns = [self._column(branch, first, panel, bars) for branch in range(config.branch_count)]
        self._width = self._columns[-1].panel_x + panel + MARGIN
        self._y = MARGIN

    def _column(self, branch: int, first: float, panel: float, bars: float) -> Column:
        outward = 1 if branch or self._config.branch_count == 1 else -1
        x = first + branch * (panel + CENTRE)
        box_x = x + PANEL_PAD + (bars if outward < 0 else 0.0)
        tint = self._times.units[branch] if self._times else branch
        return Column(branch, tint, box_x, self._texts.width, x, panel, outward)

    def svg(self) -> str:
        """The whole drawing."""
        self._header()
        self._branch_heads()
        for phase in range(self._segments[-1].phase + 1):
            members = [segment for segment in self._segments if segment.phase == phase]
            followers = [segment for segment in self._segments if segment.phase == phase + 1]
            self._phase(members)
            if followers:
                self._crossing(members, followers)
        self._legend()
        facts = "; ".join(_facts(self._config))
        return self._canvas.document(self._width, self._y + MARGIN, self._config.name, facts)

    def _header(self) -> None:
        room = self._width - 2 * MARGIN
        title = fit(self._config.name, TITLE_SIZE, room)
        self._canvas.text((MARGIN, self._y + 10), title, size=TITLE_SIZE, bold=True)
        self._y += 36
        self._paragraph(list(_facts(self._config)), SIZE, 20.0)
        if self._times is not None:
            total = f"{self._times.total_us:,.0f} us"
            said = f"latency {total}, measured as one graph" if self._times.measured else f"predicted latency {total}"
            self._canvas.text((MARGIN, self._y + 8), fit(said, SIZE, room), size=SIZE, bold=True)
            self._y += 20
            for label in _warnings(self._times):
                self._canvas.text((MARGIN, self._y + 8), fit(label, SIZE, room), size=SIZE, fill="warning", bold=True)
                self._y += 20
        self._y += 14

    def _paragraph(self, words: list[str], size: float, leading: float) -> None:
        """Phrases set one after the other, and on further lines where they do not fit."""
        room, between = self._width - 2 * MARGIN, "  ·  "
        lines: list[str] = []
        for word in words:
            longer = lines[-1] + between + word if lines else word
            if lines and text_width(longer, size) <= room:
                lines[-1] = longer
            else:
                lines.append(word)
        for line in lines:
            self._canvas.text((MARGIN, self._y + 8), fit(line, size, room), size=size, fill="muted")
            self._y += leading

    def _branch_heads(self) -> None:
        """Which colour is which branch, and on which unit."""
        for column in self._columns:
            text = f"branch {column.branch}" if len(self._columns) == 2 else "one branch"
            if self._units:
                text += f" on {self._units[column.branch]}"
            self._canvas.rect((column.panel_x, self._y), 12, 12, fill=f"strong{column.tint}", radius=3)
            text = fit(text, SIZE, column.panel_width - 20)
            self._canvas.text((column.panel_x + 20, self._y + 6), text, size=SIZE, bold=True)
        self._y += 24

    def _phase(self, members: list[Segment]) -> None:
        """The panels of one phase, and beside them its stages."""
        tops, bottom = self._stage_rows(members)
        for segment in members:
            column = self._columns[segment.branch]
            with self._canvas.group("segment", f"{segment.name}, branch {segment.branch}"):
                at, height = (column.panel_x, self._y), bottom + PANEL_PAD - self._y
                self._canvas.rect(at, column.panel_width, height, fill=f"tint{column.tint}", radius=11)
                self._panel_head(segment, column)
                end = bottom if segment.phase == self._segments[-1].phase else bottom + PANEL_PAD
                self._boxes(segment, column, tops, end)
        for stage, top in tops.items():
            height = max(_height(self._parts[segment.name], stage) for segment in members)
            self._stage_label(stage, top, height)
        self._y = bottom + PANEL_PAD

    def _stage_rows(self, members: list[Segment]) -> tuple[dict[int, float], float]:
        """The top of each stage's row, and where the last one ends."""
        tops: dict[int, float] = {}
        y = self._y + PANEL_HEAD
        for stage in dict.fromkeys(part.stage for part in self._parts[members[0].name]):
            tops[stage] = y
            y += max(_height(self._parts[segment.name], stage) for segment in members) + STAGE_GAP
        return tops, y - STAGE_GAP

    def _panel_head(self, segment: Segment, column: Column) -> None:
        y, left = self._y + PANEL_HEAD / 2, column.panel_x + PANEL_PAD
        text = _segment_name(segment)
        strong = f"strong{column.tint}"
        if self._times is None:
            self._canvas.text((left, y), text, size=SMALL, fill=strong, bold=True)
            return
        row = self._times.segments[segment.name]
        times = f"{row.solo_us:,.0f} us"
        if row.concurrent_us != row.solo_us:
            times = f"{times} alone · {row.concurrent_us:,.0f} us beside the other"
        room = column.panel_width - 2 * PANEL_PAD
        times = fit(times, SMALL, room - text_width(text, SMALL) - PANEL_PAD)
        self._canvas.text((left, y), text, size=SMALL, fill=strong, bold=True)
        self._canvas.text((left + room, y), times, size=SMALL, fill="ink", anchor="end")

    def _boxes(self, segment: Segment, column: Column, tops: dict[int, float], bottom: float) -> None:
        """A segment's boxes on its axis; the axis goes down to `bottom`."""
        stroke, y, stage = f"strong{column.tint}", 0.0, None
        parts = self._parts[segment.name]
        for i, part in enumerate(parts):
            if part.stage != stage:
                stage, top = part.stage, tops[part.stage]
            else:
                top = y + BLOCK_GAP
            if i:
                self._canvas.line([(column.axis, y), (column.axis, top)], stroke=stroke)
            paint_box(self._canvas, part.box, column, top, self._texts)
            if self._times is not None:
                share = self._times.parts[segment.branch, part.place]
                paint_bar(self._canvas, share, self._largest, column, top + part.box.height / 2)
            y = top + part.box.height
        if bottom > y:
            self._canvas.line([(column.axis, y), (column.axis, bottom)], stroke=stroke)

    def _stage_label(self, stage: int, top: float, height: float) -> None:
        """A stage's number and the size of its features, between the columns or before the only one."""
        config = self._config
        if stage == STEM[0]:
            name, size = "stem", f"{config.stem_size} px"
        elif stage == HEAD[0]:
            name, size = "head", f"{config.classes} classes"
        else:
            name, size = f"stage {stage + 1}", f"{config.stages[stage].branches[0][-1].output_size} px"
        middle = top + height / 2
        if len(self._columns) == 2:
            x, anchor = self._columns[1].panel_x - CENTRE / 2, "middle"
        else:
            x, anchor = MARGIN, "start"
        with self._canvas.group("stage", f"{name}: {size}"):
            self._canvas.text((x, middle - 8), name, size=SIZE, anchor=anchor, bold=True)
            self._canvas.text((x, middle + 8), size, size=SMALL, fill="muted", anchor=anchor)

    def _crossing(self, members: list[Segment], followers: list[Segment]) -> None:
        """What goes from one phase to the next: each branch's own features straight down, its partner's across."""
        op, phase = followers[0].sync, members[0].phase
        crosses = any(feed is Feed.PARTNER for follower in followers for feed in follower.feeds)
        kind = op.name.lower() if op is not SyncOp.NONE else "fork" if crosses else "no wait"
        top, axis, end = self._y, self._y + CROSSING_AXIS, self._y + CROSSING
        senders = {
            m.branch: m.output_bytes for m in members if crosses and any(f.branch != m.branch for f in followers)
        }
        moved = (
            ", ".join(f"branch {branch} sends {count:,} B" for branch, count in senders.items()) or "nothing crosses"
        )
        with self._canvas.group(f"crossing {kind}", f"{kind} after phase {phase}: {moved}"):
            left, right = (column.axis for column in self._columns)
            if crosses:
                self._canvas.line([(left, axis), (right, axis)], stroke="faint")
            for member in members:
                x = self._columns[member.branch].axis
                self._canvas.line([(x, top), (x, axis)], stroke=f"strong{member.branch}")
            for follower in followers:
                x, strong = self._columns[follower.branch].axis, f"strong{follower.branch}"
                self._canvas.line([(x, axis), (x, end - 6)], stroke=strong)
                self._canvas.arrowhead((x, end), (0, 1), fill=strong)
                if op is not SyncOp.NONE:
                    self._joint(x, axis, op, follower.branch)
            if crosses:
                self._crossing_texts(kind, axis, senders, phase)
        self._y = end

    def _joint(self, x: float, y: float, op: SyncOp, branch: int) -> None:
        """A disc with + or ||, and the arrow of what comes from the partner."""
        strong, toward = f"strong{branch}", 1 if branch else -1
        self._canvas.arrowhead((x - toward * (JOINT + 1), y), (toward, 0), fill="faint")
        self._canvas.circle((x, y), JOINT, stroke=strong)
        half = JOINT / 2
        if op is SyncOp.ADD:
            strokes = [((x - half, y), (x + half, y)), ((x, y - half), (x, y + half))]
        else:
            strokes = [((side, y - half), (side, y + half)) for side in (x - 2.5, x + 2.5)]
        for stroke in strokes:
            self._canvas.line(stroke, stroke=strong, width=1.8)

    def _crossing_texts(self, kind: str, y: float, senders: dict[int, int], phase: int) -> None:
        canvas = self._canvas
        middle = (self._columns[0].axis + self._columns[1].axis) / 2
        width = text_width(kind, SIZE) + 24
        canvas.rect((middle - width / 2, y - 11), width, 22, fill="page", stroke="faint", radius=11)
        canvas.text((middle, y), kind, size=SIZE, anchor="middle", bold=True)
        if self._times is not None:
            text = f"{self._times.syncs_us[phase]:,.1f} us"
            canvas.text((middle, y + 21), text, size=SMALL, fill="muted", anchor="middle")
        for branch, count in senders.items():
            x = (self._columns[branch].axis + (JOINT if branch == 0 else -JOINT) + middle) / 2
            text = f"← {count:,} B" if branch else f"{count:,} B →"
            canvas.text((x, y - 11), text, size=SMALL, fill="muted", anchor="middle")

    def _legend(self) -> None:
        self._y += 20
        self._canvas.line([(MARGIN, self._y), (self._width - MARGIN, self._y)], stroke="hairline", width=1)
        self._y += 14
        boxes = [part.box for parts in self._parts.values() for part in parts]
        words = ["k kernel", "s stride", "in → expanded → out channels", "fc fully connected"]
        if any(line.mark.startswith("SE") for box in boxes for line in box.lines):
            words.append("SE squeeze-and-excitation, its channels")
        if any(box.skip == "whole" for box in boxes):
            words.append("arrow at a block's side: its input is added to its output")
        if any(box.skip == "partial" for box in boxes):
            words.append("dashed arrow: to the first channels of its output")
        words.append("px: size of a stage's output")
        if len(self._columns) == 2:
            words.append("a panel: what one unit runs without waiting for the other")
            words.append("B: bytes that cross, float32")
        if self._times is not None:
            words.append("bar: a part's share of its branch's time, each unit alone")
        self._paragraph(words, SMALL, LEGEND_LINE)


def _parts(segment: Segment, config: ModelConfig) -> tuple[Part, ...]:
    """A segment's boxes, in order."""
    parts = [Part(STEM, stem_box(config))] if segment.stem else []
    for placed in segment.blocks:
        where = f"branch {placed.branch}, stage {placed.stage + 1}, block {placed.index + 1}"
        parts.append(Part((placed.stage, placed.index), block_box(placed.block, where)))
    if segment.head:
        parts.append(Part(HEAD, head_box(config)))
    return tuple(parts)


def _segment_name(segment: Segment) -> str:
    if segment.stem and segment.head:
        return "whole network"
    return segment.name if segment.stem or segment.head else f"phase {segment.phase}"


def _height(parts: tuple[Part, ...], stage: int) -> float:
    """Height of one stage's boxes, gaps included."""
    heights = [part.box.height for part in parts if part.stage == stage]
    return sum(heights) + BLOCK_GAP * (len(heights) - 1)


def _facts(config: ModelConfig) -> list[str]:
    """The lines below the name."""
    facts = [f"strategy {config.strategy}"] if config.strategy else []
    facts += [
        f"{len(config.stages)} stages",
        f"{parameter_count(config):,} params",
        f"{config.macs() / 1e6:,.1f} M MACs",
    ]
    return [*facts, f"{config.input_size} px input"]


def _warnings(times: Shares) -> list[str]:
    """Sentences that a reader must not overlook."""
    labels = ["SIMULATED units: no real device was measured"] if times.simulated else []
    if any("software" in unit for unit in times.unit_texts):
        labels.append("SOFTWARE GPU: its times say nothing about a GPU")
    return labels
