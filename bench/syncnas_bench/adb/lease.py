"""A lease on a device, so that two hosts never measure on it at once.

It lies on the device: a folder `syncnas.lease` with a folder for each generation; making a folder is atomic, so
one host alone makes the next generation. The highest generation holds; it is over when it says so, when its time
(the device's time since boot) is up, when the device has been restarted, or, seen from the machine that took it,
when the process that took it is gone. The highest is never removed, so a
host with an old view of things finds a higher one after it has made its own, and steps back. Who extends writes,
then looks for a successor; who succeeds makes its folder, then looks at its predecessor again: never do both hold.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from pathlib import Path

from syncnas_bench.adb.link import Link
from syncnas_bench.conditions import read_text
from syncnas_bench.errors import CommandFailed, DeviceLeased

FOLDER = "syncnas.lease"
LEASE_S = 900.0

_held_here: set[str] = set()
"""Owners whose leases this process holds."""

# Prints "held GENERATION -", or "busy SECONDS OWNER". A lease of the owner `void` does not count.
_TAKE = """
lease={folder} owner={owner} seconds={seconds}
read -r boot < /proc/sys/kernel/random/boot_id
mkdir -m 777 "$lease" 2>/dev/null
highest() {{ top=0; for g in "$lease"/[0-9]*; do g=${{g##*/}}; [ "$g" -gt "$top" ] 2>/dev/null && top=$g; done; }}
now() {{ read -r up rest < /proc/uptime; up=${{up%%.*}}; }}
holds() {{
    now
    name= end=0 its=
    read -r name end its < "$lease/$old/owner" 2>/dev/null
    [ "$its" = "$boot" ] && [ "$end" -gt "$up" ] && [ "$name" != "{void}" ]
}}
highest; old=$top new=$((top + 1))
[ "$old" -eq 0 ] || [ -s "$lease/$old/owner" ] || sleep 1
if holds; then echo "busy $((end - up)) $name"; exit 0; fi
mkdir "$lease/$new" 2>/dev/null || {{ echo "busy 1 -"; exit 0; }}
now
echo "$owner $((up + seconds)) $boot" > "$lease/$new/owner.new" && mv "$lease/$new/owner.new" "$lease/$new/owner"
highest
if [ "$top" -ne "$new" ] || holds; then rm -rf "$lease/$new"; echo "busy 1 -"; exit 0; fi
for g in "$lease"/[0-9]*; do [ "${{g##*/}}" -lt "$new" ] && rm -rf "$g"; done
echo "held $new -"
"""

# Prints "held", or "lost" if another host has it now. Zero seconds give it back.
_EXTEND = """
lease={folder} owner={owner} new={generation}
read -r boot < /proc/sys/kernel/random/boot_id
read -r up rest < /proc/uptime
read -r name end its < "$lease/$new/owner" 2>/dev/null
[ "$name" = "$owner" ] || {{ echo lost; exit 0; }}
echo "$owner $((${{up%%.*}} + {seconds})) $boot" > "$lease/$new/owner.new"
mv "$lease/$new/owner.new" "$lease/$new/owner"
if [ -d "$lease/$((new + 1))" ]; then echo lost; else echo held; fi
"""


class Lease:
    """A held lease. Make one with `take_lease`."""

    def __init__(self, folder: str, owner: str, generation: int, seconds: float) -> None:
        self._folder, self._owner, self._generation, self._seconds = folder, owner, generation, seconds
        self._extended_at = time.monotonic()
        _held_here.add(owner)

    def extend(self, link: Link) -> None:
        """Hold it for its whole time again; cheap when a tenth of it has not passed yet.

        Raises:
            DeviceLeased: another host has it now.
            LinkLost: the device cannot be reached.
        """
        if time.monotonic() - self._extended_at < self._seconds / 10:
            return
        if self._write(link, self._seconds) != "held":
            raise DeviceLeased(f"another host has taken over {link.serial} meanwhile; run the same command again.")
        self._extended_at = time.monotonic()

    def release(self, link: Link) -> None:
        """Give it back. Raises LinkLost."""
        self._write(link, 0)
        self.forget()

    def forget(self) -> None:
        """Let the next lease of this process count this one as over."""
        _held_here.discard(self._owner)

    def _write(self, link: Link, seconds: float) -> str:
        script = _EXTEND.format(
            folder=self._folder, owner=self._owner, generation=self._generation, seconds=int(seconds)
        )
        return link.shell(script).stdout.strip()


def take_lease(link: Link, scratch: str, *, seconds: float = LEASE_S, wait_s: float = 0.0) -> Lease:
    """Lease the device.

    Args:
        scratch: the folder on the device that all hosts use; nothing in it needs quoting.
        wait_s: how long to wait for another host to be done.

    Raises:
        DeviceLeased: another host holds it.
        CommandFailed: the device cannot keep a lease.
        LinkLost: the device cannot be reached.
    """
    owner, folder = _new_owner(), f"{scratch}/{FOLDER}"
    end = time.monotonic() + wait_s
    void = "-"
    while True:
        script = _TAKE.format(folder=folder, owner=owner, seconds=int(seconds), void=void)
        answer = link.shell(script)
        match = re.fullmatch(r"(held|busy) ([0-9]{1,12}) (\S+)", answer.stdout.strip())
        if match is None:
            raise CommandFailed(f"{link.serial} cannot keep a lease in {folder}: {answer.stderr.strip()[-300:]}.")
        if match[1] == "held":
            return Lease(folder, owner, int(match[2]), seconds)
        if void != match[3] and _is_over(match[3]):
            void = match[3]
            continue
        if time.monotonic() >= end:
            raise DeviceLeased(
                f"another host is measuring on {link.serial}; wait, its lease ends in {match[2]} s at the latest."
            )
        time.sleep(min(0.5, max(0.0, end - time.monotonic())))


def _started(pid: int) -> str:
    """When a process of this machine was started, in clock ticks; "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _host() -> str:
    """This machine's boot and the namespace that its process numbers are from."""
    boot = read_text(Path("/proc/sys/kernel/random/boot_id"))
    try:
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return secrets.token_hex(8)  # nothing of this machine's can be told to be over
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:16]


def _new_owner() -> str:
    return f"{_host()}.{os.getpid()}.{_started(os.getpid())}.{secrets.token_hex(4)}"


def _is_over(owner: str) -> bool:
    """Whether an owner is a process of this machine that has ended, or this one, which has given the lease up."""
    match = re.fullmatch(r"([0-9a-f]{16})\.([0-9]{1,10})\.([0-9]*)\.[0-9a-f]{8}", owner)
    if match is None or match[1] != _host():
        return False
    if int(match[2]) == os.getpid():
        return owner not in _held_here
    return _started(int(match[2])) != match[3]
