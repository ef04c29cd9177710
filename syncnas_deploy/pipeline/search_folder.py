"""The folder of a search.

best.json          the best network within the budget that was named first; best-BUDGET.json for each of several
front.csv          the best by budget
history.csv        all trials
verdict.json       whether each pays, and its rivals
search.json        what decided all of it
search.journal     finished evaluations, from which a search goes on
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from syncnas_deploy.errors import OutputExists
from syncnas_deploy.files.one_line import one_line
from syncnas_deploy.files.output import check_no_file, check_output
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.prediction.identity import label
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.profile_files import profile_text
from syncnas_deploy.report.comparison import BEST, FRONT, HISTORY, JOURNAL
from syncnas_deploy.search import results
from syncnas_deploy.search.evaluators import Evaluator
from syncnas_deploy.search.loop import SearchSettings
from syncnas_deploy.search.search_file import NAME as HOW
from syncnas_deploy.search.search_file import (
    SCHEMA,
    SearchedProfile,
    SearchFile,
    told_evaluator,
    versions_now,
    write_search,
)
from syncnas_deploy.search.verdict_file import NAME as VERDICT
from syncnas_deploy.search.verdict_file import write_verdicts

if TYPE_CHECKING:
    from syncnas_deploy.pipeline.searches import Found


def check_search_output(out: Path, files: Sequence[str], *, resume: bool, force: bool) -> frozenset[str]:
    """Refuse a folder where a search cannot go.

    Returns:
        Its files that are there already. What others put there meanwhile is not replaced.

    Raises:
        OutputExists: it holds a search and neither `resume` nor `force` is given, or files of something else.
    """
    check_no_file(out)
    for name in files:
        check_output(out / name, force=True)
    held = frozenset(name for name in files if (out / name).exists())
    if (out / JOURNAL).exists():
        if not (resume or force):
            raise OutputExists(f"{out}: holds a search already; give --resume to go on or --force to begin anew.")
    elif held:
        raise OutputExists(f"{out}: holds files of something else, {min(held)} for one; choose another --out.")
    return held


def _best_name(budget: str, budgets: int) -> str:
    return f"best-{budget}.json" if budgets > 1 else BEST


def files_of(texts: Sequence[str]) -> tuple[str, ...]:
    """What a search of these budgets writes besides its journal."""
    best = (_best_name(text, len(texts)) for text in texts)
    return tuple(dict.fromkeys((BEST, *best, FRONT, VERDICT, HISTORY, HOW)))


def how_it_went(
    measured: DeviceProfile, budgets: Sequence[str], judge: Evaluator, settings: SearchSettings, done: int
) -> SearchFile:
    """What decided the results."""
    told = told_evaluator(judge)
    return SearchFile(
        schema=SCHEMA,
        versions=versions_now(told),
        base=measured.base.name,
        profile=SearchedProfile(
            one_line(label(measured.device))[:256], hashlib.sha256(profile_text(measured).encode()).hexdigest()
        ),
        budgets=tuple(budgets),
        evaluator=dict(told),
        algorithm=settings.algorithm,
        seed=int(settings.seed),
        trials=int(settings.trials),
        done=done,
        max_energy_mj=None if settings.max_energy_mj is None else float(settings.max_energy_mj),
        width_step=None if settings.width_step is None else int(settings.width_step),
    )


def write_found(out: Path, found: Found, how: SearchFile, held: frozenset[str]) -> None:
    """Write all of it but the journal.

    Args:
        held: files that are there already and are replaced.

    Raises:
        OutputExists: another file is there.
        OutputError: one cannot be written.
    """
    write_config(out / BEST, found.config, force=BEST in held)
    results.write_history(out / HISTORY, found.result, force=HISTORY in held)
    rows = []
    for network in found.front:
        name = _best_name(network.budget, len(found.front))
        if name != BEST:
            write_config(out / name, network.config, force=name in held)
        rows.append((network.budget, network.best, name))
    results.write_front(out / FRONT, rows, force=FRONT in held)
    rated = [(network.budget, network.verdict, network.rivals) for network in found.front]
    write_verdicts(out / VERDICT, rated, force=VERDICT in held)
    write_search(out / HOW, how, force=HOW in held)
