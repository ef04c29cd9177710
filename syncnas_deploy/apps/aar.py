"""An AAR of one network: library, classes, header, and the bundle's files as assets; the same bundle, the same bytes.

Its layout is that of Android's documentation; nothing of the Android Gradle plugin was at hand to read it back.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from syncnas_bench.library import LIBRARY, app_classes, app_header, app_library
from syncnas_deploy.bundle import Bundle

MIN_SDK = 24
ABIS = {"arm64-v8a": "aarch64-android", "x86_64": "x86_64-android"}
"""Android's names of what LiteRT's own AAR is for, and ours."""

USES_OPENCL = "\n".join(
    f'        <uses-native-library android:name="{name}" android:required="false" />'
    for name in ("libOpenCL.so", "libOpenCL-pixel.so", "libOpenCL-car.so", "libvndksupport.so")
)
"""Of a manifest: from targetSdk 31 on an app sees these libraries of the system only if it names them."""

_MANIFEST = f"""<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="org.syncnas">
    <uses-sdk android:minSdkVersion="{MIN_SDK}" />
    <application>
{USES_OPENCL}
    </application>
</manifest>
"""

_METADATA = """aarFormatVersion=1.0
aarMetadataVersion=1.0
minCompileSdk=31
minAndroidGradlePluginVersion=4.2.0
"""

_PROGUARD = """# The native library is bound to these by name.
-keep class org.syncnas.Network { native <methods>; }
"""


def aar_bytes(bundle: Bundle) -> bytes:
    """The AAR of a bundle.

    Raises:
        BundleError: the bundle has no network.txt.
        RuntimeMissing: this installation lacks a library or the classes.
    """
    files = {
        "AndroidManifest.xml": _MANIFEST.encode(),
        "R.txt": b"",
        "classes.jar": app_classes().read_bytes(),
        "proguard.txt": _PROGUARD.encode(),
        "META-INF/com/android/build/gradle/aar-metadata.properties": _METADATA.encode(),
    }
    for abi, target in ABIS.items():
        files[f"jni/{abi}/{LIBRARY}"] = app_library(target).read_bytes()
    return pack(files | _prefab() | assets(bundle), {".tflite": 1})


def assets(bundle: Bundle) -> dict[str, bytes]:
    """What an app opens, by path: the assets in their folder `network`."""
    paths = [bundle.network(), *(bundle.tflite(branch) for branch in range(bundle.config.branch_count))]
    return {f"assets/network/{path.name}": path.read_bytes() for path in paths}


def _prefab() -> dict[str, bytes]:
    """The library for C and C++ in an app: CMake's find_package(syncnas)."""
    package = {"schema_version": 2, "name": "syncnas", "version": "1.0.0", "dependencies": []}
    files: dict[str, bytes] = {
        "prefab/prefab.json": json.dumps(package).encode(),
        "prefab/modules/syncnas/module.json": b'{"export_libraries": []}',
        "prefab/modules/syncnas/include/syncnas.h": app_header().read_bytes(),
    }
    for abi, target in ABIS.items():
        place = f"prefab/modules/syncnas/libs/android.{abi}"
        description = {"abi": abi, "api": MIN_SDK, "ndk": 26, "stl": "none", "static": False}
        files[f"{place}/abi.json"] = json.dumps(description).encode()
        files[f"{place}/{LIBRARY}"] = app_library(target).read_bytes()
    return files


def pack(files: Mapping[str, bytes], stored: Mapping[str, int]) -> bytes:
    """A zip file that depends on nothing but names and contents.

    Args:
        stored: by ending, which files are not compressed, and at multiples of how many bytes they lie.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            info.create_system = 3
            unit = stored.get(Path(name).suffix, 0)
            info.compress_type = zipfile.ZIP_STORED if unit else zipfile.ZIP_DEFLATED
            if unit > 1:
                # What Android's own zipalign writes: a field of this kind, and as many zeros as are needed.
                padding = -(out.tell() + 30 + len(name.encode()) + 4 + 2) % unit
                info.extra = struct.pack("<HHH", 0xD935, 2 + padding, unit) + b"\0" * padding
            archive.writestr(info, content)
    return out.getvalue()
