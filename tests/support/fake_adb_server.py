"""An adb server that says what it is told to say; the real one is used wherever its truth matters."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable
from typing import Any

Answer = Callable[[str], bytes]
"""What is sent back for a request, from OKAY or FAIL on."""


def okay(text: bytes) -> bytes:
    """A granted request with a text."""
    return b"OKAY" + b"%04x" % len(text) + text


def listing(*lines: str) -> Answer:
    """A server of adb 1.0.41 that knows these devices, "SERIAL STATE" each."""
    text = "".join(f"{line}\n" for line in lines).encode()
    return lambda request: okay(b"0029") if request == "host:version" else okay(text)


class FakeAdbServer:
    """Listens between `with` and its end. With `answer` None it takes connections and says nothing."""

    def __init__(self, answer: Answer | None) -> None:
        self._stop = threading.Event()
        stop = self._stop

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                if answer is None:
                    stop.wait(30)
                    return
                with contextlib.suppress(ConnectionError):
                    while length := self.request.recv(4):
                        request = self.request.recv(int(length, 16), socket.MSG_WAITALL).decode()
                        self.request.sendall(answer(request))

        self._server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.address = ("127.0.0.1", self.port)
        self.env = {"ANDROID_ADB_SERVER_PORT": str(self.port)}

    def __enter__(self) -> FakeAdbServer:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
