"""What this installation has besides a device: its version, optional packages, the adb server, runtimes for phones."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Sequence

import syncnas_deploy
from syncnas_bench.doctor import Check
from syncnas_bench.environment import Environment
from syncnas_bench.errors import BenchError
from syncnas_bench.systems import here

EXTRAS = {
    "torch": (("torch", "pillow", "safetensors"), "zen, train, eval and .pth files"),
    "onnx": (("onnx", "onnxruntime"), "export --format onnx"),
    "timm": (("timm",), "timm:NAME as weights"),
    "direct": (("adb-shell",), "phones without an adb server"),
    "usb": (("libusb1",), "phones on USB without an adb server"),
    "cluster": (("distributed",), "search on several machines"),
}
"""Extras of this package: the distributions of each, and what they are for."""
_LOOK_S = 1.0


def toolchain(environment: Environment | None = None) -> tuple[Check, ...]:
    """Checks of this installation. What is optional is "ok" without it, too; the advice says how to get it."""
    known = environment or Environment.of_process()
    program = f"{syncnas_deploy.__version__}, Python {platform.python_version()}"
    return (
        Check("syncnas-deploy", "ok", program),
        *(_extra(name) for name in EXTRAS if name != "usb" or here().usb_without_server),
        _adb(known),
        _runtimes(known),
    )


def what_first(checks: Sequence[Check]) -> str:
    """What to do before anything else: the remedy of the gravest check; "" where all is well."""
    for status in ("failure", "warning"):
        for check in checks:
            if check.status == status and check.advice:
                return f"first: {check.advice} ({check.name}: {check.value})"
    return ""


def _extra(name: str) -> Check:
    packages, purpose = EXTRAS[name]
    found = []
    for package in packages:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            return Check(f"[{name}]", "ok", "not installed", f"for {purpose}: pip install 'syncnas-deploy[{name}]'")
    return Check(f"[{name}]", "ok", ", ".join(found))


def _adb(environment: Environment) -> Check:
    from syncnas_bench.adb.server import server_version

    program = shutil.which("adb")
    remedy = "for phones: " + ("adb start-server" if program else "install Android's platform-tools")
    try:
        if server_version(environment.adb_server, _LOOK_S) is not None:
            return Check("adb", "ok", "a server answers")
    except BenchError as error:
        return Check("adb", "warning", "cannot be asked", str(error))
    return Check("adb", "ok", "no server answers" if program else "not installed", remedy)


def _runtimes(environment: Environment) -> Check:
    from syncnas_bench.litert.store import RuntimeStore

    store = RuntimeStore(environment.store)
    try:
        entries = store.entries()
        problems = [problem for entry in entries for problem in store.problems(entry)]
    except BenchError as error:
        return Check("runtimes", "warning", "cannot be read", str(error))
    if problems:
        return Check("runtimes", "warning", problems[0], "syncnas-deploy runtime fetch --force")
    text = ", ".join(f"LiteRT {entry.version} for {entry.abi}" for entry in entries)
    return Check("runtimes", "ok", text or "none", "" if entries else "for phones: syncnas-deploy runtime fetch")
