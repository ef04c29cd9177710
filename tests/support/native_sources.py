"""The C sources, as the build hook sees them, and what they bind of LiteRT."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

from tests.support.documents import ROOT


def build_hook() -> ModuleType:
    """`hatch_build.py`, not put into sys.modules, just as hatchling does it."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bound_functions() -> set[str]:
    """Those of LiteRT that the runner binds by name."""
    header = (ROOT / "bench" / "native" / "litert_api.h").read_text(encoding="utf-8")
    return {f"LiteRt{name}" for name in re.findall(r"X\(\w+, (\w+),", header)}
