"""The page "In your app": its examples are compiled, and its Kotlin is the sample's, which has a test of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("native code")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "in-your-app.md"
LIBRARY = ROOT / "bench" / "native" / "library"
CLASSIFIER = ROOT / "app_sample" / "sample" / "src" / "main" / "kotlin" / "org" / "syncnas" / "sample" / "Classifier.kt"


def example(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


def compiled(*words: object) -> None:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_kotlin_is_the_samples() -> None:
    assert example("kotlin") == CLASSIFIER.read_text(encoding="utf-8")


def test_the_c_compiles() -> None:
    cc = shutil.which("cc") or pytest.skip("no C compiler (Debian: gcc libc6-dev)")
    Path("example.c").write_text(example("c"))
    compiled(cc, "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{LIBRARY}", "-c", "example.c", "-o", "example.o")


def test_the_header_compiles_as_cpp() -> None:
    cc = shutil.which("cc") or pytest.skip("no C compiler (Debian: gcc libc6-dev)")
    compiled(cc, "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", LIBRARY / "syncnas.h")
    cpp = shutil.which("c++") or pytest.skip("no C++ compiler (Debian: g++)")
    compiled(cpp, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++", LIBRARY / "syncnas.h")


def test_the_java_compiles() -> None:
    javac = shutil.which("javac") or pytest.skip("there is no javac (Debian: apt install default-jdk-headless)")
    Path("Scores.java").write_text(example("java"))
    java = ROOT / "bench" / "java"
    compiled(
        javac, "--release", 8, "-Xlint:-options", "-sourcepath", f"{java}:{java / 'stubs'}", "-d", ".", "Scores.java"
    )
