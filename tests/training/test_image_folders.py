"""Folders of pictures: what is listed, what is left out, what is a part of a data set, and what is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from syncnas_deploy.errors import DatasetError
from syncnas_deploy.training import image_folders
from syncnas_deploy.training.image_folders import (
    all_pictures,
    evaluation_set,
    parts_of,
    read_image_set,
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
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "link").symlink_to(tmp_path / "notes.txt")
    (tmp_path / "device").symlink_to(os.devnull)
    for name, says, code in (
        ("absent", "no such folder; give one that", 4),
        ("notes.txt", "is a file, no folder; give one that", None),
        ("link", "is a file, no folder; give one that", None),
        ("set/circle/0000.png", "is a file, no folder; give one that", None),
        ("device", "is no folder; give one that", None),
    ):
        with pytest.raises(DatasetError, match=f"{name}: {says}") as raised:
            read_image_set(tmp_path / name)
        assert raised.value.code == code
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


def parts(folder: Path, *names: str) -> Path:
    """A data set of folders with the same four classes in each."""
    for seed, name in enumerate(names):
        draw_set(folder / name, 2, seed)
    return folder


@pytest.mark.parametrize(
    ("names", "evaluated"),
    [
        (("train", "test"), "test"),
        (("training_set", "test_set"), "test_set"),
        (("train", "valid"), "valid"),
        (("Training", "Validation"), "Validation"),
        (("train", "val", "test"), "val"),
        (("train", "valid", "testing"), "valid"),
        (("val",), "val"),
        (("test-images",), "test-images"),
    ],
)
def test_parts_are_not_taken_for_classes(names: tuple[str, ...], evaluated: str, tmp_path: Path) -> None:
    found = evaluation_set(parts(tmp_path, *names), 4)
    assert found.folder == tmp_path / evaluated
    assert found.classes == SHAPES


@pytest.mark.parametrize("names", [("train", "valid"), ("training_set", "validation_set"), ("Train", "val", "test")])
def test_parts_of_other_names_train_and_validate(names: tuple[str, ...], tmp_path: Path) -> None:
    training, validation = training_sets(parts(tmp_path, *names), 0.1, 0)
    assert [training.folder.name, validation.folder.name] == list(names[:2])
    assert (len(training), len(validation)) == (8, 8)


@pytest.mark.parametrize("names", [("train", "test"), ("training_set", "test_set"), ("test",), ("val", "test")])
def test_training_needs_both_parts(names: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"holds .*{names[0]}.*, and training needs train and val; rename one"):
        training_sets(parts(tmp_path, *names), 0.1, 0)


def test_a_training_part_alone_is_shared_and_not_evaluated(tmp_path: Path) -> None:
    training, validation = training_sets(parts(tmp_path, "train"), 0.5, 0)
    assert (training.classes, len(training), len(validation)) == (SHAPES, 4, 4)
    with pytest.raises(DatasetError, match="holds train alone; give that folder, or one with val"):
        evaluation_set(tmp_path, 4)


def test_a_part_of_loose_pictures_is_no_class(tmp_path: Path) -> None:
    draw_shape("circle", np.random.default_rng(0)).save(parts(tmp_path, "train", "val") / "x.png")
    shutil.rmtree(tmp_path / "val")
    (tmp_path / "val").mkdir()
    draw_shape("circle", np.random.default_rng(0)).save(tmp_path / "val" / "x.png")
    with pytest.raises(DatasetError, match="val: holds no class folders"):
        evaluation_set(tmp_path, 4)


@pytest.mark.parametrize("names", [("truck", "train"), ("valid", "invalid"), ("car", "test", "bus")])
def test_a_class_may_have_the_name_of_a_part(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        draw_set(tmp_path / name, 1, 0)
    assert parts_of(tmp_path) == {}
    assert evaluation_set(tmp_path, len(names)).classes == tuple(sorted(names))


@pytest.mark.parametrize(
    "hidden",
    [".ipynb_checkpoints", ".Trash-1000/files", "@eaDir/0000.png", "deep/.thumbnails", "#recycle", "__MACOSX/cross"],
)
def test_what_programs_leave_in_a_class_is_not_counted(hidden: str, tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", 2, 0)
    (folder / "cross" / hidden).mkdir(parents=True)
    shutil.copy(folder / "cross" / "0000.png", folder / "cross" / hidden / "0000-checkpoint.png")
    (folder / "__MACOSX" / "cross").mkdir(parents=True)
    (folder / "__MACOSX" / "cross" / "._0000.png").write_bytes(b"\0\5")
    found = read_image_set(folder)
    assert (found.classes, len(found)) == (SHAPES, 8)


def test_linked_folders_are_counted_once(tmp_path: Path) -> None:
    folder, other = draw_set(tmp_path / "set", 2, 0), draw_set(tmp_path / "other", 3, 1)
    (folder / "cross" / "more").symlink_to(other / "cross", target_is_directory=True)
    (folder / "cross" / "again").symlink_to(other / "cross", target_is_directory=True)
    (folder / "cross" / "loop").symlink_to(folder / "cross", target_is_directory=True)
    (folder / "linked").symlink_to(other / "square", target_is_directory=True)
    found = read_image_set(folder)
    assert [found.labels.count(label) for label in range(5)] == [2, 5, 3, 2, 2]
    assert found.names[2:7] == (
        "cross/0000.png", "cross/0001.png", "cross/again/0000.png", "cross/again/0001.png", "cross/again/0002.png"
    )  # fmt: skip
    assert all(found.path(i).is_file() for i in range(len(found)))


@pytest.mark.needs("/proc")
@pytest.mark.parametrize("place", ["/proc", "/proc/self", "/sys", "/dev/fd"])
def test_what_the_kernel_makes_is_not_walked(place: str, tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", 2, 0)
    (folder / "cross" / "linked").symlink_to(place, target_is_directory=True)
    assert len(all_pictures(folder)) == len(read_image_set(folder)) == 8
    assert all_pictures(Path(place)) == []


@pytest.mark.parametrize("others", [("a.txt", "b.txt"), ("b/c/d.md",), ("x.py", "y/z.xml")])
def test_a_folder_with_much_else_is_refused(
    others: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_folders, "MOST_OTHERS", 5)
    folder = draw_set(tmp_path / "set", 1, 0)
    assert len(all_pictures(folder)) == 4  # in four folders
    for name in others:
        (folder / "cross" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "cross" / name).write_text("no picture")
    with pytest.raises(DatasetError, match="set: holds more than 5 files and folders that are no pictures; give the"):
        all_pictures(folder)


@pytest.mark.parametrize("link", ["again", "cross/up", "cross/deep/up", "train"])
@pytest.mark.parametrize("target", ["set", ".", "elsewhere"])
def test_a_link_to_a_folder_that_it_is_in_adds_nothing(link: str, target: str, tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", 2, 0)
    if target == "elsewhere":  # the set is named by a link to it
        folder = tmp_path / "elsewhere"
        folder.symlink_to(tmp_path / "set")
    before, count = read_image_set(folder), len(all_pictures(folder))
    (folder / link).parent.mkdir(exist_ok=True)
    (folder / link).symlink_to(tmp_path / target, target_is_directory=True)
    assert read_image_set(folder) == before
    assert len(all_pictures(folder)) == count
    assert parts_of(folder) == {}


def test_a_link_to_nowhere_is_listed_so_that_it_is_named(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", 1, 0)
    (folder / "cross" / "sub").symlink_to(tmp_path / "absent")
    (folder / "cross" / "x.png").symlink_to(tmp_path / "absent.png")
    (folder / "cross" / ".hidden").symlink_to(tmp_path / "absent")
    assert read_image_set(folder).names[1:4] == ("cross/0000.png", "cross/sub", "cross/x.png")


@pytest.mark.parametrize("place", ["cross/deep", "cross", "."])
def test_a_folder_that_may_not_be_listed_is_named(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = draw_set(tmp_path / "set", 1, 0)
    (folder / "cross" / "deep").mkdir()
    locked, real = os.path.normpath(folder / place), os.scandir

    def scandir(path: object) -> object:
        if os.path.normpath(os.fspath(path)) == locked:  # type: ignore[call-overload]
            raise PermissionError(13, "Permission denied", locked)
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(Path, "iterdir", lambda path: (path / entry.name for entry in os.scandir(path)))  # type: ignore[attr-defined]
    with pytest.raises(DatasetError, match=r"cannot be read \(Permission denied\); check its permissions") as caught:
        training_sets(folder, 0.1, 0)
    assert locked in str(caught.value)


@pytest.mark.parametrize("suffix", ["jfif", "gif", "JPE", "avif", "heic"])
def test_every_kind_of_picture_is_listed(suffix: str, tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", 1, 0)
    (folder / "cross" / f"x.{suffix}").write_bytes(b"?")
    assert f"cross/x.{suffix}" in read_image_set(folder).names
