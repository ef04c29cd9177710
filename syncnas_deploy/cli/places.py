"""Where a command writes: each output has a place of its own, and none is that of a file that the command reads."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import click

Callback = TypeVar("Callback", bound=Callable[..., Any])

OUTPUTS = (
    "out", "trace_path", "page_path", "plot_path", "probe_path", "watch_path", "report_path", "apk", "predictions",
    "tensorboard",
)  # fmt: skip
"""Parameters that name what a command writes."""
_OF_A_BUNDLE = (".json", ".tflite", ".onnx", ".npz", ".txt")


def with_own_places(command: Callback) -> Callback:
    """A command that refuses an output in the place of another one or of an input, before it does anything.

    It refuses a current folder that is gone, too, where libraries would end the process themselves.
    """

    @functools.wraps(command)
    def checked(*args: Any, **params: Any) -> Any:
        os.getcwd()  # noqa: PTH109 - see `system_ending`
        _check(params)
        return command(*args, **params)

    return cast(Callback, checked)


def _check(params: Mapping[str, Any]) -> None:
    outputs = {name: params[name] for name in OUTPUTS if isinstance(params.get(name), Path)}
    seen: dict[str, str] = {}
    read = {place for name, value in params.items() if name not in OUTPUTS for place in _places(value)}
    for name, path in outputs.items():
        if str(path) == "-":
            raise click.UsageError(f"{_option(name)} -: is no name of a file; name one, or give --json for stdout.")
        if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):  # noqa: PTH110, PTH112, PTH113
            continue  # a device or a pipe takes several
        place = os.path.realpath(path)
        if place in seen:
            raise click.UsageError(f"{_option(name)} and {seen[place]} are both {path}; give each a name of its own.")
        seen[place] = _option(name)
        folder = os.path.dirname(place)  # noqa: PTH120
        of_bundle = (
            folder in read and place.endswith(_OF_A_BUNDLE) and os.path.isfile(os.path.join(folder, "manifest.json"))  # noqa: PTH113, PTH118
        )
        if os.path.isfile(place) and (place in read or of_bundle):  # noqa: PTH113
            raise click.UsageError(f"{_option(name)} {path}: this command reads that file; give another name.")


def _places(value: object) -> Iterator[str]:
    """Where a parameter's paths lead, as far as they lead anywhere. What cannot be looked at is told of later."""
    for one in value if isinstance(value, tuple) else (value,):
        if isinstance(one, str | Path) and os.path.exists(one):  # noqa: PTH110
            yield os.path.realpath(one)


def _option(name: str) -> str:
    command = click.get_current_context().command
    return next(parameter.opts[0] for parameter in command.params if parameter.name == name)
