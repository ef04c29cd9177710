"""Calibration: which pictures it takes, what it refuses in one sentence, and the document that it leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from syncnas_deploy.calibration import Calibration, calibration_to_json, network_digest, read_calibration
from syncnas_deploy.errors import CalibrationError, DatasetError
from syncnas_deploy.files.output import dump_json
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.training.calibration import CalibrationPictures, calibrate, read_pictures
from syncnas_exporters import RangesError
from tests.support.picture_cases import draw_set, small_branched, small_config

SIZE = 32


def paint(path: Path, value: int, size: tuple[int, int] = (40, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, 255 - value)).save(path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibration") / "shapes"
    draw_set(folder, 4, 0)
    return folder


@pytest.fixture(scope="module")
def calibration(pictures: Path) -> Calibration:
    config = small_branched()
    weights = random_weights(parameter_shapes(config), 0)
    return calibrate(config, weights, read_pictures(pictures, config.input_size, count=6))


def test_pictures_are_chosen_by_seed_and_normalized(pictures: Path) -> None:
    first, again, other = (read_pictures(pictures, SIZE, count=6, seed=seed) for seed in (0, 0, 1))
    assert first.images.shape == (6, SIZE, SIZE, 3) and first.images.dtype == np.float32
    assert first.images.min() < -0.5 and first.images.max() > 0.5
    np.testing.assert_array_equal(first.images, again.images)
    assert first.by == again.by and first.by.sha256 != other.by.sha256
    assert (first.by.pictures, first.by.folder, first.by.seed, first.notices) == (6, "shapes", 0, ())


def test_pictures_of_any_size_and_depth_are_taken_and_those_to_train_on_first(tmp_path: Path) -> None:
    for i, size in enumerate([(8, 8), (300, 20), (33, 90)]):
        paint(tmp_path / "flat" / f"{i}.png", 40 * i, size)
        paint(tmp_path / "deep" / "train" / "class" / "more" / f"{i}.png", 40 * i, size)
        paint(tmp_path / "deep" / "val" / "class" / f"{i}.png", 200, size)
    paint(tmp_path / "flat" / ".hidden" / "x.png", 99)
    flat, deep = (read_pictures(tmp_path / name, SIZE, count=9) for name in ("flat", "deep"))
    assert flat.by.sha256 == deep.by.sha256 and flat.by.pictures == 3
    assert "has 3 pictures to calibrate with; 9 give ranges nearer to the truth" in flat.notices[0]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(b"nonsense"), "nonsense.png: is no picture"),
        (lambda path: path.write_bytes(b""), "nonsense.png: is no picture"),
        (lambda path: paint(path, 1, (4000, 10)), "nonsense.png: is 4000 x 10 pixels, too long for a crop"),
    ],
)
def test_a_picture_that_cannot_be_read_is_left_out_and_told(
    damage: Callable[[Path], object], says: str, tmp_path: Path
) -> None:
    for i in range(4):
        paint(tmp_path / f"{i}.png", 40 * i)
    damage(tmp_path / "nonsense.png")
    found = read_pictures(tmp_path, SIZE, count=5)
    assert found.by.pictures == 4
    assert found.notices[0].startswith("1 pictures could not be read") and says in found.notices[0]


def no_folder(folder: Path) -> None:
    folder.rmdir()


def file(folder: Path) -> None:
    folder.rmdir()
    folder.write_text("x")


def device(folder: Path) -> None:
    folder.rmdir()
    folder.symlink_to(os.devnull)


def kernel(folder: Path) -> None:
    folder.rmdir()
    folder.symlink_to("/proc" if Path("/proc").exists() else "/dev")


def alike(folder: Path) -> None:
    for i in range(3):
        paint(folder / f"{i}.png", 7)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (no_folder, "no such folder; give one with about 100 pictures"),
        (file, "given: is a file, no folder; give one with about 100 pictures"),
        (device, "given: is no folder; give one with about 100 pictures"),
        (kernel, "holds no pictures; give a folder with about 100"),
        (lambda folder: None, "holds no pictures; give a folder with about 100"),
        (lambda folder: (folder / "notes.txt").write_text("x"), "holds no pictures"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is a bundle; give a folder with about 100"),
        (lambda folder: (folder / "x.png").write_text("x"), "no picture could be read (.*x.png: is no picture"),
        (alike, "all 3 pictures are alike, which tells no ranges"),
        (lambda folder: paint(folder / "x.png", 7), "one picture is too few"),
    ],
)
def test_a_folder_that_cannot_calibrate_is_refused_in_a_sentence(
    make: Callable[[Path], object], says: str, tmp_path: Path
) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    make(folder)
    with pytest.raises(DatasetError, match=says.replace("(", r"\(").replace(")", r"\)")):
        read_pictures(folder, SIZE)


def test_every_segment_has_ranges_and_the_document_is_read_as_it_was_written(
    calibration: Calibration, tmp_path: Path
) -> None:
    config = small_branched()
    assert len(calibration.ranges) == len({*calibration.ranges}) == 6
    assert all(low <= high for ranges in calibration.ranges.values() for low, high in ranges.values())
    assert calibration.ranges["stem"]["image"][0] < 0 < calibration.ranges["stem"]["image"][1]
    path = tmp_path / "calibration.json"
    path.write_text(dump_json(calibration_to_json(calibration)))
    assert read_calibration(path) == calibration
    weights = random_weights(parameter_shapes(config), 0)
    calibration.check(network_digest(config, weights), "here")
    for other, of in ((config, random_weights(parameter_shapes(config), 1)), (small_config(), weights)):
        with pytest.raises(CalibrationError, match="here: is the calibration of another network or other weights"):
            calibration.check(network_digest(other, of), "here")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": "syncnas-deploy/calibration/2"}, "reads up to 1; upgrade"),
        ({"ranges": {"stem": {"image": [0, "x"]}}}, "'ranges"),
        ({"ranges": {"stem": {"image": [1]}}}, "'ranges"),
        ({"ranges": {"stem": {"image": [-1e308, 1e308]}}}, "'ranges"),
        ({"ranges": {"stem": {"image": [0, 1e39]}}}, "'ranges"),
        (
            {"ranges": {"stem": {"image": [1, 0.5]}}},
            "json: The range of stem/image is 1 to 0.5; calibrate again",
        ),
        ({"ranges": {}}, "json: There are no ranges in it; calibrate again"),
        ({"by": {"pictures": 1}}, "'by"),
        ({"network": "x"}, "'network' must be a sha256"),
    ],
)
def test_a_document_that_does_not_fit_is_refused(
    change: dict[str, object], says: str, calibration: Calibration, tmp_path: Path
) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(msgspec.to_builtins(calibration) | change))
    with pytest.raises(CalibrationError, match=says):
        read_calibration(path)


@pytest.mark.parametrize(
    "content",
    [
        b"notes",
        b"\x89PNG\r\n\x1a\n\xff",
        b"",
        b"[1, 2]",
        b"{}",
        b'{"schema": "syncnas-deploy/profile/3"}',
        b" " * 9_000_000,
    ],
    ids=["text", "picture", "empty", "list", "object", "profile", "large"],
)
def test_a_file_that_is_no_calibration_says_what_to_give(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "given").write_bytes(content)
    says = "given: is no calibration; give a folder of pictures or a bundle's calibration.json.$"
    with pytest.raises(CalibrationError, match=says):
        read_calibration(tmp_path / "given")


def test_a_calibration_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="cannot be read"):
        read_calibration(tmp_path / "gone")


def test_pictures_of_another_size_are_refused_in_a_sentence(pictures: Path) -> None:
    config = small_branched()
    weights = random_weights(parameter_shapes(config), 0)
    with pytest.raises(DatasetError, match=r"The pictures are 24 x 24 x 3, .* takes 32 x 32 x 3; resize them"):
        calibrate(config, weights, read_pictures(pictures, 24))


def test_weights_that_give_nan_are_refused_in_a_sentence(pictures: Path) -> None:
    config = small_config()
    weights = dict(random_weights(parameter_shapes(config), 0))
    weights["stages.0.blocks.0.pw2.1.weight"] = np.full(16, 1e38, np.float32)
    with pytest.raises(RangesError, match="becomes NaN or infinite; check weights and pictures"):
        calibrate(config, weights, read_pictures(pictures, config.input_size))


def test_ranges_are_those_of_all_pictures(pictures: Path) -> None:
    config = small_config()
    weights = random_weights(parameter_shapes(config), 0)
    found = read_pictures(pictures, config.input_size, count=4)
    each = [calibrate(config, weights, CalibrationPictures(found.images[[i]], found.by)) for i in range(4)]
    for tensor, (low, high) in calibrate(config, weights, found).ranges["whole"].items():
        seen = [one.ranges["whole"][tensor] for one in each]
        assert (low, high) == (min(lows for lows, _ in seen), max(highs for _, highs in seen))
