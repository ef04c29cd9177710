"""Files and answers with something wrong in them, made without end: each is read rightly or refused in one sentence.

A target makes good inputs once; a case is one of them, spoiled by a seed. `Fuzzer.case` says what came of it in words
that begin with "read" or "refused", or with a word in capitals: then it is a finding, and the input is kept.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syncnas_bench.errors import BenchError
from syncnas_deploy.errors import SyncNasError
from syncnas_exporters.errors import ExportError
from tests.support.hostile import ESCAPE, TEXTS, replaced

CPU_S = 10.0
"""What a case may take; the slowest good input of any target takes a twentieth."""
MEMORY_BYTES = 512 << 20
"""By how much a case may raise the peak memory of this process."""
MESSAGE_CHARACTERS = 1500
FINDINGS = 50
"""More inputs than these are not kept."""

_WORDS = (0, 1, *(1 << bits for bits in (7, 8, 15, 16, 31, 32, 40, 63, 64)))
"""Numbers at which something ends; one less and one more are tried too."""


@dataclass(frozen=True)
class Target:
    """A reader of something foreign.

    Attributes:
        seeds: good inputs.
        spoil: an input made worse.
        read: what the product does with an input; it gets an empty folder of its own.
    """

    seeds: Sequence[bytes]
    spoil: Callable[[bytes, random.Random], bytes]
    read: Callable[[bytes, Path], object]


@dataclass
class Fuzzer:
    """Runs cases of one target.

    Args:
        scratch: a folder of its own, emptied after every case.
        kept: where inputs of findings are written.
    """

    name: str
    target: Target
    scratch: Path
    kept: Path
    findings: list[str] = field(default_factory=list)

    def case(self, seed: int) -> str:
        """What came of the input of this seed, in words; a good one is read without a word against it."""
        rng = random.Random(f"{self.name} {seed}")
        content = self.target.spoil(rng.choice(self.target.seeds), rng)
        outcome = self._outcome(content)
        if outcome not in ("read", "refused") and len(self.findings) < FINDINGS:
            self.kept.mkdir(parents=True, exist_ok=True)
            file = self.kept / f"{self.name.replace(' ', '_')}-{seed}"
            file.write_bytes(content)
            self.findings.append(f"{self.name}, seed {seed}: {outcome} ({file})")
        return outcome

    def _outcome(self, content: bytes) -> str:
        began_s, before = time.process_time(), _peak_bytes()
        try:
            self.target.read(content, self.scratch)
            outcome = "read"
        except (SyncNasError, BenchError, ExportError) as error:
            text = str(error)
            outcome = "refused"
            if not text.isprintable() or not 10 < len(text) < MESSAGE_CHARACTERS:
                outcome = f"NO SENTENCE {text[:200]!r}"
        except Exception as error:
            outcome = f"TRACEBACK {type(error).__name__}: {str(error)[:200]!r}"
        took_s, more = time.process_time() - began_s, _peak_bytes() - before
        if took_s > CPU_S:
            outcome = f"SLOW: {took_s:.0f} s of CPU time, {outcome}"
        if more > MEMORY_BYTES:
            outcome = f"LARGE: {more >> 20} MB, {outcome}"
        _empty(self.scratch)
        return outcome


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def _empty(folder: Path) -> None:
    """Remove what a case wrote into its own folder."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def spoiled_bytes(content: bytes, rng: random.Random) -> bytes:
    """One to eight places changed: a bit, a byte, a number, a piece taken out, doubled or put elsewhere, or an end."""
    raw = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        if not raw:
            break
        at = rng.randrange(len(raw))
        kind = rng.randrange(7)
        if kind == 0:
            raw[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            raw[at] = rng.choice((0, 0x0A, 0x22, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind <= 3:
            size = rng.choice((1, 2, 4, 8))
            word = (rng.choice(_WORDS) + rng.choice((-1, 0, 0, 1))) % (1 << 8 * size)
            raw[at : at + size] = word.to_bytes(size, "little")
        elif kind == 4:
            del raw[at : at + rng.choice((1, 4, rng.randrange(1, 200)))]
        elif kind == 5:
            piece = raw[at : at + rng.randrange(1, 200)]
            raw[(other := rng.randrange(len(raw))) : other] = piece
        else:
            del raw[at:]
    return bytes(raw)


def spoiled_json(content: bytes, rng: random.Random) -> bytes:
    """A document with one to three values replaced, keys doubled or renamed, or its text spoiled."""
    if rng.random() < 0.2:
        return spoiled_bytes(content, rng)
    value: Any = json.loads(content)
    for _ in range(rng.choice((1, 1, 2, 3))):
        value = replaced(value, rng)
    text = json.dumps(value)
    kind = rng.randrange(12)
    if kind == 0:
        text = text.replace(":", ":" + rng.choice(("[" * 5000, "9" * 5000, "-", "1e999", "NaN", '"\\ud800"')), 1)
    elif kind == 1:
        text = text.replace(":", f":{json.dumps(rng.choice((*TEXTS, ESCAPE)))},", 1)
    elif kind == 2:
        text = text.replace("{", '{"schema":1,"schema":1,', 1)
    return text.encode()


def spoiled_lines(content: bytes, rng: random.Random) -> bytes:
    """Lines changed as bytes, doubled, left out, cut, or put in another order."""
    lines = content.splitlines(keepends=True)
    kind = rng.randrange(6)
    at = rng.randrange(len(lines))
    if kind == 0:
        rng.shuffle(lines)
    elif kind == 1:
        lines.insert(at, rng.choice(lines))
    elif kind == 2:
        del lines[at]
    elif kind == 3:
        lines[at] = rng.choice((*TEXTS, ESCAPE)).encode("utf-8", "replace") + b"\n"
    else:
        lines[at] = spoiled_bytes(lines[at], rng)
    return b"".join(lines)
