"""Make the pictures of the documents again, by the commands that stand beside them.

python docs/generate_pictures.py

Each is a line of a document that writes into docs/pictures. `tests/test_site.py` fails where a picture is not what its
command draws.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from syncnas_deploy.cli import cli

DOCS = Path(__file__).parent
FOLDER = "docs/pictures/"


def pictures() -> Iterator[tuple[str, list[str]]]:
    """The name of each picture, and the words of its command."""
    for document in sorted(DOCS.glob("*.md")):
        for line in document.read_text(encoding="utf-8").splitlines():
            if (found := re.fullmatch(rf"    syncnas-deploy (.* {FOLDER}(\S+))", line)) is not None:
                yield found[2], shlex.split(found[1])


def make(folder: Path) -> list[Path]:
    """Draw all of them into a folder."""
    made = []
    for name, words in pictures():
        words = [str(folder / name) if word == FOLDER + name else word for word in words]
        cli.main([*words, "--force"], standalone_mode=False)
        made.append(folder / name)
    return made


if __name__ == "__main__":
    make(DOCS / "pictures")
