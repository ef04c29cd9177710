"""The same device with several pairs of units: what each of them comes to."""

from __future__ import annotations

from collections.abc import Sequence

from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.benchmarking.trust import verdict_of
from syncnas_deploy.report.page import Cell, Page, Table


def pairings_page(results: Sequence[BenchResult]) -> Page:
    """One row for each result: its network, the strongest rival, and the verdict."""
    head = ["units", "two branches (ms)", "M MACs", "the best of one branch", "takes (ms)", "M MACs", "two branches"]
    return Page("does it pay, by the units' formats:", Table(head, [_row(result) for result in results], spare=[4, 3]))


def _row(result: BenchResult) -> list[Cell]:
    own = [" + ".join(result.units), f"{result.makespan.median_us / 1e3:.2f}", f"{result.config.macs() / 1e6:,.0f}"]
    verdict = verdict_of(result)
    answer = verdict.in_short if verdict else "cannot tell"
    rivals = [b for b in result.baselines if b.role == "rival"]
    strongest = next((b for b in rivals if verdict and (b.name, b.unit) == (verdict.rival, verdict.rival_units)), None)
    if strongest is None:
        return [*own, None, None, None, answer]
    times = [f"{strongest.makespan.median_us / 1e3:.2f}", f"{strongest.macs / 1e6:,.0f}"]
    return [*own, strongest.unit, *times, answer]
