"""What a device says about itself: three scripts that only read, and what their answers mean.

Each answer has sections, `@@NAME` and its lines. Sensors are read with `grep`, many files in one process; a file
that may not be read is "denied", one that is not there is "absent", and neither is an error. Nor is any other text: a
device may say what it likes, and what makes no sense counts as not told.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncnas_bench.conditions import Condition
from syncnas_bench.device import DeviceIdentity
from syncnas_bench.errors import DeviceLost, printable
from syncnas_bench.power import PATTERNS, PowerMeter, find_meter
from syncnas_bench.systems import ABSENT, DENIED
from syncnas_bench.units import MAX_CORE

if TYPE_CHECKING:
    from syncnas_bench.adb.link import Link

_POWER_LINES = "(mWakefulness|mLowPowerMode|mLowPowerModeEnabled|Enabled)=|Battery saver state mach|Battery Saver is"
"""Of power saving: mLowPowerMode until Android 8, since then `Enabled=` below the state machine's title."""

_CPUS = "/sys/devices/system/cpu/cpu[0-9]*"
_ZONES = "/sys/class/thermal/thermal_zone[0-9]*"

_BEGIN, _END = "@@begin", "@@end"
TRIES = 3
"""How often a script is run whose answer is not whole."""

FACTS_SCRIPT = f"""
echo @@arch; uname -m
echo @@kernel; uname -r
echo @@boot; cat /proc/sys/kernel/random/boot_id
echo @@memory; grep MemTotal /proc/meminfo
echo @@serial; cat /proc/device-tree/serial-number 2>/dev/null
echo @@cpu; grep -m1 -E '^(model name|Hardware)' /proc/cpuinfo
echo @@allowed; grep Cpus_allowed_list /proc/self/status
echo @@online; cat /sys/devices/system/cpu/online 2>/dev/null
echo @@bionic; ls /system/bin/linker64 2>/dev/null
echo @@glibc; getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>&1 | head -n 1
echo @@page; getconf PAGE_SIZE 2>/dev/null
echo @@os; grep PRETTY_NAME /etc/os-release 2>/dev/null
echo @@cpus; grep -H . {_CPUS}/cpu_capacity {_CPUS}/cpufreq/related_cpus {_CPUS}/cpufreq/cpuinfo_max_freq 2>&1
echo @@gpu; cat /sys/class/kgsl/kgsl-3d0/gpu_model 2>/dev/null; dumpsys SurfaceFlinger 2>/dev/null | grep -m1 GLES
echo @@scratch
for d in "$TMPDIR" /data/local/tmp /tmp; do
    [ -n "$d" ] && [ -d "$d" ] && [ -w "$d" ] || continue
    d=$(cd "$d" && pwd -P)
    case $(ls -ld "$d") in ????????w*) d=$d/syncnas-$(id -u) ;; esac
    echo "$d"
    break
done
echo @@getprop; getprop 2>/dev/null
"""
"""Properties come last: a value of several lines may look like a section, and of two of one name the first counts."""

CONDITION_SCRIPT = f"""
echo @@boot; cat /proc/sys/kernel/random/boot_id
echo @@uptime; cat /proc/uptime
echo @@time; date +%s
echo @@load; cat /proc/loadavg 2>&1
echo @@cpus
grep -H . {_CPUS}/cpufreq/scaling_cur_freq {_CPUS}/cpufreq/scaling_max_freq {_CPUS}/cpufreq/scaling_governor 2>&1
echo @@zones; grep -H . {_ZONES}/type {_ZONES}/temp 2>&1
echo @@thermal; dumpsys thermalservice 2>/dev/null | grep -E '^ *(Thermal Status|HAL Ready):'
echo @@battery; dumpsys battery 2>/dev/null | grep -E '^ +(level|temperature|.* powered):|UPDATES STOPPED'
echo @@power; dumpsys power 2>/dev/null | grep -E '^ *({_POWER_LINES})'
"""

POWER_SCRIPT = f"""
echo @@power; grep -H . {" ".join(PATTERNS)} 2>/dev/null
"""

MADE_UP = "made up"
"""A battery's level that `dumpsys battery set` has put there."""

_BATTERY_LOW_PERCENT = 25
_MAX_LINE_CHARS = 1000
_LARGEST = 1e15
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._-]{0,200}")


@dataclass(frozen=True)
class Cluster:
    """CPU cores that share a clock. `capacity` is relative to others of the device; 0 if not known."""

    cores: tuple[int, ...]
    capacity: int

    @property
    def compute(self) -> int:
        """Capacity of all its cores together."""
        return len(self.cores) * max(1, self.capacity)


@dataclass(frozen=True)
class Probe:
    """A device's facts; "" or 0 where it does not tell.

    Attributes:
        bionic: the device runs Android; otherwise Linux with `glibc`, e.g. (2, 31).
        clusters: by descending compute; only cores that the shell may use and that are on.
        off: cores that the shell may use and that are switched off, ascending.
        scratch: a folder that the shell may write to, by its path without links; where every user may write, a folder
            in it that is this user's alone (see `scratch.claim`).
    """

    properties: Mapping[str, str]
    arch: str
    abis: tuple[str, ...]
    kernel: str
    boot_id: str
    memory_bytes: int
    serial: str
    cpu_model: str
    bionic: bool
    glibc: tuple[int, int] | None
    page_bytes: int
    os: str
    gpu: str
    clusters: tuple[Cluster, ...]
    off: tuple[int, ...]
    scratch: str

    @property
    def cores(self) -> tuple[int, ...]:
        """All usable cores, ascending."""
        return tuple(sorted(core for cluster in self.clusters for core in cluster.cores))

    @property
    def model(self) -> str:
        """Maker and model."""
        maker, model = self.properties.get("ro.product.manufacturer", ""), self.properties.get("ro.product.model", "")
        return f"{maker} {model}".strip() or "unknown"

    @property
    def identity(self) -> DeviceIdentity:
        """Which device it is."""
        fingerprint = self.properties.get("ro.build.fingerprint", "")
        return DeviceIdentity.told(
            self.model, self.cpu_model, self.memory_bytes, serial=self.serial, system=fingerprint
        )


@dataclass(frozen=True)
class PhoneCondition(Condition):
    """A `Condition` with what phones have besides. Text instead of a number says why: "absent", "denied" or "made up".

    `monotonic_ns` is the device's time since boot, to 10 ms.

    Attributes:
        max_mhz: the highest frequency a core may use now; heat and power saving lower it.
        thermal_status: Android's, 0 (none) to 6 (shutdown).
        screen: "Awake", "Asleep", "Dozing" or "Dreaming".
        power_saving: "true" or "false".
    """

    max_mhz: Mapping[str, float | str]
    thermal_status: int | str
    battery_percent: float | str
    battery_c: float | str
    powered: str
    screen: str
    power_saving: str

    @property
    def trouble(self) -> str:
        """Why nothing should be measured now; "" if nothing is wrong."""
        if isinstance(self.thermal_status, int) and self.thermal_status > 0:
            return f"thermal status {self.thermal_status}"
        if isinstance(self.battery_percent, float) and self.battery_percent < _BATTERY_LOW_PERCENT:
            return f"battery at {self.battery_percent:g} %"
        return ""

    def change_since(self, before: PhoneCondition) -> str:
        """What differs from `before` and spoils what was measured in between; "" if nothing."""
        named = {
            "the screen": (before.screen, self.screen),
            "power saving": (before.power_saving, self.power_saving),
            "a governor": (before.governors, self.governors),
            "a highest clock": (before.max_mhz, self.max_mhz),
        }
        return next((f"{what} changed" for what, (old, new) in named.items() if old != new), "")


def ask(link: Link, script: str) -> str:
    """The whole answer of a script. It is run again where it did not run from its first line to its last.

    Raises:
        DeviceLost: the answer was not whole three times.
        DeviceUnavailable, LinkLost: the device cannot be reached.
    """
    for _ in range(TRIES):
        done = link.shell(f"echo {_BEGIN}{script}echo {_END}\n")
        lines = done.stdout.split()
        if done.exit_code == 0 and lines[:1] == [_BEGIN] and lines[-1:] == [_END]:
            return done.stdout
    raise DeviceLost(
        f"{link.serial} told only a part of what it was asked about itself, {TRIES} times (exit code "
        f"{done.exit_code}); reconnect it and run the same command again, which goes on where it stopped."
    )


def sections(answer: str) -> dict[str, list[str]]:
    """The lines of each section, printable and of sensible length."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for raw in answer.splitlines():
        line = printable(raw[:_MAX_LINE_CHARS])
        if line.startswith("@@"):
            name, lines = line[2:].strip(), []
            found.setdefault(name, lines)
        elif line.strip():
            lines.append(line.strip())
    return found


def parse_probe(answer: str) -> Probe:
    """The meaning of `FACTS_SCRIPT`'s answer."""
    parts = sections(answer)
    first = {name: lines[0] if lines else "" for name, lines in parts.items()}
    properties = dict(re.findall(r"^\[([^]]+)\]: \[(.*)\]$", "\n".join(parts.get("getprop", [])), re.MULTILINE))
    soc = f"{properties.get('ro.soc.manufacturer', '')} {properties.get('ro.soc.model', '')}".strip()
    glibc = re.search(r"([0-9]+)\.([0-9]+)\s*$", first.get("glibc", ""))
    memory = re.search(r"([0-9]+) kB", first.get("memory", ""))
    scratch = first.get("scratch", "")
    sdk = properties.get("ro.build.version.sdk", "")
    allowed = _core_list(first.get("allowed", "").partition(":")[2])
    online = _core_list(first.get("online", "")) or allowed
    abis = properties.get("ro.product.cpu.abilist") or properties.get("ro.product.cpu.abi", "")
    return Probe(
        properties=properties,
        arch=first.get("arch", ""),
        abis=tuple(filter(None, abis.split(","))),
        kernel=first.get("kernel", ""),
        boot_id=first.get("boot", ""),
        memory_bytes=_whole(memory[1]) * 1024 if memory else 0,
        serial=properties.get("ro.serialno", "") or first.get("serial", ""),
        cpu_model=soc or first.get("cpu", "").partition(":")[2].strip() or "unknown",
        bionic=bool(parts.get("bionic")) or bool(sdk and not glibc),  # Linux that runs Android in a container has both
        glibc=(_whole(glibc[1]), _whole(glibc[2])) if glibc else None,
        page_bytes=_whole(first.get("page", "")),
        os=_os(properties, first.get("os", "")),
        gpu=" ".join(parts.get("gpu", [])).removeprefix("GLES:").strip(),
        clusters=_clusters(parts.get("cpus", []), tuple(core for core in allowed if core in online)),
        off=tuple(core for core in allowed if core not in online),
        scratch=scratch if _PLAIN_PATH.fullmatch(scratch) else "",
    )


def _os(properties: Mapping[str, str], release: str) -> str:
    version, sdk = properties.get("ro.build.version.release"), properties.get("ro.build.version.sdk")
    if version:
        return f"Android {version} (API {sdk})"
    return release.partition("=")[2].strip('"') or "unknown"


def _core_list(text: str) -> tuple[int, ...]:
    """Cores out of "0-3,6" or "0 1 2"."""
    cores: set[int] = set()
    for first, last in re.findall(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", text):
        cores.update(range(int(first), min(int(last or first), MAX_CORE) + 1))
    return tuple(sorted(cores))


def _whole(text: str) -> int:
    """A count or size; 0 for what is none."""
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else 0


def _values(lines: list[str], pattern: str) -> dict[str, str]:
    """Of `grep -H` lines, the value by what the pattern's group finds in the path; "denied" where it said so."""
    found = {}
    for line in lines:
        match = re.search(pattern + r":(.*)$", line)
        if match:
            refused = "denied" in match[2]
            found[match[1]] = DENIED if refused else match[2].strip()
    return {name: value for name, value in found.items() if "No such file" not in value}


def _clusters(lines: list[str], allowed: tuple[int, ...]) -> tuple[Cluster, ...]:
    capacities = _values(lines, r"/cpu([0-9]+)/cpu_capacity")
    clocks = _values(lines, r"/cpu([0-9]+)/cpufreq/cpuinfo_max_freq")
    related = _values(lines, r"/cpu([0-9]+)/cpufreq/related_cpus")
    groups: dict[tuple[int, ...] | str, list[int]] = {}
    for core in allowed:
        name = str(core)
        key = _core_list(related.get(name, "")) or capacities.get(name) or clocks.get(name, "")
        groups.setdefault(key, []).append(core)
    speeds = [[_whole(of.get(str(cores[0]), "")) for cores in groups.values()] for of in (capacities, clocks)]
    if len(set(speeds[0])) == 1 and len(set(speeds[1])) > 1:  # a kernel may say 1024 of every core
        speeds.reverse()
    found = [Cluster(tuple(cores), told or other) for cores, told, other in zip(groups.values(), *speeds, strict=True)]
    return tuple(sorted(found, key=lambda cluster: (cluster.compute, cluster.capacity), reverse=True))


def parse_condition(answer: str) -> PhoneCondition:
    """The meaning of `CONDITION_SCRIPT`'s answer."""
    parts = sections(answer)
    first = {name: lines[0] if lines else ABSENT for name, lines in parts.items()}
    cpus, zones = parts.get("cpus", []), parts.get("zones", [])
    types = _values(zones, r"thermal_zone([0-9]+)/type")
    uptime = number(first.get("uptime", "").partition(" ")[0])
    battery = "\n".join(parts.get("battery", []))
    thermal = "\n".join(parts.get("thermal", []))
    status = number(_find(r"Thermal Status: *([0-9]+)", thermal)) if "HAL Ready: false" not in thermal else ABSENT
    power = "\n".join(parts.get("power", []))
    return PhoneCondition(
        monotonic_ns=int(uptime * 1e9) if isinstance(uptime, float) else 0,
        wall_time_s=_seconds(first.get("time", "")),
        boot_id=first.get("boot", ABSENT),
        load_1min=number(first.get("load", "").partition(" ")[0]),
        cpu_mhz=_mhz(cpus, "scaling_cur_freq"),
        governors={f"cpu{n}": text for n, text in _values(cpus, r"/cpu([0-9]+)/cpufreq/scaling_governor").items()},
        temperature_c={
            f"{zone}:{types.get(zone, ABSENT)}": number(text, 1e-3)
            for zone, text in _values(zones, r"thermal_zone([0-9]+)/temp").items()
        },
        max_mhz=_mhz(cpus, "scaling_max_freq"),
        thermal_status=int(status) if isinstance(status, float) else status,
        battery_percent=MADE_UP if "UPDATES STOPPED" in battery else number(_find(r"level: ([0-9]+)", battery)),
        battery_c=number(_find(r"temperature: (-?[0-9]+)", battery), 0.1),
        powered=", ".join(re.findall(r"(\w+) powered: true", battery)) or ("no" if battery else ABSENT),
        screen=_find(r"mWakefulness=(\w+)", power),
        power_saving=_power_saving(power),
    )


def _power_saving(dump: str) -> str:
    """ "true" where any line says so; Android 9 and later have others than before."""
    pattern = r"mLowPowerMode(?:Enabled)?=(\w+)|state machine:\nEnabled=(\w+)|is currently: *(\w+)"
    found = ["".join(groups).lower() for groups in re.findall(pattern, dump)]
    if not found:
        return ABSENT
    return "true" if any(text in ("true", "on", "adaptive") for text in found) else "false"


def parse_power(answer: str) -> tuple[PowerMeter | None, str]:
    """The meaning of `POWER_SCRIPT`'s answer: a meter, or None and why."""
    return find_meter(_values(sections(answer).get("power", []), r"(/sys/class/[A-Za-z0-9/._-]{1,200})"))


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ABSENT


def number(text: str, factor: float = 1.0) -> float | str:
    """The number times `factor`, or "absent" or "denied"."""
    try:
        value = float(text) * factor
    except ValueError:
        value = math.nan
    if abs(value) < _LARGEST:
        return value
    return DENIED if "denied" in text else ABSENT


def _seconds(text: str) -> float:
    value = number(text)
    return value if isinstance(value, float) else 0.0


def _mhz(lines: list[str], name: str) -> dict[str, float | str]:
    found = _values(lines, rf"/cpu([0-9]+)/cpufreq/{name}")
    return {f"cpu{core}": number(text, 1e-3) for core, text in found.items()}
