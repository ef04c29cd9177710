"""How well cheap evaluators agree with a longer training, what they cost, and how much they scatter between seeds.

    python -m benchmarks.evaluator_agreement [--candidates 20] [--seeds 2] [--seconds 200] [--cache agreement.jsonl]

Candidates are a small base model with random strategies and random widths; pictures are drawn shapes. The reference is
the mean top-1 of trainings with so many seeds, each more than three times as long as the cheap ones. Printed are
Kendall's tau with the reference, seconds per candidate, and the standard deviation between seeds beside that between
candidates. What was evaluated is kept in the cache, so that a run that ends after --seconds can be gone on with. One
thread, no device.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from syncnas_deploy.networks.config import BlockSpec, HeadSpec, ModelConfig, StageSpec, StemSpec, branched
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.networks.strategy import random_strategy
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.search.evaluators import Evaluator, make_evaluator
from syncnas_deploy.training.recipe import Recipe
from syncnas_deploy.training.run import TrainingOptions, train
from tests.support.shapes import SHAPES, draw_set

SIZE = 32
REFERENCE = "reference"


def base_model(width: int = 8) -> ModelConfig:
    """Four stages, of a size that learns shapes in seconds."""
    stages, here, at = [], width, SIZE // 2
    for out, stride, repeats in ((width, 1, 1), (12, 2, 2), (16, 2, 2), (16, 1, 1)):
        blocks = []
        for i in range(repeats):
            blocks.append(BlockSpec((3,), stride if i == 0 else 1, here, here * 3, out, at, "relu6"))
            here, at = out, blocks[-1].output_size
        stages.append(StageSpec((tuple(blocks),)))
    stem, head = StemSpec(width, "relu6"), HeadSpec(here, width * 6, "relu6")
    return ModelConfig("shapes", stem, tuple(stages), head, input_size=SIZE, classes=len(SHAPES))


def candidates(base: ModelConfig, count: int) -> list[ModelConfig]:
    """Random strategies, each branch and block from a sixth to one and a half of the base's width."""
    rng = np.random.default_rng(5)
    networks = []
    for _ in range(count):
        scale = rng.uniform(0.17, 1.5)
        widths = [
            [
                [max(4, round(b.expanded_channels * scale * rng.uniform(0.7, 1.3) / 4) * 4) for b in stage.branches[0]]
                for stage in base.stages
            ]
            for _ in (0, 1)
        ]
        networks.append(branched(base, random_strategy(rng, len(base.stages)), Widths.of(widths)))
    return networks


def evaluators(folder: Path, base: ModelConfig) -> dict[str, Evaluator]:
    """The reference and what is compared with it; makes pictures and trains the base where that was not done."""
    pictures, run = folder / "pictures", folder / "run"
    if not (pictures / "val").exists():
        draw_set(pictures / "train", 80, 1)
        draw_set(pictures / "val", 60, 2)
    write_config(folder / "base.json", base)
    if not (run / "best.pth").exists():
        recipe = Recipe(rate=0.2, epochs=12, batch=32, warmup_epochs=1, dropout=0.0, smallest_crop=0.5)
        trained = train(base, pictures, run, recipe, TrainingOptions(workers=0))
        print(f"base: top-1 {trained.best.top1:.3f} after 12 epochs", flush=True)
    plain = f"size={SIZE},batch=32,crop=0.5,rate=1.6,halving=1"
    weights = f"inherit:{run / 'best.pth'},{pictures},base={run / 'config.json'},size={SIZE},batch=32"
    return {
        "capacity": make_evaluator("capacity"),
        "zen:32": make_evaluator("zen:32"),
        "inherit": make_evaluator(weights),
        "inherit, 2 epochs": make_evaluator(f"{weights},crop=0.5,rate=0.8,epochs=2"),
        "train, 3 epochs": make_evaluator(f"train:{pictures},{plain},epochs=3"),
        "train, 3 epochs, width 0.5": make_evaluator(f"train:{pictures},{plain},epochs=3,width=0.5"),
        REFERENCE: make_evaluator(f"train:{pictures},{plain},epochs=10"),
    }


def kendall_tau(a: list[float], b: list[float]) -> float:
    """Kendall's tau-b."""
    x, y = (np.sign(np.subtract.outer(v, v))[np.triu_indices(len(v), 1)] for v in (a, b))
    scale = math.sqrt(float((x != 0).sum()) * float((y != 0).sum()))
    return float((x * y).sum()) / scale if scale else math.nan


@dataclasses.dataclass(frozen=True)
class Row:
    """One evaluation in the cache."""

    evaluator: str
    candidate: int
    seed: int
    reward: float
    seconds: float


def measure(folder: Path, cache: Path, count: int, seeds: int, deadline: float) -> list[Row]:
    """All evaluations there are by the deadline, those of the cache included."""
    rows = [Row(**json.loads(line)) for line in cache.read_text().splitlines()] if cache.exists() else []
    done = {(row.evaluator, row.candidate, row.seed) for row in rows}
    base = base_model()
    with cache.open("a") as file:
        for name, evaluator in evaluators(folder, base).items():
            for i, config in enumerate(candidates(base, count)):
                for seed in range(seeds):
                    if time.monotonic() > deadline or (name, i, seed) in done:
                        continue
                    started = time.perf_counter()
                    reward = evaluator.evaluate(config, 1_000 * i + seed).reward
                    assert reward is not None, f"{name} found candidate {i} infeasible"
                    rows.append(Row(name, i, seed, reward, time.perf_counter() - started))
                    print(json.dumps(dataclasses.asdict(rows[-1])), file=file, flush=True)
    return rows


def show(rows: list[Row], count: int, seeds: int) -> None:
    """The table, of the evaluators that are complete."""
    by_name: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        by_name.setdefault(row.evaluator, {}).setdefault(row.candidate, []).append(row.reward)
    complete = {n: v for n, v in by_name.items() if sum(map(len, v.values())) == count * seeds}
    if REFERENCE not in complete:
        print(f"{len(rows)} evaluations; the reference is not complete, go on with the same --cache")
        return
    truth = [float(np.mean(complete[REFERENCE][i])) for i in range(count)]
    halves = [[complete[REFERENCE][i][seed] for i in range(count)] for seed in (0, 1)]
    print(f"{count} candidates, reference top-1 {min(truth):.3f} to {max(truth):.3f}")
    print(f"ceiling: tau of one reference training with another {kendall_tau(*halves):.2f}")
    print(f"{'evaluator':28s} {'tau':>6s} {'seconds':>8s} {'between seeds':>14s} {'between candidates':>19s}")
    for name, rewards in complete.items():
        first = [rewards[i][0] for i in range(count)]
        within = math.sqrt(float(np.mean([np.var(rewards[i], ddof=1) for i in range(count)])))
        seconds = float(np.median([row.seconds for row in rows if row.evaluator == name]))
        tau = kendall_tau(first, truth)
        print(f"{name:28s} {tau:6.2f} {seconds:8.2f} {within:14.3f} {float(np.std(first, ddof=1)):19.3f}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--cache", type=Path, default=None)
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as temporary:
        cache = options.cache or Path(temporary) / "cache.jsonl"
        # Pictures and the trained base are made beside the cache, so that they are the same when it is gone on with.
        folder = cache.with_suffix("")
        folder.mkdir(parents=True, exist_ok=True)
        rows = measure(folder, cache, options.candidates, options.seeds, deadline)
        show(rows, options.candidates, options.seeds)


if __name__ == "__main__":
    main()
