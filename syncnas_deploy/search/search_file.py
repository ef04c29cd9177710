"""``search.json`` of a search's folder: what decided its results, so that they can be computed again."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from syncnas_deploy.errors import DocumentError
from syncnas_deploy.files.documents import Schema, Sha256, Text, decode_document, read_json
from syncnas_deploy.files.one_line import one_line
from syncnas_deploy.files.output import write_json
from syncnas_deploy.search.evaluators import KINDS, Evaluator
from syncnas_deploy.versions import versions_of

NAME = "search.json"
KIND, VERSION = "syncnas-deploy/search", 1
SCHEMA = f"{KIND}/{VERSION}"
PRIVATE = "words_sha256"
"""What an evaluator's key says of a command line, which is nobody else's."""
WITH_TORCH = ("zen", "train", "inherit")

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class SearchedProfile(Schema, frozen=True):
    """The profile: what its device is called, and the sha256 of its file as this version writes it."""

    device: Text
    sha256: Sha256


class SearchFile(Schema, frozen=True):
    """How a search went.

    Attributes:
        versions: of this program, Python, NumPy, and torch where it was used, in the process that ended the search.
        budgets: as they were asked for; the first one is that of ``best.json``.
        evaluator: its name and what decides its rewards; no paths and no command line. Of one's own, the name alone.
        trials: evaluations that were asked for.
        done: evaluations that there are.
        max_energy_mj, width_step: as in `SearchSettings`.
    """

    schema: Text
    versions: Annotated[dict[Text, Text], Meta(max_length=16)]
    base: Text
    profile: SearchedProfile
    budgets: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=1000)]
    evaluator: dict[str, Any]
    algorithm: Text
    seed: Count
    trials: Count
    done: Count
    max_energy_mj: Annotated[float, Meta(gt=0)] | None = None
    width_step: Annotated[int, Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        if self.done > self.trials:
            raise ValueError("there are more evaluations done than were asked for")

    @property
    def rated_by(self) -> str:
        """The evaluator's name, as one line."""
        return one_line(str(self.evaluator.get("name", "unknown")))[:80]

    def __str__(self) -> str:
        trials = f"{self.done} of at most {self.trials} trials, seed {self.seed}"
        versions = ", ".join(f"{name} {text}" for name, text in self.versions.items())
        return f"rated by {self.rated_by}, proposed by {self.algorithm}, {trials}; {versions}"


def told_evaluator(evaluator: Evaluator) -> Mapping[str, object]:
    """What a search's file says of its evaluator: nothing of where the user's files are."""
    key = evaluator.key
    if key.get("name") in KINDS:
        return {name: value for name, value in key.items() if name != PRIVATE}
    return {"name": one_line(str(evaluator.name))[:80]}


def versions_now(evaluator: Mapping[str, object]) -> dict[str, str]:
    """Versions of what computes rewards."""
    name = evaluator["name"]
    uses_torch = name in WITH_TORCH or (name not in KINDS and "torch" in sys.modules)
    return versions_of("numpy", *["torch"] * uses_torch)


def write_search(path: Path, search: SearchFile, *, force: bool = True) -> None:
    """Write it. Raises OutputError."""
    write_json(path, msgspec.to_builtins(search), force=force)


def read_search(folder: Path) -> SearchFile | None:
    """How a folder's search went; None where it is of before 0.3.

    Raises:
        DocumentError: naming file, field and remedy.
    """
    path = folder / NAME
    if not path.exists():
        return None
    return decode_document(
        SearchFile, read_json(path, DocumentError), str(path), DocumentError, version=(KIND, VERSION)
    )
