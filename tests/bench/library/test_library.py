"""libsyncnas in an app in C, with real LiteRT and with a small one of ours: right numbers, and errors that are told."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from syncnas_bench.environment import Environment
from syncnas_bench.local.host import find_litert
from syncnas_bench.local.vulkan import software_icd
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.precision import Precision
from tests.support.app_cases import SANITIZERS, app, run_app, small_litert, write_small_bundle
from tests.support.bundle_cases import seeded_bundle
from tests.support.picture_cases import small_branched, small_config

pytestmark = pytest.mark.needs("native code")

ARGUMENT, BUNDLE, RUNTIME, MODEL, UNIT, RUN = "123456"


def program(kind: str = "plain", *, faults: bool = False) -> Path:
    return app(kind, faults=faults) or pytest.skip(f"no C compiler with {kind} sanitizers (Debian: gcc libc6-dev)")


def small(kind: str = "plain") -> Path:
    return small_litert(kind) or pytest.skip("no C compiler (Debian: gcc libc6-dev)")


@pytest.fixture(scope="module")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_bundle(tmp_path_factory.mktemp("small") / "a bundle 🙂")


def logits(bundle: Bundle, units: str, *words: str, **variables: str) -> np.ndarray:
    """What an app computes of the bundle's reference image."""
    image = bundle.reference()[0]
    image.tofile("image.f32")
    done = run_app(
        program(), "run", find_litert(), bundle.folder, units, "image.f32", "logits.f32", 3, *words, **variables
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return np.fromfile("logits.f32", "<f4")


@pytest.mark.parametrize("words", [(), ("memory",), ("own",), ("memory", "own")])
def test_two_cpus_give_the_reference_bit_for_bit(bundle: Bundle, words: tuple[str, ...]) -> None:
    np.testing.assert_array_equal(logits(bundle, "cc", *words), bundle.reference()[1].ravel())


@pytest.mark.parametrize(
    ("config", "units"),
    [
        (small_config(), "cc"),  # one branch
        (small_config(), "cg"),  # whose other unit is not needed, and need not be there
        (branched(small_config(), "nca", placement=Placement(twin_stem=True)), "cc"),  # both branches read the input
        (branched(small_config(), "aac", placement=Placement(trunk=1)), "cc"),  # the output is branch 1's
    ],
    ids=["one", "one, no GPU", "twin", "trunk 1"],
)
def test_each_kind_of_network_gives_its_reference(config: ModelConfig, units: str, tmp_path: Path) -> None:
    bundle = seeded_bundle(tmp_path / "b", config)
    nowhere = {"VK_ICD_FILENAMES": "/absent.json", "VK_DRIVER_FILES": "/absent.json"}
    for words in ((), ("memory", "own")):
        np.testing.assert_array_equal(logits(bundle, units, *words, **nowhere), bundle.reference()[1].ravel())


@pytest.mark.parametrize("precisions", [("fp16",), ("int8",), ("fp32", "int8")])
def test_each_precision_gives_its_reference(precisions: tuple[Precision, ...], tmp_path: Path) -> None:
    timing_only = "int8" in precisions
    bundle = seeded_bundle(tmp_path / "b", small_branched(), precisions=precisions, timing_only=timing_only)
    np.testing.assert_array_equal(logits(bundle, "cc"), bundle.reference()[1].ravel())


@pytest.mark.parametrize("units", ["cg", "gc"])
def test_a_software_gpu_agrees_and_keeps_its_kernels(bundle: Bundle, units: str, tmp_path: Path) -> None:
    icd = software_icd(Environment.of_process().software_icd)
    if icd is None:
        pytest.skip("no software Vulkan driver: install SwiftShader (Debian: chromium-common)")
    cache = tmp_path / "a cache 🙂"
    cache.mkdir()
    variables = {"VK_ICD_FILENAMES": str(icd), "VK_DRIVER_FILES": str(icd), "APP_CACHE": str(cache)}
    for _ in range(2):
        got = logits(bundle, units, **variables)
        np.testing.assert_allclose(got, bundle.reference()[1].ravel(), rtol=0, atol=1e-5)
    (kept,) = cache.iterdir()
    assert kept.name.startswith(bundle.files[f"branch{units.index('g')}.tflite"])
    halved = logits(bundle, units, APP_FP16="1", **variables)
    np.testing.assert_allclose(halved, bundle.reference()[1].ravel(), rtol=0, atol=0.02)


def test_litert_is_found_by_name(bundle: Bundle) -> None:
    words = (program(), "open", "-", bundle.folder, "cc")
    assert run_app(*words, LD_LIBRARY_PATH=str(find_litert().parent)).stdout == "0 \n"
    assert run_app(*words).stdout.startswith(f"{RUNTIME} LiteRT library cannot be loaded: libLiteRt.so")


def test_a_litert_of_another_version_is_told(small_bundle: Path, tmp_path: Path) -> None:
    program()
    other = tmp_path / "libLiteRt.so"
    subprocess.run(["cc", "-shared", "-x", "c", "/dev/null", "-o", str(other)], check=True, timeout=60)
    told = run_app(program("address"), "open", other, small_bundle, "cc").stdout
    assert told == f"{RUNTIME} LiteRT library {other} has no function LiteRtCreateEnvironment; use release 2.3\n"


def test_a_gpu_that_is_not_there_is_an_error_of_its_own(bundle: Bundle) -> None:
    nowhere = {"VK_ICD_FILENAMES": "/absent.json", "VK_DRIVER_FILES": "/absent.json"}
    done = run_app(program(), "open", find_litert(), bundle.folder, "cg", **nowhere)
    assert done.stdout.splitlines()[-1].startswith(f"{UNIT} the GPU cannot take model branch1.tflite")


@pytest.mark.parametrize("kind", SANITIZERS)
@pytest.mark.parametrize("real", [False, True])
def test_any_thread_may_run_and_close(kind: str, real: bool, small_bundle: Path) -> None:
    # LiteRT itself leaves something behind at the end of a process, so leaks are looked for in ours alone.
    options = {"ASAN_OPTIONS": "detect_leaks=0"} if real else {}
    litert = find_litert() if real else small(kind)
    done = run_app(program(kind), "threads", litert, small_bundle, **options)
    assert done.stdout.splitlines()[-5:] == ["1 0 0", "1 0 0", "0 200 0", "0 200 0", "1"], done.stdout + done.stderr
    assert done.returncode == 0


def test_a_thousand_openings_leave_nothing_behind(small_bundle: Path) -> None:
    done = run_app(program(), "cycles", find_litert(), small_bundle, 1000)
    assert done.returncode == 0, done.stdout + done.stderr
    early, late = (tuple(map(int, line.split())) for line in done.stdout.splitlines() if line[0].isdigit())
    assert late[0] == early[0], "threads are left"
    assert late[1] - early[1] < 900, "a kilobyte is left by each opening"


@pytest.mark.parametrize("kind", SANITIZERS)
def test_wrong_options_are_refused_in_a_sentence(kind: str, small_bundle: Path) -> None:
    done = run_app(program(kind), "options", small(kind), small_bundle)
    told = [line.partition(" ")[::2] for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert [code for code, _ in told] == [ARGUMENT] * 17 + [UNIT, RUNTIME, "0"]
    for (_, sentence), part in zip(
        told,
        ["struct_size", "newer than libsyncnas", "kind", "64 threads, not 65", "not -1", "a CPU computes", "no threads",
         "reserved", "spin_us", "GPU's cache", "runtime", "has 64 bytes and needs 384", "multiple of 64", "no memory",
         "give one", "give one", "give one", "cannot be pinned", "cannot be loaded", ""],
        strict=True,
    ):  # fmt: skip
        assert part in sentence


def _cut(folder: Path) -> None:
    path = folder / "branch1.tflite"
    path.write_bytes(path.read_bytes()[:-4])


def _mix(folder: Path) -> None:
    other = write_small_bundle(folder / "other")
    path = folder / "branch0.tflite"
    path.write_bytes((other / "branch1.tflite").read_bytes())


def _replace(old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "network.txt"
        path.write_bytes(path.read_bytes().replace(old, new, 1))

    return change


@pytest.mark.parametrize(
    ("spoil", "code", "sentence"),
    [
        (lambda f: shutil.rmtree(f), BUNDLE, "No such file or directory; export the bundle again with a"),
        (lambda f: (f / "network.txt").unlink(), BUNDLE, "No such file or directory; export the bundle again with a"),
        (lambda f: (f / "branch1.tflite").unlink(), BUNDLE, "branch1.tflite cannot be read: No such file or directory"),
        (lambda f: (f / "branch1.tflite").write_bytes(b""), BUNDLE, "branch1.tflite is empty; export the bundle again"),
        (lambda f: ((f / "network.txt").unlink(), (f / "network.txt").mkdir()), BUNDLE, "it is not a file; export"),
        (lambda f: ((f / "network.txt").unlink(), os.mkfifo(f / "network.txt")), BUNDLE, "it is not a file; export"),
        (lambda f: (f / "network.txt").write_text(json.dumps({})), BUNDLE, "does not begin with: syncnas-network 1"),
        (_replace(b"network 1", b"network 2"), BUNDLE, "of version 2 and this library reads version 1"),
        (_replace(b"own,partner", b"partner,own"), BUNDLE, "network.txt is cut short or damaged; export"),
        (_replace(b"\nend", b"\n"), BUNDLE, "network.txt is cut short or damaged"),
        (_cut, BUNDLE, "branch1.tflite is damaged or of another export: its sha256 is not that in network.txt"),
        (_mix, BUNDLE, "branch0.tflite is damaged or of another export"),
    ],
)  # fmt: skip
def test_a_bundle_that_is_not_whole_is_refused(
    spoil: Callable[[Path], object], code: str, sentence: str, small_bundle: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_bundle, tmp_path / "b"))
    spoil(folder)
    done = run_app(program("address"), "open", small("address"), folder, "cc")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{code} ")
    assert sentence in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "code", "sentence"),
    [
        ("output 1 4 4 4", "output 1 4 4", MODEL, "has an output of 256 bytes where the network has 64"),
        ("input 1 4 4 4", "input 1 4 4 8", MODEL, "has an input of 256 bytes where the network has 512"),
        ("input 1 4 4 4\n", "", BUNDLE, "has no shape"),
        ("input 1 4 4 4", "input 999999 999999 999999", BUNDLE, "line 2: a shape has too many values"),
        ("key_c", "key_d", MODEL, "model branch1.tflite has no signature key_d"),
        ("file branch0", "file ../branch0", BUNDLE, "line 4: a file is not a plain name"),
        ("concurrent", "serial", BUNDLE, "has lanes that take turns"),
        ("lane 1\n", "lane 2\n", BUNDLE, "out of range"),
        ("lane 0\n", "lane 1\n", BUNDLE, "both lanes on one unit"),
        ("end", "call 1 1 key_c own\nend", BUNDLE, "has not one output"),
        ("own,partner", "external,external", None, ""),
        ("call 0 0 key_a external\n", "", BUNDLE, "own input without"),
    ],
)
def test_a_network_that_contradicts_itself_is_refused(
    old: str, new: str, code: str | None, sentence: str, small_bundle: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_bundle, tmp_path / "b"))
    path = folder / "network.txt"
    text = path.read_text().replace(old, new, 1).rpartition("end ")[0]
    path.write_text(f"{text}end {hashlib.sha256(text.encode()).hexdigest()}\n", newline="\n")
    done = run_app(program("address"), "open", small("address"), folder, "cc")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{code or 0} ")
    assert sentence in done.stdout


@pytest.mark.parametrize("seed", range(2))
def test_spoiled_bundles_are_refused_and_none_crashes(seed: int, small_bundle: Path) -> None:
    done = run_app(program("address"), "hostile", small("address"), small_bundle, 500, seed)
    assert (done.returncode, done.stdout) == (0, "0 500\n"), done.stderr


def test_spoiled_networks_that_say_their_own_sha256_do_not_crash(small_bundle: Path) -> None:
    done = run_app(program("address"), "hostile", small("address"), small_bundle, 2000, 3, "signed")
    opened, refused = map(int, done.stdout.split())
    assert done.returncode == 0, done.stderr
    assert opened + refused == 2000
    assert refused > 1500


def test_whatever_cannot_be_had_while_it_opens_is_an_error(small_bundle: Path) -> None:
    faulty = program("address", faults=True)
    codes = []
    for number in range(1, 200):
        done = run_app(faulty, "open", small("address"), small_bundle, "cc", APP_FAULT=str(number))
        assert done.returncode == 0, f"fault {number}: {done.stdout}{done.stderr}"
        codes.append(done.stdout[0])
        if codes[-1] == "0":
            break
    assert len(codes) > 20
    assert set(codes[:-1]) <= {BUNDLE, RUN}, codes
    assert codes[-1] == "0", "no fault is left, and all goes well"


def test_runs_do_not_disturb_what_is_behind_the_memory(small_bundle: Path, tmp_path: Path) -> None:
    image = np.arange(64, dtype="<f4")
    image.tofile("image.f32")
    for kind in ("address", "thread"):
        words = ("run", small(kind), small_bundle, "cc", "image.f32", "out.f32", 5, "memory", "own")
        done = run_app(program(kind), *words)
        assert done.returncode == 0, done.stderr
        np.testing.assert_array_equal(np.fromfile("out.f32", "<f4"), 3 * image + 1)
