"""The command line: options, messages and exit codes; everything else is in `pipeline`.

Nothing heavy is imported before a command runs, so that --help answers at once.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback

import click

import syncnas_deploy
from syncnas_bench import errors as bench_errors
from syncnas_deploy import errors
from syncnas_deploy.cli import assess, bundles, devices, networks, profiles, reports, runtimes, searches, training
from syncnas_deploy.cli.options import epilog, json_option
from syncnas_deploy.cli.terminal import emit, note, note_usage, say_page
from syncnas_exporters import errors as export_errors

EXIT_CODES = (
    (0, "done"),
    (1, "an internal error; please report it"),
    (2, "wrong use of a command or an option"),
    (3, "a file's content cannot be used (config, profile, weights, bundle, table, journal, model)"),
    (4, "a named model, file, evaluator or device does not exist"),
    (5, "the device lacks a unit or its runtime, or workers cannot be reached"),
    (6, "a measurement or an evaluation failed: it crashed, hung, or its numbers cannot be right"),
    (7, "no widths meet the latency budget, or the profile does not fit the model, or does not hold any more"),
    (8, "the output exists already or cannot be written"),
    (9, "an optional library is not installed"),
    (10, "training diverged: the loss was NaN or infinite; the last good checkpoint is kept"),
    (130, "interrupted; what was finished is kept"),
)

CODES: dict[type[Exception], int] = {
    errors.DocumentError: 3,
    errors.WeightsError: 3,
    errors.DatasetError: 3,
    errors.RecipeError: 2,
    errors.TorchDeviceUnavailable: 5,
    errors.TrainingDiverged: 10,
    errors.StrategyError: 2,
    errors.UnknownModel: 4,
    errors.UnknownEvaluator: 2,
    errors.EvaluationError: 6,
    errors.UnknownWorkers: 2,
    errors.WorkersUnavailable: 5,
    errors.ProfileMismatch: 7,
    errors.InfeasibleBudget: 7,
    errors.OutputError: 8,
    errors.MeasurementError: 6,
    errors.MissingDependency: 9,
    bench_errors.UnitError: 2,
    bench_errors.PlanError: 2,
    bench_errors.RuntimeMissing: 5,
    bench_errors.RuntimeMismatch: 5,
    bench_errors.UnitUnavailable: 5,
    bench_errors.DeviceUnavailable: 5,
    bench_errors.DeviceNotFound: 4,
    bench_errors.DeviceAmbiguous: 2,
    bench_errors.DeviceLeased: 5,
    bench_errors.RuntimeRejected: 3,
    bench_errors.ModelRejected: 3,
    bench_errors.NotWritable: 8,
    bench_errors.PlaceBusy: 8,
    bench_errors.BenchError: 6,
    export_errors.MissingLibrary: 9,
    export_errors.ExportError: 3,
}
"""An error's exit code is that of its nearest ancestor here."""


_NO_ROOM = {
    errno.ENOSPC: "No space is left for {}; make room",
    errno.EDQUOT: "No space is left for {}; make room",
    errno.EFBIG: "There is a limit to how large this process may write {}; raise it (ulimit -f)",
    errno.EROFS: "There is a read-only disk where {} should be; choose another place, or set TMPDIR",
}
"""What an OSError of a file that is no command's output means, temporary files for one."""


def exit_code(error: BaseException) -> int | None:
    """The documented exit code of an error from any of the three trees; None for anything else."""
    return next((CODES[ancestor] for ancestor in type(error).__mro__ if ancestor in CODES), None)


def main() -> None:
    """Run the program; every error becomes one sentence on stderr and a documented exit code."""
    try:
        code = cli.main(standalone_mode=False)
        if code:  # click returns what a command's `Exit` carries
            sys.exit(code)
    except click.exceptions.Abort:
        _leave("Interrupted; what was finished is kept.", 130)
    except click.ClickException as e:
        note_usage(e)
        sys.exit(2)
    except KeyboardInterrupt:
        _leave("Interrupted; what was finished is kept.", 130)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - whoever read stdout has left
        sys.exit(0)
    except Exception as e:
        if isinstance(e, OSError) and e.errno in _NO_ROOM:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - what is left in its buffer fits nowhere
            _leave(f"{_NO_ROOM[e.errno].format(e.filename or 'the output')} and run the command again.", 8)
        if isinstance(e, PermissionError) and e.filename:
            _leave(f"{e.filename}: may not be looked at ({e.strerror}); check its rights and those of its folder.", 3)
        code = exit_code(e)
        if code is None and os.environ.get("SYNCNAS_DEBUG"):
            note(*traceback.format_exc().rstrip("\n").split("\n"))
            sys.exit(1)
        if code is None:
            text = f"{type(e).__name__}: {e}".splitlines()[0]
            _leave(f"Internal error ({text}); set SYNCNAS_DEBUG=1 to see where, and please report it.", 1)
        _leave(str(e), code)


def _leave(message: str, code: int | None) -> None:
    note(f"syncnas-deploy: {message}")
    sys.exit(code)


_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:3}  {text}" for code, text in EXIT_CODES)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, epilog=_CODES)
@click.version_option(syncnas_deploy.__version__, prog_name="syncnas-deploy")
def cli() -> None:
    """One network on a phone's CPU and GPU at the same time: measure, search, export, benchmark.

    Data goes to stdout, progress to stderr; every command takes --json.
    """


COMMANDS = (
    devices.devices,
    devices.doctor,
    assess.assess,
    runtimes.runtime,
    profiles.profile,
    profiles.predict,
    bundles.bench,
    searches.search,
    reports.report,
    networks.models,
    bundles.export,
    networks.weights,
    networks.draw,
    training.evaluate,
    training.train,
)
for command in COMMANDS:
    cli.add_command(command)


@cli.command(epilog=epilog('eval "$(syncnas-deploy completion bash)"'))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
def completion(shell: str, as_json: bool) -> None:
    """Print a completion script for your shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    script = found(cli, {}, "syncnas-deploy", "_SYNCNAS_DEPLOY_COMPLETE").source()
    if as_json:
        emit({"shell": shell, "script": script})
    else:
        say_page(script)
