"""What commands share: options, what they mean where they are left out, and how a device or profile is opened."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

from syncnas_deploy.cli.progress import VOLUME, showing
from syncnas_deploy.cli.settings import environment, setting
from syncnas_deploy.cli.suggestions import (
    complete_device,
    complete_devices,
    complete_evaluator,
    complete_model,
    complete_profile,
)
from syncnas_deploy.cli.terminal import note

if TYPE_CHECKING:
    from syncnas_bench import Device
    from syncnas_deploy.prediction.profile import DeviceProfile


Command = TypeVar("Command", bound=Callable[..., Any])
Option = Callable[[Any], Any]

_DEFAULT_DEVICE = "default: $ANDROID_SERIAL, then syncnas.toml, then the only phone attached, then this host."


class FiniteRange(click.FloatRange):
    """A number within bounds; NaN is none, which compares with no bound."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{number} is no number.", param, ctx)
        return number


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
force_option = click.option("--force", is_flag=True, help="Replace an output that exists.")
device_option = click.option(
    "--device",
    "device_name",
    metavar="D",
    shell_complete=complete_device,
    help=f"host, sim:NAME or a serial; {_DEFAULT_DEVICE}",
)
keep_identity_option = click.option(
    "--keep-identity",
    is_flag=True,
    help="Leave the device's serial or address, its boot id and paths in the result. Do not share it then.",
)
devices_option = click.option(
    "--device",
    "device_names",
    multiple=True,
    metavar="D",
    shell_complete=complete_devices,
    help="host, sim:NAME, a serial, or all for every phone attached; several times to measure them at once; "
    + _DEFAULT_DEVICE,
)
unit_option = click.option(
    "--unit",
    "units",
    multiple=True,
    metavar="UNIT",
    help="cpu:THREADS[@CORES][:int8][:split] or gpu[:fp16][:software]; twice, the first runs branch 0. "
    "Default: syncnas.toml, then the device's.",
)
trace_option = click.option(
    "--trace",
    "trace_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write both units' timeline as a trace for Perfetto (ui.perfetto.dev) or chrome://tracing.",
)


def profile_option(meaning: str = "", *, required: bool = False) -> Option:
    """--profile, and what the command does with it."""
    meaning = meaning or "A device profile: a file, a shipped name, or a folder that holds one."
    names, path = ("--profile", "profile_path"), click.Path(path_type=Path)
    return click.option(*names, type=path, required=required, shell_complete=complete_profile, help=meaning)


def html_option(meaning: str) -> Option:
    """--html, and what is on the page."""
    return click.option("--html", "page_path", type=click.Path(path_type=Path), metavar="FILE.html", help=meaning)


def base_option(meaning: str) -> Option:
    """--base, and which model it is."""
    return click.option("--base", shell_complete=complete_model, help=meaning)


def evaluator_option(meaning: str) -> Option:
    """--evaluator, and what it rates."""
    return click.option("--evaluator", shell_complete=complete_evaluator, help=meaning)


def seed_option(meaning: str = "Seed of everything random.") -> Option:
    """--seed, which is 0 unless it is given."""
    return click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help=meaning)


def refuse_idle(option: str, *, used: object, remedy: str) -> None:
    """Refuse an option that was given and would be ignored.

    Args:
        option: its name, as it is given.
        used: whether the command heeds it beside its other options.
        remedy: what to do, after "would do nothing here".
    """
    context = click.get_current_context()
    named = next(p for p in context.command.params if option in (*p.opts, *p.secondary_opts))
    if not used and context.get_parameter_source(str(named.name)) is ParameterSource.COMMANDLINE:
        raise click.UsageError(f"{option} would do nothing here; {remedy}.")


def epilog(*examples: str) -> str:
    """Runnable examples for the end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples)


def open_device(name: str | None) -> Device:
    """The named device, closed when the command ends.

    Where none is named, it is the default device. A note says what the user should know of that choice.
    """
    from syncnas_bench import default_device
    from syncnas_deploy import pipeline

    known = environment()
    if name is None and not known.serial:
        name = setting("device")
    if name is None:
        choice = default_device(known)
        if choice.note:
            note(choice.note)
        name = choice.spec
    return click.get_current_context().with_resource(pipeline.device(name, known))


def units_or_setting(units: Sequence[str]) -> Sequence[str]:
    """Units as they were given, else those of the project; empty for the device's own."""
    return units or setting("units") or ()


def base_or_setting(base: str | None) -> str | None:
    """The base model as it was given, else that of the project."""
    return base or setting("base")


def read_profile(path: Path) -> DeviceProfile:
    """A profile from a file, from a folder that holds it, or by the name of a shipped one."""
    from syncnas_deploy.pipeline.inputs import as_profile

    return as_profile(path)


def free_name(stem: str, ending: str) -> Path:
    """STEM with its ending, or the first of STEM-2, STEM-3 ... that is free: nothing that was measured is replaced."""
    names = itertools.chain([stem], (f"{stem}-{n}" for n in itertools.count(2)))
    return next(path for path in (Path(name + ending) for name in names) if not path.exists())


def file_name(text: str) -> str:
    """A text as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip("-.") or "unnamed"


def progress_options(command: Command) -> Command:
    """The options --quiet and --verbose, for commands that show progress; see `progress.volume`.

    On a terminal such a command gives its first sign before anything heavy is imported.
    """

    @functools.wraps(command)
    def begun(*args: Any, **more: Any) -> Any:
        with showing("starting"):
            return command(*args, **more)

    def keep(context: click.Context, option: click.Parameter, chosen: bool) -> None:
        if chosen and context.meta.setdefault(VOLUME, option.name) != option.name:
            raise click.UsageError("--quiet and --verbose exclude each other; give one of them.")

    quiet = click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=keep, help="No progress and no hints; errors alone."
    )
    verbose = click.option(
        "-v", "--verbose", is_flag=True, expose_value=False, callback=keep, help="A line for each part that is done."
    )
    return cast(Command, quiet(verbose(begun)))
