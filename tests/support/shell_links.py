"""The shells of this machine in the place of a device: scripts that phones and boards get, run here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from syncnas_bench.adb.link import ShellResult, quote

SHELLS = tuple(
    (name, (path, *more))
    for name, more in {"dash": ("-c",), "bash": ("-c",), "mksh": ("-c",), "busybox": ("sh", "-c")}.items()
    if (path := shutil.which(name))
)
"""Names and commands of the shells that are here."""


class ShellLink:
    """Runs a command in one of them. As much of a `Link` as lease, workspace and scratch folder need."""

    serial = "R58M123"

    def __init__(self, shell: tuple[str, ...], folder: Path) -> None:
        self._shell, self._folder = shell, folder

    def shell(self, command: Any, deadline_s: float = 20.0) -> ShellResult:
        """See `Link.shell`."""
        done = subprocess.run(
            [*self._shell, quote(command)],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return ShellResult(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode())

    def check(self, command: Any, deadline_s: float = 20.0) -> str:
        """See `Link.check`."""
        done = self.shell(command)
        assert done.exit_code == 0, done
        return done.stdout
