"""A width probe: one block on one unit at every width around one, and which rule of work groups explains the times."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct

from syncnas_bench.work_groups import WorkGroupRule
from syncnas_deploy.errors import DocumentError
from syncnas_deploy.files.documents import Text, decode_document, read_json
from syncnas_deploy.files.measured import write_measured
from syncnas_deploy.networks.config import MAX_CHANNELS, MAX_SIZE
from syncnas_deploy.networks.widths import BlockKey
from syncnas_deploy.prediction import dispatch
from syncnas_deploy.prediction.dispatch import BlockGrid, GridTable
from syncnas_deploy.prediction.identity import false_claim
from syncnas_deploy.prediction.profile import Kind
from syncnas_deploy.prediction.rows import LEAST_US, BlockIndex, LaunchSample, Share, StageIndex

SCHEMA, VERSION = "syncnas-deploy/width-probe", 1
LEAST_WIDTHS = 8
"""Fewer widths than this tell no rule from another."""


class ProbeRow(Struct, frozen=True, forbid_unknown_fields=True):
    """The block's latency at one width."""

    width: Annotated[int, Meta(ge=1, le=MAX_CHANNELS)]
    sample: LaunchSample


class WidthProbe(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one block takes on one unit, by width.

    Attributes:
        base: name of the base model.
        unit: text of the unit.
        device: facts as text.
        base_width, input_size, output_size, expansion, depthwise: see `BlockGrid`.
    """

    schema: Text
    kind: Kind
    base: Text
    unit: Text
    device: Mapping[str, str]
    created: Text
    stage: StageIndex
    block: BlockIndex
    base_width: Annotated[int, Meta(ge=1, le=MAX_CHANNELS)]
    input_size: Annotated[int, Meta(ge=1, le=MAX_SIZE)]
    output_size: Annotated[int, Meta(ge=1, le=MAX_SIZE)]
    expansion: Share
    depthwise: Share
    rows: Annotated[tuple[ProbeRow, ...], Meta(min_length=1, max_length=1000)]

    @property
    def key(self) -> BlockKey:
        """The block."""
        return BlockKey(self.stage, self.block)

    @property
    def grid(self) -> BlockGrid:
        """Its kernels."""
        return BlockGrid(self.base_width, self.input_size, self.output_size, self.expansion, self.depthwise)


def write_probe(path: Path, probe: WidthProbe, *, force: bool) -> None:
    """Write a probe. Raises OutputError."""
    write_measured(path, msgspec.to_builtins(probe), force=force)


def read_probe(path: Path) -> WidthProbe:
    """Read a probe.

    Raises:
        DocumentError: it is none, or holds what no measurement can.
    """
    value = read_json(path, DocumentError)
    probe = decode_document(WidthProbe, value, str(path), DocumentError, version=(SCHEMA, VERSION))
    if flaw := _flaw(probe):
        raise DocumentError(f"{path}: {flaw}; measure it again.")
    return probe


def _flaw(probe: WidthProbe) -> str:
    """What no measurement of a block can hold; "" where there is nothing of the kind."""
    if claim := false_claim(probe.device, [probe.unit], measured=probe.kind == "measured"):
        return claim
    if probe.output_size > probe.input_size or probe.expansion + probe.depthwise > 1.0 + 1e-9:
        return "the block's sizes or shares are those of no block"
    if any(later.width <= row.width for row, later in itertools.pairwise(probe.rows)):
        return "rows: the widths do not rise from row to row"
    for row in probe.rows:
        sample = row.sample
        if sample.median_us < LEAST_US:
            return f"rows: has a latency that is not above {LEAST_US} us"
        if not sample.p10_us <= sample.median_us <= sample.p90_us:  # all launches have as many samples
            return f"rows: the median at width {row.width} is not between p10 and p90"
    return ""


def explained(probe: WidthProbe) -> list[tuple[WorkGroupRule | None, float]]:
    """How well each rule explains the times, the best first.

    Under a rule a time is a constant, a part by width, and a part by what each kernel dispatches for nothing.

    Returns:
        Rules, None for none, and what is left unexplained: root mean square, relative. Empty for too few widths.
    """
    if len(probe.rows) < LEAST_WIDTHS:
        return []
    width = np.array([row.width for row in probe.rows], dtype=np.int64)
    us = np.array([row.sample.median_us for row in probe.rows])
    table = GridTable.of([probe.grid] * len(width))

    def left(wastes: np.ndarray) -> float:
        terms = np.column_stack([np.ones(len(width)), width / probe.base_width, wastes]) / us[:, None]
        found, *_ = np.linalg.lstsq(terms, np.ones(len(us)), rcond=None)
        return float(np.sqrt(np.mean((terms @ found - 1) ** 2)))

    rules: list[tuple[WorkGroupRule | None, float]] = [(None, left(np.zeros((len(width), 0))))]
    rules += [(rule, left(table.waste(rule, width)[0])) for rule in dispatch.CANDIDATES]
    return sorted(rules, key=lambda found: found[1])
