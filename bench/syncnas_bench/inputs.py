"""The seeded inputs that the native runner feeds, so that a host can compute what must come out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_MASK = (1 << 64) - 1


def seeded_input(seed: int, file: int, signature: str, index: int, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """External input `index` of a call without an input file: values in [-1, 1), of `shape`.

    splitmix64, seeded by the 64-bit FNV-1a hash of seed, file and index (8 bytes each, little-endian)
    and the signature's bytes; each value has 24 bits. `bench/native/bound_job.c` does the same.
    """
    state = 0xCBF29CE484222325
    for number in (seed, file, index):
        state = _fnv1a(state, number.to_bytes(8, "little"))
    state = _fnv1a(state, signature.encode())
    steps = np.arange(1, math.prod(shape) + 1, dtype=np.uint64)
    z = np.uint64(state) + steps * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    values: npt.NDArray[np.float32] = (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23)
    values -= np.float32(1)
    reshaped: npt.NDArray[np.float32] = values.reshape(shape)
    return reshaped


def _fnv1a(state: int, data: bytes) -> int:
    for byte in data:
        state = (state ^ byte) * 0x100000001B3 & _MASK
    return state
