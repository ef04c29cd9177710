"""The options at the end of an evaluator's text: ``train:pictures,epochs=9,size=64``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from syncnas_bench.errors import nearest
from syncnas_deploy.errors import UnknownEvaluator

_OPTION = re.compile(r"([a-z_]+)=([^,]*)")


class Options:
    """Options by name, each read once, with its type and range.

    Args:
        evaluator: whose they are, for messages.
        text: what follows the evaluator's colon; options are peeled off its end.
        known: their names.

    Attributes:
        rest: the text before the options.

    Raises:
        UnknownEvaluator: an unknown option, or one that is given twice.
    """

    def __init__(self, evaluator: str, text: str, known: Sequence[str]) -> None:
        self._evaluator = evaluator
        self._values: dict[str, str] = {}
        parts = text.split(",")
        while len(parts) > 1 and (match := _OPTION.fullmatch(parts[-1].strip())):
            name, value = match.groups()
            if name not in known:
                raise UnknownEvaluator(
                    f"{evaluator} has no option {name[:40]!r}; use {', '.join(known)}.{nearest(name, known)}"
                )
            if name in self._values:
                raise UnknownEvaluator(f"{evaluator}: {name} is given twice; give it once.")
            self._values[name] = value
            parts.pop()
        self.rest = ",".join(parts)

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """An integer in [low, high]."""
        text = self._values.get(name, str(default))
        if not text.isdecimal() or len(text) > 9 or not low <= int(text) <= high:
            raise UnknownEvaluator(f"{self._evaluator}: {name} must be {low} to {high}, found {text[:40]!r}.")
        return int(text)

    def number(self, name: str, default: float | None, low: float, high: float) -> float | None:
        """A number in [low, high], or the default where it is not given."""
        if name not in self._values:
            return default
        text = self._values[name]
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise UnknownEvaluator(f"{self._evaluator}: {name} must be {low:g} to {high:g}, found {text[:40]!r}.")
        return value

    def text(self, name: str, default: str) -> str:
        """Text that is not empty."""
        value = self._values.get(name, default)
        if not value:
            raise UnknownEvaluator(f"{self._evaluator}: {name} is empty; give a value or leave it out.")
        return value

    def choice(self, name: str, known: Sequence[str]) -> str | None:
        """One of some texts, or None where it is not given."""
        text = self._values.get(name)
        if text is not None and text not in known:
            raise UnknownEvaluator(f"{self._evaluator}: {name} must be one of {', '.join(known)}, found {text[:40]!r}.")
        return text

    def optional(self, name: str) -> str | None:
        """Text that is not empty, or None where it is not given."""
        return self.text(name, "") if name in self._values else None
