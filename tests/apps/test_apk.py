"""The APK that measures: its layout, its signature by Android's own verifier, what its library asks of Android."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from syncnas_bench import library
from syncnas_deploy.apps import apk as apks
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.errors import MissingDependency, OutputError
from tests.bench.litert.test_elf import APP, BIONIC, PAGE_BYTES
from tests.support.elf_reader import PT_LOAD, ElfFile
from tests.support.program import Program

NATIVE = Path(library.__file__).parent / "_native"
TOOLS = ("aapt", "apksigner", "keytool")


@pytest.fixture(scope="module")
def tools() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or not Path("/usr/share/android-framework-res/framework-res.apk").is_file():
        pytest.skip("no tools for APKs (Debian: apt install aapt apksigner android-framework-res default-jdk-headless)")


@pytest.fixture(scope="module")
def apk(bundle: Bundle, tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("apk")
    (folder / "libLiteRt.so").write_bytes(b"LiteRT")
    apks.write_apk(bundle, folder / "measure.apk", {"libLiteRt.so": folder / "libLiteRt.so"})
    return folder / "measure.apk"


def places(path: Path) -> dict[str, int]:
    """Where the bytes of each uncompressed file begin."""
    content, found = path.read_bytes(), {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name, extra = struct.unpack_from("<HH", content, info.header_offset + 26)
            if info.compress_type == zipfile.ZIP_STORED:
                found[info.filename] = info.header_offset + 30 + name + extra
    return found


def test_libraries_are_on_pages_and_models_can_be_mapped(apk: Path, bundle: Bundle) -> None:
    found = places(apk)
    libraries = {name for name in found if name.endswith(".so")}
    assert libraries == {"lib/arm64-v8a/libLiteRt.so", *(f"lib/{abi}/libmeasure.so" for abi in ("arm64-v8a", "x86_64"))}
    assert all(found[name] % PAGE_BYTES == 0 for name in libraries)
    models = [name for name in found if name.endswith(".tflite")]
    assert len(models) == 2
    assert all(found[name] % 4 == 0 for name in models)
    with zipfile.ZipFile(apk) as archive:
        assert archive.testzip() is None
        assert archive.read("assets/network/network.txt") == bundle.network().read_bytes()
        assert not [name for name in archive.namelist() if name.endswith(".dex")], "there is no Java in it"
        code = sum(info.compress_size for info in archive.infolist() if "arm64" in info.filename)
    assert code < 200_000


def test_androids_own_tools_take_it(apk: Path) -> None:
    verified = subprocess.run(
        ["apksigner", "verify", "--verbose", str(apk)], capture_output=True, text=True, timeout=120
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "Verified using v2 scheme (APK Signature Scheme v2): true" in verified.stdout
    shown = subprocess.run(["aapt", "dump", "badging", str(apk)], capture_output=True, text=True, timeout=120)
    for line in ("package: name='org.syncnas.measure'", "sdkVersion:'24'", "targetSdkVersion:'35'"):
        assert line in shown.stdout
    assert "native-code: 'arm64-v8a' 'x86_64'" in shown.stdout
    assert "launchable-activity: name='android.app.NativeActivity'" in shown.stdout
    zipalign = shutil.which("zipalign") or pytest.skip("there is no zipalign (Debian: apt install zipalign)")
    assert subprocess.run([zipalign, "-c", "-p", "4", str(apk)], timeout=120).returncode == 0


@pytest.mark.parametrize("target", ["aarch64-android", "x86_64-android"])
def test_its_library_asks_for_nothing_that_android_lacks(target: str) -> None:
    measurer = ElfFile(NATIVE / target / "libmeasure.so")
    assert measurer.soname == "libmeasure.so"
    assert sorted(measurer.needed) == ["libandroid.so", "libc.so", "libdl.so", "liblog.so"]
    assert measurer.symbols(defined=False) <= BIONIC | APP
    assert "ANativeActivity_onCreate" in measurer.symbols(defined=True)
    assert all(segment.alignment == PAGE_BYTES for segment in measurer.of_kind(PT_LOAD))


def test_from_export_to_a_signed_apk_by_commands(tools: None, program: Program, tmp_path: Path) -> None:
    done = program("export", "mobilenet_v2", "--out", tmp_path / "bundle")
    assert done.code == 0, done.err
    done = program("app", tmp_path / "bundle", "--out", tmp_path / "android", "--apk", tmp_path / "a measure 🙂.apk")
    assert done.code == 0, done.err
    assert (tmp_path / "a measure 🙂.apk").stat().st_size > (tmp_path / "bundle" / "branch0.tflite").stat().st_size
    again = program("app", tmp_path / "bundle", "--out", tmp_path / "other", "--apk", tmp_path / "a measure 🙂.apk")
    assert again.code == 8
    assert "exists already" in again.err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("tool", TOOLS)
def test_a_missing_or_failing_tool_is_told(
    tool: str, bundle: Bundle, tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, *_: None if name == tool else real(name))
    with pytest.raises(MissingDependency, match=f"an APK needs {tool}, which is not installed; on Debian: apt install"):
        apks.write_apk(bundle, tmp_path / "a.apk", {})
    monkeypatch.setattr(shutil, "which", lambda name, *_: real("false") if name == tool else real(name))
    with pytest.raises(OutputError, match=f"{tool} failed"):
        apks.write_apk(bundle, tmp_path / "a.apk", {})
    assert not list(tmp_path.iterdir())
