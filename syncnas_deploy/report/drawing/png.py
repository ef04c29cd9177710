"""A drawing as PNG, by rsvg-convert or cairosvg, whichever is installed; this project brings neither."""

from __future__ import annotations

import functools
import importlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from syncnas_bench.work_folder import work_folder
from syncnas_deploy.errors import MissingDependency, OutputError
from syncnas_deploy.files.output import atomic_output

PIXELS_PER_UNIT = 2.0
LONGEST_SIDE_PIXELS = 30_000
"""The longest side that converters can paint."""
TIMEOUT_S = 120.0

Convert = Callable[[Path, Path, float], None]


def render_png(svg: str, path: Path, *, force: bool = True) -> None:
    """Write a drawing as PNG in its light colours, two pixels per unit of length.

    Args:
        svg: what `draw` returned.
        path: the PNG file.
        force: whether to replace a file that is there.

    Raises:
        MissingDependency: no converter is installed.
        OutputError: the converter failed, or the file cannot be written.
    """
    name, convert = find_converter()
    scale = _scale(svg)
    with work_folder("draw") as folder:
        source, target = Path(folder, "drawing.svg"), Path(folder, "drawing.png")
        source.write_text(svg, encoding="utf-8")
        try:
            convert(source, target, scale)
            data = target.read_bytes()
        except Exception as e:
            raise OutputError(f"{path}: {name} could not convert the drawing ({_reason(e)}); write .svg.") from None
    with atomic_output(path, force=force) as part:
        part.write_bytes(data)


def find_converter() -> tuple[str, Convert]:
    """The converter that is installed, rsvg-convert before cairosvg: its name and how it is called.

    Raises:
        MissingDependency: there is none.
    """
    program = shutil.which("rsvg-convert")
    if program is not None:
        return "rsvg-convert", functools.partial(_by_rsvg, program)
    if _has_cairosvg():
        return "cairosvg", _by_cairosvg
    raise MissingDependency(
        "A PNG needs a converter, and none is installed; install one (apt install librsvg2-bin, or pip install "
        "cairosvg), or write .svg."
    )


def _by_rsvg(program: str, source: Path, target: Path, scale: float) -> None:
    command = [program, "--zoom", f"{scale:g}", "--output", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=source.parent)


def _has_cairosvg() -> bool:
    try:
        importlib.import_module("cairosvg")
    except (ImportError, OSError):  # OSError: the Python package is there, the cairo library is not.
        return False
    return True


def _by_cairosvg(source: Path, target: Path, scale: float) -> None:
    importlib.import_module("cairosvg").svg2png(url=str(source), write_to=str(target), scale=scale)


def _scale(svg: str) -> float:
    return min(PIXELS_PER_UNIT, LONGEST_SIDE_PIXELS / max(_size(svg)))


def _size(svg: str) -> tuple[float, float]:
    """Width and height of a drawing, user units."""
    size = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', svg)
    if size is None:
        raise ValueError("the drawing has no viewBox")
    return float(size[1]), float(size[2])


def _reason(error: Exception) -> str:
    """The first line that a converter printed."""
    printed = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    lines = str(printed or error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:160]
