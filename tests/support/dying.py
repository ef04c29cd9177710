"""Programs that die at a given step: before or after the n-th change of a file's or folder's name."""

from __future__ import annotations

import subprocess
import sys

_BEGIN = """
import os, sys
from pathlib import Path
sys.path[:0] = {paths}

steps = 0

def dying(call):
    def step(*args, **kwargs):
        global steps
        if steps == {step}:
            os._exit(9)
        steps += 1
        call(*args, **kwargs)
        if steps == {step}:
            os._exit(9)
        steps += 1
    return step

for name in ("link", "mkdir", "rename", "replace", "rmdir", "unlink"):
    setattr(os, name, dying(getattr(os, name)))
"""


def killed_at(step: int, body: str) -> bool:
    """Run a program that dies at a step, counted from 0; whether it got there."""
    program = _BEGIN.format(paths=[p for p in sys.path if p], step=step) + body
    code = subprocess.run([sys.executable, "-c", program], check=False).returncode
    assert code in (0, 9)
    return code == 9
