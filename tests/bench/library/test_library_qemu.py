"""The arm64 Linux library, run by an emulator of one process against our small LiteRT; and the real one where it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import syncnas_bench
from tests.bench.local.test_qemu import CORE, GLIBC, litert, qemu  # noqa: F401 - `litert` is a fixture
from tests.support.app_cases import NATIVE, write_small_bundle

pytestmark = pytest.mark.needs("native code")

SUPPORT = Path(__file__).parents[2] / "support"
LIBRARY = Path(syncnas_bench.__file__).parent / "_native" / "aarch64-linux"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs the test's app on an arm64 board, with the library of the package."""
    if not (GLIBC / "lib" / "ld-linux-aarch64.so.1").exists():
        pytest.skip(f"no arm64 glibc in {GLIBC} (Debian: apt install libc6-arm64-cross libstdc++6-arm64-cross)")
    command = qemu()
    folder = tmp_path_factory.mktemp("board")
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu.2.17", "-D_GNU_SOURCE", "-O1"]
    cache = {"ZIG_LOCAL_CACHE_DIR": str(folder / "cache")}
    sources = [SUPPORT / "app_program.c", NATIVE / "sha256.c", LIBRARY / "libsyncnas.so"]
    for words in (
        [f"-I{NATIVE}", *sources, "-pthread", "-o", folder / "app"],
        ["-shared", "-fPIC", SUPPORT / "small_litert.c", "-o", folder / "small.so"],
    ):
        subprocess.run([*zig, *map(str, words)], check=True, capture_output=True, timeout=240, env=os.environ | cache)
    (folder / "lib").symlink_to(GLIBC / "lib")
    (folder / "proc").mkdir()
    (folder / "proc" / "cpuinfo").write_text("".join(CORE.format(core) for core in range(os.cpu_count() or 1)))
    return [command, "-L", str(folder), "-E", f"LD_LIBRARY_PATH={LIBRARY}", str(folder / "app")]


@pytest.fixture(params=["small", "real"])
def library(request: pytest.FixtureRequest, app: list[str]) -> Path:
    return Path(request.getfixturevalue("litert")) if request.param == "real" else Path(app[-1]).with_name("small.so")


def test_it_computes_on_a_board(app: list[str], library: Path, tmp_path: Path) -> None:
    image = np.arange(64, dtype="<f4")
    image.tofile("image.f32")
    bundle = write_small_bundle(tmp_path / "b")
    for words in ((), ("memory", "own")):
        command = [*app, "run", str(library), str(bundle), "cc", "image.f32", "out.f32", "3", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        np.testing.assert_array_equal(np.fromfile("out.f32", "<f4"), 3 * image + 1)


def test_threads_and_closing_on_a_board(app: list[str], tmp_path: Path) -> None:
    small = Path(app[-1]).with_name("small.so")
    command = [*app, "threads", str(small), str(write_small_bundle(tmp_path / "b"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines() == ["1 0 0", "1 0 0", "0 200 0", "0 200 0", "1"], done.stderr
