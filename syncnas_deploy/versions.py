"""Versions of what computes, for files that say how they were made."""

from __future__ import annotations

import importlib.metadata
import platform

import syncnas_deploy


def versions_of(*packages: str) -> dict[str, str]:
    """Versions by name: of this program, of Python, and of installed packages."""
    own = {"syncnas-deploy": syncnas_deploy.__version__, "python": platform.python_version()}
    return own | {name: importlib.metadata.version(name) for name in packages}
