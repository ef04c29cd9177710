"""Downloads that break off, lie or are not there: resumed, refused, and whole or not at all."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncnas_bench.errors import DownloadFailed, NotWritable, RuntimeRejected
from syncnas_bench.litert import downloads
from syncnas_bench.litert.downloads import NotThere, download
from syncnas_bench.litert.http import PacedSource, _Answer
from syncnas_bench.litert.store import DEFAULT_URL, RuntimeStore
from tests.support.runtime_cases import (
    X86_64,
    FileServer,
    library_bytes,
    runtime_files,
    serving,
    write_aar,
    write_certificate,
)

BUCKET = "/litert/binaries/{version}/{platform}/{library}"
CONTENT = random.Random(0).randbytes(300_000)
SUM = hashlib.sha256(CONTENT).hexdigest()


def answer(head: str, body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {head}\r\n\r\n".encode("latin-1") + body


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
    assert download(f"{server.address}/file", into, partial=folder / "file.part", **options) == f"{server.address}/file"  # type: ignore[arg-type]
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


class Arrived(io.RawIOBase):
    """A connection: the head of an answer comes, and then all of its body at once, since nobody had time to read it."""

    def __init__(self, whole: bytes) -> None:
        head, end, body = whole.partition(b"\r\n\r\n")
        self._left = [head + end, body]

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._left[0][: len(buffer)]
        buffer[: len(part)] = part
        self._left[0] = self._left[0][len(part) :]
        if not self._left[0] and len(self._left) > 1:
            del self._left[0]
        return len(part)


@pytest.mark.parametrize(
    "whole",
    [
        answer(f"200 OK\r\nContent-Length: {len(CONTENT)}", CONTENT),
        answer("200 OK", CONTENT),
        answer("200 OK\r\nTransfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(CONTENT), CONTENT)),
        answer("200 OK", bytes(1001)),
    ],
)
def test_too_much_is_refused_however_much_comes_at_once(
    whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(url: str, _headers: object, **bounds: Any) -> tuple[Any, str]:
        found = _Answer(Arrived(whole), **bounds)
        found.begin()
        return found, url

    monkeypatch.setattr(downloads, "open_address", opened)
    with pytest.raises(DownloadFailed, match="larger than 1000 bytes"):
        download("http://127.0.0.1/file", tmp_path / "into", partial=tmp_path / "part", max_bytes=1000)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_only_http_is_spoken(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(DownloadFailed, match="not an http or https address"):
        download((tmp_path / "secret").as_uri(), tmp_path / "into", partial=tmp_path / "part")


@pytest.mark.parametrize(
    ("location", "says"),
    [
        *(
            (location, "leads to .*, which is not an http or https address; find another source")
            for location in (
                "ftp://127.0.0.1:9/x",
                "file:///etc/passwd",
                "data:text/plain,x",
                "http://[::1/",
                "http://127.0.0.1:abc/",
                "http://127.0.0.1:99999999/x",
                "http://name:SECRET@127.0.0.1/x",
                "gopher://127.0.0.1/x",
            )
        ),
        ("http://a..b/x?SECRET", "http://a..b/x is not an http or https address"),
        (f"http://{'a' * 70}/x", "a/x is not an http or https address"),
        ("", "leads from one address to the next 5 times"),
        ("/hostile?SECRET", "leads from one address to the next 5 times"),
    ],
)
def test_a_redirect_that_leads_astray_is_refused_at_once(
    location: str, says: str, server: FileServer, tmp_path: Path
) -> None:
    head = f"302 Found\r\nLocation: {location}"
    server.raw = dict.fromkeys(("/hostile", "/hostile?SECRET"), answer(head, bytes(5_000_000)))
    with pytest.raises(DownloadFailed, match=says) as caught:
        download(f"{server.address}/hostile?SECRET", tmp_path / "into", partial=tmp_path / "part")
    assert "SECRET" not in str(caught.value)
    assert len(server.requests) == (6 if "5 times" in says else 1)


def test_https_is_not_left_and_its_certificate_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = write_certificate(tmp_path / "certificate.pem")
    with serving() as plain, serving(certificate) as server:
        plain.files["/file"] = server.files["/file"] = CONTENT
        with pytest.raises(DownloadFailed, match=r"its certificate is refused \(self.signed certificate\); check this"):
            download(f"{server.address}/file", tmp_path / "into", partial=tmp_path / "part")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        server.raw["/down"] = answer(f"301 Moved\r\nLocation: {plain.address}/file")
        with pytest.raises(DownloadFailed, match=r"/down leads to http://.*/file, which is not encrypted"):
            download(f"{server.address}/down", tmp_path / "into", partial=tmp_path / "part")
        assert plain.requests == []
        plain.raw["/up"] = answer(f"307 Moved\r\nLocation: {server.address}/across?token=SECRET")
        server.raw["/across?token=SECRET"] = answer("308 Moved\r\nLocation: /file")
        origin = download(f"{plain.address}/up", tmp_path / "into", partial=tmp_path / "part")
    assert origin == f"{server.address}/file", "where it really came from"
    assert (tmp_path / "into").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("whole", "says"),
    [
        (answer("206 Partial\r\nContent-Range: bytes 0-9/100\r\nContent-Length: 10", b"0123456789"), "HTTP 206"),
        (answer("206 Partial\r\nContent-Range: bytes " + "9" * 5000 + "-9/100", b"0123456789"), "HTTP 206"),
        (answer("204 None"), "HTTP 204"),
        (answer("401 Who\r\nWWW-Authenticate: Basic realm=x"), "HTTP 401"),
        (answer("999 What"), "broke off 4 times .HTTP 999"),
        (answer("200 OK\r\n" + f"X: {'y' * 60_000}\r\n" * 9), "broke off 4 times .more came than there should be"),
        (answer("100 Continue") * 9000, "broke off 4 times .more came than there should be"),
        (answer("200 OK\r\nTransfer-Encoding: chunked", b"0\r\n" + b"X: y\r\n" * 20_000), "broke off 4 times"),
        (answer("200 OK\r\nTransfer-Encoding: chunked", b"-5\r\nxxxxx"), "broke off 4 times"),
        (answer("200 OK", bytes(10_000)), "larger than 1000 bytes"),
        (b"\0" * 200_000, "broke off 4 times"),
    ],
)
def test_an_answer_beyond_its_bounds_is_refused(whole: bytes, says: str, server: FileServer, tmp_path: Path) -> None:
    server.raw["/hostile"] = whole
    with pytest.raises(DownloadFailed, match=says):
        download(f"{server.address}/hostile", tmp_path / "into", partial=tmp_path / "part", max_bytes=1000)
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("length", ["\xb2", "9" * 5000, "-5", "x", ""])
def test_a_length_that_is_none_is_passed_over(length: str, server: FileServer, tmp_path: Path) -> None:
    server.raw["/file"] = answer(f"200 OK\r\nContent-Length: {length}", CONTENT)
    get(server, tmp_path)


@pytest.mark.parametrize("wanted", ["9" * 5000 + "-9/100", "\xb2-9/100", "5-9/100", "bytes"])
def test_another_part_than_was_asked_for_is_not_taken(wanted: str, server: FileServer, tmp_path: Path) -> None:
    server.cut_after = [70_000, 0, 0, 0]
    with pytest.raises(DownloadFailed):
        get(server, tmp_path)
    server.raw["/file"] = answer(f"206 Partial\r\nContent-Range: bytes {wanted}\r\nContent-Length: 1", b"x")
    with pytest.raises(DownloadFailed, match="HTTP 206"):
        get(server, tmp_path)


class Drip(io.RawIOBase):
    """A source that gives some bytes a second, in a time that nothing but it passes."""

    def __init__(self, bytes_a_second: int) -> None:
        self.rate, self.now = bytes_a_second, 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.now += 1.0
        return min(self.rate, len(buffer))


@pytest.mark.parametrize(("rate", "ends"), [(1, True), (1000, True), (1100, False), (100_000, False)])
def test_a_source_that_gives_almost_nothing_ends(rate: int, ends: bool) -> None:
    drip = Drip(rate)
    source = io.BufferedReader(PacedSource(drip, 30.0, 1 << 30, clock=lambda: drip.now))
    if ends:
        with pytest.raises(TimeoutError, match="bytes came in 31 s"):
            source.read(100 * rate)
    else:
        assert len(source.read(100 * rate)) == 100 * rate


@pytest.mark.parametrize(
    "whole", [answer("200 OK\r\nX: " + "y" * 400), answer("200 OK", bytes(400)), answer("302 On\r\nX: " + "y" * 400)]
)
def test_a_server_that_drips_is_left(whole: bytes, server: FileServer, tmp_path: Path) -> None:
    server.raw["/hostile"], server.pause_s = whole, 0.01
    with pytest.raises(DownloadFailed, match=r"broke off 4 times .(\d+ bytes came in|timed out|.*timed out)"):
        download(f"{server.address}/hostile", tmp_path / "into", partial=tmp_path / "part", silence_s=0.2)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_to_be_one(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "part").symlink_to("/dev/full")
    with pytest.raises(NotWritable, match=r"part cannot be written .No space left on device.; make room"):
        download(f"{server.address}/file", tmp_path / "into", partial=tmp_path / "part")
    assert len(server.requests) == 1


def test_nothing_of_a_token_is_kept_or_shown(server: FileServer, store: RuntimeStore) -> None:
    template = server.address + BUCKET + "?token=SECRET#SECRET"
    for name, content in runtime_files().items():
        server.files[f"/litert/binaries/2.3.0/android_arm64/{name}?token=SECRET"] = content
    server.cut_after = [100, 0, 0, 0]
    for url in (template, template, template + "{nothing}", template.replace("//", "//SECRET:SECRET@")):
        try:
            assert store.fetch(url=url, replace=True).origin.endswith("/libLiteRt.so")
        except DownloadFailed as e:
            assert "SECRET" not in str(e)
        kept = [path for path in store.path.rglob("*") if path.is_file()]
        assert kept
        assert not [path for path in kept if b"SECRET" in path.read_bytes() or "SECRET" in path.name]


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


def test_given_checksums_are_held_for_what_is_here(server: FileServer, store: RuntimeStore, tmp_path: Path) -> None:
    url = server.address + BUCKET
    entry = store.fetch(url=url)
    right = {library.name: library.sha256 for library in entry.libraries}
    server.requests.clear()
    assert store.fetch(url=url, sha256=right) == entry
    for name in right:
        with pytest.raises(RuntimeRejected, match=rf"{name} of LiteRT 2\.3\.0 .* with another sha256 .*--force"):
            store.fetch(url=url, sha256={**right, name: "0" * 64})
    store.files(entry)[0].write_bytes(b"damaged")
    with pytest.raises(RuntimeRejected, match="is here with another sha256"):
        store.fetch(url=url, sha256={"libLiteRt.so": "0" * 64})
    assert server.requests == []
    with pytest.raises(DownloadFailed, match="has SHA-256"):
        store.fetch(url=url, sha256={"libLiteRt.so": "0" * 64}, replace=True)
    # Of an archive no sum is kept: it is fetched and looked at.
    server.files["/litert-2.3.0.aar"] = write_aar(tmp_path / "litert.aar").read_bytes()
    with pytest.raises(DownloadFailed, match="has SHA-256"):
        store.fetch(url=server.address + "/litert-{version}.aar", sha256={"litert-2.3.0.aar": "0" * 64})


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
    for wrong in ("{release}/{library}", "{library.name}", "{0}", "{", "{version:>999999999999}"):
        with pytest.raises(DownloadFailed, match=r"is no template; use .version."):
            store.fetch(url=f"http://127.0.0.1:9/{wrong}")


def test_default_address_is_filled_in_as_litert_does_it() -> None:
    filled = DEFAULT_URL.format(version="2.3.0", abi="arm64-v8a", platform="android_arm64", library="libLiteRt.so")
    assert filled == "https://storage.googleapis.com/litert/binaries/2.3.0/android_arm64/libLiteRt.so"
