"""macOS: sysctl, pmset and the system's notifications; none of them needs root."""

from __future__ import annotations

import calendar
import contextlib
import ctypes
import functools
import os
import platform
import re
import subprocess
import time

from syncnas_bench.systems import ABSENT, MachineFacts, PowerAndHeat, Readings, by_psutil

_TIMEOUT_S = 5.0
_SYSCTL = "/usr/sbin/sysctl"
_PMSET = "/usr/bin/pmset"
_PS = "/bin/ps"
_NAMES = (
    "hw.model", "machdep.cpu.brand_string", "hw.memsize", "hw.perflevel0.logicalcpu", "kern.bootsessionuuid"
)  # fmt: skip
_PRESSURES = ("nominal", "moderate", "heavy", "trapping", "sleeping")
"""Source: OSThermalNotification.h."""
_PRESSURE = b"com.apple.system.thermalpressurelevel"


class MacOS:
    """See `System`."""

    usb_remedy = "let adb reach it: install Android's platform-tools and run `adb start-server`"
    usb_without_server = False

    def cores(self) -> tuple[int, ...]:
        """As many as there are fast ones. macOS lets nobody choose among them."""
        fast = _sysctl().get("hw.perflevel0.logicalcpu", "")
        return tuple(range(int(fast) if fast.isdigit() and int(fast) else os.cpu_count() or 1))

    def boot_id(self) -> str:
        """The kernel's, or else the second of the boot."""
        return _sysctl().get("kern.bootsessionuuid") or by_psutil.boot_second()

    def facts(self) -> MachineFacts:
        """Such as "Mac14,7" with "Apple M2"."""
        known, version = _sysctl(), platform.mac_ver()[0]
        memory = known.get("hw.memsize", "")
        return MachineFacts(
            model=known.get("hw.model", "unknown"),
            cpu_model=known.get("machdep.cpu.brand_string", "unknown"),
            memory_bytes=int(memory) if memory.isdigit() else 0,
            os=f"macOS {version}".strip(),
        )

    def readings(self) -> Readings:
        """Load, power and thermal pressure. Clocks and temperatures are told to root alone."""
        mode = re.search(r"^\s*(?:low)?powermode\s+(\d)", _ask(_PMSET, "-g"), re.MULTILINE)
        return Readings(
            load_1min=os.getloadavg()[0],
            power_and_heat=PowerAndHeat(
                powered=by_psutil.powered(),
                power_saving=ABSENT if mode is None else "true" if mode[1] == "1" else "false",
                thermal_pressure=_thermal_pressure(),
            ),
        )

    def process_space(self) -> str:
        """This boot of this computer."""
        return f"{self.boot_id()} {platform.node()}"

    def process_started(self, pid: int) -> str:
        """In seconds since 1970, by the clock of that time: psutil's answer follows each change of the clock."""
        state, _, begun = _ask(_PS, "-o", "stat=,lstart=", "-p", str(pid)).strip().partition(" ")
        try:
            return "" if state.startswith("Z") else str(calendar.timegm(time.strptime(begun.strip())))
        except ValueError:
            return ""


def _ask(*command: str) -> str:
    """What a program of the system prints; "" where it cannot be asked."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            env={"LC_ALL": "C", "TZ": "UTC"},
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


@functools.cache
def _sysctl() -> dict[str, str]:
    """What does not change until the next boot. A name that this kernel does not know is left out."""
    return dict(re.findall(r"^([\w.]+): (.+?)\s*$", _ask(_SYSCTL, *_NAMES), re.MULTILINE))


@functools.cache
def _pressure_token() -> tuple[ctypes.CDLL, int]:
    library, token = ctypes.CDLL(None), ctypes.c_int()
    if library.notify_register_check(_PRESSURE, ctypes.byref(token)) != 0:
        raise OSError("nobody tells the thermal pressure")
    return library, token.value


def _thermal_pressure() -> str:
    """How much the system throttles for heat."""
    level = ctypes.c_uint64()
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library, token = _pressure_token()
        if library.notify_get_state(ctypes.c_int(token), ctypes.byref(level)) == 0 and level.value < len(_PRESSURES):
            return _PRESSURES[level.value]
    return ABSENT
