"""How much faster int8 is than fp32 on this CPU: whole base models, then MobileNetV2 block by block.

    python -m benchmarks.int8_speed [--rounds 15] [--models ...] [--blocks mobilenet_v2]

One XNNPACK thread; the files take turns in random order; a time is the CPU time of the thread. The fp32 file has two
turns (A/A). Medians over the rounds. Ranges are made up: int8 takes as long whatever they are.
"""

from __future__ import annotations

import argparse

from benchmarks.large_kernels import medians
from syncnas_deploy.networks.config import SyncOp
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.lowering import network_graph
from syncnas_deploy.networks.resizing import ratio_widths
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.profiling.parts import chain
from syncnas_exporters import Graph

MODELS = ("mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0", "mnasnet_a1", "fbnet_c", "rexnet_100")


def show(title: str, graph: Graph, rounds: int) -> None:
    """Measure a graph in both precisions and print one line."""
    found = medians({"whole": graph}, rounds)
    fp32, int8 = found["whole fp32"], found["whole int8"]
    print(f"{title}: fp32 {fp32:,.0f} us, int8 {int8:,.0f} us: {fp32 / int8:.2f}x (A/A {found['A/A']:.2f})", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--blocks", default="mobilenet_v2")
    args = parser.parse_args()
    for name in args.models:
        config = load_config(name)
        show(name, network_graph(config, random_weights(parameter_shapes(config), 0), "whole"), args.rounds)
    base = load_config(args.blocks)
    for part in chain(base, ratio_widths(base, 1.0), SyncOp.ADD, 0, ""):
        if part.point.part in ("stem", "block", "head"):
            show(f"{base.name} {part.graph.name}", part.graph, args.rounds)


if __name__ == "__main__":
    main()
