"""Downloads that break off, lie or are not there: resumed, refused, and whole or not at all."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncnas_bench.errors import DownloadFailed, RuntimeRejected
from syncnas_bench.litert.downloads import NotThere, download
from syncnas_bench.litert.store import DEFAULT_URL, RuntimeStore
from tests.support.runtime_cases import X86_64, FileServer, library_bytes, runtime_files, serving, write_aar

BUCKET = "/litert/binaries/{version}/{platform}/{library}"
CONTENT = random.Random(0).randbytes(300_000)
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        server.files["/file"] = CONTENT
        for name, content in runtime_files().items():
            server.files[f"/litert/binaries/2.3.0/android_arm64/{name}"] = content
        yield server


@pytest.fixture
def store(tmp_path: Path) -> RuntimeStore:
    return RuntimeStore(tmp_path / "store")


def get(server: FileServer, folder: Path, **options: object) -> Path:
    into = folder / "into" / "file"
    assert download(f"{server.address}/file", into, partial=folder / "file.part", **options) == SUM  # type: ignore[arg-type]
    assert into.read_bytes() == CONTENT
    assert not (folder / "file.part").exists()
    return into


def test_download_tells_how_far_it_is(server: FileServer, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    get(server, tmp_path, sha256=SUM, on_progress=lambda have, total: told.append((have, total)))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert server.requests == [("/file", "")]


def test_broken_download_goes_on_where_it_broke_off(server: FileServer, tmp_path: Path) -> None:
    server.cut_after = [100_000, 50_000, 1]
    get(server, tmp_path)
    assert [wanted for _, wanted in server.requests] == ["", "bytes=100000-", "bytes=150000-", "bytes=150001-"]
    assert server.sent_bytes == len(CONTENT), "no byte was sent twice"


def test_a_later_call_goes_on_too(server: FileServer, tmp_path: Path) -> None:
    server.cut_after = [70_000, 0, 0, 0]
    with pytest.raises(DownloadFailed, match=r"broke off 4 times .*try again to go on from there"):
        get(server, tmp_path)
    assert not (tmp_path / "into").exists()
    server.requests.clear()
    get(server, tmp_path)
    assert server.requests == [("/file", "bytes=70000-")]


def test_changed_file_is_not_glued_to_the_old_part(server: FileServer, tmp_path: Path) -> None:
    server.files["/file"] = bytes(200_000)
    server.cut_after = [150_000, 0, 0, 0]
    with pytest.raises(DownloadFailed):
        get(server, tmp_path)
    server.files["/file"] = CONTENT
    get(server, tmp_path)


def test_server_without_ranges_starts_again(server: FileServer, tmp_path: Path) -> None:
    server.resumable = False
    server.cut_after = [100_000]
    get(server, tmp_path)


def test_server_errors_are_tried_again_and_refusals_are_not(server: FileServer, tmp_path: Path) -> None:
    server.codes = [503, 500, 429]
    get(server, tmp_path)
    server.codes = [416]
    get(server, tmp_path)
    server.requests.clear()
    server.codes = [401]
    with pytest.raises(DownloadFailed, match=r"refused .HTTP 401."):
        get(server, tmp_path)
    for code in (404, 403, 410):
        server.codes = [code]
        with pytest.raises(NotThere, match=f"does not exist .HTTP {code}.; check the version"):
            get(server, tmp_path)
    assert len(server.requests) == 4


def test_wrong_checksum_leaves_nothing_to_go_on_from(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=f"has SHA-256 {SUM}, not {'0' * 64}"):
        get(server, tmp_path, sha256="0" * 64)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    get(server, tmp_path, sha256=SUM)


def test_too_much_is_refused(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="larger than 1000 bytes"):
        get(server, tmp_path, max_bytes=1000)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_only_http_is_spoken(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(DownloadFailed, match="not an http or https address"):
        download((tmp_path / "secret").as_uri(), tmp_path / "into", partial=tmp_path / "part")


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"broke off 4 times .*refused"):
        download("http://127.0.0.1:9/file", tmp_path / "into", partial=tmp_path / "part")


def test_fetch_takes_the_runtime_and_the_accelerators_there_are(server: FileServer, store: RuntimeStore) -> None:
    told: set[str] = set()
    entry = store.fetch(url=server.address + BUCKET, on_progress=lambda name, have, total: told.add(name))
    assert (entry.abi, entry.version) == ("aarch64-android", "2.3.0")
    assert entry.origin == f"{server.address}/litert/binaries/2.3.0/android_arm64/libLiteRt.so"
    assert [library.name for library in entry.libraries] == ["libLiteRt.so", "libLiteRtClGlAccelerator.so"]
    assert told == {library.name for library in entry.libraries}
    assert store.choose("aarch64-android") == entry
    server.requests.clear()
    assert store.fetch(url=server.address + BUCKET) == entry
    assert server.requests == [], "what is here whole is not fetched again"


def test_damaged_runtime_is_fetched_again_and_must_be_the_same(server: FileServer, store: RuntimeStore) -> None:
    entry = store.fetch(url=server.address + BUCKET)
    store.files(entry)[0].write_bytes(b"damaged")
    changed = library_bytes("libLiteRt.so", text=b"another 2.3.0")
    path = "/litert/binaries/2.3.0/android_arm64/libLiteRt.so"
    original, server.files[path] = server.files[path], changed
    with pytest.raises(DownloadFailed, match="has SHA-256"):
        store.fetch(url=server.address + BUCKET)
    server.files[path] = original
    assert store.fetch(url=server.address + BUCKET) == entry
    assert store.problems(entry) == ()


def test_given_checksums_are_held(server: FileServer, store: RuntimeStore) -> None:
    with pytest.raises(DownloadFailed, match="has SHA-256"):
        store.fetch(url=server.address + BUCKET, sha256={"libLiteRt.so": "0" * 64})
    assert store.entries() == ()


def test_version_that_is_not_published(server: FileServer, store: RuntimeStore) -> None:
    with pytest.raises(NotThere, match=r"2\.2\.9/android_arm64/libLiteRt\.so does not exist"):
        store.fetch(version="2.2.9", url=server.address + BUCKET)
    assert store.entries() == ()


def test_address_of_an_archive(server: FileServer, store: RuntimeStore, tmp_path: Path) -> None:
    server.files["/maven/litert-2.3.0.aar"] = write_aar(tmp_path / "litert.aar").read_bytes()
    entry = store.fetch(abi="arm64-v8a", url=server.address + "/maven/litert-{version}.aar")
    assert (entry.abi, entry.origin) == ("aarch64-android", f"{server.address}/maven/litert-2.3.0.aar")
    assert [other.abi for other in store.entries()] == ["aarch64-android"]


def test_server_with_the_wrong_abi_is_found_out(server: FileServer, store: RuntimeStore) -> None:
    wrong = library_bytes("libLiteRt.so", machine=X86_64)
    server.files["/litert/binaries/2.3.0/android_arm64/libLiteRt.so"] = wrong
    server.files.pop("/litert/binaries/2.3.0/android_arm64/libLiteRtClGlAccelerator.so")
    with pytest.raises(RuntimeRejected, match="is for x86_64-android, not for aarch64-android"):
        store.fetch(url=server.address + BUCKET)
    assert store.entries() == ()


def test_address_that_is_no_template(store: RuntimeStore) -> None:
    with pytest.raises(DownloadFailed, match=r"is no template; use .version."):
        store.fetch(url="http://127.0.0.1:9/{release}/{library}")


def test_default_address_is_filled_in_as_litert_does_it() -> None:
    filled = DEFAULT_URL.format(version="2.3.0", abi="arm64-v8a", platform="android_arm64", library="libLiteRt.so")
    assert filled == "https://storage.googleapis.com/litert/binaries/2.3.0/android_arm64/libLiteRt.so"
