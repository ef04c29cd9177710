"""A bundle as a folder: it is never half there, nothing of others is lost, and no file of it is taken for another."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from syncnas_deploy import bundle as bundles
from syncnas_deploy import pipeline
from syncnas_deploy.bundle import Bundle, read_bundle
from syncnas_deploy.errors import BundleError, OutputBusy, OutputExists
from tests.support.bundle_cases import seeded_bundle
from tests.support.picture_cases import small_branched

CONFIG = small_branched()


def test_a_bundle_is_read_as_it_was_written(bundle: Bundle) -> None:
    assert read_bundle(bundle.folder) == bundle
    assert bundle.config == CONFIG
    assert sorted(bundle.files) == ["branch0.tflite", "branch1.tflite", "network.txt", "reference.npz"]


def test_an_export_that_fails_leaves_the_old_bundle(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = seeded_bundle(tmp_path / "b", CONFIG)

    def broken(work: Path, *_: object) -> None:
        (work / "branch0.tflite").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(bundles, "_fill", broken)
    with pytest.raises(KeyboardInterrupt):
        seeded_bundle(tmp_path / "b", CONFIG, force=True)
    assert read_bundle(tmp_path / "b") == old
    assert list(tmp_path.iterdir()) == [tmp_path / "b"]


def test_an_export_killed_between_two_names_is_found_again(tmp_path: Path) -> None:
    old = seeded_bundle(tmp_path / "b", CONFIG)
    (tmp_path / "b").rename(tmp_path / ".b.syncnas-old")
    (tmp_path / ".b.syncnas-new").mkdir()
    (tmp_path / ".b.syncnas-lock").write_text("1")
    with pytest.raises(OutputExists, match="--force"):
        seeded_bundle(tmp_path / "b", CONFIG)
    assert read_bundle(tmp_path / "b") == old
    assert list(tmp_path.iterdir()) == [tmp_path / "b"]


def a_folder(file: Path) -> None:
    file.mkdir()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda file: None, "is missing"),
        (a_folder, "cannot be read (not a regular file)"),
        (os.mkfifo, "cannot be read (not a regular file)"),
        (lambda file: file.symlink_to("/dev/zero"), "cannot be read (not a regular file)"),
        (lambda file: file.symlink_to("/proc/kmsg"), "differs from its sha256 in manifest.json"),
        (lambda file: file.symlink_to(file), "cannot be read (Too many levels of symbolic links)"),
        (lambda file: file.write_bytes(b"x"), "differs from its sha256 in manifest.json"),
        (lambda file: (file.touch(), os.truncate(file, 1 << 32)), "4294967296 bytes is more than this network needs"),
    ],
)
def test_a_file_of_a_bundle_that_is_another_is_refused_at_once(
    make: Callable[[Path], object], says: str, bundle: Bundle, tmp_path: Path
) -> None:
    folder = shutil.copytree(bundle.folder, tmp_path / "bundle")
    (folder / "branch1.tflite").unlink()
    make(folder / "branch1.tflite")
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert str(caught.value) == f"{folder}/branch1.tflite: {says}; export the bundle again."


@pytest.mark.parametrize(
    "manifest",
    [
        '{"name": "my PWA", "start_url": "/"}',
        '{"schema": "https://json.schemastore.org/web-manifest", "files": {}}',
        '{"schema": "syncnas-deploy/bundle/1"}',
        '{"schema": "syncnas-deploy/bundle/2", "files": {"index.js": "x"}}',
        "[]",
        "nonsense",
    ],
)
def test_a_folder_with_a_manifest_of_something_else_is_not_replaced(manifest: str, tmp_path: Path) -> None:
    app = tmp_path / "webapp"
    (app / "src").mkdir(parents=True)
    (app / "manifest.json").write_text(manifest)
    (app / "src" / "index.js").write_text("mine")
    with pytest.raises(OutputExists, match="is not a bundle"):
        pipeline.export("mobilenet_v2", app, force=True)
    assert (app / "manifest.json").read_text() == manifest and (app / "src" / "index.js").read_text() == "mine"
    assert list(tmp_path.iterdir()) == [app]


def test_what_others_put_into_a_bundle_stays_when_it_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    seeded_bundle(folder, CONFIG, formats=("tflite", "onnx"))
    (folder / "notes.md").write_text("mine")
    (folder / "results").mkdir()
    (folder / "results" / "bench.json").write_text("mine")
    new = seeded_bundle(folder, CONFIG, force=True)
    assert {path.name for path in folder.iterdir()} == {*new.files, "manifest.json", "notes.md", "results"}
    assert (folder / "notes.md").read_text() == (folder / "results" / "bench.json").read_text() == "mine"
    (folder / f"{new.segments[0].name}.onnx").write_text("mine")
    with pytest.raises(OutputExists, match="move it away"):
        seeded_bundle(folder, CONFIG, force=True, formats=("onnx",))
    assert read_bundle(folder) == new and (folder / f"{new.segments[0].name}.onnx").read_text() == "mine"


@pytest.mark.parametrize("name", ["thesis.txt", "manifest.json", "branch0.tflite"])
def test_a_folder_that_appears_during_an_export_is_left_as_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill, folder = bundles._fill, tmp_path / "b"

    def slow(*arguments: Any) -> None:
        fill(*arguments)
        folder.mkdir()
        (folder / name).write_text("my only copy")

    monkeypatch.setattr(bundles, "_fill", slow)
    for force in (False, True):
        with pytest.raises(OutputExists, match="choose another --out"):
            seeded_bundle(folder, CONFIG, force=force)
        assert [path.name for path in folder.iterdir()] == [name] and (folder / name).read_text() == "my only copy"
        (folder / name).unlink()
        folder.rmdir()


def test_of_two_exports_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill, folder = bundles._fill, tmp_path / "b"

    def another(*arguments: Any) -> None:
        with pytest.raises(OutputBusy, match=r"process \d+ is writing it"):
            pipeline.export("mobilenet_v2", folder, force=True)
        fill(*arguments)

    monkeypatch.setattr(bundles, "_fill", another)
    seeded_bundle(folder, CONFIG)
    assert list(tmp_path.iterdir()) == [folder]


def npz(image: Any, logits: Any) -> bytes:
    made = io.BytesIO()
    np.savez(made, image=image, logits=logits)
    return made.getvalue()


def encrypted(data: bytes) -> bytes:
    """The archive with its members marked as encrypted."""
    told = bytearray(data)
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            told[at + flags] |= 1
            at = data.find(mark, at + 1)
    return bytes(told)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda image, logits: b"", "cannot be read"),
        (lambda image, logits: b"nonsense", "cannot be read"),
        (lambda image, logits: npz(image, logits)[:500], "cannot be read"),
        (lambda image, logits: encrypted(npz(image, logits)), "cannot be read"),
        (lambda image, logits: npz(image, logits).replace(b"'<f4'", b"'<f4("), "cannot be read"),
        (lambda image, logits: npz(image[:, :2, :2], logits), "is not of this network"),
        (lambda image, logits: npz(image, logits[0, :7]), "is not of this network"),
        (lambda image, logits: npz(image, logits * np.nan), "is not of this network"),
    ],
)
def test_a_reference_that_is_none_is_refused(
    change: Callable[[Any, Any], bytes], says: str, bundle: Bundle, tmp_path: Path
) -> None:
    image, logits = bundle.reference()
    (tmp_path / "reference.npz").write_bytes(change(image, logits))
    spoiled = dataclasses.replace(bundle, folder=tmp_path)
    with pytest.raises(BundleError, match=f"(?s)reference.npz: {says}.*; export the bundle again"):
        spoiled.reference()
    with pytest.raises(BundleError, match=r"holds no reference\.npz; export the bundle again"):
        dataclasses.replace(spoiled, files={}).reference()
