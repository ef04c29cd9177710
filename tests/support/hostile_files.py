"""Small files that ask for a lot of memory. Each case makes what it needs and names the command that reads it.

`size` is how many bytes a case tries to make of its few: small in tests, more than is allowed in
`benchmarks/break_in/memory.py`.
"""

from __future__ import annotations

import bz2
import functools
import hashlib
import io
import json
import lzma
import os
import pickle
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_to_json, write_config
from syncnas_deploy.networks.weights import parameter_shapes
from tests.support.bundle_cases import seeded_bundle
from tests.support.picture_cases import small_branched
from tests.support.runtime_cases import library_bytes

Command = list[str]
Case = Callable[[Path, int], Command]

FILE_CONTENT = 3 << 30  # of sparse files; they take no room


@functools.cache
def network() -> ModelConfig:
    """The network that the files say they are of."""
    return small_branched()


@functools.cache
def packed(method: int, size: int) -> bytes:
    """`size` zeros, packed in a zip's way."""
    if method == zipfile.ZIP_STORED:
        return bytes(size)
    made: Any = bz2.BZ2Compressor()
    head = b""
    if method == zipfile.ZIP_DEFLATED:
        made = zlib.compressobj(9, zlib.DEFLATED, -15)
    elif method == zipfile.ZIP_LZMA:
        filters = [{"id": lzma.FILTER_LZMA1, "preset": 0, "dict_size": 1 << 16}]
        made = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=filters)
        head = struct.pack("<BBHBI", 9, 4, 5, 0x5D, 1 << 16)
    return (
        head + b"".join(made.compress(bytes(min(1 << 20, size - at))) for at in range(0, size, 1 << 20)) + made.flush()
    )


def write_archive(path: Path, members: list[tuple[str, int, bytes, int]], *, shared: bool = False) -> Path:
    """A zip whose members (name, method, packed content, declared size) say what they like."""
    body, directory = bytearray(), bytearray()
    for name, method, content, declared in members:
        at = 0 if shared else len(body)
        head = struct.pack("<HHHHHIIIHH", 46, 0, method, 0, 33, 0, len(content), declared, len(name), 0)
        if not (shared and body):
            body += b"PK\3\4" + head + name.encode() + content
        directory += b"PK\1\2" + struct.pack("<H", 46) + head + bytes(10) + struct.pack("<I", at) + name.encode()
    count = min(len(members), 65_535)
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    path.write_bytes(body + directory + end)
    return path


def sparse(path: Path, head: bytes = b"", size: int = FILE_CONTENT) -> Path:
    """A file that is far larger than what it takes on the disk."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)
    return path


def npy_header(shape: tuple[int, ...], size: int = 0) -> bytes:
    """The head of a float32 array; with a size, one that is padded to it."""
    made = io.BytesIO()
    if size:
        text = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode().ljust(size)
        return b"\x93NUMPY\2\0" + struct.pack("<I", size) + text
    np.lib.format.write_array_header_1_0(made, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return made.getvalue()


def _npz(path: Path, name: str, shape: tuple[int, ...], method: int, size: int) -> Path:
    """An .npz with one array of zeros."""
    head = npy_header(shape)
    if method == zipfile.ZIP_DEFLATED:
        with zipfile.ZipFile(path, "w", method) as archive, archive.open(f"{name}.npy", "w") as file:
            file.write(head)
            for at in range(0, size, 1 << 20):
                file.write(bytes(min(1 << 20, size - at)))
        return path
    return write_archive(path, [(f"{name}.npy", method, packed(method, size), size)])


def _library(name: str = "libLiteRt.so") -> bytes:
    return library_bytes(name)


# Archives of libraries


def _aar(method: int, told: Callable[[int, int], int]) -> Case:
    def make(folder: Path, size: int) -> Command:
        content = packed(method, size)
        members = [("jni/arm64-v8a/libLiteRt.so", method, content, told(len(content), size))]
        return ["runtime", "add", str(write_archive(folder / "litert-2.3.0.aar", members))]

    return make


def _aar_of_many_entries(folder: Path, size: int) -> Command:
    members = [(f"{at:08}", 0, b"", 0) for at in range(size // 1000)]
    return ["runtime", "add", str(write_archive(folder / "litert-2.3.0.aar", members, shared=True))]


def _aar_of_one_content_for_all(folder: Path, size: int) -> Command:
    content = packed(zipfile.ZIP_DEFLATED, size)
    members = [(f"{at}/libLiteRt.so", zipfile.ZIP_DEFLATED, content, 199 * len(content)) for at in range(64)]
    return ["runtime", "add", str(write_archive(folder / "litert-2.3.0.aar", members, shared=True))]


def _sparse_aar(folder: Path, _size: int) -> Command:
    return ["runtime", "add", str(sparse(folder / "litert-2.3.0.aar", b"PK\3\4"))]


def _sparse_library(folder: Path, _size: int) -> Command:
    (folder / "litert-2.3.0").mkdir()
    sparse(folder / "litert-2.3.0/libLiteRt.so", _library())
    return ["runtime", "add", str(folder / "litert-2.3.0")]


def _lock_file(text: Callable[[int], str] | None) -> Case:
    def make(folder: Path, size: int) -> Command:
        path = folder / "store/runtimes.lock.json"
        path.parent.mkdir()
        sparse(path) if text is None else path.write_text(text(size))
        return ["runtime", "list"]

    return make


# Weights


def _weights(name: str, write: Callable[[Path, int], object]) -> Case:
    def make(folder: Path, size: int) -> Command:
        write_config(folder / "network.json", network())
        write(folder / name, size)
        places = str(folder / name), str(folder / "network.json"), str(folder / "out.safetensors")
        return ["weights", "convert", places[0], "--config", places[1], "--out", places[2]]

    return make


def _zeros_in_npz(method: int, name: str) -> Case:
    return _weights("w.npz", lambda path, size: _npz(path, name, (size // 4,), method, size))


def _npz_with_a_long_header(path: Path, size: int) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy_header((1,), size))


def _npz_of_a_lie(path: Path, _size: int) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", npy_header((10**12,)) + bytes(4))


def _npz_of_many(path: Path, size: int) -> None:
    write_archive(path, [(f"{at:08}.npy", 0, b"", 0) for at in range(size // 1000)], shared=True)


def _safetensors(header: Callable[[int], bytes], told: Callable[[int], int]) -> Case:
    def write(path: Path, size: int) -> None:
        text = header(size)
        sparse(path, struct.pack("<Q", told(len(text))) + text, max(size, 8 + len(text)))

    return _weights("w.safetensors", write)


def _one_tensor(size: int) -> bytes:
    count = size // 4 - 64
    text = json.dumps({"a": {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}).encode()
    return text.ljust(size - 4 * count - 8)


def _names_without_end(size: int) -> bytes:
    entry = '"%08d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    return ("{" + ",".join(entry % at for at in range(size // 100)) + "}").encode()


def _torch(value: Callable[[int], object], *, old: bool = False) -> Case:
    def write(path: Path, size: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.save(value(size), path, _use_new_zipfile_serialization=not old)

    return _weights("w.pth", write)


def _expanded(size: int) -> dict[str, torch.Tensor]:
    return {"a": torch.zeros(1, dtype=torch.float16).expand(size // 4)}


def _expanded_under_our_names(size: int) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(1).expand(size // 4) for name in parameter_shapes(network())}


class _Maker:
    """A pickle that asks for a bytearray."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return bytearray, (self.size,)


def _pickled(path: Path, content: bytes, method: int = zipfile.ZIP_STORED) -> None:
    """A torch archive with this pickle."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in (("data.pkl", content), ("byteorder", b"little"), ("version", b"3\n"), ("data/0", bytes(4))):
            archive.writestr(f"w/{name}", data)


def _lists(size: int) -> bytes:
    return b"\x80\2(" + b"]" * (size // 10) + b"l."


def _torch_compressed(path: Path, size: int) -> None:
    torch.save({"a": torch.zeros(size // 4)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _old_torch_of_lists(path: Path, size: int) -> None:
    head = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    path.write_bytes(head + _lists(size))


# Configs and documents


def _config(change: Callable[[dict[str, Any]], object]) -> Case:
    def make(folder: Path, _size: int) -> Command:
        value = config_to_json(network())
        change(value)
        (folder / "network.json").write_text(json.dumps(value))
        return ["export", str(folder / "network.json"), "--out", str(folder / "out")]

    return make


def _wide(value: dict[str, Any]) -> None:
    block = {"kernels": [3], "stride": 1, **dict.fromkeys(("in_channels", "expanded_channels", "out_channels"), 16_384)}
    stage = {"branches": [{"blocks": [block] * 64}]}
    for key in ("strategy", "trunk", "base"):
        value.pop(key, None)
    value |= {"stem": {"out_channels": 16_384}, "classes": 10**6, "stages": [stage] * 16}
    value["head"] = {"in_channels": 16_384, "out_channels": 16_384}


def _large(value: dict[str, Any]) -> None:
    value["input_size"] = 4096
    block = {"kernels": [3], "stride": 1, "in_channels": 512, "expanded_channels": 4096, "out_channels": 16}
    for key in ("strategy", "trunk", "base"):
        value.pop(key, None)
    value |= {"stem": {"out_channels": 512}, "stages": [{"branches": [{"blocks": [block]}]}]}
    value["head"] = {"in_channels": 16, "out_channels": 16}


def _document(name: str, command: Command, write: Callable[[Path, int], object]) -> Case:
    def make(folder: Path, size: int) -> Command:
        write(folder / name, size)
        return [word.format(folder=folder) for word in command]

    return make


def _many(item: str, largest: int = 0) -> Callable[[Path, int], object]:
    """Writes an object with a list of very many items, for a reader of files up to a size."""

    def write(path: Path, size: int) -> None:
        count = (largest or size // 4) // (len(item) + 1) - 20
        path.write_text('{"schema":"x","x":[' + f"{item}," * count + "0]}")

    return write


# Bundles


def _bundle(change: Callable[[Path, dict[str, Any], int], object], name: str = "reference.npz") -> Case:
    """A bundle whose file `name`, or whose manifest, is changed; the manifest's sums are right where they can be."""

    def make(folder: Path, size: int) -> Command:
        place = folder / "bundle"
        seeded_bundle(place, network())
        manifest = json.loads((place / "manifest.json").read_text())
        (place / name).unlink()
        change(place / name, manifest, size)
        if (place / name).is_file() and 0 < (place / name).stat().st_size < 1 << 28:
            manifest["files"][name] = hashlib.sha256((place / name).read_bytes()).hexdigest()
        if name != "manifest.json":
            (place / "manifest.json").write_text(json.dumps(manifest))
        return ["bench", str(place), "--device", "sim:phone", "--samples", "6", "--launches", "1"]

    return make


def _references(path: Path, head: bytes, size: int) -> None:
    """Two arrays of zeros whose heads say what they like."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("image", "logits"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                file.write(head)
                for at in range(0, size, 1 << 20):
                    file.write(bytes(min(1 << 20, size - at)))


PREDICT = ["predict", "mobilenet_v2", "--profile", "{folder}/p.json"]
CASES: dict[str, Case] = {
    "AAR: bzip2, sizes lie": _aar(zipfile.ZIP_BZIP2, lambda small, _: 100 * small),
    "AAR: bzip2, sizes are true": _aar(zipfile.ZIP_BZIP2, lambda _, size: size),
    "AAR: lzma": _aar(zipfile.ZIP_LZMA, lambda small, _: 100 * small),
    "AAR: deflated, sizes lie": _aar(zipfile.ZIP_DEFLATED, lambda small, _: 100 * small),
    "AAR: deflated, sizes are true": _aar(zipfile.ZIP_DEFLATED, lambda _, size: size),
    "AAR: very many entries": _aar_of_many_entries,
    "AAR: 64 libraries in one place": _aar_of_one_content_for_all,
    "AAR: sparse": _sparse_aar,
    "folder: a sparse library": _sparse_library,
    "lock file: sparse": _lock_file(None),
    "lock file: 200,000 brackets": _lock_file(lambda _: "[" * 200_000),
    "lock file: many lists": _lock_file(lambda _: '{"schema": 1, "runtimes": [' + "[]," * 300_000 + "[]]}"),
    "npz: bzip2": _zeros_in_npz(zipfile.ZIP_BZIP2, "a"),
    "npz: lzma": _zeros_in_npz(zipfile.ZIP_LZMA, "a"),
    "npz: deflated": _zeros_in_npz(zipfile.ZIP_DEFLATED, "a"),
    "npz: deflated, a name of ours": _zeros_in_npz(zipfile.ZIP_DEFLATED, "classifier.1.weight"),
    "npz: deflated, a counter": _zeros_in_npz(zipfile.ZIP_DEFLATED, "stem_conv.1.num_batches_tracked"),
    "npz: a header without end": _weights("w.npz", _npz_with_a_long_header),
    "npz: a shape of 10^12": _weights("w.npz", _npz_of_a_lie),
    "npz: very many entries": _weights("w.npz", _npz_of_many),
    "safetensors: one sparse tensor": _safetensors(_one_tensor, lambda length: length),
    "safetensors: names without end": _safetensors(_names_without_end, lambda length: length),
    "safetensors: a header of 2^62 bytes": _safetensors(_one_tensor, lambda _: 2**62),
    "pth: an expanded half": _torch(_expanded),
    "pth: expanded, with our names": _torch(_expanded_under_our_names),
    "pth: an expanded half, old format": _torch(_expanded, old=True),
    "pth: asks for a bytearray": _torch(_Maker),
    "pth: asks for a bytearray, old format": _torch(_Maker, old=True),
    "pth: deflated": _weights("w.pth", _torch_compressed),
    "pth: lists without end": _weights("w.pth", lambda path, size: _pickled(path, _lists(size))),
    "pth: lists without end, old format": _weights("w.pth", _old_torch_of_lists),
    "pth: a sparse tensor": _torch(lambda size: {"a": torch.sparse_coo_tensor(size=(size, size))}),
    "pth: a tensor of no device": _torch(lambda size: {"a": torch.empty(size, size, device="meta")}),
    "pth: a sparse file": _weights("w.pth", lambda path, _: sparse(path, b"PK\3\4")),
    "config: 2 TB of weights": _config(_wide),
    "config: 140 GB of features": _config(_large),
    "config: many lists": _document("c.json", ["models", "{folder}/c.json"], _many("[]")),
    "config: sparse": _document("c.json", ["models", "{folder}/c.json"], lambda path, _: sparse(path)),
    "config: as many lists as may be": _document("c.json", ["models", "{folder}/c.json"], _many("[]", 4 << 20)),
    "profile: sparse": _document("p.json", PREDICT, lambda path, _: sparse(path)),
    "profile: as many lists as may be": _document("p.json", PREDICT, _many("[]", 8 << 20)),
    "profile: as many objects as may be": _document("p.json", PREDICT, _many('{"a":0}', 8 << 20)),
    "profile: as many texts as may be": _document("p.json", PREDICT, _many('"ab"', 8 << 20)),
    "result: as many objects as may be": _document("r.json", ["report", "{folder}/r.json"], _many("{}", 8 << 20)),
    "result: a sparse file": _document("r.json", ["report", "{folder}/r.json"], lambda path, _: sparse(path)),
    "bundle: a sparse file": _bundle(lambda path, _m, _s: sparse(path), "branch0.tflite"),
    "bundle: a sparse file more": _bundle(
        lambda path, m, _s: (sparse(path), m["files"].update({path.name: "0" * 64})), "branch1.tflite"
    ),
    "bundle: a pipe": _bundle(lambda path, _m, _s: os.mkfifo(path), "branch0.tflite"),
    "bundle: a link to /dev/zero": _bundle(lambda path, _m, _s: path.symlink_to("/dev/zero"), "branch0.tflite"),
    "bundle: a link to /proc/kmsg": _bundle(lambda path, _m, _s: path.symlink_to("/proc/kmsg"), "branch0.tflite"),
    "reference: a shape of 10^12": _bundle(lambda path, _m, _s: _references(path, npy_header((10**12,)), 4)),
    "reference: zeros": _bundle(lambda path, _m, size: _references(path, npy_header((size // 4,)), size)),
    "reference: a header without end": _bundle(lambda path, _m, size: _references(path, npy_header((1,), size), 4)),
    "reference: texts": _bundle(lambda path, _m, size: np.savez(path, image=np.array("x"), logits=np.array("y"))),
    "bundle: a sparse manifest": _bundle(lambda path, _m, _s: sparse(path), "manifest.json"),
    "bundle: a manifest of lists": _bundle(lambda path, _m, size: _many("[]")(path, size), "manifest.json"),
}
"""Each ends in one sentence and exit code 3."""


if __name__ == "__main__":  # prints the names, or makes one case and prints its command
    name, place, size = (*sys.argv[1:], "", "", "")[:3]
    print(json.dumps(CASES[name](Path(place), int(size)) if name else list(CASES)))
