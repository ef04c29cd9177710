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

from syncnas_bench.adb.link import Link, quote
from syncnas_bench.adb.scratch import SHELL_FUNCTIONS, require_used
from syncnas_bench.errors import CommandFailed, DeviceLeased
from syncnas_bench.systems import here

FOLDER = "syncnas.lease"
LEASE_S = 900.0
LONGEST_S = 86_400.0
"""No lease is longer: one that ends later counts as over."""

_held_here: set[str] = set()
"""Owners whose leases this process holds."""

# Prints "held GENERATION", "busy SECONDS GENERATION OWNER", or "refused REASON". What does not count: a lease of the
# owner `void`, one that ends later than any of ours does, and a generation that is no number of ours.
_TAKE = """
umask 022
read -r boot < /proc/sys/kernel/random/boot_id
use 1777 "$lease"
is_number() { case $1 in '' | 0* | *[!0-9]* | ??????????*) return 1 ;; esac; }
highest() { top=0; for g in *; do is_number "$g" && [ "$g" -gt "$top" ] && top=$g; done; }
now() { read -r up rest < /proc/uptime; up=${up%%.*}; }
is_file() { [ -d "$1" ] && [ ! -L "$1" ] && [ -f "$1/owner" ] && [ ! -L "$1/owner" ]; }
holds() {
    now
    [ "$old" -gt 0 ] && is_file "./$old" || return 1
    line=$(dd if="./$old/owner" bs=200 count=1 2>/dev/null || head -c 200 "./$old/owner")
    name=${line%% *} end=${line#* } its=${line##* }
    end=${end%% *}
    case $name in '' | *[!0-9a-f.]*) return 1 ;; esac
    is_number "$end" && [ "$end" -gt "$up" ] && [ "$end" -le $((up + longest)) ] || return 1
    [ "$its" = "$boot" ] && [ "$name" != "$void" ]
}
drop() (
    enter "$lease/$1" && rm -f ./owner ./owner.new && enter "$lease" && rmdir "./$1"
) 2>/dev/null
# If folders and files can be made here, it was another host that came first or removed ours.
able() { mkdir "./$owner" && echo x > "./$owner/owner"; made=$?; drop "$owner"; return $made; } 2>/dev/null
highest; old=$top new=$((top + 1))
is_number "$new" || refuse full
[ "$old" -eq 0 ] || [ -s "./$old/owner" ] || sleep 1
if holds; then echo "busy $((end - up)) $old $name"; exit 0; fi
mkdir "./$new" 2>/dev/null || { able || refuse missing; echo "busy 1 $new -"; exit 0; }
now
echo "$owner $((up + seconds)) $boot" > "./$new/owner.new" && mv "./$new/owner.new" "./$new/owner" || {
    able || { drop "$new"; refuse missing; }
    echo "busy 1 $new -"; exit 0
}
highest
if [ "$top" -ne "$new" ] || holds; then drop "$new"; echo "busy 1 $top -"; exit 0; fi
for g in *; do is_number "$g" && [ "$g" -lt "$new" ] && drop "$g"; done
echo "held $new"
"""

# Prints "held", or "lost" if another host has it now. Zero seconds give it back.
_EXTEND = """
umask 022
enter "$lease/$new" || { echo lost; exit 0; }
read -r boot < /proc/sys/kernel/random/boot_id
read -r up rest < /proc/uptime
read -r name rest < ./owner 2>/dev/null
[ "$name" = "$owner" ] || { echo lost; exit 0; }
echo "$owner $((${up%%.*} + seconds)) $boot" > ./owner.new
mv ./owner.new ./owner
if [ -d "../$((new + 1))" ]; then echo lost; else echo held; fi
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
        told = f"lease={self._folder} owner={self._owner} new={self._generation} seconds={int(seconds)}"
        return link.shell(f"{told}{SHELL_FUNCTIONS}{_EXTEND}").stdout.strip()


def take_lease(link: Link, scratch: str, *, seconds: float = LEASE_S, wait_s: float = 0.0) -> Lease:
    """Lease the device.

    Args:
        scratch: the folder on the device that all hosts use; nothing in it needs quoting.
        wait_s: how long to wait for another host to be done.

    Raises:
        DeviceLeased: another host holds it.
        DeviceUnavailable: what is at the lease's place is none of ours.
        CommandFailed: the device cannot keep a lease.
        LinkLost: the device cannot be reached.
    """
    owner, folder, seconds = _new_owner(), f"{scratch}/{FOLDER}", min(seconds, LONGEST_S)
    end = time.monotonic() + wait_s
    void = "-"
    while True:
        told = f"lease={folder} owner={owner} seconds={int(seconds)} longest={int(LONGEST_S)} void={void}"
        answer = link.shell(f"{told}{SHELL_FUNCTIONS}{_TAKE}")
        require_used(link, folder, answer.stdout)
        match = re.fullmatch(r"held ([0-9]{1,9})|busy ([0-9]{1,9}) ([0-9]{1,9}) ([0-9a-f.]+|-)", answer.stdout.strip())
        if match is None:
            raise CommandFailed(f"{link.serial} cannot keep a lease in {folder}: {answer.stderr.strip()[-300:]}.")
        if match[1]:
            return Lease(folder, owner, int(match[1]), seconds)
        if void != match[4] and _is_over(match[4]):
            void = match[4]
            continue
        if time.monotonic() >= end:
            clear = f"`adb -s {quote([link.serial])} shell rm {folder}/{match[3]}/owner`"
            raise DeviceLeased(
                f"another host is measuring on {link.serial}; wait, its lease ends in {match[2]} s at the latest, "
                f"or end it with {clear} if you know that the host is gone."
            )
        time.sleep(min(0.5, max(0.0, end - time.monotonic())))


def _host() -> str:
    """Where this machine's process numbers count; another text with each call where nothing of it can be over."""
    space = here().process_space()
    return hashlib.sha256(space.encode()).hexdigest()[:16] if space else secrets.token_hex(8)


def _new_owner() -> str:
    return f"{_host()}.{os.getpid()}.{here().process_started(os.getpid())}.{secrets.token_hex(4)}"


def _is_over(owner: str) -> bool:
    """Whether an owner is a process of this machine that has ended, or this one, which has given the lease up."""
    match = re.fullmatch(r"([0-9a-f]{16})\.([0-9]{1,10})\.([0-9]*)\.[0-9a-f]{8}", owner)
    if match is None or match[1] != _host():
        return False
    if int(match[2]) == os.getpid():
        return owner not in _held_here
    return here().process_started(int(match[2])) != match[3]
