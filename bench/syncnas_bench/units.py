"""Where something runs: a CPU with threads, cores and a format of files, a GPU with a precision, a simulated unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from syncnas_bench.errors import UnitError

UnitKind = Literal["cpu", "gpu", "sim"]
Precision = Literal["fp32", "fp16", "int8"]
_PRECISIONS: dict[str, tuple[str, ...]] = {"cpu": ("fp32", "int8"), "gpu": ("fp32", "fp16"), "sim": ("fp32",)}

NAME_MAX_CHARS = 95
MAX_THREADS = 64
MAX_CORE = 1023
NAME_PATTERN = re.compile(rf"[A-Za-z0-9_.:@-]{{1,{NAME_MAX_CHARS}}}")

GRAMMAR = (
    'a unit is written cpu:THREADS, cpu:THREADS@CORES (as "cpu:2@0,1" or "cpu:2@0-3"), both with [:int8][:split], '
    "gpu[:fp32|:fp16][:software], or sim:NAME"
)


def is_name(text: str) -> bool:
    """Whether `text` may be a name in a plan: 1 to 95 characters out of letters, digits and `_.:@-`."""
    return NAME_PATTERN.fullmatch(text) is not None


@dataclass(frozen=True)
class Unit:
    """One compute unit of a device.

    Attributes:
        kind: "cpu", "gpu" or "sim".
        threads: CPU only: threads of the XNNPACK pool.
        cores: CPU only: the cores it is pinned to, ascending; empty leaves placement to the kernel.
        precision: "fp32" unless told otherwise. Of a GPU the arithmetic of its kernels, fp32 or fp16; of a CPU the
            arithmetic that its files ask for, fp32 or int8.
        split: CPU only: its files have depthwise kernels over 5x5 as sums of smaller ones.
        software: GPU only: a Vulkan driver that computes on the CPU. It proves that the GPU code path
            works; its times say nothing about a GPU.
        name: sim only. What a simulated unit is like belongs to its device: see `syncnas_bench.simulated`.

    Raises:
        UnitError: a field is out of its range or belongs to another kind.
    """

    kind: UnitKind
    threads: int = 1
    cores: tuple[int, ...] = ()
    precision: Precision = "fp32"
    software: bool = False
    split: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(UnitKind):
            raise UnitError(f"unit kind {self.kind!r} is not known; {GRAMMAR}.")
        if self.precision not in _PRECISIONS[self.kind]:
            known = " or ".join(_PRECISIONS[self.kind])
            raise UnitError(f"a {self.kind} unit has no precision {self.precision!r}; use {known}.")
        if not 1 <= self.threads <= MAX_THREADS:
            raise UnitError(f"a unit has 1 to {MAX_THREADS} threads, not {self.threads}.")
        if any(not 0 <= core <= MAX_CORE for core in self.cores):
            raise UnitError(f"cores {self.cores} are out of range; they go from 0 to {MAX_CORE}.")
        if list(self.cores) != sorted(set(self.cores)):
            raise UnitError(f"cores {self.cores} must be ascending, each one once.")
        if self.kind == "sim" and not is_name(self.name):
            raise UnitError(f"simulated unit name {self.name!r} is not valid; {GRAMMAR}.")
        self._refuse_foreign_fields()

    def _refuse_foreign_fields(self) -> None:
        plain = Unit.__dataclass_fields__
        own = {
            "cpu": {"threads", "cores", "precision", "split"},
            "gpu": {"precision", "software"},
            "sim": {"name"},
        }[self.kind]
        for field in set(plain) - own - {"kind"}:
            if getattr(self, field) != plain[field].default:
                raise UnitError(f"a {self.kind} unit has no field {field!r}; leave it out.")

    @classmethod
    def parse(cls, text: str) -> Unit:
        """Read a unit's text form, e.g. "cpu:2@0-1", "gpu:fp16:software", "sim:npu".

        Raises:
            UnitError: the text does not follow the grammar, which the message names.
        """
        kind, _, rest = text.partition(":")
        if kind == "cpu":
            return _parse_cpu(text, rest)
        if kind == "gpu":
            return _parse_gpu(text)
        if kind == "sim" and is_name(rest):
            return cls("sim", name=rest)
        raise UnitError(f"unit {text!r} is not valid: {GRAMMAR}.")

    def __str__(self) -> str:
        """The canonical text: cores as a comma list, "fp32" left out. `Unit.parse` reads it back."""
        if self.kind == "cpu":
            pinned = "@" + ",".join(map(str, self.cores)) if self.cores else ""
            form = (":int8" if self.precision == "int8" else "") + (":split" if self.split else "")
            return f"cpu:{self.threads}{pinned}{form}"
        if self.kind == "gpu":
            parts = ["gpu", *(["fp16"] if self.precision == "fp16" else [])]
            return ":".join([*parts, *(["software"] if self.software else [])])
        return f"sim:{self.name}"


def _parse_cpu(text: str, rest: str) -> Unit:
    match = re.fullmatch(r"([0-9]{1,4})(?:@([0-9]{1,4}(?:[,-][0-9]{1,4})*))?(:int8)?(:split)?", rest)
    if match is None:
        raise UnitError(f"unit {text!r} is not valid: {GRAMMAR}.")
    cores = _parse_cores(text, match[2]) if match[2] else ()
    precision: Precision = "int8" if match[3] else "fp32"
    return Unit("cpu", threads=int(match[1]), cores=cores, precision=precision, split=bool(match[4]))


def _parse_cores(text: str, cores_text: str) -> tuple[int, ...]:
    cores: set[int] = set()
    for part in cores_text.split(","):
        first, dash, last = part.partition("-")
        if dash and (not last.isdigit() or int(last) < int(first)):
            raise UnitError(f"unit {text!r} has a bad core range {part!r}: {GRAMMAR}.")
        cores.update(range(int(first), int(last if dash else first) + 1))
    return tuple(sorted(cores))


def _parse_gpu(text: str) -> Unit:
    match = re.fullmatch(r"gpu(?::(fp32|fp16))?(:software)?", text)
    if match is None:
        raise UnitError(f"unit {text!r} is not valid: {GRAMMAR}.")
    return Unit("gpu", precision="fp16" if match[1] == "fp16" else "fp32", software=bool(match[2]))
