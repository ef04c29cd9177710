"""Commands on devices: devices, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncnas_deploy.cli.next_step import suggest
from syncnas_deploy.cli.options import device_option, epilog, force_option, json_option, open_device
from syncnas_deploy.cli.settings import environment
from syncnas_deploy.cli.terminal import emit, note, say, say_page

if TYPE_CHECKING:
    from syncnas_bench import Device


HOW_TO_GET_A_PHONE = (
    "No phone is attached. To attach one: switch on USB debugging in its developer options, connect it by USB, allow "
    "this computer on its screen, and run `adb start-server`; or name its address with --device HOST:PORT."
)


@click.command(epilog=epilog("syncnas-deploy devices", "syncnas-deploy devices --simulated --json"))
@click.option("--simulated", is_flag=True, help="List the simulated devices, too. --json always has them.")
@json_option
def devices(simulated: bool, as_json: bool) -> None:
    """List devices and their units.

    One that cannot be used has the reason and a remedy in its line. A serial is any text: quote it if it has blanks.
    """
    from syncnas_deploy import pipeline
    from syncnas_deploy.report.page import Table

    if as_json:
        told, others = pipeline.read_devices(_device_json)
        emit([*told, *map(dict, others)])
        return
    rows, left_out, phones = [], [], []
    found, others = pipeline.read_devices(lambda device: (device.name, device.facts().simulated, _device_rows(device)))
    for name, is_simulated, of_device in found:
        if is_simulated and not simulated:
            left_out.append(name)
            continue
        phones += [name] if name != "host" and not is_simulated else []
        rows += of_device
    rows += [[entry["name"], "-", "", f"no: {entry['state']}: {entry['remedy']}"] for entry in others]
    say_page(Table(["device", "unit", "default for", "what it is"], rows))
    if simulated:
        say("sim:NAME is simulated: its times follow a law and measure no hardware")
    if left_out:
        say("", f"and {len(left_out)} simulated devices ({', '.join(left_out)}): --simulated lists their units")
    if not phones and not others:
        note("", HOW_TO_GET_A_PHONE)
    if simulated:
        suggest("try all of it on a simulated one", "assess", "--device", "sim:phone")
    else:
        suggest("examine one", "doctor", "--device", (phones or ["host"])[0])


def _device_rows(device: Device) -> list[list[str]]:
    rows = []
    defaults = [str(unit) for unit in device.default_units()]
    for info in device.units():
        mark = f"branch {defaults.index(str(info.unit))}" if str(info.unit) in defaults else ""
        # Of simulated ones a line says it of all.
        note = f" ({info.note})" if info.note and info.unit.kind != "sim" else ""
        about = f"{info.description}{note}" if info.available else f"no: {info.reason}"
        rows.append([device.name, str(info.unit), mark, about])
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


@click.command(
    epilog=epilog(
        "syncnas-deploy doctor",
        "syncnas-deploy doctor --device R58M123 --json",
        "syncnas-deploy doctor --report doctor.json",
    )
)
@device_option
@click.option(
    "--report",
    "report_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write what was found, and how the runner starts here, as JSON to send to us. It names nobody.",
)
@force_option
@json_option
def doctor(device_name: str | None, report_path: Path | None, force: bool, as_json: bool) -> None:
    """Look at a device from all sides: what it has, what it does now, and what that does to numbers.

    Looks at this installation, too: optional packages, adb, runtimes for phones. Below the table stands what to do
    first, then the next command. Exits with 5 where something must be mended before anything can be measured.
    """
    from syncnas_bench.doctor import worst
    from syncnas_deploy.pipeline.toolchain import toolchain, what_first
    from syncnas_deploy.report.tables import checks_table

    if report_path is not None:
        from syncnas_deploy.files.output import check_output

        check_output(report_path, force=force)
    device = open_device(device_name)
    checks, program = device.examine(), toolchain(environment())
    first = what_first([*checks, *program])
    if report_path is not None:
        from syncnas_deploy.files.output import write_json
        from syncnas_deploy.pipeline.doctor_report import doctor_report

        write_json(report_path, doctor_report(device, checks, program), force=force)
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
        say_page(checks_table([*checks, *program]))
        say("", first or "nothing is in the way")
    if worst(checks) == "failure":
        suggest("when that is mended, look again", "doctor", "--device", device.name)
        raise click.exceptions.Exit(5)
    suggest("measure it for a base model", "profile", "--device", device.name, "--base", "mobilenet_v2")
