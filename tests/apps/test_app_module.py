"""The Android module: an AAR as Gradle would read it, the same bytes each time, and a sample whose types are right."""

from __future__ import annotations

import io
import json
import re
import shutil
import struct
import subprocess
import xml.etree.ElementTree as ET
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from syncnas_bench import library
from syncnas_deploy import pipeline
from syncnas_deploy.apps.module import png_bytes
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.precision import Precision
from tests.support.bundle_cases import manifest_of, seeded_bundle
from tests.support.picture_cases import small_branched
from tests.support.program import Program

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "tests" / "support" / "android"
JAVA = ROOT / "bench" / "java"
ANDROID = "{http://schemas.android.com/apk/res/android}"


@pytest.fixture(scope="module")
def module(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (Path(library.__file__).parent / "_native" / "java" / "classes.jar").is_file():
        pytest.skip("the package was built without a JDK (Debian: apt install default-jdk-headless)")
    folder = tmp_path_factory.mktemp("m") / "module"
    pipeline.app(bundle, folder)
    return folder


@pytest.fixture
def aar(module: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(module / "network" / "network.aar")


def test_an_aar_has_what_gradle_reads(aar: zipfile.ZipFile, bundle: Bundle) -> None:
    names = aar.namelist()
    assert aar.testzip() is None
    assert names == sorted(names)
    own = {"AndroidManifest.xml", "classes.jar", "R.txt", "proguard.txt"}
    own |= {"META-INF/com/android/build/gradle/aar-metadata.properties"}
    own |= {f"jni/{abi}/libsyncnas.so" for abi in ("arm64-v8a", "x86_64")}
    own |= {f"assets/network/{name}" for name in ("network.txt", "branch0.tflite", "branch1.tflite")}
    assert {name for name in names if not name.startswith("prefab/")} == own
    for name in ("network.txt", "branch0.tflite", "branch1.tflite"):
        assert aar.read(f"assets/network/{name}") == (bundle.folder / name).read_bytes()
    models = [info for info in aar.infolist() if info.filename.endswith(".tflite")]
    assert all(info.compress_type == zipfile.ZIP_STORED for info in models)
    assert sum(info.compress_size for info in aar.infolist() if info not in models) < 200_000
    metadata = aar.read("META-INF/com/android/build/gradle/aar-metadata.properties").decode().split()
    assert dict(line.split("=") for line in metadata)["aarFormatVersion"] == "1.0"


def test_its_manifest_asks_for_opencl_and_no_more(aar: zipfile.ZipFile) -> None:
    manifest = ET.fromstring(aar.read("AndroidManifest.xml"))
    assert manifest.get("package") == "org.syncnas"
    uses_sdk = manifest.find("uses-sdk")
    assert uses_sdk is not None
    assert uses_sdk.get(f"{ANDROID}minSdkVersion") == "24"
    libraries = manifest.findall("application/uses-native-library")
    assert "libOpenCL.so" in [library.get(f"{ANDROID}name") for library in libraries]
    assert {library.get(f"{ANDROID}required") for library in libraries} == {"false"}
    assert not manifest.findall("uses-permission")


def test_its_classes_are_java_8_and_named_as_the_library_wants(aar: zipfile.ZipFile) -> None:
    with zipfile.ZipFile(io.BytesIO(aar.read("classes.jar"))) as jar:
        names = set(jar.namelist())
        versions = {struct.unpack(">H", jar.read(name)[6:8])[0] for name in names}
        network = jar.read("org/syncnas/Network.class")
    assert versions == {52}
    assert {"org/syncnas/Assets.class", "org/syncnas/SyncNasException.class"} <= names
    assert all(name.startswith("org/syncnas/") for name in names), "stubs of Android stay out"
    for abi in ("arm64-v8a", "x86_64"):
        content = aar.read(f"jni/{abi}/libsyncnas.so")
        functions = re.findall(rb"Java_(org_syncnas_Network)_(native\w+)\0", content)
        assert len(functions) == 6
        assert all(name in network for _, name in functions)
    assert b"org.syncnas.Network { native <methods>; }" in aar.read("proguard.txt")


def test_c_and_cpp_find_the_library_by_prefab(aar: zipfile.ZipFile) -> None:
    package = json.loads(aar.read("prefab/prefab.json"))
    assert (package["schema_version"], package["name"]) == (2, "syncnas")
    assert b"syncnas_open" in aar.read("prefab/modules/syncnas/include/syncnas.h")
    for abi in ("arm64-v8a", "x86_64"):
        place = f"prefab/modules/syncnas/libs/android.{abi}"
        assert json.loads(aar.read(f"{place}/abi.json"))["abi"] == abi
        assert aar.read(f"{place}/libsyncnas.so") == aar.read(f"jni/{abi}/libsyncnas.so")


def test_the_same_bundle_gives_the_same_bytes(bundle: Bundle, module: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    pipeline.app(shutil.copytree(bundle.folder, tmp_path / "b"), again)
    files = [path.relative_to(module) for path in module.rglob("*") if path.is_file()]
    assert len(files) > 8
    for name in files:
        assert (again / name).read_bytes() == (module / name).read_bytes(), name


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("source", "precisions", "says"),
    [
        ("random, seed 3", ("fp32",), ["The weights are random, seed 3"]),
        ("best.pth", ("fp32", "int8"), ["int8 was made without pictures"]),
        ("random, seed 0", ("int8",), ["The weights are random, seed 0", "int8 was made without pictures"]),
        ("random.pth", ("fp16",), []),
    ],
)
def test_an_app_whose_classes_mean_nothing_says_so(
    source: str, precisions: tuple[Precision, ...], says: list[str], program: Program, tmp_path: Path
) -> None:
    seeded_bundle(tmp_path / "b", small_branched(), source=source, precisions=precisions, timing_only=True)
    done = program("app", tmp_path / "b", "--out", tmp_path / "m")
    told = [line for line in done.err.splitlines() if line.startswith("warning: ")]
    readme = (tmp_path / "m" / "README.md").read_text()
    assert done.code == 0 and len(told) == len(says)
    assert all(f"warning: {text}" in line for text, line in zip(says, told, strict=True))
    assert ("It should say class" in readme) == (not says) == ("means nothing, as told above" not in readme)
    assert readme.count("the app's classes mean nothing") == len(says) and all(text in readme for text in says)
    again = json.loads(program("app", tmp_path / "b", "--out", tmp_path / "n", "--json").out)
    assert [f"warning: {text}" for text in again["warnings"]] == told


def test_the_readme_has_ten_lines_and_nothing_is_left_to_fill_in(module: Path) -> None:
    lines = (module / "README.md").read_text().splitlines()
    assert [line[:3] for line in lines[2:]] == [f"{n}. "[:3] for n in range(1, 11)]
    for path in module.rglob("*.*"):
        if path.is_file() and path.suffix not in (".aar", ".png"):
            assert "{{" not in path.read_text(), path
    gradle = (module / "sample" / "build.gradle.kts").read_text()
    assert 'implementation("com.google.ai.edge.litert:litert:2.3.0")' in gradle
    assert 'noCompress += "tflite"' in gradle


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 5, 3), (32, 32, 3)])
def test_a_picture_has_the_pixels_it_was_made_of(shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    png = png_bytes(pixels)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", png[16:24]) == (shape[1], shape[0])
    start = png.index(b"IDAT")
    (length,) = struct.unpack(">I", png[start - 4 : start])
    rows = np.frombuffer(zlib.decompress(png[start + 4 : start + 4 + length]), np.uint8).reshape(shape[0], -1)
    np.testing.assert_array_equal(rows[:, 1:].reshape(shape), pixels)
    assert not rows[:, 0].any()


def test_the_types_of_the_sample_are_right(module: Path, tmp_path: Path) -> None:
    kotlinc, javac = shutil.which("kotlinc"), shutil.which("javac")
    if kotlinc is None or javac is None:
        pytest.skip("there is no kotlinc or javac (Debian: apt install kotlin default-jdk-headless)")
    stubs = [*STUBS.rglob("*.java"), *(JAVA / "stubs").rglob("*.java")]
    done = subprocess.run([javac, "-d", "stubs", *map(str, stubs)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(module / "network" / "network.aar") as aar:
        jar = Path(aar.extract("classes.jar", tmp_path))
    sources = sorted(map(str, (module / "sample").rglob("*.kt")))
    assert len(sources) == 2
    words = [kotlinc, "-nowarn", "-jvm-target", "1.8", "-cp", f"stubs:{jar}", "-d", "out", *sources]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def test_the_command_and_what_it_refuses(bundle: Bundle, module: Path, program: Program, tmp_path: Path) -> None:
    done = program("app", str(bundle.folder), "--out", str(tmp_path / "m"), "--json")
    assert json.loads(done.out)["files"]["network/network.aar"] == (module / "network" / "network.aar").stat().st_size
    assert (tmp_path / "m" / "README.md").read_text() == (module / "README.md").read_text()
    again = program("app", str(bundle.folder), "--out", str(tmp_path / "m"))
    assert again.code == 8
    assert "exists and is not a folder that is empty; choose another --out." in again.err
    older = shutil.copytree(bundle.folder, tmp_path / "older")
    with manifest_of(older) as manifest:
        del manifest["files"]["network.txt"]
    refused = program("app", str(older), "--out", str(tmp_path / "o"))
    assert refused.code == 3
    assert "holds no network.txt; export it again with --format tflite." in refused.err
    assert not (tmp_path / "o").exists()


def test_an_installation_without_a_jdk_says_so(
    bundle: Bundle, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "_NATIVE", tmp_path / "native")
    refused = program("app", str(bundle.folder), "--out", str(tmp_path / "m"))
    assert refused.code == 5
    assert (
        "this installation has no java/classes.jar; reinstall the package, or build it where `javac` is" in refused.err
    )
    assert not (tmp_path / "m").exists()
