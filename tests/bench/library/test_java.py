"""The Java face on this host's JVM, with JNI's own checks on; it is skipped where there is no JDK."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import syncnas_bench
from syncnas_bench.local.host import find_litert
from tests.support.app_cases import NATIVE, ROOT, SANITIZERS, app, run_app, small_litert, write_small_bundle
from tests.support.bundle_cases import seeded_bundle
from tests.support.picture_cases import small_branched

pytestmark = pytest.mark.needs("native code")

JAVA = ROOT / "bench" / "java"
SUPPORT = Path(__file__).parents[2] / "support"
LIBRARY = Path(syncnas_bench.__file__).parent / "_native" / "x86_64-linux"


def tool(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"there is no {name} (Debian: apt install default-jdk-headless)")


def run(*words: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LC_ALL": "C.UTF-8"}  # which Java takes its words by
    return subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The face and the test's app, as classes of Java 8 and of this JDK."""
    folder = tmp_path_factory.mktemp("classes")
    sources = sorted((JAVA / "org" / "syncnas").glob("*.java"))
    done = run(
        tool("javac"),
        "--release",
        8,
        "-Xlint:all,-options",
        "-Werror",
        "-sourcepath",
        JAVA / "stubs",
        "-d",
        folder,
        *sources,
    )
    assert done.returncode == 0, done.stderr
    own = [SUPPORT / "AppProgram.java", SUPPORT / "FailingRuns.java", *(SUPPORT / "assets").rglob("*.java")]
    done = run(tool("javac"), "-encoding", "UTF-8", "-cp", folder, "-d", folder, *own)
    assert done.returncode == 0, done.stderr
    return folder


def test_an_app_in_java(classes: Path, tmp_path: Path) -> None:
    bundle = seeded_bundle(tmp_path / "a bundle 🙂", small_branched())
    image, logits = bundle.reference()
    image.tofile(tmp_path / "image.f32")
    logits.tofile(tmp_path / "logits.f32")
    done = run(
        tool("java"), "-Xcheck:jni", f"-Djava.library.path={LIBRARY}", "-Dfile.encoding=UTF-8", "-cp", classes,
        "AppProgram", find_litert(), bundle.folder, tmp_path / "image.f32", tmp_path / "logits.f32",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    closed = "IllegalStateException the network is closed"
    expected = [
        r"folder true",
        r"shape 4 4",
        r"read-only true",
        r"mapped true",
        r"threads 4",
        r"stale true",
        *[f"closed {closed}"] * 3,
        r"bundle BUNDLE .*absent 🙂/network\.txt cannot be read: No such file or directory; export the bundle again.*",
        r"runtime RUNTIME LiteRT library cannot be loaded: /absent\.so.*",
        r"unit UNIT a CPU unit (cannot be pinned to its cores.*|is pinned to cores.*)",
        r"argument ARGUMENT spin_us is from -1.*",
        r"indirect IllegalArgumentException network\.txt is not in a direct buffer",
        r"none BUNDLE network\.txt is not among the files.*",
        r"assets true",
        r"compressed IOException .*branch1\.tflite is compressed in the APK; let noCompress of its build have .*",
        r"absent BUNDLE network\.txt is not among the files.*",
        r"measure 3",
        r"measure ARGUMENT a measurement has a path and 1 to 1000000 runs, not 0",
        r"overhead_ns -?\d+",
    ]
    lines = [line for line in done.stdout.splitlines() if not line.startswith("INFO")]
    assert len(lines) == len(expected), lines
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line), f"{line!r} is not {pattern!r}"


def test_a_run_that_failed_says_why_and_fails_for_good(classes: Path, tmp_path: Path) -> None:
    litert = small_litert() or pytest.skip("no C compiler (Debian: gcc libc6-dev)")
    bundle = write_small_bundle(tmp_path / "b")
    words = (tool("java"), "-Xcheck:jni", f"-Djava.library.path={LIBRARY}", "-cp", classes)
    done = run(*words, "FailingRuns", litert, bundle)
    failed = "RUN run of key_a failed (LiteRT status 7)"
    expected = []
    for good in range(3):
        computed = [f"{3.0 * x + 1}" for x in range(good + 1)]
        expected += [*computed[:good], failed, f"for good: {failed}", f"other: {computed[good]}"]
    assert done.stdout.splitlines() == expected, done.stderr


@pytest.mark.parametrize("kind", SANITIZERS)
def test_a_run_calls_nothing_of_java(kind: str, tmp_path: Path) -> None:
    """The network has driven Java's code out of the caches by then."""
    program, litert = app(kind), small_litert(kind)
    if program is None or litert is None:
        pytest.skip(f"no C compiler with {kind} sanitizers (Debian: gcc libc6-dev)")
    done = run_app(program, "java", litert, write_small_bundle(tmp_path / "b"))
    assert done.stdout.splitlines() == ["0 1", "0 1", "6 0", "6 0", "7 0"], done.stderr


def test_our_table_of_jni_is_that_of_the_jdk(tmp_path: Path) -> None:
    include = Path(tool("javac")).resolve().parents[1] / "include"
    if not (include / "jni.h").is_file():
        pytest.skip("the JDK has no jni.h (Debian: apt install default-jdk-headless)")
    cc = tool("cc")
    shown = []
    for name, words in (("ours", ["-DOURS", f"-I{NATIVE}"]), ("theirs", [f"-I{include}", f"-I{include / 'linux'}"])):
        done = run(cc, *words, SUPPORT / "jni_slots.c", "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
        shown.append(run(tmp_path / name).stdout)
    assert shown[0] == shown[1]
    assert "GetDirectBufferCapacity 1848" in shown[0]
    slots = re.findall(r"\(\*(\w+)\)\(JNIEnv", (NATIVE / "library" / "jni_table.h").read_text())
    assert {line.split()[0] for line in shown[0].splitlines()[:-1]} == set(slots), (
        "each function of the table is compared"
    )


def test_each_native_method_has_its_function() -> None:
    source = (JAVA / "org" / "syncnas" / "Network.java").read_text()
    declared = set(re.findall(r"\bnative \w+ (\w+)\(", source))
    exported = set(re.findall(r"NATIVE\(\w+, (native\w+)\)", (NATIVE / "library" / "syncnas_jni.c").read_text()))
    assert declared == exported
