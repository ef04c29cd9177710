"""The folder that `app` writes: an AAR, Gradle files, and a sample app that classifies a picture."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from syncnas_bench.litert.store import DEFAULT_VERSION
from syncnas_deploy.apps.aar import aar_bytes
from syncnas_deploy.arrays import Uint8Array
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.files.output import FolderKind, atomic_folder
from syncnas_deploy.networks.segments import run_chain
from syncnas_deploy.resources import data_folder
from syncnas_deploy.training.images import DEVIATION, MEAN, normalized
from syncnas_exporters import TfliteRunner

AAR = "network/network.aar"
PICTURE = "sample/src/main/assets/picture.png"
FREE = FolderKind("folder that is empty", lambda _: ())
"""People change what is in the module, so none is ever replaced."""


def doubts(bundle: Bundle) -> list[str]:
    """Why what an app says with this bundle means nothing; such a bundle is right to measure."""
    found = []
    if bundle.weights.startswith("random, seed"):
        found.append(f"The weights are {bundle.weights}: the app's classes mean nothing; export trained ones.")
    if bundle.timing_only:
        found.append("int8 was made without pictures: the app's classes mean nothing; export it with --calibrate.")
    return found


def write_app(bundle: Bundle, out: Path) -> dict[str, int]:
    """Write the module; the folder appears whole or not at all.

    Returns:
        Size in bytes by path in `out`.

    Raises:
        BundleError: the bundle has no network.txt.
        RuntimeMissing: this installation lacks a library or the Java classes.
        OutputExists: `out` is there and not empty.
    """
    files = {AAR: aar_bytes(bundle)}
    doubted = doubts(bundle)
    expected = "No picture comes with it, since the network takes other than 3 channels."
    if bundle.config.stem.in_channels == 3:
        pixels = _picture(bundle)
        files[PICTURE] = png_bytes(pixels)
        expected = f"It should say class {_class_of(bundle, pixels)}, as LiteRT does on the machine that exported it."
    if doubted:
        expected = "The class that it says means nothing, as told above; the times are right."
    floats = {"{{mean}}": MEAN, "{{deviation}}": DEVIATION}
    words = {word: ", ".join(f"{value}f" for value in values) for word, values in floats.items()}
    words["{{doubts}}"] = "".join(f"**{text}**\n\n" for text in doubted)
    words |= {"{{litert}}": DEFAULT_VERSION, "{{name}}": bundle.config.name, "{{expected}}": expected}
    sample = data_folder("app_sample")
    for path in sorted(path for path in sample.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        files[path.relative_to(sample).as_posix()] = text.encode()
    with atomic_folder(out, FREE, force=False) as work:
        for name, content in files.items():
            place = work / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    return {name: len(content) for name, content in sorted(files.items())}


def _picture(bundle: Bundle) -> Uint8Array:
    """The reference image [H, W, 3], as a picture has it."""
    image = bundle.reference()[0][0]
    pixels: Uint8Array = np.clip(np.rint((image + 1) * 127.5), 0, 255).astype(np.uint8)
    return pixels


def _class_of(bundle: Bundle, pixels: Uint8Array) -> int:
    """What LiteRT on this host says of the picture."""
    image = normalized(pixels[np.newaxis])
    runners = {b: TfliteRunner(bundle.tflite(b).read_bytes()) for b in range(bundle.config.branch_count)}
    return int(run_chain(bundle.segments, lambda s, inputs: runners[s.branch].run(s.name, inputs), image).argmax())


def png_bytes(pixels: Uint8Array) -> bytes:
    """A PNG of pixels [H, W, 3]. Source: the PNG specification, with no filter."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
