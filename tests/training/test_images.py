"""Pictures: of any mode and size as a network sees them; damaged ones are named and not fatal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from syncnas_deploy.errors import MissingDependency
from syncnas_deploy.training import images
from syncnas_deploy.training.images import (
    UnreadableImage,
    evaluation_pixels,
    normalized,
    printable_path,
    training_pixels,
)
from tests.support.picture_cases import draw_shape


def test_the_centre_of_the_resized_picture_is_evaluated(tmp_path: Path) -> None:
    picture = np.zeros((256, 512, 3), np.uint8)
    picture[16:240, 144:368] = (10, 200, 90)
    Image.fromarray(picture).save(tmp_path / "wide.png")
    pixels = evaluation_pixels(tmp_path / "wide.png", 224)
    assert pixels.shape == (224, 224, 3)
    assert (pixels == (10, 200, 90)).all()


GREY = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
"""A ramp from black to white [64, 64]."""


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.new(mode, (50, 30)).save(tmp_path / f"x.{suffix}")
    assert evaluation_pixels(tmp_path / f"x.{suffix}", 32).shape == (32, 32, 3)


def pgm(white: int) -> bytes:
    """The ramp with 16 bits per pixel and that white."""
    return b"P5 64 64 %d\n" % white + np.rint(GREY * (white / 255)).astype(">u2").tobytes()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("x.png", lambda path: Image.fromarray(GREY.astype(np.uint16) * 257).save(path)),
        ("x.tif", lambda path: Image.fromarray(GREY.astype(np.uint16) * 257).save(path)),
        ("big.tif", lambda path: Image.fromarray((GREY.astype(np.uint16) * 257).astype(">u2")).save(path)),
        ("x.pgm", lambda path: path.write_bytes(pgm(65535))),
        ("twelve.pgm", lambda path: path.write_bytes(pgm(4095))),
        ("fourteen.pgm", lambda path: path.write_bytes(pgm(16383))),
    ],
)
def test_16_bits_have_the_shades_of_8(name: str, make: Any, tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "8.png")
    make(tmp_path / name)
    wanted, found = (evaluation_pixels(tmp_path / x, 56).astype(int) for x in ("8.png", name))
    assert abs(found - wanted).max() <= 1
    draws = (training_pixels(tmp_path / x, 32, np.random.default_rng(3), 0.5).astype(int) for x in ("8.png", name))
    assert abs(next(draws) - next(draws)).max() <= 1


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("x.tif", GREY / np.float32(255), "has float pixels and does not say which value is white"),
        ("y.tif", GREY * np.float32(257), "has float pixels"),
        ("z.tif", -GREY.astype(np.float32), "has float pixels"),
        ("x.tiff", GREY.astype(np.int32) * 257, "has 32-bit pixels and does not say"),
        ("y.tiff", GREY.astype(np.int32) << 20, "has 32-bit pixels"),
        ("x.png", GREY.astype(np.uint16) * 16, "uses the lowest 12 alone, so white is not known; save it with 8 bits"),
        ("z.tiff", GREY.astype(np.uint16), "uses the lowest 12 alone"),
    ],
)
def test_a_picture_whose_white_is_not_known_is_unreadable(name: str, values: Any, says: str, tmp_path: Path) -> None:
    Image.fromarray(values).save(tmp_path / name)
    with pytest.raises(UnreadableImage, match=says):
        evaluation_pixels(tmp_path / name, 56)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    with pytest.raises(UnreadableImage, match="not a regular file"):
        evaluation_pixels(tmp_path / "x.jpg", 32)


def test_exif_orientation_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.new("RGB", (32, 32), (255, 0, 0))
    picture.paste((0, 0, 255), (0, 16, 32, 32))
    picture.save(tmp_path / "x.png", exif=exif)
    picture.save(tmp_path / "plain.png")
    both = [evaluation_pixels(tmp_path / name, 28) for name in ("x.png", "plain.png")]
    assert np.array_equal(*both)


def test_a_crop_depends_on_the_generator_alone(tmp_path: Path) -> None:
    draw_shape("square", np.random.default_rng(0)).save(tmp_path / "x.png")
    first, same, other = (
        training_pixels(tmp_path / "x.png", 32, np.random.default_rng(seed), 0.08) for seed in (1, 1, 2)
    )
    assert first.shape == (32, 32, 3)
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (2, 3), (640, 7)])
def test_the_smallest_and_longest_pictures_are_cut_too(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, (5, 6, 7)).save(tmp_path / "x.png")
    for seed in range(20):
        pixels = training_pixels(tmp_path / "x.png", 16, np.random.default_rng(seed), 0.08)
        assert (pixels == (5, 6, 7)).all()
    assert (evaluation_pixels(tmp_path / "x.png", 16) == (5, 6, 7)).all()


def test_damaged_pictures_are_errors_of_their_own(tmp_path: Path) -> None:
    draw_shape("square", np.random.default_rng(0), side=200).save(tmp_path / "whole.jpg")
    draw_shape("square", np.random.default_rng(0), side=200).save(tmp_path / "whole.png")
    for name in ("whole.jpg", "whole.png"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / f"cut{name[5:]}").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.jpg").write_text("this is no picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    Image.new("RGB", (5, 600)).save(tmp_path / "long.png")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("cut.jpg", "cut.png", "text.jpg", "empty.jpg", "long.png", "folder.jpg", "absent.jpg"):
        with pytest.raises(UnreadableImage) as caught:
            evaluation_pixels(tmp_path / name, 32)
        assert str(caught.value)
        assert "\n" not in str(caught.value)


def test_no_bytes_make_the_decoder_fail_otherwise(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "x.png"
    draw_shape("square", rng).save(path)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    failed = 0
    for _ in range(150):
        damaged = whole.copy()
        damaged[rng.integers(0, min(len(whole), 400), 4)] = rng.integers(0, 256, 4)
        path.write_bytes(damaged.tobytes())
        try:
            assert evaluation_pixels(path, 32).shape == (32, 32, 3)
        except UnreadableImage:
            failed += 1
    assert failed > 20


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnreadableImage, match="decompression bomb"):
        evaluation_pixels(tmp_path / "x.png", 32)


def test_normalization_is_imagenets() -> None:
    pixels = np.array([[[[0, 128, 255]]]], np.uint8)
    wanted = [(0 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert np.allclose(normalized(pixels)[0, 0, 0], wanted, atol=1e-6)


def test_without_pillow_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependency, match="needs Pillow"):
        images.pillow()


def test_any_name_can_be_printed() -> None:
    assert printable_path(os.fsdecode(b"a\xff/\n.png")) == "a\\xff/\\n.png"
