"""What macOS and Windows tell through psutil, which Linux does without."""

from __future__ import annotations

from syncnas_bench.systems import ABSENT


def boot_second() -> str:
    """When this computer was started."""
    import psutil

    return f"{psutil.boot_time():.0f}"


def powered() -> str:
    """ "mains", or "battery" while that is drained."""
    import psutil

    try:
        battery = psutil.sensors_battery()
    except Exception:  # what is told of a battery differs from one computer to the next
        return ABSENT
    return "mains" if battery is None or battery.power_plugged else "battery"
