"""What a reader of a document does: the commands that it gives, and the files that it says to save."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]


class Step(NamedTuple):
    """A command to give, or where `name` is given the text of a file to save."""

    text: str
    name: str = ""


def steps(text: str) -> Iterator[Step]:
    """Steps of a document, from its fenced blocks: ``console`` has commands, others a file named in the text before."""
    before = ""
    for part in re.split(r"^(```[a-z]+\n.*?^```)$", text, flags=re.MULTILINE | re.DOTALL):
        kind, _, body = part.partition("\n")
        if not part.startswith("```"):
            before = part
        elif kind == "```console":
            for line in re.sub(r"\\\n *", "", body).splitlines():
                if line.startswith("$ "):
                    yield Step(line[2:])
        elif named := re.findall(r"[Ss]ave (?:it|this) as `([^`]+)`", before):
            yield Step(body.removesuffix("```"), named[-1])


def document(name: str) -> str:
    """A document of the checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


def script(name: str) -> Any:
    """A program of the documents' folder, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
