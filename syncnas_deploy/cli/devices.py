"""Commands on devices: devices, doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from syncnas_deploy.cli.options import device_option, epilog, json_option, open_device
from syncnas_deploy.cli.settings import environment
from syncnas_deploy.cli.terminal import emit, say, say_page

if TYPE_CHECKING:
    from syncnas_bench import Device


@click.command(epilog=epilog("syncnas-deploy devices", "syncnas-deploy devices --json"))
@json_option
def devices(as_json: bool) -> None:
    """List devices and their units.

    One that cannot be used has the reason and a remedy in its line. A serial is any text: quote it if it has blanks.
    """
    from syncnas_deploy import pipeline
    from syncnas_deploy.report.page import table

    if as_json:
        told, others = pipeline.read_devices(_device_json)
        emit([*told, *map(dict, others)])
        return
    found, others = pipeline.read_devices(_device_rows)
    rows = [row for of_device in found for row in of_device]
    rows += [[entry["name"], "-", f"no: {entry['state']}", "", entry["remedy"]] for entry in others]
    say_page(table(["device", "unit", "available", "default for", "what it is"], rows))


def _device_rows(device: Device) -> list[list[str]]:
    rows = []
    defaults = [str(unit) for unit in device.default_units()]
    for info in device.units():
        mark = f"branch {defaults.index(str(info.unit))}" if str(info.unit) in defaults else ""
        state = "ok" if info.available else f"no: {info.reason}"
        about = f"{info.description} ({info.note})" if info.note else info.description
        rows.append([device.name, str(info.unit), state, mark, about])
    return rows


def _device_json(device: Device) -> dict[str, Any]:
    return {
        **device.facts().to_dict(),
        "default_units": [str(unit) for unit in device.default_units()],
        "units": [
            {
                "unit": str(info.unit),
                "available": info.available,
                "reason": info.reason,
                "description": info.description,
                "note": info.note,
            }
            for info in device.units()
        ],
    }


@click.command(epilog=epilog("syncnas-deploy doctor", "syncnas-deploy doctor --device R58M123 --json"))
@device_option
@json_option
def doctor(device_name: str | None, as_json: bool) -> None:
    """Look at a device from all sides: what it has, what it does now, and what that does to numbers.

    Looks at this installation, too: optional packages, adb, runtimes for phones. The last line says what to do first.
    Exits with 5 where something must be mended before anything can be measured.
    """
    from syncnas_bench.doctor import worst
    from syncnas_deploy.pipeline.toolchain import toolchain, what_first
    from syncnas_deploy.report.page import table

    device = open_device(device_name)
    checks, program = device.examine(), toolchain(environment())
    first = what_first([*checks, *program])
    if as_json:
        installation = [check.to_dict() for check in program]
        found = [check.to_dict() for check in checks]
        emit(
            {
                "device": device.name,
                "status": worst(checks),
                "checks": found,
                "installation": installation,
                "first": first,
            }
        )
    else:
        rows = [[check.name, check.status, check.value, check.advice] for check in (*checks, *program)]
        say_page(table(["what", "status", "found", "what it does to numbers, or the remedy"], rows))
        say("", first or "nothing is in the way")
    if worst(checks) == "failure":
        raise click.exceptions.Exit(5)
