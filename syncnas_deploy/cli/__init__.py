"""The command line: options, messages and exit codes; everything else is in `pipeline`.

Nothing heavy is imported before a command runs, so that --help answers at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback

import click

import syncnas_deploy
from syncnas_deploy.cli import (
    assess,
    bundles,
    completion,
    devices,
    networks,
    profiles,
    reports,
    runtimes,
    searches,
    training,
)
from syncnas_deploy.cli.ending import INTERRUPTED, signal_ending, stop_watching, system_ending, watch_signals
from syncnas_deploy.cli.exit_codes import EXIT_CODES, exit_code, missing_extra
from syncnas_deploy.cli.help import Commands, help_for_people
from syncnas_deploy.cli.next_step import PROGRAM, suggest_going_on
from syncnas_deploy.cli.terminal import accept_any_text, note, note_usage, open_closed_streams


def main(*, interrupted: bool = False) -> None:
    """Run the program; every error becomes one sentence on stderr and a documented exit code.

    Args:
        interrupted: whether it was, before it could begin.
    """
    open_closed_streams()
    watch_signals()
    accept_any_text()
    try:
        try:
            if interrupted:
                raise KeyboardInterrupt
            code = cli.main(prog_name=PROGRAM, standalone_mode=False)
        finally:
            stop_watching()
        if code:  # click returns what a command's `Exit` carries
            sys.exit(code)
    except (click.exceptions.Abort, KeyboardInterrupt):
        message, code = signal_ending() or INTERRUPTED
        with contextlib.suppress(OSError):  # see `_leave`
            note(f"{PROGRAM}: {message}")
            suggest_going_on(cli)
        sys.exit(code)
    except click.exceptions.NoArgsIsHelpError as e:
        note(*e.format_message().split("\n"))
        sys.exit(2)
    except click.ClickException as e:
        with contextlib.suppress(OSError):  # see `_leave`
            note_usage(cli.explained(e) if isinstance(e, click.NoSuchOption) else e)
        sys.exit(2)
    except (BrokenPipeError, SystemExit) as e:
        # click makes a SystemExit of it.
        if not isinstance(e if isinstance(e, OSError) else e.__context__, BrokenPipeError):
            raise
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - whoever read stdout has left
        sys.exit(0)
    except Exception as e:
        if ending := system_ending(e):
            if ending[1] == 8:
                sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - what is left in its buffer fits nowhere
            _leave(*ending)
        code = exit_code(e)
        if extra := missing_extra(e):
            _leave(f"An optional package is missing ({e}); run: pip install 'syncnas-deploy[{extra}]'.", code)
        if code is None and os.environ.get("SYNCNAS_DEBUG"):
            note(*traceback.format_exc().rstrip("\n").split("\n"))
            sys.exit(1)
        if code is None:
            text = f"{type(e).__name__}: {e}".splitlines()[0]
            _leave(f"Internal error ({text}); set SYNCNAS_DEBUG=1 to see where, and please report it.", 1)
        _leave(str(e), code)


def _leave(message: str, code: int | None) -> None:
    message, code = signal_ending() or (message, code)
    with contextlib.suppress(OSError):  # the terminal is gone, or the disk behind stderr is full
        note(f"syncnas-deploy: {message}")
    sys.exit(code)


@click.group(
    cls=Commands,
    exit_codes=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(syncnas_deploy.__version__, prog_name="syncnas-deploy")
def cli() -> None:
    """One network on a phone's CPU and GPU at the same time: measure, search, export, benchmark.

    Data goes to stdout, progress to stderr; every command takes --json.
    """


WORK: dict[str, tuple[click.Command, ...]] = {
    "Look around": (devices.devices, devices.doctor, runtimes.runtime),
    "All of it in one command": (assess.assess,),
    "Step by step": (profiles.profile, searches.search, bundles.export, bundles.bench, reports.report, reports.compare),
    "In an app": (bundles.app,),
    "Networks": (networks.models, profiles.predict, networks.draw),
    "Weights and pictures": (networks.weights, training.train, training.evaluate),
    "For the shell": (completion.completion,),
}
"""All commands, in the order of work."""

for heading, commands in WORK.items():
    cli.add_section(heading, commands)
help_for_people(cli)
