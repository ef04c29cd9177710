"""What is there: GPU, driver, LiteRT, CPU. And whether there is a GPU to measure at all."""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks.hardware_gpu.budget import Size
from benchmarks.hardware_gpu.calls import selected_adapter
from benchmarks.hardware_gpu.session import NoGpu, Session
from syncnas_bench import Device, Unit, UnitUnavailable
from syncnas_bench.conditions import allowed_cores
from syncnas_bench.environment import SOFTWARE_ICD_VARIABLE
from syncnas_bench.local import vulkan

_QUERY = "name,driver_version,clocks.gr,clocks.max.gr,clocks.mem,temperature.gpu,power.draw,pcie.link.gen.current"


def check_gpu(
    *,
    software: bool,
    adapters: Callable[[], tuple[vulkan.Adapter, ...]] = vulkan.list_adapters,
    icd: Callable[[], Path | None] = vulkan.software_icd,
) -> None:
    """Whether this machine has the GPU that was asked for.

    Raises:
        NoGpu: it has none, or a software GPU only and that was not asked for.
    """
    driver = icd()
    if software:
        if driver is None:
            raise NoGpu(
                "No software Vulkan driver is here; install one (Debian: chromium-common), or name its icd json in "
                f"{SOFTWARE_ICD_VARIABLE}."
            )
        return
    found = adapters()
    if any(adapter.is_hardware for adapter in found):
        return
    if found or driver is not None:
        name = found[0].name if found else driver.name if driver else ""
        raise NoGpu(
            f"The only GPU here is a software one ({name}), whose times say nothing about a GPU; "
            "give --software to run all the same, labelled as such."
        )
    raise NoGpu("No Vulkan GPU is here: the Vulkan loader (libvulkan.so.1) or the GPU's driver is missing.")


def cpu_unit(device: Device, text: str | None) -> Unit:
    """The CPU unit: as it was asked for, or half of the cores, at most eight.

    Raises:
        PlanInvalid: that is no unit.
        UnitUnavailable: it is no CPU, or one with cores that this process may not use.
    """
    if text:
        unit, allowed = Unit.parse(text), allowed_cores()
        if unit.kind != "cpu":
            raise UnitUnavailable(f"--cpu {text} is no CPU; name one like cpu:1@{allowed[0]}.")
        if not set(unit.cores) <= set(allowed):
            raise UnitUnavailable(
                f"--cpu {text} has cores that this process may not use; choose among {list(allowed)}."
            )
        return unit
    half = next(info.unit for info in device.units() if info.available and info.unit.kind == "cpu")
    cores = half.cores[:8]
    return Unit("cpu", threads=max(1, len(cores)), cores=cores)


def sizes(_: object) -> list[Size]:
    """It takes a moment."""
    return [Size(1.0)]


def look(session: Session, step: str, size: Size, folder: Path) -> None:
    """Write down what is there, and which of the GPUs LiteRT takes.

    Raises:
        NoGpu: it takes a software one, and that was not asked for.
    """
    facts = session.device.facts()
    session.rows.add(
        step,
        "place",
        device=facts.to_dict(),
        adapters=[dataclasses.asdict(adapter) for adapter in vulkan.list_adapters()],
        software_icd=str(vulkan.software_icd() or ""),
        cpu=str(session.cpu),
        gpu=str(session.gpu("fp32")),
        condition=session.device.condition().to_dict(),
        python=platform.python_version(),
        libc=" ".join(platform.libc_ver()),
        load=list(os.getloadavg()),
        nvidia=_nvidia(),
    )
    adapter = selected_adapter(session, step, folder)
    session.rows.add(step, "adapter", adapter=adapter)
    check_adapter(adapter, software=session.software)


def check_adapter(adapter: str, *, software: bool) -> None:
    """What LiteRT says of the GPU that it took.

    Raises:
        NoGpu: it computes on the CPU, and that was not asked for.
    """
    if not software and re.search(r"adapterType=CPU\b", adapter):
        raise NoGpu(
            f"There is a hardware GPU, but LiteRT takes a software one ({adapter[:80]}); "
            "name the hardware GPU's icd json in VK_DRIVER_FILES."
        )


def _nvidia() -> dict[str, str]:
    """What the driver of an NVIDIA GPU says of itself; empty without its program."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    command = [program, f"--query-gpu={_QUERY}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    lines = done.stdout.splitlines()
    return dict(zip(_QUERY.split(","), (value.strip() for value in lines[0].split(",")), strict=False)) if lines else {}
