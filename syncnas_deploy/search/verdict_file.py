"""``verdict.json`` of a search's folder: for each budget whether the network pays, and its rivals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from syncnas_deploy.errors import DocumentError
from syncnas_deploy.files.documents import Schema, Text, decode_document, read_json
from syncnas_deploy.files.output import write_json
from syncnas_deploy.networks.formats import config_to_json
from syncnas_deploy.search.rivals import Rival
from syncnas_deploy.verdict import Verdict

NAME = "verdict.json"
SCHEMA, VERSION = "syncnas-deploy/verdict", 1
MAX_BYTES = 4 << 20


class RivalRow(Schema, frozen=True):
    """A rival: its unit, its latency there in microseconds, and its config as a config file has it."""

    unit: Text
    predicted_us: Annotated[float, Meta(gt=0)]
    config: dict[str, Any]


class VerdictRow(Schema, frozen=True):
    """The verdict within one budget."""

    budget: Text
    verdict: Verdict
    rivals: Annotated[tuple[RivalRow, ...], Meta(max_length=8)]


class VerdictFile(Schema, frozen=True):
    """All verdicts of a search."""

    schema: Text
    networks: Annotated[tuple[VerdictRow, ...], Meta(max_length=1000)]


def write_verdicts(path: Path, rows: Sequence[tuple[str, Verdict, Sequence[Rival]]], *, force: bool = True) -> None:
    """Write the verdicts, by budget. Raises OutputError."""
    networks = tuple(
        VerdictRow(
            budget,
            verdict,
            tuple(RivalRow(r.unit, round(r.predicted_us, 3), config_to_json(r.config)) for r in rivals),
        )
        for budget, verdict, rivals in rows
    )
    write_json(path, msgspec.to_builtins(VerdictFile(f"{SCHEMA}/{VERSION}", networks)), force=force)


def read_verdicts(folder: Path) -> tuple[VerdictRow, ...]:
    """The verdicts by budget, with the rivals; none where the search is of before 0.3.

    Raises:
        DocumentError: naming file, field and remedy.
    """
    path = folder / NAME
    if not path.exists():
        return ()
    value = read_json(path, DocumentError, max_bytes=MAX_BYTES)
    return decode_document(VerdictFile, value, str(path), DocumentError, version=(SCHEMA, VERSION)).networks
