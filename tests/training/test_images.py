"""Folders of pictures: what is listed, what is refused, and that damaged pictures are named and not fatal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from syncnas_deploy.errors import DatasetError, MissingDependency
from syncnas_deploy.training import images
from syncnas_deploy.training.images import (
    UnreadableImage,
    evaluation_pixels,
    evaluation_set,
    normalized,
    printable_path,
    read_image_set,
    training_pixels,
    training_sets,
)
from tests.support.picture_cases import SHAPES, draw_set, draw_shape


def test_classes_are_numbered_by_name_and_pictures_found_at_any_depth(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", 2, 0)
    (folder / "cross" / "deep" / "er").mkdir(parents=True)
    draw_shape("cross", np.random.default_rng(1)).save(folder / "cross" / "deep" / "er" / "X.JPG")
    (folder / "cross" / "notes.txt").write_text("no picture")
    (folder / ".hidden").mkdir()
    (folder / "list.csv").write_text("no class")
    found = read_image_set(folder)
    assert found.classes == SHAPES
    assert found.names[2:5] == ("cross/0000.png", "cross/0001.png", "cross/deep/er/X.JPG")
    assert found.labels == (0, 0, 1, 1, 1, 2, 2, 3, 3)


def test_unusable_folders_are_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", 1, 0)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DatasetError, match="no such folder"):
        read_image_set(tmp_path / "absent")
    with pytest.raises(DatasetError, match="holds no class folders"):
        read_image_set(tmp_path / "nothing")
    with pytest.raises(DatasetError, match="4 class folders and the model has 1000 classes"):
        evaluation_set(folder, 1000)
    with pytest.raises(DatasetError, match=r"circle: holds one picture; add more"):
        training_sets(folder, 0.1, 0)
    (folder / "zebra").mkdir()
    (folder / "zebra" / "notes.txt").write_text("no picture")
    with pytest.raises(DatasetError, match=r"zebra: holds no pictures; add some"):
        read_image_set(folder)


def test_val_inside_the_folder_is_what_is_evaluated(tmp_path: Path) -> None:
    draw_set(tmp_path / "train", 2, 0)
    draw_set(tmp_path / "val", 1, 1)
    assert evaluation_set(tmp_path, 4).folder == tmp_path / "val"
    training, validation = training_sets(tmp_path, 0.1, 0)
    assert (len(training), len(validation)) == (8, 4)
    (tmp_path / "val" / "circle").rename(tmp_path / "val" / "round")
    with pytest.raises(DatasetError, match="'circle' is in only one of train and val"):
        training_sets(tmp_path, 0.1, 0)


def test_without_val_a_seeded_share_of_each_class_is_held_out(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", 10, 0)
    training, validation = training_sets(folder, 0.2, 7)
    assert sorted(training.names + validation.names) == sorted(read_image_set(folder).names)
    assert [validation.labels.count(label) for label in range(4)] == [2, 2, 2, 2]
    assert training_sets(folder, 0.2, 7)[1] == validation
    assert training_sets(folder, 0.2, 8)[1] != validation


def test_the_centre_of_the_resized_picture_is_evaluated(tmp_path: Path) -> None:
    picture = np.zeros((256, 512, 3), np.uint8)
    picture[16:240, 144:368] = (10, 200, 90)
    Image.fromarray(picture).save(tmp_path / "wide.png")
    pixels = evaluation_pixels(tmp_path / "wide.png", 224)
    assert pixels.shape == (224, 224, 3)
    assert (pixels == (10, 200, 90)).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.new(mode, (50, 30)).save(tmp_path / f"x.{suffix}")
    assert evaluation_pixels(tmp_path / f"x.{suffix}", 32).shape == (32, 32, 3)


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
