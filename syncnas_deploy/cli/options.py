"""What commands share: options, and how a device or profile is opened."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncnas_deploy.cli.terminal import note

if TYPE_CHECKING:
    from syncnas_bench import Device
    from syncnas_deploy.prediction.profile import DeviceProfile


_DEFAULT_DEVICE = "default: $ANDROID_SERIAL, then the only phone attached, then this host."

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
force_option = click.option("--force", is_flag=True, help="Replace an output that exists.")
device_option = click.option(
    "--device",
    "device_name",
    metavar="D",
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
    help="host, sim:NAME, a serial, or all for every phone attached; several times to measure them at once; "
    + _DEFAULT_DEVICE,
)
unit_option = click.option(
    "--unit",
    "units",
    multiple=True,
    metavar="UNIT",
    help="cpu:THREADS[@CORES] or gpu[:fp16][:software]; twice, the first runs branch 0. Default: the device's.",
)
profile_option = click.option(
    "--profile",
    "profile_path",
    required=True,
    type=click.Path(path_type=Path),
    help="A device profile: a file or a shipped name.",
)


def epilog(*examples: str) -> str:
    """Runnable examples for the end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples)


def open_device(name: str | None) -> Device:
    """The named device, closed when the command ends.

    Where none is named, it is the default device. A note says what the user should know of that choice.
    """
    from syncnas_bench import default_device
    from syncnas_bench.environment import Environment
    from syncnas_deploy import pipeline

    environment = Environment.of_process()
    if name is None:
        choice = default_device(environment)
        if choice.note:
            note(choice.note)
        name = choice.spec
    return click.get_current_context().with_resource(pipeline.device(name, environment))


def read_profile(path: Path) -> DeviceProfile:
    """A profile from a file or by the name of a shipped one."""
    from syncnas_deploy.prediction.profile_files import load_profile

    return load_profile(path)


def once_a_second(show: Callable[[Any], str]) -> Callable[[Any], None]:
    """A listener that notes what `show` makes of its argument, at most once a second."""
    last = 0.0

    def listen(progress: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 1.0:
            last = now
            note(show(progress))

    return listen
