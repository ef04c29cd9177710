"""The folder that is the tests' device: its scripts, properties, sensors and files."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.adb_daemon import write_boot_id

GETPROP = """#!/bin/sh
if [ $# -eq 0 ]; then
    while IFS='=' read -r name value; do echo "[$name]: [$value]"; done < "$DEVICE_ROOT/getprop.txt"
else
    sed -n "s/^$1=//p" "$DEVICE_ROOT/getprop.txt"
fi
"""

# Each call takes one file of the folder away, until one is left.
DUMPSYS = """#!/bin/sh
folder="$DEVICE_ROOT/dumpsys/$1"
[ -d "$folder" ] || { echo "Can't find service: $1"; exit 1; }
set -- "$folder"/*
cat "$1"
[ $# -eq 1 ] || rm "$1"
"""

DF = """#!/bin/sh
if [ -f "$DEVICE_ROOT/free_kib" ]; then
    read -r free < "$DEVICE_ROOT/free_kib"
    echo "Filesystem 1K-blocks Used Available Use% Mounted on"
    echo "/dev/block/dm-5 52428800 1 $free 1% /data"
else
    exec /bin/df "$@"
fi
"""

PROPERTIES = {
    "ro.product.manufacturer": "Example",
    "ro.product.model": "Test Phone",
    "ro.soc.manufacturer": "Example",
    "ro.soc.model": "EX1000",
    "ro.product.cpu.abilist": "x86_64",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.build.fingerprint": "example/test/test:14/1:user/release-keys",
}

COOL = "IsStatusOverride: false\nThermal Status: 0\nCached temperatures:\n"
BATTERY = "Current Battery Service state:\n  USB powered: true\n  status: 2\n  level: {level}\n  temperature: 270\n"
POWER = """POWER MANAGER (dumpsys power)
  mWakefulness={wakefulness}
Battery saving stats:
  Battery Saver is currently: OFF
Battery saver state machine:
  Enabled=false
    full=false
"""


def thermal(status: int) -> str:
    """What `dumpsys thermalservice` prints."""
    return COOL.replace("Status: 0", f"Status: {status}")


def battery(level: int) -> str:
    """What `dumpsys battery` prints at a level in percent."""
    return BATTERY.format(level=level)


def power(wakefulness: str) -> str:
    """What `dumpsys power` prints; "Awake" is a screen that is on."""
    return POWER.format(wakefulness=wakefulness)


def set_dump(root: Path, service: str, *texts: str) -> None:
    """What the next calls of `dumpsys SERVICE` print; the last text stays."""
    folder = root / "dumpsys" / service
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for index, text in enumerate(texts):
        (folder / f"{index:04}").write_text(text)


def make_phone(root: Path) -> Path:
    """A phone of two CPU clusters, cool and charged."""
    for folder in ("bin", "data/local/tmp", "proc/sys/kernel/random", "sys/class/thermal", "sys/devices/system/cpu"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, script in {"getprop": GETPROP, "dumpsys": DUMPSYS, "df": DF}.items():
        (root / "bin" / name).write_text(script)
        (root / "bin" / name).chmod(0o755)
    (root / "getprop.txt").write_text("".join(f"{name}={value}\n" for name, value in PROPERTIES.items()))
    for name in ("uptime", "loadavg", "meminfo", "cpuinfo", "self"):
        (root / "proc" / name).symlink_to(f"/proc/{name}")
    write_boot_id(root)
    _make_cpus(root / "sys/devices/system/cpu")
    zone = root / "sys/class/thermal/thermal_zone0"
    zone.mkdir()
    (zone / "type").write_text("cpu-0\n")
    (zone / "temp").write_text("31000\n")
    set_dump(root, "thermalservice", COOL)
    set_dump(root, "battery", battery(80))
    set_dump(root, "power", power("Awake"))
    return root


def _make_cpus(folder: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    for index, core in enumerate(cores):
        frequency = folder / f"cpu{core}/cpufreq"
        frequency.mkdir(parents=True)
        (folder / f"cpu{core}/cpu_capacity").write_text(f"{400 + 624 * index}\n")
        for name, text in {
            "related_cpus": str(core), "cpuinfo_max_freq": str(1_800_000 + 700_000 * index),
            "scaling_max_freq": str(1_800_000 + 700_000 * index), "scaling_cur_freq": "1200000",
            "scaling_governor": "schedutil",
        }.items():  # fmt: skip
            (frequency / name).write_text(text + "\n")
