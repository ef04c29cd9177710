"""Small shared libraries that only look like LiteRT's, archives of them, and a server that fails as it is told."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import re
import ssl
import struct
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

AARCH64, X86_64, ARM = 183, 62, 40
ANDROID = ("libc.so", "libdl.so", "liblog.so")
LINUX = ("libc.so.6", "libm.so.6")


def library_bytes(
    soname: str, *, machine: int = AARCH64, needed: tuple[str, ...] = ANDROID, kind: int = 3, text: bytes = b""
) -> bytes:
    """An ELF shared library with a dynamic section and nothing in it but `text`."""
    names = b"\0"
    entries = b""
    for tag, name in [(1, name) for name in needed] + [(14, soname)]:
        entries += struct.pack("<qQ", tag, len(names))
        names += name.encode() + b"\0"
    start = 64 + 2 * 56
    strings = start + len(entries) + 2 * 16
    entries += struct.pack("<qQ", 5, strings) + struct.pack("<qQ", 0, 0)
    total = strings + len(names) + len(text)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, total, total, 0x4000)
    dynamic = struct.pack("<IIQQQQQQ", 2, 6, start, start, start, len(entries), len(entries), 8)
    return header + load + dynamic + entries + names + text


def runtime_files(
    text: bytes = b"2.3.0", *, machine: int = AARCH64, needed: tuple[str, ...] = ANDROID
) -> dict[str, bytes]:
    """A runtime with one accelerator, by file name."""
    return {
        name: library_bytes(name, machine=machine, needed=needed, text=text)
        for name in ("libLiteRt.so", "libLiteRtClGlAccelerator.so")
    }


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    """An archive with these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_aar(path: Path, text: bytes = b"2.3.0") -> Path:
    """An AAR as LiteRT's is laid out: two ABIs that count, one that does not, and other things."""
    members = {"AndroidManifest.xml": b"<manifest/>", "classes.jar": b"PK", "jni/arm64-v8a/libother_jni.so": b"x"}
    for abi, machine in (("arm64-v8a", AARCH64), ("x86_64", X86_64)):
        members |= {f"jni/{abi}/{name}": content for name, content in runtime_files(text, machine=machine).items()}
    return write_zip(path, members)


class FileServer:
    """Files over HTTP on loopback. Faults are attributes that a test sets.

    Attributes:
        files: content by path.
        cut_after: bytes of a body after which the connection ends, one number a request, then no more cuts.
        codes: HTTP codes to answer with, one a request, then the real answer.
        resumable: whether ranges are understood.
        raw: whole answers by path, sent as they are; then the connection ends.
        pause_s: time after each byte of them, if they are to drip.
        requests: (path, Range header) of every request.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut_after: list[int] = []
        self.codes: list[int] = []
        self.resumable = True
        self.raw: dict[str, bytes] = {}
        self.pause_s = 0.0
        self.requests: list[tuple[str, str]] = []
        self.sent_bytes = 0
        self.address = ""


def write_certificate(path: Path) -> Path:
    """A key and a certificate for localhost that it signs itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(text + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[FileServer]:
    """A running `FileServer`, over https if it has a certificate."""
    server = FileServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.requests.append((self.path, self.headers.get("Range", "")))
            if self.path in server.raw:
                self.close_connection = True
                whole = server.raw[self.path]
                with contextlib.suppress(ConnectionError):
                    for at in range(len(whole) if server.pause_s else 0):
                        self.wfile.write(whole[at : at + 1])
                        time.sleep(server.pause_s)
                    self.wfile.write(b"" if server.pause_s else whole)
                return
            code = server.codes.pop(0) if server.codes else 0
            content = server.files.get(self.path)
            if code or content is None:
                self.send_error(code or 404)
                return
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            start = 0
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if server.resumable and wanted and self.headers.get("If-Range") == etag:
                start = int(wanted[1])
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.send_header("ETag", etag)
            self.end_headers()
            body = content[start:]
            if server.cut_after:
                body = body[: server.cut_after.pop(0)]
                self.close_connection = True
            server.sent_bytes += len(body)
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        server.address = f"http://127.0.0.1:{http_server.server_address[1]}"
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            http_server.socket = tls.wrap_socket(http_server.socket, server_side=True)
            http_server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that hangs up
            server.address = f"https://localhost:{http_server.server_address[1]}"
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http_server.shutdown()
            thread.join()
