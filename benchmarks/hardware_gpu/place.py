"""What is there: GPU, driver, LiteRT, CPU. And whether there is a GPU to measure at all."""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks.hardware_gpu.budget import Size
from benchmarks.hardware_gpu.session import Session
from syncnas_bench import Device, Unit, vulkan

_QUERY = "name,driver_version,clocks.gr,clocks.max.gr,clocks.mem,temperature.gpu,power.draw,pcie.link.gen.current"


class NoGpu(Exception):
    """There is no GPU that may be measured."""


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
                f"{vulkan.SOFTWARE_ICD_VARIABLE}."
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
    """The CPU unit: as it was asked for, or half of the cores, at most eight."""
    if text:
        return Unit.parse(text)
    half = next(info.unit for info in device.units() if info.available and info.unit.kind == "cpu")
    cores = half.cores[:8]
    return Unit("cpu", threads=max(1, len(cores)), cores=cores)


def sizes(_: object) -> list[Size]:
    """It takes a moment."""
    return [Size(5.0)]


def look(session: Session, step: str, size: Size, folder: Path) -> None:
    """Write down what is there."""
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
