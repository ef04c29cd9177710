"""A bundle's manifest: what it admits, other versions of it, and that it says what its files are."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from syncnas_bench.files import sha256_of
from syncnas_deploy.bundle import Bundle, read_bundle
from syncnas_deploy.errors import BundleError
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.placement import Placement
from tests.support.bundle_cases import manifest_of, seeded_bundle
from tests.support.documents import document
from tests.support.picture_cases import small_branched, small_config
from tests.support.precision_cases import with_large_kernels
from tests.support.program import Program

CONFIG = small_branched()


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("schema", "syncnas-deploy/bundle/3", "'schema' is version 3, this program reads up to 2; upgrade"),
        ("made_by", 3, "'made_by' must be printable text of 1 to 256 characters, found 3; correct it"),
        ("weights", "\x1b", "'weights' must be printable text of 1 to 4096 characters"),
        ("extra", 1, "'extra' is not a known field; remove it"),
        ("files", {"../x": "0" * 64}, "'files': a name in it must be a plain file of this folder; correct it"),
        ("files", {".x": "0" * 64}, "'files': a name in it must be a plain file of this folder; correct it"),
        ("files", {"x" * 5000: "0" * 64}, "'files': a name in it must be a plain file of this folder; correct it"),
        ("files", {"x": "0" * 63}, "'files[...]' must be a sha256: 64 hexadecimal digits; correct it"),
        ("files", {"x": "0" * 64}, None),
        ("segments", [], "'segments' must be a list of 1 to 64 items"),
        ("config", {}, "config: 'schema' is missing; add it"),
        ("branch", 2, "'segments[0].branch' must be an integer from 0 to 1, found 2; correct it."),
        ("sync", "x", "'segments[0].sync' must be one of n, a, c, found \"x\"; correct it."),
        ("name", "other", "'segments' are not those of the config; export the bundle again."),
        ("output_shape", [1, 2, 3, 4], "'segments' are not those of the config; export the bundle again."),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_in_a_sentence(
    field: str, value: object, sentence: str | None, bundle: Bundle, tmp_path: Path
) -> None:
    path = Path(shutil.copy(bundle.folder / "manifest.json", tmp_path))
    with manifest_of(tmp_path) as manifest:
        segment = manifest["segments"][0]
        (segment if field in segment else manifest)[field] = value
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path)
    expected = f"{path}: {sentence}" if sentence else f"{tmp_path / 'x'}: is missing; export the bundle again."
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("text", ['{"schema": "a", "schema": "b"}', '{"schema": NaN}', "{"])
def test_a_manifest_that_is_no_json_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json: "):
        read_bundle(tmp_path)


def of_version(version: int, bundle: Bundle, folder: Path) -> Path:
    """A bundle as another version of this program writes it."""
    shutil.copytree(bundle.folder, folder)
    with manifest_of(folder) as manifest:
        manifest["schema"] = f"syncnas-deploy/bundle/{version}"
        for newer in ("network", "branches", "against_fp32") if version == 1 else ():
            manifest.pop(newer, None)
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


@pytest.mark.parametrize("formats", [("tflite",), ("onnx",), ("tflite", "onnx")])
def test_a_manifest_names_the_files_that_are_there(formats: tuple[str, ...], tmp_path: Path) -> None:
    folder = seeded_bundle(tmp_path / "b", CONFIG, formats=formats).folder
    with manifest_of(folder) as manifest:
        for segment in manifest["segments"]:
            wanted = {"file": f"branch{segment['branch']}.tflite", "onnx": f"{segment['name']}.onnx"}
            assert (segment["file"] is None) == ("tflite" not in formats)
            assert (segment["onnx"] is None) == ("onnx" not in formats)
            assert all(segment[key] in (None, name) for key, name in wanted.items())
            assert {segment["file"], segment["onnx"]} - {None} <= manifest["files"].keys()
            # Before 0.3 each segment named its .tflite file, whether there was one or not.
            segment["file"] = wanted["file"]
            del segment["onnx"]
    assert len(read_bundle(folder).segments) == len(manifest["segments"])
    with manifest_of(folder) as manifest:
        manifest["segments"][0]["file"] = "branch1.tflite"
    with pytest.raises(BundleError, match="not those of the config"):
        read_bundle(folder)


@pytest.mark.parametrize("placement", [Placement(), Placement(trunk=1), Placement(twin_stem=True)])
@pytest.mark.parametrize("strategy", ["nca", "nna", "acc"])
def test_the_program_of_the_documents_runs_onnx_files(strategy: str, placement: Placement) -> None:
    base = small_config(8)
    config = branched(base, strategy, placement=placement)
    seeded_bundle(Path("onnx-bundle"), config, formats=("onnx",))
    (code,) = re.findall(r"```python\n(.*?)```", document("docs/bundle.md"), flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    wanted = names["reference"]["logits"]
    assert (
        names["logits"].shape == wanted.shape and np.abs(names["logits"] - wanted).max() < 1e-4 * np.abs(wanted).max()
    )


@pytest.mark.parametrize("said", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("written_in", ["fp32", "fp16", "int8"])
def test_a_manifest_says_what_its_files_are(written_in: Any, said: str, tmp_path: Path) -> None:
    made = seeded_bundle(tmp_path / "b", CONFIG, precisions=("fp32", written_in), timing_only=True)
    with manifest_of(made.folder) as manifest:
        manifest["branches"][1]["precision"] = said
    if said == written_in:
        assert read_bundle(made.folder) == made
        return
    with pytest.raises(BundleError, match=rf"branch1.tflite: is in {written_in}, and manifest.json says {said}; expo"):
        read_bundle(made.folder)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(
    "config", [CONFIG, branched(with_large_kernels(small_config()), "nca")], ids=["small", "large"]
)
def test_a_manifest_says_whether_large_kernels_are_split(config: ModelConfig, split: bool, tmp_path: Path) -> None:
    made = seeded_bundle(tmp_path / "b", config, split_kernels=(0,) if split else ())
    with manifest_of(made.folder) as manifest:
        manifest["branches"][0]["split_kernels"] = not split
    if config is CONFIG:  # no kernel is large
        assert read_bundle(made.folder).branches[0].split_kernels is not split
        return
    says = "whole" if split else "split"
    with pytest.raises(BundleError, match=rf"branch0.tflite: has other large kernels than manifest.json says \({says}"):
        read_bundle(made.folder)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x1c\x00\x00\x00TFL3" + bytes(99)])
def test_a_branchs_file_that_is_none_is_refused(content: bytes, bundle: Bundle, tmp_path: Path) -> None:
    folder = shutil.copytree(bundle.folder, tmp_path / "b")
    (folder / "branch1.tflite").write_bytes(content)
    with manifest_of(folder) as manifest:
        manifest["files"]["branch1.tflite"] = sha256_of(folder / "branch1.tflite")
    with pytest.raises(BundleError, match=r"branch1.tflite: cannot be read as a .tflite file; export the bundle again"):
        read_bundle(folder)
