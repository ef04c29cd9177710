"""A bundle: what its manifest admits, the formats it is written in, and that it is never half there."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from syncnas_bench.files import sha256_of
from syncnas_deploy import bundle as bundles
from syncnas_deploy import pipeline
from syncnas_deploy.bundle import Bundle, read_bundle, write_bundle
from syncnas_deploy.bundle_formats import FORMATS
from syncnas_deploy.bundle_numbers import chain_logits
from syncnas_deploy.calibration import Calibrated, Calibration, calibration_to_json
from syncnas_deploy.cli import cli
from syncnas_deploy.errors import WRONG_USE, BundleError, CalibrationError, OutputBusy, OutputError, OutputExists
from syncnas_deploy.files.output import dump_json
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import config_text, load_config
from syncnas_deploy.networks.lowering import network_graph
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.precision import LARGE_ERROR
from syncnas_deploy.training.bundle_accuracy import evaluate_bundle
from syncnas_deploy.training.calibration import CalibrationPictures, calibrate
from syncnas_exporters import TfliteRunner, UnknownOpset, difference, nchw, run_onnx
from tests.support.configs import parse_config
from tests.support.picture_cases import small_branched, small_config
from tests.support.precision_cases import rms_error
from tests.support.program import Program


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    return small_branched()


def written(folder: Path, config: ModelConfig, **options: Any) -> Bundle:
    weights = random_weights(parameter_shapes(config), 0)
    return write_bundle(folder, config, weights, source="a test", **options)


@pytest.fixture(scope="module")
def bundle(config: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return written(tmp_path_factory.mktemp("b") / "bundle", config)


def test_a_bundle_is_read_as_it_was_written(bundle: Bundle, config: ModelConfig) -> None:
    assert read_bundle(bundle.folder) == bundle
    assert bundle.config == config
    assert sorted(bundle.files) == ["branch0.tflite", "branch1.tflite", "network.txt", "reference.npz"]


def deep() -> ModelConfig:
    """With squeeze-and-excitation, kernels that share channels, groups, and partial residuals."""
    return parse_config(config_text(load_config("mixnet_m")).replace('"input_size": 224', '"input_size": 32'), "deep")


@pytest.mark.parametrize(
    ("network", "strategy"),
    [
        (small_config(), "nca"),
        (small_config(), "acc"),
        (small_config(), "nna"),
        (deep(), "cannaac"),
    ],
)
@pytest.mark.parametrize("placement", [Placement(), Placement(1), Placement(0, True), Placement(1, True)])
def test_two_branches_as_one_graph_compute_what_the_segments_do(
    network: ModelConfig, strategy: str, placement: Placement, tmp_path: Path
) -> None:
    config = branched(network, strategy, placement=placement)
    made = written(tmp_path / "b", config, formats=("tflite", "onnx"), whole=True)
    image, logits = made.reference()
    assert {"whole.tflite", "whole.onnx"} <= made.files.keys()
    (found,) = TfliteRunner(made.folder / "whole.tflite").run("whole", {"image": image}).values()
    assert difference(found, logits).max_rel <= 1e-5
    (found,) = run_onnx((made.folder / "whole.onnx").read_bytes(), {"image": nchw(image)}).values()
    assert difference(found, logits).max_rel <= 1e-3
    graph = onnx.load(made.folder / "whole.onnx").graph
    assert [value.name for value in graph.input] == ["image"] and len(graph.output) == 1


def test_a_base_model_is_one_graph_anyway(tmp_path: Path) -> None:
    made = written(tmp_path / "b", small_config(), formats=("tflite", "onnx"), whole=True)
    assert sorted(made.files) == ["branch0.tflite", "network.txt", "reference.npz", "whole.onnx"]


def test_a_whole_graph_that_computes_something_else_is_not_kept(
    config: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = random_weights(parameter_shapes(config), 1)
    monkeypatch.setattr(bundles, "network_graph", lambda config, _, name: network_graph(config, other, name))
    with pytest.raises(BundleError, match="as one graph it computes something else than its segments"):
        written(tmp_path / "b", config, whole=True)
    assert not (tmp_path / "b").exists()


def test_an_opset_can_be_chosen_or_is_refused(config: ModelConfig, tmp_path: Path) -> None:
    for opset in (14, 17, 21):
        made = written(tmp_path / str(opset), config, formats=("onnx",), opset=opset)
        files = [onnx.load(path) for path in made.folder.glob("*.onnx")]
        assert files and all(file.opset_import[0].version == opset for file in files)
    with pytest.raises(UnknownOpset, match="there is no opset 12 here; choose one from 14 to"):
        written(tmp_path / "b", config, formats=("onnx",), opset=12)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema": "syncnas-deploy/bundle/3"}, "'schema' is version 3, this program reads up to 2; upgrade"),
        ({"made_by": 3}, "'made_by' must be printable text of 1 to 256 characters, found 3; correct it"),
        ({"weights": "\x1b"}, "'weights' must be printable text of 1 to 4096 characters"),
        ({"extra": 1}, "'extra' is not a known field; remove it"),
        ({"files": {"../x": "0" * 64}}, "'files': a name in it must be a plain file of this folder; correct it"),
        ({"files": {".x": "0" * 64}}, "'files': a name in it must be a plain file of this folder; correct it"),
        ({"files": {"x" * 5000: "0" * 64}}, "'files': a name in it must be a plain file of this folder; correct it"),
        ({"files": {"x": "0" * 63}}, "'files[...]' must be a sha256: 64 hexadecimal digits; correct it"),
        ({"files": {"x": "0" * 64}}, None),
        ({"segments": []}, "'segments' must be a list of 1 to 64 items"),
        ({"config": {}}, "config: 'schema' is missing; add it"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_in_a_sentence(
    change: dict[str, Any], sentence: str | None, bundle: Bundle, tmp_path: Path
) -> None:
    value = json.loads((bundle.folder / "manifest.json").read_text())
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(value | change))
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path)
    expected = f"{path}: {sentence}" if sentence else f"{tmp_path / 'x'}: is missing; export the bundle again."
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("branch", 2, "'segments[0].branch' must be an integer from 0 to 1, found 2; correct it."),
        ("sync", "x", "'segments[0].sync' must be one of n, a, c, found \"x\"; correct it."),
        ("name", "other", "'segments' are not those of the config; export the bundle again."),
        ("output_shape", [1, 2, 3, 4], "'segments' are not those of the config; export the bundle again."),
    ],
)
def test_a_segment_that_does_not_fit_is_refused_in_a_sentence(
    field: str, value: object, sentence: str, bundle: Bundle, tmp_path: Path
) -> None:
    manifest = json.loads((bundle.folder / "manifest.json").read_text())
    manifest["segments"][0][field] = value
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path)
    assert str(caught.value) == f"{path}: {sentence}"


@pytest.mark.parametrize("text", ['{"schema": "a", "schema": "b"}', '{"schema": NaN}', "{"])
def test_a_manifest_that_is_no_json_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json: "):
        read_bundle(tmp_path)


@pytest.mark.parametrize(("formats", "found"), [(("bogus",), "bogus"), (("tflite", "caffe"), "caffe"), ((), "none")])
def test_an_unknown_format_is_refused_with_the_known_ones(formats: tuple[str, ...], found: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"--format is any of tflite, onnx, found '{found}'; give one of them"):
        pipeline.export("mobilenet_v2", tmp_path / "b", formats=formats)
    assert not list(tmp_path.iterdir())


def test_the_command_offers_the_formats_of_the_table() -> None:
    option = next(p for p in cli.commands["export"].params if p.name == "formats")
    assert list(option.type.choices) == list(FORMATS)  # type: ignore[attr-defined]


def test_each_format_writes_its_files(config: ModelConfig, tmp_path: Path) -> None:
    onnx = written(tmp_path / "onnx", config, formats=("onnx",))
    assert sorted(onnx.files) == sorted([*(f"{s.name}.onnx" for s in onnx.segments), "reference.npz"])
    with pytest.raises(BundleError, match="--format tflite"):
        onnx.tflite(0)


def test_an_export_that_fails_leaves_the_old_bundle(
    bundle: Bundle, config: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = written(tmp_path / "b", config)

    def broken(work: Path, *_: object) -> None:
        (work / "branch0.tflite").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(bundles, "_fill", broken)
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path / "b", config, force=True)
    assert read_bundle(tmp_path / "b") == old
    assert list(tmp_path.iterdir()) == [tmp_path / "b"]


def test_an_export_killed_between_two_names_is_found_again(config: ModelConfig, tmp_path: Path) -> None:
    old = written(tmp_path / "b", config)
    (tmp_path / "b").rename(tmp_path / ".b.syncnas-old")
    (tmp_path / ".b.syncnas-new").mkdir()
    (tmp_path / ".b.syncnas-lock").write_text("1")
    with pytest.raises(OutputExists, match="--force"):
        written(tmp_path / "b", config)
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


def test_what_others_put_into_a_bundle_stays_when_it_is_replaced(config: ModelConfig, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    written(folder, config, formats=("tflite", "onnx"))
    (folder / "notes.md").write_text("mine")
    (folder / "results").mkdir()
    (folder / "results" / "bench.json").write_text("mine")
    new = written(folder, config, force=True)
    assert {path.name for path in folder.iterdir()} == {*new.files, "manifest.json", "notes.md", "results"}
    assert (folder / "notes.md").read_text() == (folder / "results" / "bench.json").read_text() == "mine"
    (folder / f"{new.segments[0].name}.onnx").write_text("mine")
    with pytest.raises(OutputExists, match="move it away"):
        written(folder, config, force=True, formats=("onnx",))
    assert read_bundle(folder) == new and (folder / f"{new.segments[0].name}.onnx").read_text() == "mine"


@pytest.mark.parametrize("name", ["thesis.txt", "manifest.json", "branch0.tflite"])
def test_a_folder_that_appears_during_an_export_is_left_as_it_is(
    name: str, config: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill, folder = bundles._fill, tmp_path / "b"

    def slow(*arguments: Any) -> None:
        fill(*arguments)
        folder.mkdir()
        (folder / name).write_text("my only copy")

    monkeypatch.setattr(bundles, "_fill", slow)
    for force in (False, True):
        with pytest.raises(OutputExists, match="choose another --out"):
            written(folder, config, force=force)
        assert [path.name for path in folder.iterdir()] == [name] and (folder / name).read_text() == "my only copy"
        (folder / name).unlink()
        folder.rmdir()


def test_of_two_exports_one_is_told(config: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill, folder = bundles._fill, tmp_path / "b"

    def another(*arguments: Any) -> None:
        with pytest.raises(OutputBusy, match=r"process \d+ is writing it"):
            pipeline.export("mobilenet_v2", folder, force=True)
        fill(*arguments)

    monkeypatch.setattr(bundles, "_fill", another)
    written(folder, config)
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


def of_version(version: int, bundle: Bundle, folder: Path) -> Path:
    """A bundle as another version of this program writes it."""
    shutil.copytree(bundle.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text()) | {"schema": f"syncnas-deploy/bundle/{version}"}
    newer = ("network", "branches", "against_fp32") if version == 1 else ()
    (folder / "manifest.json").write_text(json.dumps({k: v for k, v in manifest.items() if k not in newer}))
    return folder


COMMANDS = (
    "bench {} --device sim:phone --samples 6 --launches 1 --out b.json",
    "app {} --out module",
    "report {} --html page.html",
    "draw {} --out drawing.svg",
    "export {} --out other",
    "models {}",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_an_older_bundle_and_refuses_a_newer_one(
    command: str, bundle: Bundle, tmp_path: Path, program: Program
) -> None:
    old, new = (of_version(version, bundle, tmp_path / f"v{version}") for version in (1, 3))
    done = program(*(word.format(old) for word in command.split()))
    # A busy machine makes a measurement worthless; a package that was built without a JDK makes no app.
    assert done.code in {"bench": {0, 6}, "app": {0, 5}}.get(command.split()[0], {0}), done.err
    refused = program(*(word.format(new) for word in command.split()))
    says = "'schema' is version 3, this program reads up to 2; upgrade syncnas-deploy.\n"
    assert refused.code == 3 and refused.err.endswith(says) and refused.err.count("\n") == 1


def test_a_bundle_of_version_1_is_read_as_fp32(bundle: Bundle, tmp_path: Path) -> None:
    folder = of_version(1, bundle, tmp_path / "old")
    read = read_bundle(folder)
    assert read.precisions == ("fp32", "fp32") and read.against_fp32 is None and not read.timing_only
    np.testing.assert_array_equal(read.reference()[1], bundle.reference()[1])


@pytest.fixture(scope="module")
def calibration(config: ModelConfig) -> Calibration:
    rng = np.random.default_rng(1)
    images = rng.uniform(-2, 2, (4, config.input_size, config.input_size, 3)).astype(np.float32)
    pictures = CalibrationPictures(images, Calibrated(4, "seeded", 0, "0" * 64))
    return calibrate(config, random_weights(parameter_shapes(config), 0), pictures)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (("int8",), ("int8", "int8")),
        (("int8", "fp16"), ("int8", "fp16")),
        (("fp32", "int8"), ("fp32", "int8")),
        (("fp16",), ("fp16", "fp16")),
    ],
)
def test_each_branch_has_its_precision_and_the_reference_is_that_of_the_files(
    asked: Any, found: Any, bundle: Bundle, config: ModelConfig, calibration: Calibration, tmp_path: Path
) -> None:
    made = written(tmp_path / "b", config, precisions=asked, calibration=calibration)
    assert made.precisions == found and read_bundle(made.folder) == made
    assert [b.calibrated for b in made.branches] == [calibration.by if p == "int8" else None for p in found]
    assert ("calibration.json" in made.files) == ("int8" in found)
    image, logits = made.reference()
    files = {f"branch{b}.tflite": made.tflite(b).read_bytes() for b in (0, 1)}
    np.testing.assert_array_equal(chain_logits(made.segments, files, image), logits)
    plain = bundle.reference()[1]
    error = rms_error(logits, plain)
    assert made.against_fp32 is not None and made.against_fp32.rms == pytest.approx(error, rel=1e-5)
    assert 0 < error < max(LARGE_ERROR[p] for p in found)
    sizes = [made.tflite(b).stat().st_size / bundle.tflite(b).stat().st_size for b in (0, 1)]
    assert all((size < 0.75) == (p != "fp32") for size, p in zip(sizes, found, strict=True))


def test_without_a_calibration_int8_is_for_timing_alone(config: ModelConfig, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"int8 needs --calibrate DIR .* or --timing-only, for files"):
        written(tmp_path / "b", config, precisions=("int8",))
    assert not list(tmp_path.iterdir())
    made = written(tmp_path / "b", config, precisions=("int8",), timing_only=True)
    assert made.timing_only and made.against_fp32 is None and "calibration.json" not in made.files
    with pytest.raises(BundleError, match="int8 without a calibration, for timing alone; export it with pictures"):
        evaluate_bundle(made, tmp_path)


@pytest.mark.parametrize(
    ("precisions", "formats", "says"),
    [
        (("int4",), ("tflite",), "--precision is one of fp32, fp16, int8, found 'int4'; give one of them"),
        (("fp16", "INT8"), ("tflite",), "--precision is one of fp32, fp16, int8, found 'INT8'; give one of them"),
        ((), ("tflite",), "--precision is one of fp32, fp16, int8; give one of them"),
        (("fp16",) * 3, ("tflite",), "small_nca has two branches and 3 precisions were given; give one for all of it"),
        (("fp16",), ("onnx",), "--precision is that of .tflite files; add --format tflite"),
    ],
)
def test_a_precision_that_does_not_fit_is_refused(
    precisions: Any, formats: Any, says: str, config: ModelConfig, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match=says) as caught:
        written(tmp_path / "b", config, precisions=precisions, formats=formats)
    assert caught.value.code == WRONG_USE
    assert not list(tmp_path.iterdir())


def said_otherwise(folder: Path, branch: int, **changes: Any) -> None:
    """Have a manifest say something else of a branch's file."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["branches"][branch].update(changes)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("said", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("written_in", ["fp32", "fp16", "int8"])
def test_a_manifest_says_what_its_files_are(written_in: Any, said: str, config: ModelConfig, tmp_path: Path) -> None:
    made = written(tmp_path / "b", config, precisions=("fp32", written_in), timing_only=True)
    said_otherwise(made.folder, 1, precision=said)
    if said == written_in:
        assert read_bundle(made.folder) == made
        return
    with pytest.raises(BundleError, match=rf"branch1.tflite: is in {written_in}, and manifest.json says {said}; expo"):
        read_bundle(made.folder)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("network", ["small", "deep"])
def test_a_manifest_says_whether_large_kernels_are_split(network: str, split: bool, tmp_path: Path) -> None:
    config = branched(deep(), "nnnnnna") if network == "deep" else small_branched()
    made = written(tmp_path / "b", config, split_kernels=(0,) if split else ())
    said_otherwise(made.folder, 0, split_kernels=not split)
    if network == "small":  # no kernel is large
        assert read_bundle(made.folder).branches[0].split_kernels is not split
        return
    says = "whole" if split else "split"
    with pytest.raises(BundleError, match=rf"branch0.tflite: has other large kernels than manifest.json says \({says}"):
        read_bundle(made.folder)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x1c\x00\x00\x00TFL3" + bytes(99)])
def test_a_branchs_file_that_is_none_is_refused(content: bytes, bundle: Bundle, tmp_path: Path) -> None:
    folder = shutil.copytree(bundle.folder, tmp_path / "b")
    (folder / "branch1.tflite").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["branch1.tflite"] = sha256_of(folder / "branch1.tflite")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"branch1.tflite: cannot be read as a .tflite file; export the bundle again"):
        read_bundle(folder)


def test_a_calibration_of_another_network_is_refused(
    config: ModelConfig, calibration: Calibration, tmp_path: Path
) -> None:
    other = msgspec.structs.replace(calibration, network="1" * 64)
    with pytest.raises(CalibrationError, match="is the calibration of another network or other weights"):
        written(tmp_path / "b", config, precisions=("int8",), calibration=other)
    made = written(tmp_path / "b", config, precisions=("int8",), calibration=calibration)
    path = made.folder / "calibration.json"
    path.write_text(dump_json(calibration_to_json(other)))
    manifest = json.loads((made.folder / "manifest.json").read_text())
    manifest["files"]["calibration.json"] = sha256_of(path)
    (made.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"calibration.json: is the calibration of another network"):
        read_bundle(made.folder)
    manifest["files"].pop("calibration.json")
    (made.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"calibration.json: is missing; export the bundle again"):
        read_bundle(made.folder)
    manifest["branches"] = manifest["branches"][:1]
    (made.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="'branches' are not those of the config"):
        read_bundle(made.folder)


def test_split_kernels_give_the_same_logits_in_each_precision(tmp_path: Path) -> None:
    base = small_config()
    (blocks,) = base.stages[1].branches
    large = dataclasses.replace(base.stages[1], branches=(tuple(dataclasses.replace(b, kernels=(7,)) for b in blocks),))
    large_config = branched(dataclasses.replace(base, stages=(base.stages[0], large, base.stages[2])), "nca")
    images = np.random.default_rng(1).uniform(-2, 2, (3, 32, 32, 3)).astype(np.float32)
    pictures = CalibrationPictures(images, Calibrated(3, "seeded", 0, "0" * 64))
    made = calibrate(large_config, random_weights(parameter_shapes(large_config), 0), pictures)
    whole = written(tmp_path / "whole", large_config).reference()[1]
    for precisions in (("fp32",), ("fp16",), ("int8",)):
        folder = tmp_path / precisions[0]
        split = written(folder, large_config, precisions=precisions, calibration=made, split_kernels=(0,))
        assert [branch.split_kernels for branch in split.branches] == [True, False]
        assert rms_error(split.reference()[1], whole) < LARGE_ERROR[precisions[0]]
        written(tmp_path / f"{precisions[0]}-whole", large_config, precisions=precisions, calibration=made)
    sizes = [(tmp_path / name / "branch0.tflite").stat().st_size for name in ("fp32", "whole")]
    assert sizes[0] > sizes[1]


def test_network_txt_is_what_the_library_for_apps_reads(bundle: Bundle) -> None:
    lines = bundle.network().read_text(encoding="ascii").splitlines()
    assert lines[:3] == ["syncnas-network 1", "input 1 32 32 3", "output 1 4"]
    assert lines[3:5] == [f"file branch{b}.tflite {bundle.files[f'branch{b}.tflite']}" for b in (0, 1)]
    calls = [line.split()[1:4] for line in lines if line.startswith("call ")]
    assert sorted(calls) == sorted([str(s.phase), str(s.branch), s.name] for s in bundle.segments)


@pytest.mark.parametrize("formats", [("tflite",), ("onnx",)])
def test_a_bundle_without_network_txt_is_read_and_told_to_be_exported_again(
    formats: tuple[str, ...], config: ModelConfig, tmp_path: Path
) -> None:
    older = written(tmp_path / "b", config, formats=formats)
    manifest = json.loads((older.folder / "manifest.json").read_text())
    if manifest["files"].pop("network.txt", None):
        (older.folder / "network.txt").unlink()
    (older.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"holds no network\.txt; export it again with --format tflite"):
        read_bundle(older.folder).network()
