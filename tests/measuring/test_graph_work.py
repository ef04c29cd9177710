"""What a simulated device reads from a file is what the graph says that was written into it."""

from pathlib import Path

import numpy as np
import pytest

from syncnas_bench.simulated.work import read_works
from syncnas_deploy.bundle import graphs
from syncnas_deploy.measuring.jobs import graph_work
from syncnas_deploy.networks.config import branched
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.lowering import network_graph
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_exporters.tflite import write_tflite


@pytest.mark.parametrize("name", ["mobilenet_v2", "mnasnet_a1", "mixnet_m"])
def test_graphs_and_files_agree(name: str) -> None:
    base = load_config(Path(name))
    two = branched(base, "acnacna"[: len(base.stages)])
    found = {"whole": network_graph(base, random_weights(parameter_shapes(base), 0), "whole")}
    found |= graphs(two, random_weights(parameter_shapes(two), 0))
    works = read_works(write_tflite(list(found.values())))
    for key, graph in found.items():
        told, read = graph_work(graph), works[key]
        assert (told.macs, told.bytes, told.ops, told.kernels) == (read.macs, read.bytes, read.ops, read.kernels)
        assert read.output_bytes == sum(4 * int(np.prod(graph.tensors[o].shape)) for o in graph.outputs)
