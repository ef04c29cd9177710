"""How long depthwise kernels over 5x5 take on this CPU, whole and in parts of at most 25 taps.

    python -m benchmarks.large_kernels [--rounds 25] [--models mixnet_m proxyless_r]

MBConv blocks, then whole base models, one XNNPACK thread, in fp32 and int8. Every file has its turn in each round, in
random order; the first one has two (A/A). A time is the CPU time of the thread, which a busy machine disturbs less than
a clock. Medians over the rounds, microseconds. What is faster here need not be faster elsewhere: run it on a board, or
compare `bench` of two exports, with and without `--split-kernels`, on a phone.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.lowering import network_graph
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_exporters import Activation, Graph, GraphBuilder, split_large_kernels, stand_in_ranges, write_tflite

BLOCKS = ((32, 192, 28), (80, 480, 14), (192, 1152, 7))
KERNELS = (3, 5, 7, 9)


def block(channels: int, expanded: int, size: int, kernel: int) -> Graph:
    """An MBConv block of stride 1 with seeded weights."""
    rng = np.random.default_rng(0)
    builder = GraphBuilder("block")
    x = builder.input("x", (1, size, size, channels))
    y = builder.conv2d(x, 0.1 * rng.standard_normal((expanded, 1, 1, channels)), np.zeros(expanded))
    weight = 0.1 * rng.standard_normal((1, kernel, kernel, expanded))
    y = builder.depthwise_conv2d(y, weight, np.zeros(expanded), padding=kernel // 2, activation=Activation.RELU6)
    y = builder.conv2d(y, 0.1 * rng.standard_normal((channels, 1, 1, expanded)), np.zeros(channels))
    return builder.build([builder.add(x, y)])


class Timed:
    """A .tflite file on one thread of this CPU."""

    def __init__(self, model: bytes) -> None:
        self._interpreter = Interpreter(model_content=model, num_threads=1)
        self._interpreter.allocate_tensors()
        self.us: list[float] = []

    def turn(self, least_s: float = 0.004) -> None:
        """Run for a while and keep the CPU time of a run."""
        self._interpreter.invoke()
        begin, runs = time.thread_time(), 0
        while time.thread_time() - begin < least_s or runs == 0:
            self._interpreter.invoke()
            runs += 1
        self.us.append(1e6 * (time.thread_time() - begin) / runs)


def file_medians(files: dict[str, bytes], rounds: int) -> dict[str, float]:
    """Microseconds of each .tflite file, by its name; "A/A" is how the first one's two turns differ."""
    timed = {name: Timed(model) for name, model in files.items()}
    again = Timed(next(iter(files.values())))
    rng = np.random.default_rng(0)
    everything = [*timed.values(), again]
    for _ in range(rounds):
        for index in rng.permutation(len(everything)):
            everything[index].turn()
    found = {name: statistics.median(file.us) for name, file in timed.items()}
    return {**found, "A/A": statistics.median(again.us) / next(iter(found.values()))}


def medians(graphs: dict[str, Graph], rounds: int) -> dict[str, float]:
    """Microseconds of each graph, by its name and precision; see `file_medians`."""
    files = {
        f"{name} {precision}": write_tflite([graph], precision=precision, ranges={graph.name: stand_in_ranges(graph)})
        for name, graph in graphs.items()
        for precision in ("fp32", "int8")
    }
    return file_medians(files, rounds)


def row(title: str, graphs: dict[str, Graph], rounds: int) -> None:
    """Measure and print one line."""
    found = medians(graphs, rounds)
    cells = ", ".join(f"{name} {us:,.0f}" for name, us in found.items() if name != "A/A")
    print(f"{title}: {cells} us (A/A {found['A/A']:.2f})", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--models", nargs="*", default=["mixnet_m", "proxyless_r"])
    args = parser.parse_args()
    for channels, expanded, size in BLOCKS:
        for kernel in KERNELS:
            whole = block(channels, expanded, size, kernel)
            graphs = {"whole": whole} | ({"split": split_large_kernels(whole)} if kernel > 5 else {})
            row(f"{channels}-{expanded}-{channels} {size}px k{kernel}", graphs, args.rounds)
    for name in args.models:
        config = load_config(name)
        whole = network_graph(config, random_weights(parameter_shapes(config), 0), "whole")
        row(name, {"whole": whole, "split": split_large_kernels(whole)}, args.rounds)


if __name__ == "__main__":
    main()
