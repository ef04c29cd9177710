"""The command completion: a script for the user's shell."""

from __future__ import annotations

import click

from syncnas_deploy.cli.options import epilog, json_option
from syncnas_deploy.cli.terminal import emit, say_page


@click.command(epilog=epilog('eval "$(syncnas-deploy completion bash)"'))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
def completion(shell: str, as_json: bool) -> None:
    """Print a completion script for your shell.

    It completes commands, options, models, profiles, devices and evaluators. Put the example into your shell's
    start-up file.
    """
    from click.shell_completion import get_completion_class

    from syncnas_deploy.cli import cli

    found = get_completion_class(shell)
    assert found is not None
    script = found(cli, {}, "syncnas-deploy", "_SYNCNAS_DEPLOY_COMPLETE").source()
    if as_json:
        emit({"shell": shell, "script": script})
    else:
        say_page(script)
