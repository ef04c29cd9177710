"""docs/reference.md is what the commands say, and every option says what it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

ROOT = Path(__file__).parents[2]


def _generator():  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("generate_reference", ROOT / "docs" / "generate_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_up_to_date() -> None:
    generator = _generator()
    text = generator.PATH.read_text(encoding="utf-8")
    assert text == generator.updated(text), "run: python docs/generate_reference.py"


def test_every_command_has_json_and_examples_and_every_option_a_meaning() -> None:
    for name, command in _generator().commands():
        options = [p for p in command.params if isinstance(p, click.Option)]
        assert "--json" in [opt for option in options for opt in option.opts], name
        assert command.epilog and "syncnas-deploy" in command.epilog, name
        assert [option.name for option in options if not option.help] == [], name
