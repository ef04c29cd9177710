"""`network.txt`: a job in a plan's own statements, with a sha256 that any change breaks."""

import hashlib

from syncnas_bench import Job
from syncnas_bench.network_text import network_text
from tests.support.bench_cases import branches


def test_text_of_a_network() -> None:
    text = network_text(Job("net", branches()), {"a.tflite": "0" * 64}, input_shape=(1, 2, 3, 4), output_shape=(1, 5))
    *lines, end, rest = text.split("\n")
    assert rest == ""
    above = "".join(f"{line}\n" for line in lines)
    assert end == f"end {hashlib.sha256(above.encode()).hexdigest()}"
    assert lines == [
        "syncnas-network 1",
        "input 1 2 3 4",
        "output 1 5",
        f"file a.tflite {'0' * 64}",
        "step network 1 0 1 0",
        "job net concurrent - -",
        "lane 0",
        "call 0 0 left0 external",
        "call 1 0 left1 own,partner",
        "lane 1",
        "call 0 0 right0 external",
        "call 1 0 right1 own,partner",
    ]
