"""`network.txt`: what an app runs, in a plan's own statements, so that libsyncnas has one parser and no JSON.

    syncnas-network 1
    input DIMENSION...
    output DIMENSION...
    file NAME SHA256
    step, job, lane, call      as in a plan; lane U runs on unit U, which the app chooses
    end SHA256

The last line has the sha256 of all lines above it. `bench/native/plan.c` reads this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from syncnas_bench.plan import Job, Step, step_lines

NETWORK_VERSION = 1


def network_text(job: Job, files: Mapping[str, str], *, input_shape: Sequence[int], output_shape: Sequence[int]) -> str:
    """The text for one job of one external input, which several calls may read, and one output.

    Args:
        job: its calls name the files by index.
        files: sha256 by file name, in the order of the index.
        input_shape, output_shape: of float32 values, such as [1, H, W, C].
    """
    lines = [f"syncnas-network {NETWORK_VERSION}"]
    lines += [
        f"{word} {' '.join(map(str, shape))}" for word, shape in (("input", input_shape), ("output", output_shape))
    ]
    lines += [f"file {name} {digest}" for name, digest in files.items()]
    lines += step_lines(Step("network", (job,), rounds=1))
    text = "".join(f"{line}\n" for line in lines)
    return f"{text}end {hashlib.sha256(text.encode()).hexdigest()}\n"
