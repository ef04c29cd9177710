"""Everything foreign that the product reads, as targets for `fuzzing`."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from syncnas_bench import SimDevice
from syncnas_bench.litert.downloads import download
from syncnas_bench.litert.elf import read_elf
from syncnas_bench.litert.lock import LockFile
from syncnas_bench.litert.sources import collect
from syncnas_bench.litert.store import LOCK_FILE, RuntimeStore
from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.result_files import read_result
from syncnas_deploy.bundle import read_bundle
from syncnas_deploy.bundle_manifest import MANIFEST, REFERENCE
from syncnas_deploy.calibration import Calibrated, calibration_to_json, new_calibration, read_calibration
from syncnas_deploy.files.journal import Journal
from syncnas_deploy.files.output import dump_json
from syncnas_deploy.networks.config import branched
from syncnas_deploy.networks.formats import config_text, load_config, read_config
from syncnas_deploy.prediction.profile_files import read_profile, write_profile
from syncnas_deploy.prediction.width_probe import explained, read_probe
from syncnas_deploy.search.evaluators.reward_table import RewardTable
from syncnas_deploy.training.checkpoints import load_other_classes, write_safetensors
from tests.support.bundle_cases import seeded_bundle
from tests.support.fuzzing import Target, spoiled_bytes, spoiled_json, spoiled_lines
from tests.support.hostile import ESCAPE, answering
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import small_branched
from tests.support.runtime_cases import library_bytes, runtime_files, write_aar, write_folder, write_zip

Reader = Callable[[Path], object]


def _by_path(name: str, reader: Reader) -> Callable[[bytes, Path], object]:
    """A reader of a file of this name."""

    def read(content: bytes, folder: Path) -> object:
        (folder / name).write_bytes(content)
        return reader(folder / name)

    return read


def _config(folder: Path) -> Target:
    configs = (load_config("mobilenet_v2"), branched(load_config("mixnet_m"), "nancncc"), small_branched())
    return Target([config_text(config).encode() for config in configs], spoiled_json, _by_path("c.json", read_config))


def _profile(folder: Path) -> Target:
    write_profile(folder / "p.json", law_profile(load_config("mobilenet_v2")))
    return Target([(folder / "p.json").read_bytes()], spoiled_json, _by_path("p.json", read_profile))


def _calibration(folder: Path) -> Target:
    ranges = {"stem": {"image": (-1.0, 1.0), "conv_2d_0": (0.0, 6.0)}}
    made = new_calibration("0" * 64, Calibrated(9, "pictures", 0, "1" * 64), ranges)
    text = dump_json(calibration_to_json(made))
    return Target([text.encode()], spoiled_json, _by_path("calibration.json", read_calibration))


def _probe(folder: Path) -> Target:
    pipeline.probe_widths("mobilenet_v2", SimDevice("midrange"), "7.1@704", out=folder / "w.json")

    def read(path: Path) -> object:
        return explained(read_probe(path))

    return Target([(folder / "w.json").read_bytes()], spoiled_json, _by_path("w.json", read))


def _result(folder: Path) -> Target:
    bundle, base = pipeline.export(small_branched(), folder / "b"), pipeline.export("mobilenet_v2", folder / "base")
    device = SimDevice("phone")
    pipeline.bench(bundle, device, samples=6, launches=1, baselines=[(base, None)], out=folder / "r.json")
    return Target([(folder / "r.json").read_bytes()], spoiled_json, _by_path("r.json", read_result))


def _beside(good: Path, changed: dict[str, bytes], folder: Path) -> Path:
    """A copy of a bundle in which some files are others."""
    shutil.copytree(good, folder / "b", dirs_exist_ok=True)
    for name, content in changed.items():
        (folder / "b" / name).write_bytes(content)
    return folder / "b"


def _manifest(folder: Path) -> Target:
    good = seeded_bundle(folder / "small", small_branched()).folder
    return Target(
        [(good / MANIFEST).read_bytes()],
        spoiled_json,
        lambda content, scratch: read_bundle(_beside(good, {MANIFEST: content}, scratch)),
    )


def _reference(folder: Path) -> Target:
    """Reference arrays whose sha256 is right: whoever changes one file can change the other."""
    good = seeded_bundle(folder / "small", small_branched()).folder
    manifest = json.loads((good / MANIFEST).read_text())

    def read(content: bytes, scratch: Path) -> object:
        files = manifest["files"] | {REFERENCE: hashlib.sha256(content).hexdigest()}
        changed = {REFERENCE: content, MANIFEST: json.dumps(manifest | {"files": files}).encode()}
        return read_bundle(_beside(good, changed, scratch)).reference()

    return Target([(good / REFERENCE).read_bytes()], spoiled_bytes, read)


def _journal(folder: Path) -> Target:
    rows = [{"reward": 0.25 * index, "strategy": "nnnanca"} for index in range(9)]
    with Journal(folder / "j", kind="search", key={"seed": 1}) as journal:
        for row in rows:
            journal.append(row)

    def read(content: bytes, scratch: Path) -> object:
        (scratch / "j").write_bytes(content)
        with Journal(scratch / "j", kind="search", key={"seed": 1}) as journal:
            # A row that another file held may stand anywhere; one that nobody wrote may not.
            assert all(row in rows for row in journal.rows), "a row that was never written"
        return None

    return Target([(folder / "j").read_bytes()], spoiled_lines, read)


def _runtimes_lock(folder: Path) -> Target:
    RuntimeStore(folder / "store").add(write_aar(folder / "litert-2.3.0.aar"))
    seed = (folder / "store" / LOCK_FILE).read_bytes()
    return Target([seed], spoiled_json, _by_path(LOCK_FILE, lambda path: LockFile(path).read()))


def _elf(folder: Path) -> Target:
    seeds = [library_bytes("libLiteRt.so"), library_bytes("x", needed=("libc.so.6",), machine=62)]
    return Target(seeds, spoiled_bytes, _by_path("lib.so", read_elf))


def _archive(folder: Path) -> Target:
    seeds = [write_aar(folder / "a.aar").read_bytes(), write_zip(folder / "z.zip", runtime_files()).read_bytes()]
    write_folder(folder / "f", runtime_files())

    def read(content: bytes, scratch: Path) -> object:
        (scratch / "litert-2.3.0.aar").write_bytes(content)
        (scratch / "into").mkdir()
        return collect(scratch / "litert-2.3.0.aar", scratch / "into")

    return Target(seeds, spoiled_bytes, read)


_ARRAYS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "a.bias": np.ones(2, np.float32),
    "n.num_batches_tracked": np.array(3),
}


def _weights(path: Path) -> object:
    return load_other_classes(path, small_branched())


def _npz(folder: Path) -> Target:
    plain, packed = io.BytesIO(), io.BytesIO()
    np.savez(plain, **_ARRAYS)
    np.savez_compressed(packed, **_ARRAYS)
    return Target([plain.getvalue(), packed.getvalue()], spoiled_bytes, _by_path("w.npz", _weights))


def _safetensors(folder: Path) -> Target:
    write_safetensors(
        folder / "w.safetensors", {name: np.asarray(value, np.float32) for name, value in _ARRAYS.items()}
    )
    seed = (folder / "w.safetensors").read_bytes()
    return Target([seed], spoiled_bytes, _by_path("w.safetensors", _weights))


def _checkpoint(folder: Path) -> Target:
    import torch

    saved = io.BytesIO()
    torch.save({"state_dict": {name: torch.from_numpy(value) for name, value in _ARRAYS.items()}}, saved)
    return Target([saved.getvalue()], spoiled_bytes, _by_path("w.pth", _weights))


def _rewards(folder: Path) -> Target:
    rows = "\n".join(f"nnnan{letter}a,{0.1 * at:.3f}" for at, letter in enumerate("nac"))
    return Target([f"strategy,reward\n{rows}\n".encode()], spoiled_lines, _by_path("t.csv", RewardTable))


_CONTENT = bytes(range(256)) * 20
_HEADERS = {
    "Content-Length": ("0", "-1", "1", "5119", "5121", "²", "9" * 5000, "1_0", " 7 ", "", "0x10", "5120, 5120"),
    "Content-Range": ("bytes 0-1/2", "bytes 9-5119/5120", "bytes */5120", "bytes " + "9" * 5000 + "-1/2", "x"),
    "Location": ("http://[::1/", "ftp://127.0.0.1/", "http://a..b/", "/", "http://" + "a" * 70 + "/", "file:///etc/passwd",
                 "http://127.0.0.1:0/", "//", "\x1b[2J", "http://u:p@127.0.0.1:1/"),
    "ETag": ('"', "\x1b[31m", '"' + "x" * 9000 + '"', 'W/"a"', ""),
    "Last-Modified": ("never", "\x00", "x" * 9000),
    "Transfer-Encoding": ("chunked", "gzip", "chunked, chunked", "identity"),
    "Content-Encoding": ("gzip", "br", "x"),
    "Connection": ("keep-alive", "close", "upgrade"),
    "Set-Cookie": ("a=b",) ,
    "X": ("y" * 70_000,),
}  # fmt: skip
_STATES = (200, 200, 200, 200, 204, 206, 206, 300, 301, 302, 303, 307, 308, 400, 404, 416, 429, 500, 503, 99, 1000, -1)


def _spoiled_answer(content: bytes, rng: random.Random) -> bytes:
    """An answer with another state, other headers and a body that is not what they say; or the bytes of one spoiled."""
    headers = {"Content-Length": str(len(content)), "ETag": '"1"'}
    for name in rng.sample(list(_HEADERS), rng.choice((0, 1, 1, 2, 3))):
        headers[name] = rng.choice(_HEADERS[name])
    if rng.random() < 0.1:
        headers = {f"H{at}": "x" for at in range(300)} | headers
    status = f"HTTP/1.1 {rng.choice(_STATES)} {rng.choice(('OK', '', ESCAPE))}\r\n"
    head = status + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    body = rng.choice((content, content, b"", content[:99], content * 2, b"5\r\nabcde\r\n0\r\n\r\n", b"fffffffff\r\nx"))
    raw = head.encode("utf-8", "replace") + body
    return spoiled_bytes(raw, rng) if rng.random() < 0.3 else raw


def _http(folder: Path) -> Target:
    digest = hashlib.sha256(_CONTENT).hexdigest()

    def read(content: bytes, scratch: Path) -> object:
        with answering([content]) as port:
            into = scratch / "into"
            download(f"http://127.0.0.1:{port}/f", into, partial=scratch / "part", sha256=digest, silence_s=5)
            assert into.read_bytes() == _CONTENT, "the file is not what its sha256 says"
        return None

    return Target([_CONTENT], _spoiled_answer, read)


TARGETS: dict[str, Callable[[Path], Target]] = {
    "config": _config,
    "profile": _profile,
    "width probe": _probe,
    "bench result": _result,
    "manifest": _manifest,
    "calibration": _calibration,
    "reference arrays": _reference,
    "journal": _journal,
    "runtimes lock": _runtimes_lock,
    "shared library": _elf,
    "archive": _archive,
    "weights npz": _npz,
    "weights safetensors": _safetensors,
    "weights pth": _checkpoint,
    "table of rewards": _rewards,
    "HTTP answer": _http,
}
"""Makers of targets by name; each gets a folder for its good inputs."""
