"""Rewards by strategy, read from a file."""

from __future__ import annotations

import csv
import hashlib
import math
from pathlib import Path
from typing import ClassVar

from syncnas_bench.files import regular_bytes
from syncnas_deploy.errors import ABSENT, RewardTableError, StrategyError
from syncnas_deploy.networks.config import ModelConfig, check_strategy
from syncnas_deploy.search.evaluators.evaluation import Evaluation

MAX_TABLE_BYTES = 64 * 1024 * 1024


class RewardTable:
    """Rewards by strategy from a CSV file with the columns strategy and reward; others are ignored.

    An empty reward or 0 says that the strategy is infeasible.

    Args:
        path: the file.

    Raises:
        RewardTableError: naming file, line, column and value.
    """

    compares_branches: ClassVar[bool] = False

    def __init__(self, path: Path) -> None:
        self._path = path
        content = _read(path)
        self._digest = hashlib.sha256(content).hexdigest()
        self._rewards = _rewards(path, content)
        self.name = f"table:{path}"
        self.cost = "instant"
        self.spread = 0.0

    @property
    def key(self) -> dict[str, object]:
        """The table's content decides, not where it is."""
        return {"name": "table", "sha256": self._digest}

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        """The reward of the network's strategy; the seed does not matter.

        Raises:
            RewardTableError: the table lacks the strategy.
        """
        if config.strategy not in self._rewards:
            raise RewardTableError(f"{self._path}: no row for strategy {config.strategy}; add one.")
        return Evaluation(self._rewards[config.strategy], 0.0)


def _read(path: Path) -> bytes:
    try:
        if regular_bytes(path) > MAX_TABLE_BYTES:
            raise RewardTableError(f"{path}: more than {MAX_TABLE_BYTES} bytes; this is no table of rewards.")
        return path.read_bytes()
    except OSError as e:
        code = ABSENT if isinstance(e, FileNotFoundError) else None
        raise RewardTableError(f"{path}: cannot be read ({e.strerror}); check the path.", code=code) from None


def _rewards(path: Path, content: bytes) -> dict[str, float | None]:
    try:
        reader = csv.reader(content.decode("utf-8-sig").splitlines(), strict=True)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except UnicodeDecodeError:
        raise RewardTableError(f"{path}: not UTF-8 text; give a CSV file.") from None
    except csv.Error as e:
        raise RewardTableError(f"{path}: not CSV ({e}); correct the quotes.") from None
    if len(rows) < 2:
        raise RewardTableError(f"{path}: has no rows; give a header strategy,reward and one row per strategy.")
    header = rows[0][1]
    for column in ("strategy", "reward"):
        if header.count(column) != 1:
            raise RewardTableError(
                f"{path}: line {rows[0][0]} must name the column {column!r} once; the columns are "
                f"{', '.join(header)[:80]}."
            )
    at_strategy, at_reward = header.index("strategy"), header.index("reward")
    rewards: dict[str, float | None] = {}
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise RewardTableError(f"{path}: line {line} has {len(row)} columns, the header {len(header)}.")
        strategy = row[at_strategy]
        try:
            check_strategy(strategy, len(next(iter(rewards), strategy)) or 1)
        except StrategyError as e:
            raise RewardTableError(f"{path}: line {line}, column 'strategy': {e}") from None
        if strategy in rewards:
            raise RewardTableError(f"{path}: line {line} repeats strategy {strategy}; keep one of the rows.")
        rewards[strategy] = _reward(row[at_reward], f"{path}: line {line}, column 'reward'")
    return rewards


def _reward(text: str, where: str) -> float | None:
    try:
        reward = float(text or "0")
    except ValueError:
        reward = math.nan
    if not math.isfinite(reward):
        raise RewardTableError(
            f"{where}: {text[:40]!r} is not a finite number; correct it, or leave it empty for infeasible."
        )
    return reward or None
