"""Waiting for what a thread or another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_for(condition: Callable[[], Found]) -> Found:
    """What a function returns, once it is true; the limit only keeps a test from hanging."""
    end = time.monotonic() + 300
    while not (found := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
    return found
