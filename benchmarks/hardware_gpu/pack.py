"""Everything that a run needs, in one folder: wheels, our code with its runner, the Vulkan loader and `start.sh`."""

from __future__ import annotations

import contextlib
import ctypes.util
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_MIB = 60
PACKAGES = (
    "ai-edge-litert",
    "filelock",
    "flatbuffers",
    "ml_dtypes",
    "msgspec",
    "numpy",
    "threadpoolctl",
)
"""What the run imports: the runtime dependencies and theirs, less what only commands and converters use."""
PLATFORMS = ("manylinux2014_x86_64", *(f"manylinux_2_{n}_x86_64" for n in (5, 17, 27, 28, 31, 34)))
"""Oldest C library first: pip takes the first that there is a wheel for."""
_SOURCES = {
    "syncnas_deploy": ROOT / "syncnas_deploy",
    "syncnas_exporters": ROOT / "exporters" / "syncnas_exporters",
    "syncnas_bench": ROOT / "bench" / "syncnas_bench",
    "model_configs": ROOT / "model_configs",
    "device_profiles": ROOT / "device_profiles",
    "benchmarks": ROOT / "benchmarks",
}
_RUNNER = Path("_native") / "x86_64-linux" / "syncnas-runner"

Download = Callable[[Path, str], None]


class PackError(Exception):
    """The folder cannot be made."""


def pack(
    folder: Path,
    python: str,
    *,
    download: Download | None = None,
    loader: Path | None = None,
    limit_mib: int = LIMIT_MIB,
) -> str:
    """Gather what a run needs for a Python version into a folder; says what was gathered.

    Args:
        folder: not there, or empty.
        python: major and minor version, as 3.12.
        download: puts wheels for a Python version into a folder; by default pip does.
        loader: the Vulkan loader; by default this machine's.
        limit_mib: of all files.

    Raises:
        PackError: and then the folder is not made.
    """
    if not re.fullmatch(r"3\.[0-9]{1,2}", python) or int(python[2:]) < 10:
        raise PackError(f"Python {python[:20]!r} is not a version from 3.10 on; write --python 3.12.")
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise PackError(
            f"A folder is packed on and for Linux on x86_64; this is {sys.platform} on {platform.machine()}."
        )
    try:
        return _pack(folder, python, download or download_wheels, loader, limit_mib)
    except OSError as error:
        raise PackError(f"{folder}: cannot be made ({error.strerror}); choose another.") from None


def _pack(folder: Path, python: str, download: Download, loader: Path | None, limit_mib: int) -> str:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PackError(f"{folder}: is there and not empty; choose another folder.")
    if not (_SOURCES["syncnas_bench"] / _RUNNER).is_file():
        raise PackError("The native runner is not built; run `python hatch_build.py` in the checkout.")
    found = loader or _vulkan_loader()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pack-", dir=folder.parent) as work:
        made = Path(work) / "pack"
        (made / "wheels").mkdir(parents=True)
        download(made / "wheels", python)
        _copy_code(made / "code")
        (made / "lib").mkdir()
        shutil.copyfile(found, made / "lib" / "libvulkan.so.1")
        script = (Path(__file__).parent / "start.sh").read_text().replace("@PYTHON@", python)
        (made / "start.sh").write_text(script)
        (made / "start.sh").chmod(0o755)
        sizes = {part.name: _bytes(part) for part in sorted(made.iterdir())}
        told = ", ".join(f"{name} {size / 2**20:.1f}" for name, size in sizes.items())
        total_mib = sum(sizes.values()) / 2**20
        if total_mib > limit_mib:
            raise PackError(f"The folder would have {total_mib:.1f} MiB of at most {limit_mib} ({told}).")
        with contextlib.suppress(OSError):
            folder.rmdir()  # an empty one
        made.rename(folder)  # fails where something appeared meanwhile
    return f"{folder}: {total_mib:.1f} MiB ({told}). Copy it there and run: sh {folder.name}/start.sh --minutes 5"


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def _copy_code(code: Path) -> None:
    for name, source in _SOURCES.items():
        shutil.copytree(source, code / name, ignore=shutil.ignore_patterns("__pycache__", "_native", "data"))
    runner = code / "syncnas_bench" / _RUNNER
    runner.parent.mkdir(parents=True)
    shutil.copy2(_SOURCES["syncnas_bench"] / _RUNNER, runner)


def _vulkan_loader() -> Path:
    """The file of libvulkan.so.1 on this machine.

    Raises:
        PackError: it is not here.
    """
    name = "libvulkan.so.1"
    if ctypes.util.find_library("vulkan") is not None:
        library = ctypes.CDLL(name)
        for line in Path("/proc/self/maps").read_text().splitlines():
            path = Path(line.split(maxsplit=5)[-1])
            if path.name.startswith("libvulkan.so") and path.is_file():
                del library
                return path
    raise PackError(f"The Vulkan loader ({name}) is not here; install it (Debian: libvulkan1) and pack again.")


def download_wheels(folder: Path, python: str) -> None:
    """Have pip fetch the wheels of `PACKAGES`: in the versions of constraints.txt where they exist for that Python.

    Raises:
        PackError: there is no pip, or no wheel.
    """
    if importlib.util.find_spec("pip") is None:
        raise PackError(f"pip is missing for {sys.executable}; use an environment that has it.")
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    for package in PACKAGES:
        exact = f"{package}=={pinned[package]}" if package in pinned else package
        # numpy's newest releases leave old Pythons out: then the newest one that does not.
        failure = _tries(folder, python, (exact, package))
        if failure:
            raise PackError(f"pip finds no wheel of {package} for Python {python} on x86_64: {failure}")


def _tries(folder: Path, python: str, wanted: Sequence[str]) -> str:
    """Nothing, once one was found; else what pip said at last."""
    said = ""
    for requirement in dict.fromkeys(wanted):
        said = _pip(folder, python, requirement)
        if not said:
            return ""
    return said


def _pip(folder: Path, python: str, requirement: str) -> str:
    """Nothing, or what pip said when it failed."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, "--dest", str(folder)]
    command += [word for name in PLATFORMS for word in ("--platform", name)]
    done = subprocess.run([*command, requirement], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
