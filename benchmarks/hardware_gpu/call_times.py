"""Child process of the step `calls`: times the parts of GPU calls. Prints one line of JSON for each model.

    python -m benchmarks.hardware_gpu.call_times fp32|fp16 SECONDS FILE...

SECONDS are for each model. LiteRT is loaded into this process and not into its parent: a driver that crashes takes
nothing else with it.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MAX_RUNS, DISCARDED = 60, 4
PARTS = ("run", "read", "read_again", "copy", "write")
"""Submission returns; wait for the work and read it back; read it back once more; copy as much in host memory; fill the
input."""


def timed(parts: list[Callable[[], object]], seconds: float) -> list[list[int]]:
    """Nanoseconds of each part, by run."""
    rows: list[list[int]] = []
    until = time.monotonic() + seconds
    while len(rows) < DISCARDED + MAX_RUNS and (len(rows) < DISCARDED + 3 or time.monotonic() < until):
        stamps = [time.perf_counter_ns()]
        for part in parts:
            part()
            stamps.append(time.perf_counter_ns())
        rows.append([b - a for a, b in itertools.pairwise(stamps)])
    return rows[DISCARDED:]


def time_model(path: Path, environment: Any, options: Any, seconds: float) -> dict[str, Any]:
    """One model's parts."""
    from ai_edge_litert.compiled_model import CompiledModel

    began = time.monotonic()
    model = CompiledModel.from_file(str(path), environment=environment, options=options)
    compile_s = time.monotonic() - began
    (name,) = model.get_signature_list()
    ((taken, given),) = ((v["inputs"], v["outputs"]) for v in model.get_signature_list().values())
    shapes = [model.get_input_tensor_details(name)[taken[0]]["shape"]]
    shapes.append(model.get_output_tensor_details(name)[given[0]]["shape"])
    image = np.random.default_rng(0).uniform(-1, 1, [int(n) for n in shapes[0]]).astype(np.float32)
    count = int(np.prod(shapes[1]))
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    inputs[0].write(image)
    host = np.zeros(count, np.float32)
    parts = [
        lambda: model.run_by_index(0, inputs, outputs),
        lambda: outputs[0].read(count, np.float32),
        lambda: outputs[0].read(count, np.float32),
        lambda: host.copy(),
        lambda: inputs[0].write(image),
    ]
    times = timed(parts, seconds)
    return {
        "model": path.stem,
        "accelerated": bool(model.is_fully_accelerated()),
        "compile_s": round(compile_s, 3),
        "input_bytes": image.nbytes,
        "output_bytes": 4 * count,
        "ns": {part: [row[i] for row in times] for i, part in enumerate(PARTS)},
    }


def main() -> None:
    """Time every model that is named."""
    # LiteRT logs to stdout; what we print goes where stdout went before.
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import ai_edge_litert
    from ai_edge_litert.environment import Environment, EnvironmentOptions
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.options import GpuOptions, Options

    precision, seconds, *files = sys.argv[1:]
    runtime = str(Path(ai_edge_litert.__file__).parent)
    environment = Environment.create(options=EnvironmentOptions(runtime_path=runtime))
    for file in files:
        gpu = GpuOptions(enforce_f32=precision == "fp32")
        options = Options(hardware_accelerators=HardwareAccelerator.GPU, gpu_options=gpu)
        print(json.dumps(time_model(Path(file), environment, options, float(seconds))), file=told, flush=True)


if __name__ == "__main__":
    main()
