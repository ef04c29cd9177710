"""The native runner on a device, as the source of lines that `session.read_session` reads."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from syncnas_bench import errors
from syncnas_bench.adb.link import Link, quote
from syncnas_bench.session import LEAVE_S, LOG_LINES, signal_name

PING_S = 5.0
_SIGNALS_FROM = 128


class AdbProcess:
    """A runner that is started on a device, and is killed when the `with` ends.

    Args:
        pid_file: where it writes the process's number.
        deadline_at: for the whole launch, by `time.monotonic()`.
        stall_s: for the set-up, and for each step.
        line_bytes: no line is longer.

    Raises:
        LinkLost: the device cannot be reached.
    """

    def __init__(
        self,
        link: Link,
        runner: str,
        plan: str,
        pid_file: str,
        *,
        deadline_at: float,
        stall_s: float,
        line_bytes: int,
    ) -> None:
        self._link, self._pid_file, self._line_bytes = link, pid_file, line_bytes
        self._deadline_at, self._stall_s = deadline_at, stall_s
        launch = f"echo $$ > {quote([self._pid_file])}; exec {quote([runner, plan])}"
        self._stream = link.stream(["sh", "-c", launch])
        self._ended = False

    def __enter__(self) -> AdbProcess:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stream.close()
        if not self._ended:
            with contextlib.suppress(errors.BenchError):
                kill_left(self._link, self._pid_file)

    def lines(self) -> Iterator[bytes]:
        """See `RunnerOutput.lines`. Raises LinkLost and LinkStalled too."""
        while True:
            now = time.monotonic()
            is_total = self._deadline_at - now <= self._stall_s
            try:
                line = self._stream.line(self._deadline_at if is_total else now + self._stall_s, self._line_bytes)
            except errors.LinkStalled:
                # A hung runner and a dead link look alike from here; only the latter leaves this unanswered.
                self._link.shell(["true"], deadline_s=PING_S)
                what = "deadline" if is_total else f"limit of {self._stall_s:g} s for one step"
                raise self.failure(
                    errors.RunnerHung(f"the runner missed its {what} and was killed; allow more time.")
                ) from None
            if line is None:
                self._ended = True
                return
            yield line

    def acknowledge(self) -> None:
        """See `RunnerOutput.acknowledge`. Raises LinkLost."""
        try:
            self._stream.write(b"\n")
        except errors.LinkLost:
            # A runner that died closes its channel, too; if the link works, reading tells how it died.
            self._link.shell(["true"], deadline_s=PING_S)

    def exit_text(self) -> str:
        code = self._stream.exit_code
        return signal_name(code - _SIGNALS_FROM) if _SIGNALS_FROM < code < _SIGNALS_FROM + 65 else str(code)

    def failure(self, error: errors.BenchError) -> errors.BenchError:
        with contextlib.suppress(errors.LinkLost):
            end = time.monotonic() + (0 if isinstance(error, errors.RunnerHung) else LEAVE_S)
            while not self._ended and self._stream.read(end) is not None:
                pass
            self._ended = not isinstance(error, errors.RunnerHung)
        error.log = "\n".join(self._stream.stderr.decode("utf-8", "replace").splitlines()[-LOG_LINES:])
        return error


def kill_left(link: Link, pid_file: str) -> None:
    """Kill the runner of a launch, should it still run. Raises LinkLost."""
    place = quote([pid_file])
    script = f'read -r p < {place} && case $p in *[!0-9]*) ;; ?*) kill -9 "$p" ;; esac 2>/dev/null; rm -f {place}'
    link.shell(script, deadline_s=PING_S)
