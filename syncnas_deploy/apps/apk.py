"""An APK without Java that measures a bundle in an app: packed here, its manifest by aapt, signed by apksigner.

Both tools are Debian's, since Google's SDK is in no registry. Libraries lie at multiples of 16 KB and are not
compressed, so that Android loads them out of the APK.
"""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

from syncnas_bench.library import app_measurer
from syncnas_bench.work_folder import work_folder
from syncnas_deploy.apps.aar import ABIS, MIN_SDK, USES_OPENCL, assets, pack
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.errors import MissingDependency, OutputError
from syncnas_deploy.files.output import atomic_output

PACKAGE = "org.syncnas.measure"
PAGE_BYTES = 16384
TARGET_SDK = 35
_TIMEOUT_S = 300.0
_FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
_DEBIAN = "on Debian: apt install aapt apksigner android-framework-res default-jdk-headless"

_MANIFEST = f"""<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="{PACKAGE}"
    android:versionCode="1" android:versionName="1">
    <uses-sdk android:minSdkVersion="{MIN_SDK}" android:targetSdkVersion="{TARGET_SDK}" />
    <application android:label="SyncNAS" android:hasCode="false" android:debuggable="true"
        android:extractNativeLibs="false">
{USES_OPENCL}
        <activity android:name="android.app.NativeActivity" android:exported="true">
            <meta-data android:name="android.app.lib_name" android:value="measure" />
            <intent-filter>
                <action android:name="android.intent.action.MAIN" />
                <category android:name="android.intent.category.LAUNCHER" />
            </intent-filter>
        </activity>
    </application>
</manifest>
"""


def write_apk(bundle: Bundle, out: Path, litert: Mapping[str, Path]) -> None:
    """Build and sign the APK.

    Args:
        bundle: to be measured.
        out: the file.
        litert: LiteRT's libraries for arm64, by file name; without them they must be in the APK by other means.

    Raises:
        BundleError: the bundle has no network.txt.
        RuntimeMissing: this installation lacks a library.
        MissingDependency: a tool is not installed.
        OutputError: a tool failed, or the file cannot be written.
    """
    files = assets(bundle)
    for abi, target in ABIS.items():
        files[f"lib/{abi}/libmeasure.so"] = app_measurer(target).read_bytes()
    files |= {f"lib/arm64-v8a/{name}": path.read_bytes() for name, path in litert.items()}
    with atomic_output(out, force=False) as part, work_folder("apk") as folder:
        work = Path(folder)
        files["AndroidManifest.xml"] = _compiled_manifest(work, out)
        unsigned, key = work / "unsigned.apk", work / "key.jks"
        unsigned.write_bytes(pack(files, {".so": PAGE_BYTES, ".tflite": 4}))
        _run(out, "keytool", "-genkeypair", "-keystore", key, "-storepass", "android", "-alias", "debug",
             "-keyalg", "RSA", "-keysize", "2048", "-validity", "10000", "-dname", "CN=Android Debug")  # fmt: skip
        _run(out, "apksigner", "sign", "--ks", key, "--ks-pass", "pass:android", "--min-sdk-version", MIN_SDK,
             "--out", work / "signed.apk", unsigned)  # fmt: skip
        part.write_bytes((work / "signed.apk").read_bytes())


def _compiled_manifest(work: Path, out: Path) -> bytes:
    framework = _FRAMEWORK
    if not framework.is_file():
        raise MissingDependency(f"an APK needs {framework.name}, which is not installed; {_DEBIAN}.")
    (work / "AndroidManifest.xml").write_text(_MANIFEST, encoding="utf-8")
    _run(out, "aapt", "package", "-f", "-M", work / "AndroidManifest.xml", "-I", framework, "-F", work / "base.apk")
    with zipfile.ZipFile(work / "base.apk") as base:
        return base.read("AndroidManifest.xml")


def _run(out: Path, tool: str, *words: object) -> None:
    program = shutil.which(tool)
    if program is None:
        raise MissingDependency(f"an APK needs {tool}, which is not installed; {_DEBIAN}.")
    command = [program, *map(str, words)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise OutputError(f"{out}: {tool} did not end well ({e}); try it by hand.") from None
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise OutputError(f"{out}: {tool} failed ({' '.join(last)}); try it by hand.")
