"""Any program as an evaluator: it reads a network and prints a reward."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from syncnas_bench.errors import nearest
from syncnas_bench.systems.processes import split_words
from syncnas_deploy.errors import DocumentError, EvaluationError, UnknownEvaluator
from syncnas_deploy.files.documents import Fields, parse_json
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_text
from syncnas_deploy.search.evaluators.evaluation import Evaluation
from syncnas_deploy.search.evaluators.program import MAX_OUTPUT_BYTES, ProgramEnd, run_program

DEFAULT_LIMIT_S = 86_400
MAX_WORD = 40
"""How many characters of a word of the command line a message shows."""
SETTINGS = ("timeout", "spread", "compares")
_SETTING = re.compile(r"([A-Za-z_]+)=(.*)")


@dataclass(frozen=True)
class Command:
    """A program that prints a JSON object with a reward.

    It is started once per candidate, without a shell. The network is its standard input, a model config as JSON, and
    the seed is in SYNCNAS_SEED; in the arguments ``{config}`` becomes the path of a file with the config and
    ``{seed}`` the seed. TMPDIR is a folder of its own, which is removed with all that is in it. It prints
    ``{"reward": 0.71}`` or ``{"infeasible": true}``, as all of its output or as the last line; ``spread`` (standard
    deviation between seeds) and ``details`` (numbers by name) may stand beside it.

    Attributes:
        words: program and arguments.
        limit_s: after that many seconds it is ended, with all that it started.
        spread: standard deviation of a reward between seeds, where it is declared.
        compares_branches: whether its rewards of one branch and of two can be compared.
    """

    words: tuple[str, ...]
    limit_s: float = DEFAULT_LIMIT_S
    spread: float | None = None
    compares_branches: bool = True

    @classmethod
    def parse(cls, text: str) -> Command:
        """From a command line; ``timeout=SECONDS``, ``spread=NUMBER`` and ``compares=no`` may stand before the program.

        Raises:
            UnknownEvaluator: no program, unbalanced quotes, or a setting out of range.
        """
        try:
            words = split_words(text)
        except ValueError as e:
            raise UnknownEvaluator(f"command: {text[:80]!r} cannot be split into words ({e}); balance it.") from None
        settings: dict[str, str] = {}
        while words and (match := _SETTING.fullmatch(words[0])):
            if match[1] not in SETTINGS:
                raise UnknownEvaluator(
                    f"command: no setting {match[1][:40]!r}; {', '.join(SETTINGS)} may stand before the program."
                    + nearest(match[1], SETTINGS)
                )
            settings[match[1]] = match[2]
            words.pop(0)
        compares = settings.get("compares", "yes")
        if compares not in ("yes", "no"):
            raise UnknownEvaluator(f"command: compares must be yes or no, found {compares[:40]!r}.")
        spread = _number("spread", settings["spread"], zero=True) if "spread" in settings else None
        limit_s = _number("timeout", settings.get("timeout", str(DEFAULT_LIMIT_S)), zero=False)
        if not words:
            raise UnknownEvaluator("command: names no program; write command:PROGRAM ARGUMENTS.")
        return cls(tuple(words), limit_s, spread, compares == "yes")

    @property
    def name(self) -> str:
        """command:PROGRAM ARGUMENTS."""
        return f"command:{shlex.join(self.words)}"

    @property
    def cost(self) -> str:
        """The time limit; how long the program really takes is not known."""
        hours = self.limit_s / 3600
        limit = f"{hours:g} h" if hours.is_integer() else f"{self.limit_s:g} s"
        return f"as long as the program takes, at most {limit} per candidate"

    @property
    def key(self) -> dict[str, object]:
        """The program's name, and a digest of all words: its path and arguments are nobody else's.

        The program's files do not count: it can be mended, and the search resumed.
        """
        digest = hashlib.sha256("\0".join(self.words).encode("utf-8", "surrogateescape")).hexdigest()
        return {"name": "command", "program": Path(self.words[0]).name, "words_sha256": digest}

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        """What the program prints about a network.

        Raises:
            EvaluationError: it cannot be started, ends with another exit code than 0, has too much time, output or
                temporary space, or prints something else.
        """
        started = time.perf_counter()
        with (
            contextlib.suppress(RecursionError),  # what it left is too deep to be removed
            tempfile.TemporaryDirectory(prefix="syncnas-", ignore_cleanup_errors=True) as folder,
        ):
            path = Path(folder) / "config.json"
            path.write_text(config_text(config), encoding="utf-8")
            filled = {"{config}": str(path), "{seed}": str(seed)}
            words = [_filled(word, filled) for word in self.words]
            ended = run_program(words, Path(folder), stdin=path, seed=seed, limit_s=self.limit_s)
        self._check(ended)
        return self._parsed(ended.output, time.perf_counter() - started)

    def _check(self, ended: ProgramEnd) -> None:
        """Refuse a program that did not end as it should."""
        if ended.error:
            raise EvaluationError(
                f"{self.words[0][:200]}: cannot be started ({ended.error}); correct --evaluator command."
            )
        said = f" and said {ended.last_words!r}" if ended.last_words else ""
        if ended.bound:
            what, remedy = {
                "time": (f"took longer than {self.limit_s:g} s", "put a larger timeout=SECONDS before the program"),
                "output": (f"printed more than {MAX_OUTPUT_BYTES} bytes", "let it print a JSON object"),
                "space": ("took more than half of the free temporary space", "set TMPDIR to a folder with more room"),
            }[ended.bound]
            raise EvaluationError(f"{self._title} {what}{said}; {remedy}.")
        if ended.code:
            how = f"was ended by signal {-ended.code}" if ended.code < 0 else f"ended with exit code {ended.code}"
            raise EvaluationError(f"{self._title} {how}{said}; mend it and give --resume.")

    def _parsed(self, printed: bytes, seconds: float) -> Evaluation:
        where, output = f"{self._title}: its output", printed.decode("utf-8", "replace")
        lines = output.strip().splitlines()
        if not lines:
            raise EvaluationError(f'{where} is empty; print a JSON object such as {{"reward": 0.71}}.')
        try:
            value = _object(output, lines[-1], where)
            return _evaluation(Fields(value, where, DocumentError), seconds)
        except DocumentError as e:
            raise EvaluationError(
                f"{str(e).rstrip('.')}; it ends with the line {lines[-1][:80]!r} and should end with one such as "
                '{"reward": 0.71}; mend it and give --resume.'
            ) from None

    @property
    def _title(self) -> str:
        # A path is known by its end.
        words = [word if len(word) <= MAX_WORD else "..." + word[3 - MAX_WORD :] for word in self.words]
        title = shlex.join(words)
        return title if len(title) <= 120 else title[:117] + "..."


def _object(output: str, last: str, where: str) -> object:
    """All of the output as JSON, or its last line."""
    try:
        return parse_json(output, where, DocumentError)
    except DocumentError:
        return parse_json(last, where, DocumentError)


def _evaluation(fields: Fields, seconds: float) -> Evaluation:
    infeasible = fields.has("infeasible") and fields.flag("infeasible")
    reward = fields.number("reward", -1e300, 1e300) if fields.has("reward") or not infeasible else None
    if infeasible and reward is not None:
        fields.fail("infeasible", "is true and there is a reward; print one of them")
    spread = fields.number("spread", 0.0, 1e300) if fields.has("spread") else None
    details: dict[str, float] = {}
    if fields.has("details"):
        inner = fields.fields("details")
        details = {name: inner.number(name, -1e300, 1e300) for name in inner.names()}
    fields.done()
    return Evaluation(reward, seconds, details, spread, note="the program says so" if infeasible else "")


def _filled(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(name, value)
    return word


def _number(name: str, text: str, *, zero: bool) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9 or (value == 0 and not zero):
        least = "of 0 or more" if zero else "above 0"
        raise UnknownEvaluator(f"command: {name} must be a number {least}, found {text[:40]!r}.")
    return value
