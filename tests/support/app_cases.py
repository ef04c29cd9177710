"""Apps in C for the tests of the library: the program, built plainly or with sanitizers, and bundles for it."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from syncnas_bench import Call, Job, Lane
from syncnas_bench.files import sha256_of
from syncnas_bench.network_text import network_text
from syncnas_exporters.graph import GraphBuilder
from syncnas_exporters.tflite import write_tflite
from tests.support.native_sources import build_hook

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "bench" / "native"
SANITIZERS = {
    "plain": (),
    "address": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "thread": ("-fsanitize=thread",),
}
SHAPE = (1, 4, 4, 4)


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="app-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _compile(name: str, *words: str) -> Path | None:
    out = _folder() / name
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    command = [compiler, "-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", *words, "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 or "cannot find" in done.stderr, done.stderr
    return out if done.returncode == 0 else None


@functools.cache
def app(kind: str = "plain", *, faults: bool = False) -> Path | None:
    """The program with the library inside; None where there is no C compiler or it lacks the sanitizer.

    Args:
        kind: of `SANITIZERS`.
        faults: allocation number APP_FAULT fails.
    """
    hook = build_hook()
    library = [NATIVE / name for name in hook.c_files(hook.LIBRARY)]
    sources = [*library, Path(__file__).with_name("app_program.c")]
    words = [*SANITIZERS[kind], f"-I{NATIVE}", *map(str, sources), "-rdynamic", "-ldl", "-lm", "-pthread"]
    if faults:
        wrapped = ("malloc", "calloc", "realloc", "posix_memalign", "strdup", "pthread_create", "mmap")
        words += [str(Path(__file__).with_name("app_faults.c")), *(f"-Wl,--wrap={name}" for name in wrapped)]
    return _compile(f"app-{kind}-{faults}", *words)


@functools.cache
def small_litert(kind: str = "plain") -> Path | None:
    """A libLiteRt.so of ours that takes the bundle of `write_small_bundle`."""
    source = Path(__file__).with_name("small_litert.c")
    return _compile(f"small-{kind}.so", *SANITIZERS[kind], "-shared", "-fPIC", str(source))


def write_small_bundle(folder: Path) -> Path:
    """Three calls in two phases: a and c read the input, b adds what they give. (2 x) + (x + 1) = 3 x + 1."""
    folder.mkdir(parents=True, exist_ok=True)
    ones = np.ones((1, 1, 1, 4), np.float32)

    def doubled(g: GraphBuilder, x: str) -> str:
        return g.add(x, x)

    a, b, c = GraphBuilder("key_a"), GraphBuilder("key_b"), GraphBuilder("key_c")
    x = a.input("x", SHAPE)
    first = a.build([doubled(a, x)])
    second = b.build([b.add(b.input("x", SHAPE), b.input("y", SHAPE))])
    x = c.input("x", SHAPE)
    third = c.build([c.depthwise_conv2d(x, ones, np.ones(4, np.float32))])
    (folder / "branch0.tflite").write_bytes(write_tflite([first, second]))
    (folder / "branch1.tflite").write_bytes(write_tflite([third]))
    lanes = (
        Lane(0, (Call(0, 0, "key_a"), Call(1, 0, "key_b", ("own", "partner")))),
        Lane(1, (Call(0, 1, "key_c"),)),
    )
    files = {name: sha256_of(folder / name) for name in ("branch0.tflite", "branch1.tflite")}
    text = network_text(Job("network", lanes), files, input_shape=SHAPE, output_shape=SHAPE)
    (folder / "network.txt").write_text(text, newline="\n")
    return folder


def run_app(program: Path, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [str(program), *map(str, words)]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=600)
