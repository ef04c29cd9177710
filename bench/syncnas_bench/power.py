"""What tells how much power a device draws: files of the kernel, which the runner reads while it measures.

A battery's gauge counts only while the battery is drained: with a charger it tells what goes into the battery. Boards
have sensors at their supply. Both tell what the whole device draws, its screen included.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PATTERNS = (
    "/sys/class/power_supply/*/type",
    "/sys/class/power_supply/*/status",
    "/sys/class/power_supply/*/power_now",
    "/sys/class/power_supply/*/current_now",
    "/sys/class/power_supply/*/voltage_now",
    "/sys/class/hwmon/hwmon*/name",
    "/sys/class/hwmon/hwmon*/power1_input",
    "/sys/class/hwmon/hwmon*/curr1_input",
    "/sys/class/hwmon/hwmon*/in1_input",
)
"""The files that `find_meter` looks at."""

_LEAST_MICROAMPERES = 10_000
"""A device that runs a program draws more than this; a smaller current is told in milliamperes, as some phones do."""


@dataclass(frozen=True)
class PowerMeter:
    """What tells a device's power: the product of its files, times a factor.

    Attributes:
        source: what they belong to, to be shown.
        files: one or two; none for a simulated device, which knows without.
        microwatts_per_reading: the factor that makes microwatts of the files' product.
    """

    source: str
    files: tuple[Path, ...]
    microwatts_per_reading: float


def find_meter(texts: Mapping[str, str]) -> tuple[PowerMeter | None, str]:
    """A device's meter, and where it has none, why.

    Args:
        texts: contents of the files of `PATTERNS` that are there, by path; what cannot be read is left out.
    """
    reason = "no battery gauge and no supply sensor can be read"
    for folder in _folders(texts, r"/sys/class/power_supply/[^/]+"):
        if texts.get(f"{folder}/type") != "Battery":
            continue
        meter = _gauge(folder, texts)
        status = texts.get(f"{folder}/status", "unknown")
        if meter is not None and status == "Discharging":
            return meter, ""
        if meter is not None:
            reason = (
                f"the battery is not being drained (status: {status}), so its gauge does not tell what the device "
                "draws; unplug it and connect over Wi-Fi"
            )
    for folder in _folders(texts, r"/sys/class/hwmon/[^/]+"):
        meter = _sensor(folder, texts)
        if meter is not None:
            return meter, ""
    return None, reason


def _folders(texts: Mapping[str, str], pattern: str) -> list[str]:
    return sorted({match[0] for path in texts if (match := re.match(pattern, path))})


def _gauge(folder: str, texts: Mapping[str, str]) -> PowerMeter | None:
    name = f"battery gauge {Path(folder).name}"
    if _number(texts.get(f"{folder}/power_now")):
        return PowerMeter(name, (Path(f"{folder}/power_now"),), 1.0)
    current, voltage = (_number(texts.get(f"{folder}/{quantity}_now")) for quantity in ("current", "voltage"))
    if not current or not voltage:
        return None
    unit = 1e-6 if current >= _LEAST_MICROAMPERES else 1e-3
    return PowerMeter(name, (Path(f"{folder}/current_now"), Path(f"{folder}/voltage_now")), unit)


def _sensor(folder: str, texts: Mapping[str, str]) -> PowerMeter | None:
    """A Texas Instruments INA: microwatts, or milliamperes and millivolts."""
    chip = texts.get(f"{folder}/name", "")
    if not chip.startswith("ina"):
        return None
    name = f"supply sensor {chip}"
    if _number(texts.get(f"{folder}/power1_input")):
        return PowerMeter(name, (Path(f"{folder}/power1_input"),), 1.0)
    if _number(texts.get(f"{folder}/curr1_input")) and _number(texts.get(f"{folder}/in1_input")):
        return PowerMeter(name, (Path(f"{folder}/curr1_input"), Path(f"{folder}/in1_input")), 1.0)
    return None


def _number(text: str | None) -> int:
    """Its size; 0 for what is none."""
    return abs(int(text)) if text is not None and re.fullmatch(r"-?[0-9]{1,15}", text) else 0


def read_meter(root: Path = Path("/")) -> tuple[PowerMeter | None, str]:
    """This machine's meter, and where it has none, why; files below `root`."""
    texts = {}
    for pattern in PATTERNS:
        for path in sorted(root.glob(pattern[1:])):
            try:
                texts[f"/{path.relative_to(root)}"] = path.read_text(errors="replace").strip()
            except OSError:
                continue
    meter, reason = find_meter(texts)
    if meter is not None:
        files = tuple(root / file.relative_to("/") for file in meter.files)
        meter = dataclasses.replace(meter, files=files)
    return meter, reason
