"""What the package has for apps: libsyncnas by target, its header, and the classes of its Java face."""

from __future__ import annotations

from pathlib import Path

from syncnas_bench.errors import RuntimeMissing

_NATIVE = Path(__file__).parent / "_native"
LIBRARY = "libsyncnas.so"


def app_library(target: str) -> Path:
    """The library of a target, such as "aarch64-android" or "x86_64-linux".

    Raises:
        RuntimeMissing: none is built for it.
    """
    return _built(f"{target}/{LIBRARY}", "run `python hatch_build.py` in a checkout (needs `pip install ziglang`)")


def app_measurer(target: str) -> Path:
    """The library with an app around it that needs no Java, for an Android target.

    Raises:
        RuntimeMissing: none is built for it.
    """
    return _built(f"{target}/libmeasure.so", "run `python hatch_build.py` in a checkout (needs `pip install ziglang`)")


def app_header() -> Path:
    """syncnas.h.

    Raises:
        RuntimeMissing: the installation is incomplete.
    """
    return _built("include/syncnas.h", "run `python hatch_build.py` in a checkout")


def app_classes() -> Path:
    """classes.jar: org.syncnas for Java 8.

    Raises:
        RuntimeMissing: the package was built where no JDK was.
    """
    return _built("java/classes.jar", "build it where `javac` is (Debian: default-jdk-headless)")


def _built(name: str, remedy: str) -> Path:
    path = _NATIVE / name
    if not path.is_file():
        raise RuntimeMissing(f"this installation has no {name}; reinstall the package, or {remedy}.")
    return path
