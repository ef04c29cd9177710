"""Pictures, and what happens to their pixels before a network sees them.

Decoding and resizing are Pillow's, on the CPU; a picture is uint8 [H, W, 3] (RGB) until `normalized`. As in
torchvision, whose steps these are, EXIF orientation is not applied. torch is not needed here.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from syncnas_bench.files import regular_bytes
from syncnas_deploy.errors import MissingDependency
from syncnas_deploy.files.one_line import one_line

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
CROP_SHARE = 0.875
"""The centre crop over the resized short side: 224 of 256."""
_SENSIBLE_WHITE = 4096
"""A 16-bit picture that stays below holds 12 bits or less: taken as it is, it would have 16 of 256 shades."""
MAX_ASPECT = 100
"""A longer picture would fill the memory when its short side is resized."""


class UnreadableImage(Exception):
    """One picture cannot be decoded; the text says why."""


def evaluation_pixels(path: Path, size: int) -> Pixels:
    """A picture as it is evaluated: short side resized to size / 0.875, bilinear, and the centre cut out.

    Returns:
        uint8 [size, size, 3].

    Raises:
        UnreadableImage: it cannot be decoded.
    """

    def prepare(image: Image.Image) -> Image.Image:
        short = round(size / CROP_SHARE)
        width, height = image.size
        scaled = (short, short * height // width) if width <= height else (short * width // height, short)
        left, top = (round((side - size) / 2) for side in scaled)
        return _resized(image, scaled).crop((left, top, left + size, top + size))

    return _decoded(path, prepare)


def training_pixels(path: Path, size: int, rng: np.random.Generator, smallest_crop: float) -> Pixels:
    """A picture as it is trained on: a random crop, resized, mirrored half of the time.

    Args:
        path: the picture.
        size: pixels.
        rng: what decides.
        smallest_crop: share of the area that a crop has at least; the aspect ratio is in [3/4, 4/3].

    Returns:
        uint8 [size, size, 3].

    Raises:
        UnreadableImage: it cannot be decoded.

    Source: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6.
    """

    def prepare(image: Image.Image) -> Image.Image:
        cut = _resized(image.crop(_random_box(image.size, rng, smallest_crop)), (size, size))
        return cut.transpose(pillow().Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else cut

    return _decoded(path, prepare)


def _random_box(size: tuple[int, int], rng: np.random.Generator, smallest: float) -> tuple[int, int, int, int]:
    width, height = size
    for _ in range(10):
        area = width * height * rng.uniform(smallest, 1.0)
        ratio = float(np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3))))
        w, h = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return left, top, left + w, top + h
    # No such crop fits a very long picture: the largest one of an allowed ratio, from the centre.
    w, h = min(width, max(1, round(height * 4 / 3))), min(height, max(1, round(width * 4 / 3)))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, pillow().Resampling.BILINEAR)


def pillow() -> Any:
    """Pillow's Image module.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingDependency(
            "Reading pictures needs Pillow; install it with: pip install 'syncnas-deploy[torch]'."
        ) from None
    return Image


def _decoded(path: Path, prepare: Callable[[Image.Image], Image.Image]) -> Pixels:
    module = pillow()
    try:
        regular_bytes(path)  # a pipe would be waited for
        # A truncated file is an error to Pillow; damaged metadata and great size alone make it warn.
        with warnings.catch_warnings(), module.open(path) as image:
            warnings.simplefilter("ignore")
            _check_aspect(image.size)
            return np.array(prepare(_rgb(image)), dtype=np.uint8)
    except UnreadableImage:
        raise
    except Exception as e:
        # Decoders fail in many ways on damaged files: OSError, SyntaxError, ValueError, struct.error and more.
        raise UnreadableImage(_reason(e)) from None


def _rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode with 8 bits per channel. Of 16 bits, 65535 is white."""
    if not image.mode.startswith(("I", "F")):
        return image.convert("RGB")
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        kind = "float" if image.mode == "F" else "32-bit"
        raise UnreadableImage(f"has {kind} pixels and does not say which value is white; save it with 8 bits")
    values = np.asarray(image)
    if image.format != "PPM" and 0 < values.max() < _SENSIBLE_WHITE:  # a PGM says what is white
        raise UnreadableImage("has 16 bits and uses the lowest 12 alone, so white is not known; save it with 8 bits")
    grey = np.rint(values / np.float32(257)).astype(np.uint8)
    return cast("Image.Image", pillow().fromarray(grey).convert("RGB"))


def _check_aspect(size: tuple[int, int]) -> None:
    if max(size) > MAX_ASPECT * min(size):
        raise UnreadableImage(f"is {size[0]} x {size[1]} pixels, too long for a crop")


def _reason(error: Exception) -> str:
    lines = (str(getattr(error, "strerror", None) or error)).splitlines()
    if type(error).__name__ == "UnidentifiedImageError":
        return "is no picture that Pillow can read"
    return (lines[0] if lines else type(error).__name__)[:120]


def normalized(pixels: Pixels) -> NDArray[np.float32]:
    """uint8 [N, H, W, 3] as float32 of the same shape: ImageNet's mean 0 and standard deviation 1 by channel."""
    values: NDArray[np.float32] = pixels.astype(np.float32) / np.float32(255)
    values -= np.array(MEAN, np.float32)
    values /= np.array(DEVIATION, np.float32)
    return values


def printable_path(path: str | Path) -> str:
    """A path as text that can be written anywhere, whatever bytes are in its name."""
    return one_line(os.fsencode(path).decode("utf-8", "backslashreplace"))
