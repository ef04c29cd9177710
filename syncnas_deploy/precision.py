"""Formats of the numbers that a branch is run in, and how far off its results may be.

A file's precision is fp32, fp16 (weights of half the size, computed in fp32) or int8. A GPU unit computes in fp32 or
fp16.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from syncnas_bench import Unit

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

TOLERANCE: Mapping[str, float] = {"fp32": 1e-3, "fp16": 5e-2, "int8": 5e-2}
"""By what is computed in: largest accepted difference of a device's outputs to the host's for the same file, relative
to the largest of them."""

LARGE_ERROR: Mapping[str, float] = {"fp32": 1e-4, "fp16": 2e-3, "int8": 5e-2}
"""By a file's precision: above it, logits differ much from those in fp32. Root mean square of the difference over that
of the logits."""

LOW_AGREEMENT = 0.95
"""Below this share of pictures with the same class first, a bundle's classes differ much from those in fp32."""


def tolerance(precisions: Collection[str]) -> float:
    """The tolerance of a result that was computed in several: what fp16 has off, int8 rounds again, so they add up."""
    rounded = set(precisions) - {"fp32"}
    return sum(TOLERANCE[precision] for precision in rounded) or TOLERANCE["fp32"]


@dataclass(frozen=True)
class FileFormat:
    """How a .tflite file is written.

    Attributes:
        split_kernels: whether depthwise kernels over 5x5 are sums of smaller ones.
    """

    precision: Precision = "fp32"
    split_kernels: bool = False

    @staticmethod
    def of(unit: Unit) -> FileFormat:
        """What a unit's files are like. A GPU takes files of fp32 and fp16 alike; it is timed with fp32."""
        return FileFormat("int8" if unit.precision == "int8" else "fp32", unit.split)

    def refused_by(self, unit: Unit) -> str:
        """What a file is and which ones a unit takes, in words, where it does not run there."""
        taken = "int8" if unit.precision == "int8" else "fp32 or fp16"
        if self.split_kernels or unit.split:
            taken += f" with {'split' if unit.split else 'whole'} kernels"
        return f"{self}, and unit {unit} takes {taken}"

    @staticmethod
    def exported(unit: Unit) -> FileFormat:
        """What is exported for a unit: as it is timed, and fp16 for a GPU that computes in fp16."""
        halved = unit.kind == "gpu" and unit.precision == "fp16"
        return FileFormat("fp16") if halved else FileFormat.of(unit)

    def runs_on(self, unit: Unit) -> bool:
        """Whether a file is what a unit says of its files. Simulated units say nothing."""
        mine, theirs = self.precision == "int8", unit.precision == "int8"
        return unit.kind == "sim" or (mine, self.split_kernels) == (theirs, unit.split)

    def __str__(self) -> str:
        return self.precision + (" with split kernels" if self.split_kernels else "")


def export_options(formats: Sequence[FileFormat]) -> list[str]:
    """Options of `export` that write branches in these formats; none where all is fp32 with whole kernels."""
    precisions = [form.precision for form in formats]
    if len(set(precisions)) == 1:
        precisions = [precision for precision in precisions[:1] if precision != "fp32"]
    words = [word for precision in precisions for word in ("--precision", precision)]
    words += ["--calibrate", "DIR"] if "int8" in precisions else []
    return words + [w for b, form in enumerate(formats) if form.split_kernels for w in ("--split-kernels", str(b))]
