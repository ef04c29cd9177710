"""docs/reference.md is what the commands say, and every option says what it is."""

from __future__ import annotations

import click

from tests.support.documents import script


def test_the_reference_is_up_to_date() -> None:
    generator = script("generate_reference")
    text = generator.PATH.read_text(encoding="utf-8")
    assert text == generator.updated(text), "run: python docs/generate_reference.py"


def test_every_command_has_json_and_examples_and_every_option_a_meaning() -> None:
    for name, command in script("generate_reference").commands():
        options = [p for p in command.params if isinstance(p, click.Option)]
        assert "--json" in [opt for option in options for opt in option.opts], name
        assert command.epilog and "syncnas-deploy" in command.epilog, name
        assert [option.name for option in options if not option.help] == [], name
