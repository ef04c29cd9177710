"""How help is laid out: commands in the order of work with whole summaries, and no line wider than the terminal."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import click

from syncnas_deploy.cli.places import with_own_places

FEW = 3
"""The most commands that are named when an option is theirs and not this one's."""
SAYS_FORMAT = {
    "--int8": "--int8",
    "--precision": "--precision int8",
    "--unit": "the units: --unit cpu:1@0:int8 --unit gpu:fp16",
}
"""What says the format of files in one command or another."""


class Commands(click.Group):
    """The program's commands in sections, and its exit codes.

    Args:
        exit_codes: with their meanings, for the end of the help.
    """

    def __init__(self, *args: Any, exit_codes: Sequence[tuple[int, str]] = (), **more: Any) -> None:
        super().__init__(*args, **more)
        self._exit_codes = exit_codes
        self._sections: list[tuple[str, tuple[str, ...]]] = []

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; a word that is empty, as an unset variable of a shell is, means nothing anywhere."""
        for before, word in itertools.pairwise(("", *args)):
            if not ctx.resilient_parsing and (not word or re.fullmatch("--[a-z][a-z0-9-]*=", word)):
                named = word[:-1] or (before if before.startswith("-") else "An argument")
                raise click.UsageError(f"{named} is empty; give it a value or leave it out.", ctx)
        return super().parse_args(ctx, args)

    def add_section(self, heading: str, commands: Sequence[click.Command]) -> None:
        """Add commands below a heading."""
        for command in commands:
            for one in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
                if one.callback is not None:
                    one.callback = with_own_places(one.callback)
                for parameter in one.params:
                    if isinstance(parameter.type, click.Path):
                        parameter.type.readable = False  # who reads it says so, with the exit code for it
            self.add_command(command)
        self._sections.append((heading, tuple(str(command.name) for command in commands)))

    def explained(self, error: click.NoSuchOption) -> click.NoSuchOption:
        """The error with what says the same in its command, or which commands have the option."""
        option, command = error.option_name, error.ctx.command if error.ctx else self
        own = {name for parameter in command.params for name in parameter.opts}
        having = [name for name, one in self.commands.items() if any(option in p.opts for p in one.params)]
        ways = [way for name, way in SAYS_FORMAT.items() if name in own] if option in SAYS_FORMAT else []
        if not ways and not 0 < len(having) <= FEW:
            return error
        told = f"Here the format is said by {' or by '.join(ways)}." if ways else ""
        told = told or f"It is an option of {' and '.join(having)}."
        return click.NoSuchOption(option, f"{error.message} {told}", ctx=error.ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of work."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections."""
        for heading, names in self._sections:
            with formatter.section(heading):
                formatter.write_dl([(name, _summary(self.commands[name])) for name in names])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in self._exit_codes])


def _summary(command: click.Command) -> str:
    return re.split(r"(?<=\.)\s", " ".join((command.help or "").split()), maxsplit=1)[0].rstrip(".")


class FoldingFormatter(click.HelpFormatter):
    """Folds the examples at the end of a help, in the way that a shell reads them as one line."""

    def write_text(self, text: str) -> None:
        """As click does; lines after a backspace are a command each."""
        if not text.startswith("\b\n"):
            super().write_text(text)
            return
        from syncnas_deploy.cli.fitting import folded_command

        indent = " " * self.current_indent
        for line in text[2:].split("\n"):
            words = re.findall(r"'[^']*'|\S+", line)
            fits = len(indent + line) <= self.width or not line.startswith("  ")
            for part in [line] if fits else folded_command(words, self.width - len(indent)):
                self.write(f"{indent}{part}\n")


class _Context(click.Context):
    formatter_class = FoldingFormatter


def help_for_people(command: click.Command) -> None:
    """Have the help of a command, and of those below it, laid out by this module."""
    command.context_class = _Context
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        help_for_people(below)
