"""What somebody who has not this computer needs to see of a program here: its signature, its first run, its last crash.

Nothing is changed. Only macOS signs what we ship, and keeps crash reports where anybody may read their own.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_TIMEOUT_S = 20.0
_REPORTS = Path("Library/Logs/DiagnosticReports")
_MOST_FRAMES = 16
_SIGNED = re.compile(r"^(Identifier|Format|CodeDirectory|Signature|Authority|TeamIdentifier)[= ](.*)$", re.MULTILINE)


def first_run(program: Path) -> dict[str, str]:
    """How ``PROGRAM --version`` ends here, and what it prints first."""
    begun = time.monotonic()
    ended, out = _ran(str(program), "--version")
    return {"ended": ended, "seconds": f"{time.monotonic() - begun:.2f}", "printed": out.strip()[:500]}


def signature(file: Path) -> dict[str, str]:
    """How macOS sees a file: who signed it, whether that holds, and whether it is in quarantine. Else nothing."""
    if sys.platform != "darwin":
        return {}
    _, told = _ran("/usr/bin/codesign", "-dvv", str(file))
    holds, why = _ran("/usr/bin/codesign", "--verify", "--strict", str(file))
    _, attributes = _ran("/usr/bin/xattr", str(file))
    return {
        **{name: text.strip() for name, text in _SIGNED.findall(told)},
        "holds": "yes" if holds == "exit code 0" else why.strip()[:300] or holds,
        "quarantine": "yes" if "com.apple.quarantine" in attributes else "no",
    }


def last_crash(program: str, home: Path) -> dict[str, Any]:
    """Facts of the newest crash report of a program in a home folder, without what tells whose computer it was.

    Args:
        program: its file's name.
    """
    reports = sorted((home / _REPORTS).glob(f"{program}*.ips"), key=lambda path: path.name)
    for path in reversed(reports):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            head, _, body = path.read_text(encoding="utf-8", errors="replace").partition("\n")
            return _crash(json.loads(head), json.loads(body))
    return {}


def _crash(head: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    thread = body["threads"][body.get("faultingThread", 0)]
    images = [image.get("name", "?") for image in body.get("usedImages", [])]
    frames = [
        f"{images[frame['imageIndex']]} {frame.get('symbol', '?')}+{frame.get('symbolLocation', frame['imageOffset'])}"
        for frame in thread["frames"][:_MOST_FRAMES]
    ]
    exception, termination = body.get("exception", {}), body.get("termination", {})
    return {
        "when": str(head.get("timestamp", ""))[:10],
        "os": str(head.get("os_version", "")),
        "exception": _texts(exception, "type", "signal", "subtype"),
        "termination": _texts(termination, "namespace", "code", "indicator"),
        "thread": str(thread.get("name", thread.get("queue", ""))),
        "frames": frames,
    }


def _texts(table: dict[str, Any], *names: str) -> dict[str, str]:
    return {name: str(table[name]) for name in names if name in table}


def _ran(*command: str) -> tuple[str, str]:
    """How a command ended, and what it printed on both streams."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {_TIMEOUT_S:g} s", ""
    except OSError as error:
        return f"cannot be started: {error.strerror}", ""
    how = f"exit code {done.returncode}"
    if done.returncode < 0:
        with contextlib.suppress(ValueError):
            how = f"signal {signal.Signals(-done.returncode).name}"
    return how, done.stdout.decode("utf-8", "replace")
