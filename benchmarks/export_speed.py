"""How many MBConv blocks a second each exporter writes.

    python benchmarks/export_speed.py [--rounds 7] [--json]

The blocks of MobileNetV2 (1.0, 224), one model each, with weights of its own: as graphs through
`write_tflite` (fp32, fp16 and int8) and `write_onnx`, and as torch modules of the same shapes through
`torch.onnx.export`. Building a graph or module is not timed; copying its weights into the file is.

The exporters take turns, `--rounds` times over, on one thread, so that a busy minute of the machine hits
them all. `write_tflite` takes two turns per round: the ratio of the two rows (A/A) is what chance alone
does here. Speeds are medians over the rounds; the ratio to `write_tflite` is taken within each round.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "exporters"))

from syncnas_exporters import Activation, Graph, GraphBuilder, stand_in_ranges, write_onnx, write_tflite

# Expansion, output channels, blocks, stride of the first. Source: arXiv:1801.04381, table 2.
ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
BASELINE = "write_tflite"
ACCEPTED_PER_SECOND = {BASELINE: 1000, "write_tflite, int8": 600}


@dataclass(frozen=True)
class Block:
    """An inverted residual block; `size` is the height and width of its input in pixels."""

    in_channels: int
    expanded: int
    out_channels: int
    stride: int
    size: int

    @property
    def residual(self) -> bool:
        return self.stride == 1 and self.in_channels == self.out_channels


def mobilenet_v2() -> list[Block]:
    blocks, channels, size = [], 32, 112
    for expansion, out_channels, count, first_stride in ROWS:
        for position in range(count):
            stride = first_stride if position == 0 else 1
            blocks.append(Block(channels, channels * expansion, out_channels, stride, size))
            channels, size = out_channels, size // stride
    return blocks


def as_graph(block: Block, rng: np.random.Generator) -> Graph:
    def weights(*shape: int) -> npt.NDArray[np.float32]:
        return rng.standard_normal(shape, dtype=np.float32)

    i, e, o = block.in_channels, block.expanded, block.out_channels
    builder = GraphBuilder("block")
    x = y = builder.input("x", (1, block.size, block.size, i))
    if e != i:
        y = builder.conv2d(y, weights(e, 1, 1, i), weights(e), activation=Activation.RELU6)
    depthwise = weights(1, 3, 3, e), weights(e)
    y = builder.depthwise_conv2d(y, *depthwise, stride=block.stride, padding=1, activation=Activation.RELU6)
    y = builder.conv2d(y, weights(o, 1, 1, e), weights(o))
    return builder.build([builder.add(x, y) if block.residual else y])


class TorchBlock(nn.Module):
    """The same block with its batch norm folded, as the graph has it."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        i, e, o = block.in_channels, block.expanded, block.out_channels
        expand = [nn.Conv2d(i, e, 1), nn.ReLU6()] if e != i else []
        depthwise = nn.Conv2d(e, e, 3, block.stride, 1, groups=e)
        self.body = nn.Sequential(*expand, depthwise, nn.ReLU6(), nn.Conv2d(e, o, 1))
        self.residual = block.residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[N, C, H, W]` to `[N, C, H, W]`."""
        y: torch.Tensor = self.body(x)
        return x + y if self.residual else y


def torch_writer(blocks: list[Block], *, dynamo: bool) -> Callable[[], None]:
    modules = [TorchBlock(block).eval() for block in blocks]
    inputs = [torch.randn(1, block.in_channels, block.size, block.size) for block in blocks]

    def write() -> None:
        # To a file, as the dynamo exporter takes nothing else; the cost is small beside the export.
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for module, x in zip(modules, inputs, strict=True):
                torch.onnx.export(module, (x,), Path(folder) / "block.onnx", dynamo=dynamo, verbose=False)

    return write


def exporters(blocks: list[Block]) -> dict[str, Callable[[], None]]:
    """Functions that write every block once, by the name of their row."""
    rng = np.random.default_rng(0)
    graphs = [as_graph(block, rng) for block in blocks]

    ranges = [{graph.name: stand_in_ranges(graph)} for graph in graphs]

    def tflite(precision: str = "fp32") -> None:
        for graph, spans in zip(graphs, ranges, strict=True):
            write_tflite([graph], precision=precision, ranges=spans)

    def onnx() -> None:
        for graph in graphs:
            write_onnx(graph)

    rows = {
        BASELINE: tflite,
        f"{BASELINE} again (A/A)": tflite,
        "write_tflite, fp16": lambda: tflite("fp16"),
        "write_tflite, int8": lambda: tflite("int8"),
        "write_onnx": onnx,
        "torch.onnx.export, TorchScript": torch_writer(blocks, dynamo=False),
    }
    if importlib.util.find_spec("onnxscript"):
        rows["torch.onnx.export, dynamo"] = torch_writer(blocks, dynamo=True)
    return rows


def measure(rows: dict[str, Callable[[], None]], blocks: int, rounds: int) -> dict[str, list[float]]:
    """Models per second of each row in each round, the rows taking turns."""
    speeds: dict[str, list[float]] = {name: [] for name in rows}
    for write in rows.values():
        write()
    for done in range(rounds):
        for name, write in rows.items():
            # A short row is repeated, so that each turn lasts long enough to be read off a clock.
            repeats = 10 if name.startswith("write_") else 1
            begin = time.perf_counter()
            for _ in range(repeats):
                write()
            speeds[name].append(repeats * blocks / (time.perf_counter() - begin))
        print(f"round {done + 1} of {rounds}", file=sys.stderr)
    return speeds


@dataclass(frozen=True)
class Row:
    """One line of the table: speeds over the rounds, and `write_tflite`'s speed over this one's."""

    exporter: str
    models_per_second: float
    slowest_per_second: float
    fastest_per_second: float
    ratio: float
    ratio_lowest: float
    ratio_highest: float


def summary(speeds: dict[str, list[float]]) -> list[Row]:
    rows = []
    for name, values in speeds.items():
        ratios = [base / value for base, value in zip(speeds[BASELINE], values, strict=True)]
        spread = min(values), max(values), statistics.median(ratios), min(ratios), max(ratios)
        rows.append(Row(name, statistics.median(values), *spread))
    return rows


def show(rows: list[Row], blocks: int, rounds: int) -> None:
    print(f"{blocks} blocks of MobileNetV2, one model each, {rounds} interleaved rounds, one thread")
    print(f"torch {torch.__version__}, numpy {np.__version__}, Python {sys.version.split()[0]}\n")
    print("| exporter | models/s, median (range) | ms/model | write_tflite is faster by (range) |")
    print("|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.exporter} "
            f"| {row.models_per_second:.1f} ({row.slowest_per_second:.1f} - {row.fastest_per_second:.1f}) "
            f"| {1000 / row.models_per_second:.2f} "
            f"| {row.ratio:.2f}x ({row.ratio_lowest:.2f} - {row.ratio_highest:.2f}) |"
        )
    if not importlib.util.find_spec("onnxscript"):
        print("\ntorch.onnx.export, dynamo: not measured, the package onnxscript is not installed")


def main() -> int:
    """Measure, print, and fail when `write_tflite` is slower than what the project promises."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="turns of each exporter (default: 7)")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    blocks = mobilenet_v2()
    rows = summary(measure(exporters(blocks), len(blocks), arguments.rounds))
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        show(rows, len(blocks), arguments.rounds)
    slow = [
        f"{row.exporter} stays below {ACCEPTED_PER_SECOND[row.exporter]} models a second"
        for row in rows
        if row.models_per_second < ACCEPTED_PER_SECOND.get(row.exporter, 0)
    ]
    print(*slow, sep="\n", end="\n" if slow else "", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
