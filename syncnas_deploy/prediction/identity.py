"""What a shared document says of its device: what it is like. Which one it is stands in it only if that is asked for.

A device's name is left out where it is a serial or an address; its model stands in its place. A mark of 16 bits, salted
for each document, tells the device from others of its model, and is much too short to tell the name.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping

from syncnas_bench import Unit, UnitError

SHARED_FACTS = (
    "simulated", "model", "cpu_model", "cores", "memory_bytes", "os", "kernel", "arch", "runtime"
)  # fmt: skip
PRIVATE_CONDITION = ("boot_id", "monotonic_ns")
IDENTITY, MARK = "identity", "mark"
"""Facts of a document: what it says of itself, and the mark, ``SALT:MARK`` in hexadecimal digits."""
LEFT_OUT = "left out: serial or address, boot id, paths"
KEPT = "kept: serial or address, boot id, paths"

_FOLDERS = re.compile(r"(?<![\w./])/(?:[\w.@~+-]+/)+|(?<!\w)[A-Za-z]:[\\/](?:[\w.@~+ -]+[\\/])+")


def label(facts: Mapping[str, str]) -> str:
    """What to call a device in a document: its name, or its model where the name is a serial or an address."""
    name = facts.get("name", "")
    if name == "host" or facts.get("simulated") == "True" or MARK in facts:
        return name
    told = [facts[fact] for fact in ("model", "cpu_model") if fact in facts]
    return next((text for text in told if text != "unknown"), "unknown device" if told else name or "a device")


def facts_to_share(facts: Mapping[str, str], *, keep: bool) -> dict[str, str]:
    """A device's facts as they stand in a document; `keep` keeps all of them."""
    if keep:
        return {**facts, IDENTITY: KEPT}
    name, shown, salt = facts["name"], label(facts), secrets.token_hex(8)
    mark = {} if shown == name else {MARK: f"{salt}:{_mark(salt, name)}"}
    return {
        "name": shown,
        **{fact: without_folders(facts[fact]) for fact in SHARED_FACTS if fact in facts},
        **mark,
        IDENTITY: LEFT_OUT,
    }


def condition_to_share(condition: Mapping[str, str], *, keep: bool) -> dict[str, str]:
    """A device's condition as it stands in a document."""
    return {name: text for name, text in condition.items() if keep or name not in PRIVATE_CONDITION}


def text_to_share(text: str, facts: Mapping[str, str], *, keep: bool) -> str:
    """A sentence about a device as it stands in a document: no name that is private, no folders of a path."""
    return text if keep else without_folders(text.replace(facts["name"], label(facts)))


def without_folders(text: str) -> str:
    """A text with the last part alone of each absolute path in it."""
    return _FOLDERS.sub("", text)


def false_claim(facts: Mapping[str, str], units: Iterable[str], *, measured: bool) -> str:
    """What a document says of its device that cannot be; "" where there is nothing of the kind.

    Args:
        facts: of the device.
        units: texts of its units.
        measured: whether the document says that hardware was measured.
    """
    try:
        kinds = [Unit.parse(text).kind for text in units]
    except UnitError as error:
        return f"units: {str(error).rstrip('.')}"
    if measured and facts.get("simulated", str("sim" in kinds)) == "True":
        return "it is said to be measured, and the device is a simulated one"
    return ""


def other_name(mine: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Why a document is not of a device, as far as names tell; "" where they do not.

    Args:
        mine: facts of the document.
        theirs: facts of the device, or of another document. What two marks say cannot be compared.
    """
    name, other = mine.get("name"), theirs.get("name")
    if name is None or other is None or (MARK in mine and MARK in theirs):
        return ""
    if MARK not in mine and MARK not in theirs:
        return "" if name == other else f"it is of a device whose name is {name!r}, not {other!r}"
    marked, plain = (mine[MARK], other) if MARK in mine else (theirs[MARK], name)
    salt, _, mark = marked.partition(":")
    return "" if mark == _mark(salt, plain) else f"it is of another device than {other!r}"


def _mark(salt: str, name: str) -> str:
    return hashlib.sha256(f"{salt}:{name}".encode("utf-8", "surrogatepass")).hexdigest()[:4]
