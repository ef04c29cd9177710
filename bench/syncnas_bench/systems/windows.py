"""Windows: its registry and psutil."""

from __future__ import annotations

import os
import platform

from syncnas_bench.systems import ABSENT, MachineFacts, PowerAndHeat, Readings, by_psutil

_BIOS = r"HARDWARE\DESCRIPTION\System\BIOS"
_PROCESSOR = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
_BOOTS = r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters"


class Windows:
    """See `System`."""

    usb_remedy = "let adb reach it: install its USB driver and Android's platform-tools, and run `adb start-server`"
    usb_without_server = False

    def cores(self) -> tuple[int, ...]:
        """By the process's affinity."""
        import psutil

        return tuple(sorted(psutil.Process().cpu_affinity() or range(os.cpu_count() or 1)))

    def boot_id(self) -> str:
        """The number of this boot, or else its second."""
        return _registry(_BOOTS, "BootId") or by_psutil.boot_second()

    def facts(self) -> MachineFacts:
        """What its firmware tells."""
        import psutil

        maker, model = _registry(_BIOS, "SystemManufacturer"), _registry(_BIOS, "SystemProductName")
        return MachineFacts(
            model=f"{maker} {model}".strip() or "unknown",
            cpu_model=_registry(_PROCESSOR, "ProcessorNameString") or "unknown",
            memory_bytes=psutil.virtual_memory().total,
            os=f"Windows {platform.release()}",
        )

    def readings(self) -> Readings:
        """Load and power. psutil averages the load itself: just after its first look there is none."""
        import psutil

        averages = psutil.getloadavg()
        return Readings(
            load_1min=averages[0] if any(averages) else ABSENT,
            power_and_heat=PowerAndHeat(powered=by_psutil.powered()),
        )

    def process_space(self) -> str:
        """This boot of this computer."""
        return f"{self.boot_id()} {platform.node()}"

    def process_started(self, pid: int) -> str:
        """In milliseconds since 1970."""
        import psutil

        try:
            return str(round(psutil.Process(pid).create_time() * 1000))
        except (psutil.Error, OSError, ValueError):
            return ""


def _registry(key: str, name: str) -> str:
    """A value of HKEY_LOCAL_MACHINE as text; "" where there is none."""
    try:
        import winreg

        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:  # type: ignore[attr-defined,unused-ignore]
            return str(winreg.QueryValueEx(opened, name)[0]).strip()  # type: ignore[attr-defined,unused-ignore]
    except (ImportError, OSError):
        return ""
