"""A report for those who have not this computer: what `doctor` found, and what they would look at first.

It says what things are like, not whose they are: no serial or address, no name of a user or of this computer, no
folders of a path.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib.metadata
import importlib.util
import platform
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncnas_bench.device import runner_program
from syncnas_bench.doctor import Check
from syncnas_bench.errors import BenchError
from syncnas_bench.systems import here
from syncnas_bench.systems.evidence import first_run, last_crash, signature
from syncnas_deploy.prediction.identity import text_to_share

if TYPE_CHECKING:
    from syncnas_bench import Device

FORMAT = 1
_PACKAGES = ("syncnas-deploy", "ai-edge-litert", "numpy", "msgspec", "filelock", "psutil", "torch", "adb-shell")


def doctor_report(device: Device, checks: Sequence[Check], installation: Sequence[Check]) -> dict[str, Any]:
    """The report as plain JSON.

    Args:
        checks: what the device's examination found.
        installation: what `toolchain` found.
    """
    facts = {name: str(value) for name, value in device.facts().to_dict().items()}
    known = here().facts()
    found = {
        "doctor": FORMAT,
        "computer": {
            "system": known.os,
            "kernel": platform.release(),
            "arch": platform.machine(),
            "model": known.model,
            "processor": known.cpu_model,
            "memory_bytes": known.memory_bytes,
            "python": f"{platform.python_implementation()} {platform.python_version()} for {sys.platform}",
            "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        },
        "checks": [check.to_dict() for check in checks],
        "installation": [check.to_dict() for check in installation],
        "runner": _runner(),
        "libraries": {path.name: signature(path) for path in _libraries()},
    }
    private = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, _private()))})(?!\w)")
    shared: dict[str, Any] = _each_text(found, lambda text: text_to_share(private.sub("...", text), facts, keep=False))
    return shared


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _runner() -> dict[str, Any]:
    """The native runner of this computer: how it starts here, and how it last crashed."""
    try:
        program = runner_program()
    except BenchError as error:
        return {"missing": str(error)}
    return {
        "first run": first_run(program),
        "signature": signature(program),
        "last crash": last_crash(program.name, Path.home()),
    }


def _libraries() -> list[Path]:
    """LiteRT's libraries in the package, found without loading them."""
    spec = importlib.util.find_spec("ai_edge_litert")
    folders = (spec.submodule_search_locations or []) if spec is not None else []
    return sorted(path for folder in folders for path in Path(folder).glob("libLiteRt*"))


def _private() -> list[str]:
    """What tells whose computer this is, the longest first."""
    names = {str(Path.home()), platform.node(), platform.node().partition(".")[0]}
    with contextlib.suppress(OSError, KeyError, ImportError):  # nobody has that number
        names.add(getpass.getuser())
    return sorted(names - {"", "host", "localhost"}, key=len, reverse=True)


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with each of its texts changed; keys are ours and stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _each_text(item, change) for key, item in value.items()}
    return [_each_text(item, change) for item in value] if isinstance(value, list) else value
