"""Small pictures that tests and benchmarks draw themselves: four shapes to tell apart."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "cross", "square", "triangle")


def draw_shape(name: str, rng: np.random.Generator, side: int = 40) -> Image.Image:
    """One shape of a random colour, size and place on another colour, with noise."""
    ground = rng.integers(0, 256, 3)
    colour = (ground + rng.integers(90, 167, 3)) % 256
    image = Image.new("RGB", (side, side), tuple(int(c) for c in ground))
    r = float(rng.uniform(0.25, 0.38)) * side
    x, y = (float(v) for v in rng.uniform(r, side - r, 2))
    pen, fill = ImageDraw.Draw(image), tuple(int(c) for c in colour)
    if name == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill)
    elif name == "square":
        pen.rectangle((x - 0.85 * r, y - 0.85 * r, x + 0.85 * r, y + 0.85 * r), fill)
    elif name == "triangle":
        corners = [math.pi * (1.5 + 2 * k / 3) for k in range(3)]
        pen.polygon([(x + r * math.cos(a), y + r * math.sin(a)) for a in corners], fill)
    else:
        pen.rectangle((x - r, y - 0.3 * r, x + r, y + 0.3 * r), fill)
        pen.rectangle((x - 0.3 * r, y - r, x + 0.3 * r, y + r), fill)
    noisy = np.asarray(image, dtype=np.int16) + rng.integers(-12, 13, (side, side, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def draw_set(folder: Path, each: int, seed: int) -> Path:
    """A folder of class folders with that many pictures in each."""
    rng = np.random.default_rng(seed)
    for name in SHAPES:
        (folder / name).mkdir(parents=True)
        for i in range(each):
            draw_shape(name, rng).save(folder / name / f"{i:04}.png")
    return folder
