"""The folder on a device that all of ours are in, and how a script stands in one of ours without following a link.

A script works with names in the folder that its shell stands in, after it has compared where that is with where it
wants to be. What becomes of the path meanwhile, and whoever puts links there, does not matter to it.
"""

from __future__ import annotations

import re

from syncnas_bench.adb.link import Link, quote
from syncnas_bench.errors import DeviceUnavailable

_PRIVATE = re.compile(r".*/syncnas-[0-9]+")

# `use MODE PATH` makes a folder if there is none, and stands in it. `refuse REASON` says why it cannot, and ends.
SHELL_FUNCTIONS = """
refuse() { echo "refused $1"; exit 0; }
enter() { cd "$1" 2>/dev/null && [ "$(pwd -P)" = "$1" ]; }
use() {
    mkdir -m "$1" "$2" 2>/dev/null
    [ -L "$2" ] && refuse link
    [ -e "$2" ] || refuse missing
    [ -d "$2" ] || refuse file
    enter "$2" || refuse other
}
"""

_CLAIM = """
use 700 "$place"
[ -O . ] || refuse other
case $(ls -ld .) in drwx------*) ;; *) refuse open ;; esac
"""

_REASONS = {
    "link": "is a link; see what it is there for and remove it with `{shell} rm {place}`",
    "file": "is no folder; see what it is there for and remove it with `{shell} rm {place}`",
    "other": "is another user's, or behind a link; have its owner remove it",
    "open": "is open to other users; close it with `{shell} chmod 700 {place}`",
    "full": "has no number left; remove it with `{shell} rm -r {place}`",
    "missing": "cannot be made; make room on the device, and its folder writable for the shell",
}


def is_private(scratch: str) -> bool:
    """Whether it is a folder of the shell's user alone, in one that every user may write to."""
    return _PRIVATE.fullmatch(scratch) is not None


def claim(link: Link, scratch: str) -> None:
    """Make a private scratch folder, if it is not there.

    Raises:
        DeviceUnavailable: it is a link, another user's, or open to others.
        LinkLost: the device cannot be reached.
    """
    if is_private(scratch):
        require_used(link, scratch, link.shell(f"place={scratch}{SHELL_FUNCTIONS}{_CLAIM}").stdout)


def require_used(link: Link, place: str, answer: str) -> None:
    """Raise DeviceUnavailable if a script has refused to use a folder."""
    match = re.fullmatch(r"refused (\w+)", answer.strip())
    if match and match[1] in _REASONS:
        reason = _REASONS[match[1]].format(shell=f"adb -s {quote([link.serial])} shell", place=place)
        raise DeviceUnavailable(f"{link.serial} cannot be measured: its {place} {reason}.", "refused")
