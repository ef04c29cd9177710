"""Several profiles, searches or bench results beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from syncnas_deploy.errors import WRONG_USE, Incomparable, InfeasibleBudget
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.pipeline.inputs import RESULT, called, check_budget, documents_in
from syncnas_deploy.pipeline.searches import search
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.report.comparison import Comparison, read_all
from syncnas_deploy.report.contrast.profiles import compare_profiles
from syncnas_deploy.report.contrast.results import compare_results
from syncnas_deploy.report.contrast.searches import compare_searches
from syncnas_deploy.report.contrast.sheets import Sheet, short_names
from syncnas_deploy.search.loop import SearchSettings

TRIALS = 60
"""Evaluations for the best strategy of a device, by MACs."""


def compare(words: Sequence[str | Path], *, budget: str = "1.0x") -> tuple[Comparison, list[Sheet]]:
    """What was read, and its sheets: what differs, by how much, and whether that can be chance.

    Args:
        words: two or more files, folders or shipped names of one kind: profiles, searches or bench results. Of an
            assessment's folder its bench result counts.
        budget: of the best strategies of devices, where profiles are compared.

    Raises:
        Incomparable: files of other kinds, inputs, units, precisions or evaluators.
        DocumentError: a file cannot be used.
        InfeasibleBudget: not such a text.
    """
    check_budget(budget)
    paths = [_only_document(word) for word in words]
    read = [read_all([path]) for path in paths]
    both = read_all(paths)
    names = short_names([called(path) for path in paths])
    for kind, attribute in (("bench results", "results"), ("profiles", "profiles"), ("searches", "searches")):
        found = [getattr(one, attribute) for one in read]
        if not any(found):
            continue
        for name, items in zip(names, found, strict=True):
            if not items:
                raise Incomparable(f"{name} cannot be compared with {kind}: it is none; name files of one kind.")
        if len(paths) < 2:
            raise Incomparable(f"There is nothing to compare {names[0]} with; name two or more {kind}.", code=WRONG_USE)
        named = [(name, items[0]) for name, items in zip(names, found, strict=True)]
        if attribute == "results":
            return both, compare_results(named)
        if attribute == "searches":
            return both, compare_searches(named)
        compare_profiles(named, {}, budget)  # before seconds are spent on searching
        return both, compare_profiles(named, _best(named, budget), budget)
    raise Incomparable("Only profiles, searches and bench results can be compared; name files of one of these kinds.")


def _only_document(word: str | Path) -> Path:
    """The one file or folder that is compared."""
    found = documents_in([word])
    results = [path for path in found if path.name == RESULT and path.parent == Path(word)]
    if len(found) > 1 and len(results) != 1:
        raise Incomparable(f"{word} holds several profiles or searches; name the ones to compare.")
    return found[0] if len(found) == 1 else results[0]


def _best(named: Sequence[tuple[str, DeviceProfile]], budget: str) -> dict[str, ModelConfig]:
    """By name, the network of the most MACs within the budget; none where the budget cannot be met."""
    best = {}
    for name, profile in named:
        try:
            best[name] = search(profile, budget=budget, evaluator="capacity", settings=SearchSettings(TRIALS)).config
        except InfeasibleBudget:
            continue
    return best
