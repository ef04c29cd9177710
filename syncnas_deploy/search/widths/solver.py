"""Channel widths of a strategy under a latency budget: a multiple-choice knapsack by max-plus convolution.

Every block of both branches gets an expanded width. The solver looks for those of the largest utility

    sum over branches and blocks of share * log(width / base width),

share being the block's part of the base model's block MACs, among those with latency <= budget, where

    latency = stem + fork + sum over segments of max over branches(invocation + sync op + blocks)
            + syncs between segments + join + head.

The logarithm is proportional fairness (alpha-fairness with alpha 1): taking channels from a narrow block
costs more than giving as many to a wide one brings. Maximising MACs instead is linear, and its optimum is
extreme: some blocks have the narrowest width there is, some the widest. The widths of published models are
not like that, and alpha 1 costs about 1 % of the MACs.

Branches are independent once a segment's time is given. So the largest utility within t time bins is computed
for a block, then a stage, a segment of a branch, a segment, and the network, each by max-plus convolution of
the parts. Times are rounded up to bins, so the budget holds. A greedy pass with exact times then spends what
rounding left over. Strategies share the utilities of their stages, segments and beginnings.

Source: Mo & Walrand, "Fair end-to-end window-based congestion control", IEEE/ACM ToN 2000 (alpha-fairness);
Kellerer, Pferschy & Pisinger, "Knapsack Problems", 2004, ch. 11 (multiple-choice knapsack).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from syncnas_deploy.arrays import Float64Array
from syncnas_deploy.errors import InfeasibleBudget, ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig, check_strategy
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.widths import BlockKey, Widths
from syncnas_deploy.search.widths.choices import Selection, WidthChoices
from syncnas_deploy.search.widths.maxplus import convolve, delay, split

BRANCHES = (0, 1)


class CostTable(Protocol):
    """Latencies of the parts of a two-branch model, microseconds, contention between the units included.

    `stage` counts from 0; `op` is 'a' or 'c'.
    """

    @property
    def placement(self) -> Placement:
        """Where stem and head run."""
        ...

    def block_us(self, branch: int, key: BlockKey) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Expanded widths that a block may take (ascending), and its latency at each. [n], [n]"""
        ...

    def invocation_us(self, branch: int) -> float:
        """Starting one segment on a branch's unit."""
        ...

    def sync_op_us(self, branch: int, stage: int, op: str) -> float:
        """The ADD or CONCAT after a stage, as the first op of the next segment."""
        ...

    def sync_us(self, stage: int, op: str) -> float:
        """The sync after an inner stage: barrier, features crossing both ways."""
        ...

    def fork_us(self) -> float:
        """The stem's output crossing to the other branch."""
        ...

    def stem_us(self) -> float:
        """The stem; where each branch has one, the faster of both."""
        ...

    def late_us(self, branch: int) -> float:
        """How much longer a branch's own stem takes than the other one's; the faster one goes on without waiting."""
        ...

    def head_us(self, op: str) -> float:
        """The last stage's sync op and the head."""
        ...

    def join_us(self, op: str) -> float:
        """The sync after the last stage: features crossing to the trunk only."""
        ...


@dataclass(frozen=True)
class SolvedWidths:
    """The widths of a strategy.

    Attributes:
        strategy: one letter per stage.
        widths: expanded channels.
        latency_us: predicted latency of the whole network.
        utility: see the module's text; 0 is both branches at the base's widths.
    """

    strategy: str
    widths: Widths
    latency_us: float
    utility: float


@dataclass(frozen=True)
class _StageRange:
    """A run of stages between syncs. `before` is the op of the sync it starts from, '' at the stem."""

    first: int
    last: int
    before: str
    op: str


class WidthSolver:
    """Widths for any strategy of one base model, table and budget.

    Args:
        base: a model of one branch.
        table: latencies of its parts.
        budget_us: the latency that a network may take.
        bins: time bins that the budget is cut into; more are more exact and slower (quadratically).

    Raises:
        InfeasibleBudget: the budget is not a positive finite time.
        ProfileMismatch: the table's widths or latencies are not such.
    """

    def __init__(self, base: ModelConfig, table: CostTable, budget_us: float, *, bins: int = 2000) -> None:
        if not (math.isfinite(budget_us) and budget_us > 0):
            raise InfeasibleBudget(f"A latency budget must be a positive time, found {budget_us} us.")
        if base.branch_count != 1:
            raise ValueError(f"{base.name} has two branches already; give a base model")
        self.base = base
        self.table = table
        self.budget_us = budget_us
        self.bins = bins
        self._bin_us = budget_us / bins
        self._depths = tuple(len(stage.branches[0]) for stage in base.stages)
        total = sum(block.macs() for *_, block in base.blocks())
        self._share = {(s, i): block.macs() / total for _, s, i, block in base.blocks()}
        self._base_width = {(s, i): block.expanded_channels for _, s, i, block in base.blocks()}
        # What strategies share; every utility array is [bins + 1].
        self._choices: dict[tuple[int, int, bool], list[WidthChoices]] = {}
        self._stages: dict[tuple[int, int, bool], list[Float64Array]] = {}
        self._runs: dict[tuple[int, int, int, bool], list[Float64Array]] = {}
        self._segments: dict[_StageRange, Float64Array] = {}
        self._beginnings: dict[str, Float64Array] = {}

    def minimum_us(self, strategy: str) -> float:
        """The smallest latency of a strategy, each block at its fastest width.

        Raises:
            StrategyError: not a strategy of the base.
        """
        return self._fastest(strategy, self._cut(strategy)).latency_us()

    def solve(self, strategy: str) -> SolvedWidths:
        """The widths of the largest utility within the budget.

        Raises:
            StrategyError: not a strategy of the base.
            InfeasibleBudget: even the fastest widths take longer than the budget.
        """
        segments = self._cut(strategy)
        selection = self._fastest(strategy, segments)
        smallest_us = selection.latency_us()
        if smallest_us > self.budget_us:
            raise InfeasibleBudget(
                f"Strategy {strategy} takes at least {smallest_us:.0f} us, the budget is "
                f"{self.budget_us:.0f} us; raise the budget or choose another strategy."
            )
        self._search_bins(strategy, segments, selection)
        selection.widen(self.budget_us)
        widths = Widths.from_flat([selection.widths(b) for b in BRANCHES], self._depths)
        return SolvedWidths(strategy, widths, selection.latency_us(), selection.utility())

    def _fastest(self, strategy: str, segments: list[_StageRange]) -> Selection:
        """Every block at its fastest width."""
        return Selection(
            [[self._segment_choices(b, seg) for b in BRANCHES] for seg in segments],
            [[self._start_us(b, seg) for b in BRANCHES] for seg in segments],
            self._fixed_us(strategy),
        )

    def _search_bins(self, strategy: str, segments: list[_StageRange], selection: Selection) -> None:
        """Set the selection to the best within time bins; to the fastest where rounding up leaves none."""
        available = math.floor((self.budget_us - self._fixed_us(strategy)) / self._bin_us)
        # A sum of floating-point times may come out a few ulp above the sum of their bins: then one bin less.
        for t in (available, available - 1):
            choices = self._trace(segments, t)
            if choices is None:
                continue
            selection.set(choices)
            if selection.latency_us() <= self.budget_us:
                return
        selection.reset()

    # --- utilities within time bins, from blocks up to beginnings of strategies ---

    def _stage(self, branch: int, stage: int, halved: bool) -> list[Float64Array]:
        """Utilities of the first 1, 2, ... blocks of a stage; the last is the stage's."""
        key = branch, stage, halved
        if key not in self._stages:
            blocks = self._stage_choices(branch, stage, halved)
            self._stages[key] = list(itertools.accumulate(map(self._within_bins, blocks), convolve))
        return self._stages[key]

    def _run(self, branch: int, first: int, last: int, halved: bool) -> list[Float64Array]:
        """Utilities of stages first..first, first..first + 1, ... of a branch, the last halved or not."""
        key = branch, first, last, halved
        if key not in self._runs:
            end = self._stage(branch, last, halved)[-1]
            if first == last:
                self._runs[key] = [end]
            else:
                before = self._run(branch, first, last - 1, False)
                self._runs[key] = [*before, convolve(before[-1], end)]
        return self._runs[key]

    def _segment(self, seg: _StageRange) -> Float64Array:
        """Utilities of a segment: both branches have the same time."""
        if seg not in self._segments:
            branches = [self._run(b, seg.first, seg.last, seg.op == "c")[-1] for b in BRANCHES]
            late = [delay(f, self._start_bins(b, seg)) for b, f in zip(BRANCHES, branches, strict=True)]
            self._segments[seg] = late[0] + late[1]
        return self._segments[seg]

    def _beginning(self, letters: str) -> Float64Array:
        """Utilities of the stages that `letters` (ending in a sync, or empty) decides."""
        if letters not in self._beginnings:
            if not letters:
                self._beginnings[letters] = np.zeros(self.bins + 1)
            else:
                seg = _last_segment(letters)
                before = self._beginning(letters[: seg.first])
                self._beginnings[letters] = convolve(before, self._segment(seg))
        return self._beginnings[letters]

    # --- from the best utility back to the widths that have it ---

    def _trace(self, segments: list[_StageRange], t: int) -> list[list[list[int]]] | None:
        """Indices of the best choices within t bins, by [segment][branch][block]; None when nothing fits."""
        strategy = "".join("n" * (seg.last - seg.first) + seg.op for seg in segments)
        if t < 0:
            return None
        choices: list[list[list[int]]] = []
        for seg in reversed(segments):
            part = self._segment(seg)
            before = split(self._beginning(strategy[: seg.first]), part, t)
            if before is None:
                return None
            # The time that the segment needs, not the time it may take.
            spent = int(np.searchsorted(part, part[t - before]))
            choices.append([self._trace_branch(b, seg, spent - self._start_bins(b, seg)) for b in BRANCHES])
            t = before
        return choices[::-1]

    def _trace_branch(self, branch: int, seg: _StageRange, t: int) -> list[int]:
        """Indices of the best choices of a segment's blocks on one branch, within t bins."""
        runs = self._run(branch, seg.first, seg.last, seg.op == "c")
        choices: list[int] = []
        for stage in range(seg.last, seg.first - 1, -1):
            halved = stage == seg.last and seg.op == "c"
            parts = self._stage(branch, stage, halved)
            before = 0
            if stage > seg.first:
                share = split(runs[stage - seg.first - 1], parts[-1], t)
                assert share is not None, "a finite sum has finite parts"
                before = share
            choices.extend(self._trace_stage(branch, stage, halved, t - before))
            t = before
        return choices[::-1]

    def _trace_stage(self, branch: int, stage: int, halved: bool, t: int) -> list[int]:
        """Indices of the best choices of a stage's blocks within t bins, last block first."""
        parts = self._stage(branch, stage, halved)
        blocks = self._stage_choices(branch, stage, halved)
        choices: list[int] = []
        for i in range(len(parts) - 1, -1, -1):
            block = blocks[i]
            fits = int(np.searchsorted(block.bins, t, side="right"))
            if i == 0:
                choices.append(fits - 1)
                break
            utility = parts[i - 1][t - block.bins[:fits]] + block.utility[:fits]
            choice = int(np.argmax(utility))
            choices.append(choice)
            t -= int(block.bins[choice])
        return choices

    # --- what the table says ---

    def _block(self, branch: int, key: BlockKey) -> WidthChoices:
        """The widths of a block that are worth choosing."""
        widths, time_us = _checked(*self.table.block_us(branch, key), f"branch {branch} {key}")
        utility = self._share[key.stage, key.block] * np.log(widths / self._base_width[key.stage, key.block])
        # From the widest down, a width is worth choosing when it is faster than every wider one.
        wider_us = np.minimum.accumulate(np.append(time_us[1:], np.inf)[::-1])[::-1]
        keep = time_us < wider_us
        bins = np.minimum(np.ceil(time_us[keep] / self._bin_us), self.bins + 1).astype(np.int64)
        return WidthChoices(widths[keep], time_us[keep], utility[keep], bins)

    def _stage_choices(self, branch: int, stage: int, halved: bool) -> list[WidthChoices]:
        """The choices of a stage's blocks, in running order."""
        key = branch, stage, halved
        if key not in self._choices:
            blocks = range(self._depths[stage])
            self._choices[key] = [self._block(branch, BlockKey(stage, i, halved)) for i in blocks]
        return self._choices[key]

    def _segment_choices(self, branch: int, seg: _StageRange) -> list[WidthChoices]:
        """The choices of a segment's blocks on a branch, in running order."""
        choices: list[WidthChoices] = []
        for stage in range(seg.first, seg.last + 1):
            choices += self._stage_choices(branch, stage, stage == seg.last and seg.op == "c")
        return choices

    def _within_bins(self, choices: WidthChoices) -> Float64Array:
        """The largest utility of a block within 0, 1, ... time bins, [bins + 1]."""
        utilities = np.full(self.bins + 2, -np.inf)
        np.maximum.at(utilities, choices.bins, choices.utility)
        return np.maximum.accumulate(utilities[:-1])

    def _start_us(self, branch: int, seg: _StageRange) -> float:
        """What a segment takes on a branch before its first block."""
        table = self.table
        first_us = table.sync_op_us(branch, seg.first - 1, seg.before) if seg.before else table.late_us(branch)
        return _time(table.invocation_us(branch) + first_us, "a segment's start")

    def _start_bins(self, branch: int, seg: _StageRange) -> int:
        return min(math.ceil(self._start_us(branch, seg) / self._bin_us), self.bins + 1)

    def _fixed_us(self, strategy: str) -> float:
        """What a strategy takes whatever its widths: stem, fork, syncs, join, head."""
        table = self.table
        syncs_us = sum(table.sync_us(s, op) for s, op in enumerate(strategy[:-1]) if op != "n")
        ends_us = table.stem_us() + table.fork_us()
        ends_us += table.join_us(strategy[-1]) + table.head_us(strategy[-1])
        return _time(syncs_us + ends_us, "stem, head and syncs")

    def _cut(self, strategy: str) -> list[_StageRange]:
        check_strategy(strategy, len(self.base.stages))
        ends = [s + 1 for s, op in enumerate(strategy) if op != "n"]
        return [_last_segment(strategy[:end]) for end in ends]


def _last_segment(letters: str) -> _StageRange:
    """The segment that ends with the sync that `letters` ends in."""
    first = max(letters.rfind(op, 0, -1) for op in "ac") + 1
    return _StageRange(first, len(letters) - 1, letters[first - 1] if first else "", letters[-1])


def _checked(
    widths: NDArray[np.int64], time_us: NDArray[np.float64], where: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A block's entry of the table, or ProfileMismatch."""
    widths, time_us = np.asarray(widths), np.asarray(time_us, dtype=np.float64)
    if widths.ndim != 1 or widths.shape != time_us.shape or not len(widths):
        raise ProfileMismatch(f"The latency table has no widths for {where}; profile again.")
    if widths[0] < 1 or (np.diff(widths) <= 0).any():
        raise ProfileMismatch(f"The widths of {where} must be positive and rise; profile again.")
    if not (np.isfinite(time_us).all() and (time_us >= 0).all()):
        raise ProfileMismatch(f"A latency of {where} is negative or not finite; profile again.")
    return widths.astype(np.int64), time_us


def _time(time_us: float, what: str) -> float:
    if not (math.isfinite(time_us) and time_us >= 0):
        raise ProfileMismatch(f"The time of {what} is {time_us} us in the latency table; profile again.")
    return time_us
