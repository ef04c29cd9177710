"""Bundles in fp16 and int8: each branch in its own, with the calibration it was made with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from syncnas_bench.files import sha256_of
from syncnas_deploy.bundle import Bundle, read_bundle
from syncnas_deploy.bundle_numbers import chain_logits
from syncnas_deploy.calibration import Calibrated, Calibration, calibration_to_json
from syncnas_deploy.errors import WRONG_USE, BundleError, CalibrationError, OutputError
from syncnas_deploy.files.output import dump_json
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.precision import LARGE_ERROR
from syncnas_deploy.training.bundle_accuracy import evaluate_bundle
from syncnas_deploy.training.calibration import CalibrationPictures, calibrate
from tests.support.bundle_cases import manifest_of, seeded_bundle
from tests.support.picture_cases import small_branched, small_config
from tests.support.precision_cases import rms_error, with_large_kernels

CONFIG = small_branched()


def calibration_of(config: ModelConfig) -> Calibration:
    images = np.random.default_rng(1).uniform(-2, 2, (4, 32, 32, 3)).astype(np.float32)
    pictures = CalibrationPictures(images, Calibrated(4, "seeded", 0, "0" * 64))
    return calibrate(config, random_weights(parameter_shapes(config), 0), pictures)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibration_of(CONFIG)


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
    asked: Any, found: Any, bundle: Bundle, calibration: Calibration, tmp_path: Path
) -> None:
    made = seeded_bundle(tmp_path / "b", CONFIG, precisions=asked, calibration=calibration)
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


def test_without_a_calibration_int8_is_for_timing_alone(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"int8 needs --calibrate DIR .* or --timing-only, for files"):
        seeded_bundle(tmp_path / "b", CONFIG, precisions=("int8",))
    assert not list(tmp_path.iterdir())
    made = seeded_bundle(tmp_path / "b", CONFIG, precisions=("int8",), timing_only=True)
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
def test_a_precision_that_does_not_fit_is_refused(precisions: Any, formats: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=says) as caught:
        seeded_bundle(tmp_path / "b", CONFIG, precisions=precisions, formats=formats)
    assert caught.value.code == WRONG_USE
    assert not list(tmp_path.iterdir())


def test_a_calibration_of_another_network_is_refused(calibration: Calibration, tmp_path: Path) -> None:
    other = msgspec.structs.replace(calibration, network="1" * 64)
    with pytest.raises(CalibrationError, match="is the calibration of another network or other weights"):
        seeded_bundle(tmp_path / "b", CONFIG, precisions=("int8",), calibration=other)
    made = seeded_bundle(tmp_path / "b", CONFIG, precisions=("int8",), calibration=calibration)
    path = made.folder / "calibration.json"
    path.write_text(dump_json(calibration_to_json(other)))
    with manifest_of(made.folder) as manifest:
        manifest["files"]["calibration.json"] = sha256_of(path)
    with pytest.raises(BundleError, match=r"calibration.json: is the calibration of another network"):
        read_bundle(made.folder)
    with manifest_of(made.folder) as manifest:
        manifest["files"].pop("calibration.json")
    with pytest.raises(BundleError, match=r"calibration.json: is missing; export the bundle again"):
        read_bundle(made.folder)
    with manifest_of(made.folder) as manifest:
        manifest["branches"].pop()
    with pytest.raises(BundleError, match="'branches' are not those of the config"):
        read_bundle(made.folder)


def test_split_kernels_give_the_same_logits_in_each_precision(tmp_path: Path) -> None:
    large_config = branched(with_large_kernels(small_config()), "nca")
    made = calibration_of(large_config)
    whole = seeded_bundle(tmp_path / "whole", large_config).reference()[1]
    for precisions in (("fp32",), ("fp16",), ("int8",)):
        folder = tmp_path / precisions[0]
        split = seeded_bundle(folder, large_config, precisions=precisions, calibration=made, split_kernels=(0,))
        assert [branch.split_kernels for branch in split.branches] == [True, False]
        assert rms_error(split.reference()[1], whole) < LARGE_ERROR[precisions[0]]
        seeded_bundle(tmp_path / f"{precisions[0]}-whole", large_config, precisions=precisions, calibration=made)
    sizes = [(tmp_path / name / "branch0.tflite").stat().st_size for name in ("fp32", "whole")]
    assert sizes[0] > sizes[1]
