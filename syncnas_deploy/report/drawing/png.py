"""A drawing as PNG, by whichever converter is installed; this project brings none."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from syncnas_deploy.errors import MissingDependency, OutputError
from syncnas_deploy.files.output import atomic_output

SCALE, LARGEST_PIXELS = 2.0, 30_000
"""Pixels per user unit, and the longest side that converters can paint."""
TIMEOUT_S = 120.0

Convert = Callable[[Path, Path, float], None]


def render_png(svg: str, path: Path, *, force: bool = True) -> None:
    """Write a drawing as PNG in its light colours, two pixels a unit.

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
    with tempfile.TemporaryDirectory(prefix="syncnas-draw-") as folder:
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
    """The first converter there is: its name and how it is called.

    Raises:
        MissingDependency: there is none.
    """
    for name, arguments in _PROGRAMS:
        program = shutil.which(name)
        if program:
            return name, _by_program(program, arguments)
        if name == "rsvg-convert" and _has_cairosvg():
            return "cairosvg", _by_cairosvg
    raise MissingDependency(
        "A PNG needs a converter, and none is installed; install one (apt install librsvg2-bin, or pip install "
        "cairosvg), or write .svg."
    )


def _rsvg(source: Path, target: Path, scale: float) -> list[str]:
    return ["--zoom", f"{scale:g}", "--output", str(target), str(source)]


def _inkscape(source: Path, target: Path, scale: float) -> list[str]:
    return ["--export-type=png", f"--export-filename={target}", f"--export-dpi={96 * scale:g}", str(source)]


def _chromium(source: Path, target: Path, scale: float) -> list[str]:
    width, height = _size(source.read_text(encoding="utf-8"))
    window = [f"--window-size={width:.0f},{height:.0f}", f"--force-device-scale-factor={scale:g}"]
    return ["--headless", "--hide-scrollbars", *window, f"--screenshot={target}", source.as_uri()]


_PROGRAMS: tuple[tuple[str, Callable[[Path, Path, float], list[str]]], ...] = (
    ("rsvg-convert", _rsvg),
    ("inkscape", _inkscape),
    ("chromium", _chromium),
    ("chromium-browser", _chromium),
    ("google-chrome", _chromium),
)


def _by_program(program: str, arguments: Callable[[Path, Path, float], list[str]]) -> Convert:
    def convert(source: Path, target: Path, scale: float) -> None:
        command = [program, *arguments(source, target, scale)]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=source.parent)

    return convert


def _has_cairosvg() -> bool:
    try:
        importlib.import_module("cairosvg")
    except (ImportError, OSError):  # OSError: the Python package is there, the cairo library is not.
        return False
    return True


def _by_cairosvg(source: Path, target: Path, scale: float) -> None:
    importlib.import_module("cairosvg").svg2png(url=str(source), write_to=str(target), scale=scale)


def _scale(svg: str) -> float:
    return min(SCALE, LARGEST_PIXELS / max(_size(svg)))


def _size(svg: str) -> tuple[float, float]:
    """Width and height of a drawing, user units."""
    found = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', svg)
    if found is None:
        raise ValueError("the drawing says no size")
    return float(found[1]), float(found[2])


def _reason(error: Exception) -> str:
    """The first line of what a converter said."""
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    lines = str(said or error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:160]
