"""Simulated phones whose constants have a source. Each is a law and no measurement of the phone that it is named after.

| constant | midrange | flagship | mali | shared | source |
| --- | --- | --- | --- | --- | --- |
| like | SD 845/855 | 8 Gen 3 | Tensor, Dimensity | flagship that shares memory | |
| MobileNetV2 on one big core, ms | 30 | 8 | 7 | 8 | MACE (SD 845: 32.0), ncnn (8 Gen 2: 9.5); 7: between |
| MobileNetV2 on the GPU, ms | 10 | 3.5 | 2.8 | 3.5 | MACE (SD 845: 10.0); others are guesses |
| channels of a CPU's tile | 8 | 8 | 8 | 8 | XNNPACK, f32 GEMM on arm64: 6 x 8 |
| work groups | Adreno | Adreno | Mali | Adreno | TensorFlow's GPU delegate, fast tuning; see `work_groups` |
| wave | 64 | 128 | 16 | 128 | the same, fp32 and fp16; Valhall's warp |
| compute units | 2 | 6 | 10 | 6 | Adreno 640, 740/750; Mali: a guess |
| call after the queue ran empty, us | 75 | 75 | 75 | 75 | HeteroLLM, SD 8 Gen 3: 50 to 100 |
| later submissions, us | 15 | 15 | 15 | 15 | the same: 10 to 20 |
| crossing from the GPU, us | 970 | 400 | 400 | 20 | CoDL, SD 855: 850 wait, 70 map, 50 conversion; HeteroLLM: a copy \
takes 400, whatever its size; mali: a guess; shared: a guess of 10 to 30 (fine-grained memory, polling) |
| crossing to the GPU, us | 60 | 400 | 400 | 20 | CoDL: 60; others as above |
| size costs | nothing | nothing | nothing | nothing | HeteroLLM |
| contention, CPU and GPU | 1.10, 1.05 | 1.15, 1.10 | 1.15, 1.10 | 1.15, 1.10 | guesses; measured pairs have 0 to 19 % |
| memory, CPU, bytes per us | 20,000 | 50,000 | 40,000 | 50,000 | guesses below the memory's own bandwidth |
| memory, GPU, bytes per us | 30,000 | 60,000 | 60,000 | 60,000 | the same |
| noise | 2 % | 2 % | 2 % | 2 % | a guess; A/A of phones by others: 3 to 20 % from run to run at worst |

CoDL is MobiSys 2022, figures 2 to 4. HeteroLLM is arXiv 2501.14794. Speeds in multiply-accumulates are what makes the
times of MobileNetV2 come out. `sim:phone`, which is older, stays as it is: a shipped profile and recorded numbers are
of it.
"""

from __future__ import annotations

import math
from types import MappingProxyType

from syncnas_bench.simulated.law import SimUnit, Vices
from syncnas_bench.work_groups import WorkGroupRule

_NOISE = 0.02


def _phone(
    *,
    cpu: tuple[float, float],
    gpu: tuple[float, float],
    groups: WorkGroupRule,
    crossing_us: tuple[float, float],
    contention: tuple[float, float],
) -> tuple[SimUnit, SimUnit]:
    """A phone's two units.

    Args:
        cpu, gpu: multiply-accumulates and bytes per us, each.
        groups: of the GPU.
        crossing_us: from and to the GPU.
        contention: of CPU and GPU.
    """
    slow_cpu, slow_gpu = (Vices(noise=_NOISE, slowdown=factor) for factor in contention)
    return (
        SimUnit("cpu", "one big core: 8 channels at a time", 5.0, 2.0, *cpu, vices=slow_cpu, tile=8),
        SimUnit(
            "gpu",
            f"GPU: {groups}",
            75.0,
            2.0,
            *gpu,
            transfer_us=crossing_us[0],
            transfer_bytes_per_us=math.inf,
            vices=slow_gpu,
            back_us=crossing_us[1],
            submit_us=15.0,
            groups=groups,
        ),
    )


_ADRENO_740 = WorkGroupRule("adreno", 128, 6)
PHONES = MappingProxyType(
    {
        "midrange": _phone(
            cpu=(10_800.0, 20_000.0),
            gpu=(55_000.0, 30_000.0),
            groups=WorkGroupRule("adreno", 64, 2),
            crossing_us=(970.0, 60.0),
            contention=(1.10, 1.05),
        ),
        "flagship": _phone(
            cpu=(43_000.0, 50_000.0),
            gpu=(223_000.0, 60_000.0),
            groups=_ADRENO_740,
            crossing_us=(400.0, 400.0),
            contention=(1.15, 1.10),
        ),
        "mali": _phone(
            cpu=(51_500.0, 40_000.0),
            gpu=(271_000.0, 60_000.0),
            groups=WorkGroupRule("mali", 16, 10),
            crossing_us=(400.0, 400.0),
            contention=(1.15, 1.10),
        ),
        "shared": _phone(
            cpu=(43_000.0, 50_000.0),
            gpu=(223_000.0, 60_000.0),
            groups=_ADRENO_740,
            crossing_us=(20.0, 20.0),
            contention=(1.15, 1.10),
        ),
    }
)
