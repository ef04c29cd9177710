"""The store of runtimes: what it takes from folders and archives, what it refuses, and what it remembers."""

from __future__ import annotations

import bz2
import errno
import json
import lzma
import multiprocessing
import os
import stat
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncnas_bench.environment import Environment
from syncnas_bench.errors import BenchError, NotWritable, RuntimeMismatch, RuntimeMissing, RuntimeRejected
from syncnas_bench.litert.elf import read_elf
from syncnas_bench.litert.sources import version_in_name
from syncnas_bench.litert.store import RuntimeStore
from syncnas_bench.local.host import find_litert
from tests.support.runtime_cases import (
    ARM,
    LINUX,
    X86_64,
    library_bytes,
    runtime_files,
    write_aar,
    write_folder,
    write_zip,
)


@pytest.fixture
def store(tmp_path: Path) -> RuntimeStore:
    return RuntimeStore(tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "libraries", runtime_files())


def outside(tmp_path: Path) -> set[Path]:
    """All files of a test that are not in its store."""
    return {path for path in tmp_path.rglob("*") if (tmp_path / "store") not in (path, *path.parents)}


def test_aar_gives_a_runtime_for_each_abi(store: RuntimeStore, tmp_path: Path) -> None:
    added = store.add(write_aar(tmp_path / "litert-2.3.0.aar"))
    assert [(entry.abi, entry.version, entry.origin) for entry in added] == [
        ("aarch64-android", "2.3.0", "litert-2.3.0.aar"),
        ("x86_64-android", "2.3.0", "litert-2.3.0.aar"),
    ]
    phone = store.choose("arm64-v8a")
    assert phone == added[0]
    files = store.files(phone)
    assert [path.name for path in files] == ["libLiteRt.so", "libLiteRtClGlAccelerator.so"]
    assert files[0].read_bytes() == runtime_files()["libLiteRt.so"]
    assert [library.name for library in phone.accelerators] == ["libLiteRtClGlAccelerator.so"]
    assert phone.libraries[0].needed == ("libc.so", "libdl.so", "liblog.so")


def test_all_of_it_survives_in_the_lock_file(store: RuntimeStore, folder: Path) -> None:
    (added,) = store.add(folder, version="2.3.0")
    assert RuntimeStore(store.path).entries() == (added,)
    document = json.loads((store.path / "runtimes.lock.json").read_text())
    assert document["schema"] == 1
    assert document["runtimes"][0]["libraries"][0]["sha256"] == added.libraries[0].sha256
    assert not list(store.path.glob(".new-*")), "what it worked with is gone"


def test_one_abi_of_many_is_taken_when_asked_for(store: RuntimeStore, tmp_path: Path) -> None:
    (entry,) = store.add(write_aar(tmp_path / "litert-2.3.0.aar"), abi="android_x86_64")
    assert entry.abi == "x86_64-android"
    with pytest.raises(RuntimeMissing, match=r"no LiteRT runtime for aarch64-android .*2\.3\.0 for x86_64-android"):
        store.choose("aarch64-android")


def test_newest_version_is_chosen_unless_one_is_named(store: RuntimeStore, tmp_path: Path) -> None:
    for version in ("2.9.0", "2.10.0", "2.10.0-rc1", "2.2.5"):
        store.add(write_folder(tmp_path / version, runtime_files(version.encode())))
    assert [entry.version for entry in store.entries()] == ["2.10.0", "2.10.0-rc1", "2.9.0", "2.2.5"]
    assert store.choose("aarch64-android").version == "2.10.0"
    assert store.choose("aarch64-android", "2.2.5").version == "2.2.5"
    with pytest.raises(RuntimeMissing, match=r"no LiteRT 2\.1\.0 for aarch64-android"):
        store.choose("aarch64-android", "2.1.0")


def test_the_installed_wheel_is_a_runtime_for_linux(store: RuntimeStore) -> None:
    library = find_litert()
    facts = read_elf(library)
    assert facts.soname == "libLiteRt.so"
    assert "libc.so.6" in facts.needed
    (entry,) = store.add(library.parent, version="2.3.0")
    assert entry.abi == facts.abi
    assert store.choose(entry.abi) == entry


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("litert-2.3.0.aar", "2.3.0"),
        ("ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl", "2.3.0"),
        ("litert-2.4.0-alpha1.aar", "2.4.0-alpha1"),
        ("v2.1.0", "2.1.0"),
        ("litert.aar", ""),
        ("build-12.3", ""),
    ],
)
def test_version_in_a_name(name: str, version: str) -> None:
    assert version_in_name(Path(name)) == version


def test_accelerators_join_the_runtime_of_their_version_alone(store: RuntimeStore, tmp_path: Path) -> None:
    files = runtime_files()
    accelerator = write_folder(
        tmp_path / "gpu", {"libLiteRtClGlAccelerator.so": files.pop("libLiteRtClGlAccelerator.so")}
    )
    store.add(write_folder(tmp_path / "cpu", files), version="2.3.0")
    with pytest.raises(RuntimeMismatch, match=r"accelerators of 2\.2\.0 .*here: 2\.3\.0"):
        store.add(accelerator, version="2.2.0")
    (entry,) = store.add(accelerator, version="2.3.0")
    assert len(entry.libraries) == 2
    assert store.entries() == (entry,)
    store.verify(entry)


def test_same_version_with_other_bytes_is_refused(store: RuntimeStore, folder: Path, tmp_path: Path) -> None:
    (first,) = store.add(folder, version="2.3.0")
    assert store.add(folder, version="2.3.0") == (first,), "the same bytes again are no news"
    other = write_folder(tmp_path / "other", runtime_files(b"changed"))
    with pytest.raises(RuntimeRejected, match="is not what it was when it first came"):
        store.add(other, version="2.3.0")
    assert store.entries() == (first,)
    (second,) = store.add(other, version="2.3.0", replace=True)
    assert store.entries() == (second,)
    assert store.files(first)[0].exists(), "who was using the old files can go on"


@pytest.mark.parametrize("damage", ["changed", "shorter", "missing"])
def test_damaged_files_are_found_and_can_be_added_again(store: RuntimeStore, folder: Path, damage: str) -> None:
    (entry,) = store.add(folder, version="2.3.0")
    library = store.files(entry)[1]
    content = library.read_bytes()
    library.unlink()
    if damage != "missing":
        library.write_bytes(content[:-1] + (b"?" if damage == "changed" else b""))
    with pytest.raises(
        RuntimeRejected, match=r"damaged \(libLiteRtClGlAccelerator\.so (has been changed|is missing)\)"
    ):
        store.choose("aarch64-android")
    (library.parent / "notes.txt").write_text("somebody's")
    store.add(folder, version="2.3.0")
    assert store.choose("aarch64-android") == entry
    assert (library.parent / "notes.txt").exists(), "what is not ours stays"


def test_wrong_abi_is_refused_by_name(store: RuntimeStore, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeRejected, match="is for aarch64-android, not for aarch64-linux"):
        store.add(folder, version="2.3.0", abi="aarch64-linux")
    with pytest.raises(RuntimeRejected, match="no ABI 'armeabi'; choose among aarch64-android"):
        store.add(folder, version="2.3.0", abi="armeabi")
    misplaced = {"jni/arm64-v8a/libLiteRt.so": library_bytes("libLiteRt.so", machine=X86_64)}
    with pytest.raises(RuntimeRejected, match=r"arm64-v8a/libLiteRt\.so is for x86_64-android"):
        store.add(write_zip(tmp_path / "litert-2.3.0.aar", misplaced))
    assert store.entries() == ()


def test_board_and_phone_are_told_apart(store: RuntimeStore, tmp_path: Path) -> None:
    (board,) = store.add(write_folder(tmp_path / "board", runtime_files(needed=LINUX)), version="2.3.0")
    assert board.abi == "aarch64-linux"
    with pytest.raises(RuntimeMissing, match="for aarch64-android"):
        store.choose("aarch64-android")


def test_libraries_for_other_machines_are_left_out(store: RuntimeStore, tmp_path: Path) -> None:
    files = {"jni/armeabi-v7a/libLiteRt.so": library_bytes("libLiteRt.so", machine=ARM)}
    with pytest.raises(RuntimeMissing, match=r"no libLiteRt\.so for 64-bit ARM or x86"):
        store.add(write_zip(tmp_path / "litert-2.3.0.aar", files))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a whole shared library"),
        (b"MZ" + bytes(200), "does not begin like an ELF"),
        (library_bytes("libLiteRt.so")[:200], "ends before its last segment"),
        (library_bytes("libLiteRt.so", kind=2), "not a shared library"),
        (library_bytes("libc.so"), "calls itself 'libc.so'"),
    ],
)
def test_what_is_no_library_is_refused(store: RuntimeStore, tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(RuntimeRejected, match=message):
        store.add(write_folder(tmp_path / "libraries", {"libLiteRt.so": content}), version="2.3.0")


def test_every_truncation_and_many_flips_are_refused_or_read(tmp_path: Path) -> None:
    content = library_bytes("libLiteRt.so")
    path = tmp_path / "libLiteRt.so"
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(RuntimeRejected):
            read_elf(path)
    for at in range(len(content)):
        for value in (0x00, 0x7F, 0xFF):
            path.write_bytes(content[:at] + bytes([value]) + content[at + 1 :])
            try:
                read_elf(path)
            except RuntimeRejected:
                continue


def test_version_has_to_be_said_where_no_name_says_it(store: RuntimeStore, folder: Path) -> None:
    with pytest.raises(RuntimeRejected, match=r"'libraries' does not say which version .* --version"):
        store.add(folder)
    for version in ("../../etc", "2.3", "2.3.0/x", "2.3.0 "):
        with pytest.raises(RuntimeRejected, match="is not a version of LiteRT"):
            store.add(folder, version=version)


HOSTILE = {
    "traversal": {"../../../evil.so": b"x", "libLiteRt.so": library_bytes("libLiteRt.so")},
    "library out of the folder": {"../libLiteRt.so": library_bytes("libLiteRt.so")},
    "absolute": {"/tmp/libLiteRt.so": library_bytes("libLiteRt.so")},
    "backslashes": {"..\\libLiteRt.so": library_bytes("libLiteRt.so")},
    "bomb": {"libLiteRt.so": library_bytes("libLiteRt.so", text=bytes(40_000_000))},
    "huge name": {"a" * 5000: b"x"},
    "two of one name": {
        "one/libLiteRt.so": library_bytes("libLiteRt.so"),
        "two/libLiteRt.so": library_bytes("libLiteRt.so"),
    },
    "many libraries": {f"{i}/libLiteRt.so": b"" for i in range(65)},
    "many entries": {f"{i}": b"" for i in range(20_001)},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archive_is_refused_and_leaves_nothing(store: RuntimeStore, tmp_path: Path, case: str) -> None:
    archive = write_zip(tmp_path / "litert-2.3.0.aar", HOSTILE[case])
    before = outside(tmp_path)
    with pytest.raises(RuntimeRejected):
        store.add(archive)
    assert outside(tmp_path) == before
    assert store.entries() == ()
    assert [path for path in store.path.rglob("*") if path.is_file()] == []


def bomb(method: int, packed: bytes, declared: int, entries: int = 1) -> bytes:
    """An archive of one library whose entry, or entries, say what they like."""
    name = b"jni/arm64-v8a/libLiteRt.so"
    sizes = struct.pack("<IIIHH", 0, len(packed), declared, len(name), 0)
    local = b"PK\3\4" + struct.pack("<HHHHH", 46, 0, method, 0, 33) + sizes + name + packed
    entry = b"PK\1\2" + struct.pack("<HHHHHH", 46, 46, 0, method, 0, 33) + sizes + bytes(14) + name
    directory = entry * entries
    return local + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(directory), len(local), 0)


def deflated(content: bytes) -> bytes:
    made = zlib.compressobj(9, zlib.DEFLATED, -15)
    return made.compress(content) + made.flush()


ZEROS = bytes(20_000_000)
BOMBS = {
    "bzip2": bomb(zipfile.ZIP_BZIP2, bz2.compress(ZEROS), 8000),
    "lzma": bomb(zipfile.ZIP_LZMA, b"\x09\x04\x05\0" + lzma.compress(ZEROS), 20_000_000),
    "a method of nobody's": bomb(99, b"x" * 100, 1000),
    "more than it says": bomb(zipfile.ZIP_DEFLATED, deflated(ZEROS), 300),
    "far more than it says, and of that size": bomb(zipfile.ZIP_DEFLATED, deflated(ZEROS), 20_000_000),
    "less than it says": bomb(zipfile.ZIP_STORED, b"x" * 100, 10_000),
    "a directory of 6 MB": bomb(zipfile.ZIP_STORED, b"x", 1, 80_000),
}


@pytest.mark.parametrize("case", BOMBS)
def test_an_archive_costs_no_more_than_a_library(store: RuntimeStore, tmp_path: Path, case: str) -> None:
    (tmp_path / "litert-2.3.0.aar").write_bytes(BOMBS[case])
    tracemalloc.start()
    try:
        with pytest.raises(RuntimeRejected):
            store.add(tmp_path / "litert-2.3.0.aar")
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    assert [path for path in store.path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("kind", ["pipe", "device", "folder of a pipe", "folder of a device"])
def test_what_is_no_regular_file_is_not_read(store: RuntimeStore, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "litert-2.3.0"
    if "folder" in kind:
        place.mkdir()
        place /= "libLiteRt.so"
    if "pipe" in kind:
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero")
    with pytest.raises(RuntimeMissing, match=r"does not exist|holds no libLiteRt\.so"):
        store.add(tmp_path / "litert-2.3.0")


@pytest.mark.parametrize("at", ["store", "store/.runtimes.lock.json.syncnas-lock", "store/aarch64-android"])
def test_a_store_that_cannot_be_written_is_named(store: RuntimeStore, folder: Path, tmp_path: Path, at: str) -> None:
    place = tmp_path / at
    place.parent.mkdir(exist_ok=True)
    place.mkdir() if at.endswith("-lock") else place.write_text("no folder")
    with pytest.raises(NotWritable, match=r"store cannot be written \(.*\); make room"):
        store.add(folder, version="2.3.0")


def test_what_may_not_be_read_is_named(store: RuntimeStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = store.add(folder, version="2.3.0")
    open_file, locked = Path.open, {store.files(entry)[0], folder / "libLiteRt.so"}

    def refuse(path: Path, *options: Any, **more: Any) -> Any:  # rights do not bind root, who may run this
        if path in locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open_file(path, *options, **more)

    monkeypatch.setattr(Path, "open", refuse)
    assert store.problems(entry) == ("libLiteRt.so cannot be read: Permission denied",)
    with pytest.raises(RuntimeRejected, match=r"libLiteRt\.so cannot be read .Permission denied.; check its rights"):
        store.add(folder, version="2.3.0")


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EIO, errno.ENOTCONN])
def test_a_folder_that_cannot_be_searched_is_named(
    store: RuntimeStore, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(self: Path, pattern: str) -> Iterator[Path]:
        raise OSError(number, os.strerror(number), str(self / pattern))

    monkeypatch.setattr(Path, "glob", refused)
    with pytest.raises(RuntimeRejected, match=rf"cannot be searched \({os.strerror(number)}\); name the"):
        store.add(folder, version="2.3.0")


def test_symbolic_links_are_refused(store: RuntimeStore, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("libLiteRt.so")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "litert-2.3.0.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(RuntimeRejected, match="symbolic link"):
        store.add(tmp_path / "litert-2.3.0.zip")


def test_archive_that_lies_about_a_size_is_refused(store: RuntimeStore, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "litert-2.3.0.aar", {"libLiteRt.so": library_bytes("libLiteRt.so", text=bytes(5000))})
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = (300).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(RuntimeRejected):
        store.add(path)


@pytest.mark.parametrize("size", [0, 1, 20, 200, -1, -30])
def test_truncated_archive_is_refused(store: RuntimeStore, tmp_path: Path, size: int) -> None:
    path = write_aar(tmp_path / "litert-2.3.0.aar")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(RuntimeRejected, match="not a whole zip or AAR"):
        store.add(path)


def test_flipped_bytes_of_an_archive_never_end_in_a_traceback(store: RuntimeStore, tmp_path: Path) -> None:
    path = write_aar(tmp_path / "litert-2.3.0.aar")
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        try:
            store.add(path, replace=True)
        except BenchError:
            continue
    assert not [file for file in tmp_path.iterdir() if file.name not in ("litert-2.3.0.aar", "store")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": 2, "runtimes": []}',
        '{"schema": 1, "runtimes": [{"version": "2.3.0"}]}',
        '{"schema": 1, "runtimes": [{"version": "../..", "abi": "aarch64-android", "origin": "", "libraries": []}]}',
        '{"schema": 1, "runtimes": [{"version": "2.3.0", "abi": "../..", "origin": "", "libraries": []}]}',
        '{"schema": 1, "runtimes": [{"version": "2.3.0", "abi": "aarch64-android", "origin": "", "libraries": '
        '[{"name": "../../etc/passwd", "sha256": "", "bytes": 1, "needed": []}]}]}',
        '{"schema": true, "runtimes": []}',
        '{"schema": 1, "schema": 1, "runtimes": []}',
        '{"schema": 1, "runtimes": [NaN]}',
        "[" * 100_000,
        "[" * 200_000 + "]" * 200_000,
        '{"schema": 1, "runtimes": [], "\\ud800": 0}',
        '{"a": 1, "a": 2' + ', "": 1' * 50_000 + "}",
        " " * 2_000_000 + "{}",
    ],
)
def test_lock_file_that_cannot_be_used_is_named(store: RuntimeStore, text: str) -> None:
    store.path.mkdir()
    (store.path / "runtimes.lock.json").write_text(text)
    with pytest.raises(RuntimeRejected, match=r"runtimes\.lock\.json cannot be read .*; remove it"):
        store.entries()


def test_the_field_of_a_lock_file_that_is_wrong_is_named_with_its_value(store: RuntimeStore, folder: Path) -> None:
    store.add(folder, version="2.3.0")
    path = store.path / "runtimes.lock.json"
    text = path.read_text()
    path.write_text(text.replace('"bytes": ', '"bytes": -'))
    with pytest.raises(
        RuntimeRejected, match=r"`\$\.runtimes\[0\]\.libraries\[0\]\.bytes`: Expected .* >= 0, found -[0-9]+\)"
    ):
        store.entries()
    path.write_text(text.replace('"schema": 1', '"schema": 2'))
    with pytest.raises(RuntimeRejected, match=r"`\$\.schema`: is 2, and this version reads up to 1"):
        store.entries()


def _add(store: Path, folder: Path, version: str) -> None:
    RuntimeStore(store).add(folder, version=version)


def test_many_processes_lose_nothing(store: RuntimeStore, folder: Path) -> None:
    versions = [f"2.3.{i}" for i in range(8)]
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=_add, args=(store.path, folder, version)) for version in versions]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    assert sorted(entry.version for entry in store.entries()) == versions


def test_no_test_uses_the_store_of_the_user(tmp_path: Path) -> None:
    asked = "from syncnas_bench.litert.store import RuntimeStore; print(RuntimeStore().path)"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    stores = {Environment.of_process().store, RuntimeStore().path, Path(told.stdout.strip())}
    assert stores == {tmp_path / "store"}


def test_where_the_store_is(tmp_path: Path) -> None:
    assert Environment({"SYNCNAS_RUNTIMES": str(tmp_path)}).store == tmp_path
    assert Environment({"XDG_CACHE_HOME": str(tmp_path)}).store == tmp_path / "syncnas-deploy" / "runtimes"
    assert Environment({}).store.parts[-3:] == (".cache", "syncnas-deploy", "runtimes")


def test_nothing_to_take_is_named(store: RuntimeStore, tmp_path: Path) -> None:
    with pytest.raises(RuntimeMissing, match="does not exist"):
        store.add(tmp_path / "absent-2.3.0.aar")
    with pytest.raises(RuntimeMissing, match=r"no libLiteRt\.so"):
        store.add(write_folder(tmp_path / "empty", {"libother.so": b"x"}), version="2.3.0")
