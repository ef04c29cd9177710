"""What a simulated device reads from a .tflite file, counted by hand."""

from pathlib import Path

import numpy as np
import pytest

from syncnas_bench.errors import ModelRejected
from syncnas_bench.simulated.work import Kernel, Work, read_works, work_of
from syncnas_exporters.graph import GraphBuilder
from syncnas_exporters.tflite import write_tflite


def three_kernels() -> bytes:
    """A padded convolution, a depthwise one and a fully connected layer on pictures of 8 x 8 x 3."""
    builder = GraphBuilder("net")
    x = builder.input("x", (1, 8, 8, 3))
    x = builder.conv2d(x, np.zeros((16, 3, 3, 3), np.float32), np.zeros(16, np.float32), stride=2, padding=1)
    x = builder.depthwise_conv2d(x, np.zeros((1, 3, 3, 16), np.float32), np.zeros(16, np.float32), padding=1)
    x = builder.fully_connected(
        builder.global_average_pool(x), np.zeros((10, 16), np.float32), np.zeros(10, np.float32)
    )
    return write_tflite([builder.build([x])])


def test_a_file_tells_what_a_signature_computes(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(three_kernels())
    kernels = (
        Kernel("conv", 4 * 4 * 16 * 27, 16, 4, 4 * (8 * 8 * 3 + 16 * 27 + 16 + 256)),
        Kernel("depthwise", 4 * 4 * 16 * 9, 16, 4, 4 * (256 + 9 * 16 + 16 + 256)),
        Kernel("other", 0, 16, 1, 4 * (256 + 16)),
        Kernel("other", 160, 10, 1, 4 * (16 + 160 + 10 + 10)),
    )
    features = 8 * 8 * 3 + 2 * 4 * 4 * 16 + 16 + 10
    weights = 16 * 27 + 16 + 9 * 16 + 16 + 160 + 10
    # The convolution's stride makes its padding an operator of its own, which counts as part of it.
    found = work_of(path, "net")
    assert found == Work(sum(kernel.macs for kernel in kernels), 4 * (features + weights), 4, kernels, 40)


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(three_kernels())
    work_of(path, "net")
    builder = GraphBuilder("other")
    x = builder.input("x", (1, 2, 2, 1))
    path.write_bytes(write_tflite([builder.build([builder.relu(x)])]))
    assert work_of(path, "other").macs == 0
    with pytest.raises(ModelRejected, match="no signature 'net'; it has other"):
        work_of(path, "net")


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 64])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelRejected, match="cannot be read"):
        work_of(path, "net")


def test_a_damaged_file_is_refused_whatever_its_offsets_say() -> None:
    content = bytearray(three_kernels())
    rng = np.random.default_rng(0)
    for _ in range(200):
        spoiled = bytearray(content)
        for place in rng.integers(8, len(spoiled), 20):
            spoiled[place] = int(rng.integers(256))
        try:
            read_works(bytes(spoiled))
        except ValueError:
            continue
