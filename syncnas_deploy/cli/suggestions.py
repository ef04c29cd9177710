"""What a shell may complete where a name is asked for: shipped names, devices, evaluators, and then files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completing(names: Callable[[], Iterable[str]], *, files: bool = True) -> Complete:
    """Complete from names, which are asked for when a shell asks; files complete, too, unless `files` is false."""

    def complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = []
        with contextlib.suppress(Exception):  # a shell must never see a traceback
            found = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return found + ([CompletionItem(incomplete, type="file")] if files else [])

    return complete


def _shipped(folder: str) -> Callable[[], Iterable[str]]:
    def names() -> Iterable[str]:
        from syncnas_deploy.resources import shipped

        return shipped(folder)

    return names


def _devices() -> Iterable[str]:
    from syncnas_bench import device_specs

    return device_specs()


def _evaluators() -> Iterable[str]:
    from syncnas_deploy.search.evaluators import KINDS

    return [kind if kind in ("zen", "capacity") else f"{kind}:" for kind in KINDS]


complete_model = _completing(_shipped("model_configs"))
complete_profile = _completing(_shipped("device_profiles"))
complete_device = _completing(_devices, files=False)
complete_devices = _completing(lambda: [*_devices(), "all"], files=False)
complete_evaluator = _completing(_evaluators, files=False)
complete_document = _completing(lambda: [*_shipped("device_profiles")(), *_shipped("model_configs")()])
