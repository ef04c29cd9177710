"""Our int8 files beside those of Google's quantizer, made from the same fp32 file with the same ranges.

    python -m venv quantizer
    quantizer/bin/pip install . litert-quantizer
    quantizer/bin/python -m benchmarks.google_quantizer [--rounds 25] [--trained FOLDER]

An MBConv block with seeded weights; then the networks that `benchmarks.precision_accuracy` trained into FOLDER, each as
one graph, on its pictures (that needs Pillow). Both files have float32 inputs and
outputs. Prints the operators of each, sizes, how far the outputs are apart (root mean square over that of fp32), and
the CPU time of one XNNPACK thread, the files in turns (A/A: the fp32 file twice). The quantizer brings its own versions
of much else, so it wants an environment of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.large_kernels import block, file_medians
from syncnas_deploy.bundle import read_bundle
from syncnas_deploy.networks.lowering import network_graph
from syncnas_deploy.networks.segments import Feed
from syncnas_deploy.training.calibration import read_pictures
from syncnas_exporters import Graph, RangeObserver, TfliteRunner, write_tflite
from syncnas_exporters.ranges import Ranges

try:
    from litert_quantizer import quantizer, recipe
except ImportError:
    quantizer = recipe = None

PICTURES = 8
"""Inputs of the block that ranges are seen on, and as many that outputs are compared on."""


def google_int8(graph: Graph, model: bytes, ranges: Ranges, feeds: dict[str, NDArray[np.float32]]) -> bytes:
    """What the quantizer makes of an fp32 file: static int8 with float32 at the borders, in our ranges."""
    made = quantizer.Quantizer(model)
    own = recipe.static_wi8_ai8()
    floats = {"algorithm_key": "no_quantize", "op_config": {}, "regex": ".*"}
    made.load_quantization_recipe([*own, *({**floats, "operation": name} for name in ("INPUT", "OUTPUT"))])
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen = made.calibrate({graph.name: [feeds]}, num_threads=1)
        for tensor, (low, high) in ranges.items():
            known = seen.get(f"{graph.name}/{tensor}")
            if known:
                shape = np.shape(known["min"])
                known["min"], known["max"] = np.full(shape, low, np.float32), np.full(shape, high, np.float32)
        return bytes(made.quantize(seen, enable_progress_bar=False).quantized_model)


def operators(model: bytes) -> Counter[str]:
    """How many operators of each kind a file has."""
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
    read: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    return Counter(names[read.operatorCodes[op.opcodeIndex].builtinCode] for s in read.subgraphs for op in s.operators)


def rms(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Root mean square of the difference over that of what is wanted."""
    return float(np.sqrt(np.mean((found - wanted) ** 2) / np.mean(wanted**2)))


Feeds = Sequence[dict[str, NDArray[np.float32]]]


def compare(title: str, graph: Graph, seen: Feeds, inputs: Feeds, rounds: int) -> None:
    """Make, run and time the three files, and print what they are.

    Args:
        seen: inputs that the ranges are of.
        inputs: that outputs are compared on.
    """
    observer = RangeObserver([graph])
    for feeds in seen:
        observer.run(graph.name, feeds)
    ranges, plain = observer.ranges(), write_tflite([graph])
    files = {
        "fp32": plain,
        "ours": write_tflite([graph], precision="int8", ranges=ranges),
        "Google's": google_int8(graph, plain, ranges[graph.name], seen[0]),
    }
    runners = {name: TfliteRunner(model) for name, model in files.items()}
    outputs = {
        name: np.concatenate([next(iter(runner.run(graph.name, feeds).values())) for feeds in inputs])
        for name, runner in runners.items()
    }
    found = file_medians(files, rounds)
    mine, theirs = operators(files["ours"]), operators(files["Google's"])
    print(f"{title}: operators {'equal' if mine == theirs else 'differ'}")
    for name, model in files.items():
        far = "" if name == "fp32" else f", outputs {rms(outputs[name], outputs['fp32']):.4f} rms from fp32"
        ops = ", ".join(f"{op} {count}" for op, count in sorted(operators(model).items()))
        print(f"  {name}: {len(model):,} bytes, {found[name]:,.0f} us{far}; {ops}")
    apart = rms(outputs["ours"], outputs["Google's"])
    ratio = found["ours"] / found["Google's"]
    print(f"  outputs {apart:.4f} rms apart; ours takes {ratio:.2f} of Google's (A/A {found['A/A']:.2f})", flush=True)


def trained(folder: Path, rounds: int) -> None:
    """Compare every network in a folder of `benchmarks.precision_accuracy`."""
    for path in sorted(folder.glob("*.npz")):
        config = read_bundle(folder / f"{path.stem}-fp32").config
        pictures = read_pictures(folder / "digits", config.input_size).images
        feeds = [{Feed.IMAGE.value: image[None]} for image in pictures]
        compare(config.name, network_graph(config, dict(np.load(path)), "whole"), feeds, feeds, rounds)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--trained", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    if quantizer is None:
        parser.exit(9, "litert-quantizer is not installed; make an environment for it, as `--help` says.\n")
    graph, rng = block(32, 192, 28, 3), np.random.default_rng(0)
    shape = graph.tensors["x"].shape
    feeds = [{"x": rng.standard_normal(shape).astype(np.float32)} for _ in range(2 * PICTURES)]
    compare("MBConv 32-192-32, 28 px, k3", graph, feeds[:PICTURES], feeds[PICTURES:], args.rounds)
    if args.trained:
        trained(args.trained, args.rounds)


if __name__ == "__main__":
    main()
