"""Write the commands and the exit codes into docs/reference.md, from the commands themselves.

python docs/generate_reference.py

What is between the marks is generated; all else in that file is written by hand. `tests/cli/test_reference.py` fails
where the file is not what this program would write.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from syncnas_deploy.cli import cli
from syncnas_deploy.cli.exit_codes import EXIT_CODES

PATH = Path(__file__).with_name("reference.md")
MARKS = "<!-- generated: {} -->\n", "<!-- end: {} -->\n"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its words, in the order of the program's own list."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.commands[name]
        if isinstance(command, click.Group):
            yield from ((f"{name} {word}", inner) for word, inner in command.commands.items())
        else:
            yield name, command


def values_of(parameter: click.Parameter) -> str:
    """What a parameter takes: its metavar, its choices, or its type with the range."""
    kind = parameter.type
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return ""
    if parameter.metavar:
        return parameter.metavar
    if isinstance(kind, click.Choice):
        return "|".join(map(str, kind.choices))
    name = {"integer range": "N", "integer": "N", "float range": "X", "float": "X", "path": "PATH"}.get(
        kind.name, "TEXT"
    )
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        low = f"above {kind.min:,}" if kind.min_open else f"{kind.min:,}"
        return f"{name} ({low} to {kind.max:,})" if kind.max is not None else f"{name} ({low})"
    return name


def default_of(option: click.Option) -> str:
    """The default as a sentence, where there is one that the help does not say."""
    if option.is_flag or not option.show_default:
        return f" Default: {option.opts[0]}." if option.is_flag and option.secondary_opts and option.default else ""
    value = option.default
    text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f" Default: {text}."


def rows(command: click.Command) -> Iterator[str]:
    """A table's rows: arguments, then options."""
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
            said = any(word in (parameter.help or "") for word in ("times", "twice"))
            several = " May be repeated." if parameter.multiple and not said else ""
            required = " Required." if parameter.required else ""
            text = f"{parameter.help}{several}{required}{default_of(parameter)}"
        else:
            names = f"`{(parameter.metavar or parameter.name or '').upper()}`"
            text = ("Required." if parameter.required else "Optional.") + (
                " One or several." if parameter.nargs < 0 else ""
            )
        own = isinstance(parameter, click.Option) or isinstance(parameter.type, click.Choice)
        takes = values_of(parameter) if own else ""
        cells = (cell.replace("|", r"\|") for cell in (names, takes, text))
        yield f"| {' | '.join(cells)} |"


def section(name: str, command: click.Command) -> str:
    """A command: what it does, its options, its examples."""
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(command.help or "").replace("\b\n", "")).strip()
    table = ["| argument or option | takes | meaning |", "| --- | --- | --- |", *rows(command)]
    examples = [line.strip() for line in (command.epilog or "").split("\n")[2:]]
    console = ["```console", *(f"$ {line}" for line in examples), "```"]
    return "\n".join([f"### `{name}`", "", text, "", *table, "", *console, ""])


def generated() -> dict[str, str]:
    """The parts of the reference that are generated, by their marks."""
    codes = ["| code | meaning |", "| --- | --- |", *(f"| {code} | {text} |" for code, text in EXIT_CODES), ""]
    return {
        "commands": "\n" + "\n".join(section(*each) for each in commands()) + "\n",
        "exit codes": "\n" + "\n".join(codes) + "\n",
    }


def updated(text: str) -> str:
    """The reference with its generated parts as they should be."""
    for name, part in generated().items():
        begin, end = (mark.format(name) for mark in MARKS)
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"{PATH}: the marks of {name!r} are missing")
        text = f"{before}{begin}{part}{end}{after}"
    return text


if __name__ == "__main__":
    PATH.write_text(updated(PATH.read_text(encoding="utf-8")), encoding="utf-8")
