"""A network as a bundle: in which formats, and with which calibration."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from syncnas_bench import Unit
from syncnas_bench.files import is_file
from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.benchmarking.run import fitting
from syncnas_deploy.bundle import Bundle, check_bundle_output, write_bundle
from syncnas_deploy.bundle_formats import check_precisions
from syncnas_deploy.bundle_manifest import CALIBRATION, MANIFEST
from syncnas_deploy.bundle_numbers import NEEDS_PICTURES
from syncnas_deploy.calibration import Calibration, network_digest, read_calibration
from syncnas_deploy.errors import WRONG_USE, CalibrationError, DatasetError, OutputError
from syncnas_deploy.files.places import as_path
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.weights import Weights, parameter_shapes, random_weights
from syncnas_deploy.pipeline.inputs import ConfigLike, ProfileLike, as_config, as_profile, weights_in
from syncnas_deploy.precision import LARGE_ERROR, LOW_AGREEMENT, FileFormat, Precision
from syncnas_deploy.training.calibration import calibrate as calibrate_network
from syncnas_deploy.training.calibration import read_pictures
from syncnas_deploy.training.checkpoints import load_weights
from syncnas_exporters.opsets import DEFAULT_OPSET


def export(
    config: ConfigLike,
    out: str | Path,
    *,
    weights: str | Path | None = None,
    seed: int | None = None,
    formats: Sequence[str] = ("tflite",),
    profile: ProfileLike | None = None,
    precisions: Sequence[Precision] = (),
    calibrate: Path | None = None,
    split_kernels: Collection[int] | None = None,
    timing_only: bool = False,
    opset: int = DEFAULT_OPSET,
    whole: bool = False,
    force: bool = False,
    on_notice: Callable[[str], None] = lambda _: None,
) -> Bundle:
    """Export a network as a bundle, with weights from a file, from ``timm:NAME``, or seeded random ones.

    Of a training's folder it takes the best weights, unless `weights` or `seed` says otherwise.

    Args:
        formats, opset, whole: see `bundle.write_bundle`.
        profile: its units say what is not said here: precisions, and whether kernels are split.
        precisions: of the .tflite files, one for all or one for each branch; fp32 where neither they nor a profile is
            given.
        calibrate: int8 needs it: a folder of pictures, or the calibration.json of an earlier export of this network.
        split_kernels: branches whose depthwise kernels over 5x5 are written as sums of smaller ones; none where neither
            they nor a profile is given.
        timing_only: make int8 without pictures: it takes as long as with them and computes nonsense.
        on_notice: called with sentences for the user: about the pictures, or where the result is far from fp32.

    Raises:
        WeightsError: the file does not fit the network.
        OutputExists: `out` is there and `force` was not given.
        OutputError: a precision does not fit the network, the formats or the profile's units.
        DatasetError: pictures that cannot be used.
        CalibrationError: int8 without a calibration, or with one of another network.
    """
    found, out = as_config(config), as_path(out)
    units = units_for(found, profile) if "tflite" in formats else ()
    forms = [FileFormat.exported(unit) for unit in units]
    wanted = check_precisions(found, precisions or [form.precision for form in forms] or ("fp32",), formats)
    if split_kernels is None:
        split_kernels = [branch for branch, form in enumerate(forms) if form.split_kernels]
    if "int8" in wanted and calibrate is None and not timing_only:
        raise CalibrationError(NEEDS_PICTURES, code=WRONG_USE)
    if "int8" not in wanted and calibrate is not None:
        raise CalibrationError("--calibrate is for int8; add --precision int8 or leave it out.", code=WRONG_USE)
    if any(branch >= found.branch_count for branch in split_kernels):
        raise OutputError(f"--split-kernels: {found.name} has no branch {max(split_kernels)}.", code=WRONG_USE)
    for branch, (unit, precision) in enumerate(zip(units, wanted, strict=False)):
        form = FileFormat(precision, branch in split_kernels)
        if not form.runs_on(unit):
            other = f", or profile the unit {fitting(unit, form)}" if unit.kind == "cpu" else ""
            raise OutputError(
                f"{out}: branch {branch} would be {form.refused_by(unit)}; leave --precision and --split-kernels out, "
                f"which --profile tells{other}.",
                code=WRONG_USE,
            )
    check_bundle_output(out, force=force)
    if weights is None and seed is None:
        weights = weights_in(config)
    seed = seed or 0
    if weights is not None:
        values: Weights = load_weights(weights, found, on_notice)
        source = str(weights) if str(weights).startswith("timm:") else Path(weights).name
    else:
        values, source = random_weights(parameter_shapes(found), seed), f"random, seed {seed}"
    calibration, pictures = calibration_of(found, values, calibrate, seed, on_notice)
    bundle = write_bundle(
        out,
        found,
        values,
        source=source,
        formats=formats,
        opset=opset,
        whole=whole,
        seed=seed,
        precisions=wanted,
        calibration=calibration,
        pictures=pictures,
        split_kernels=split_kernels,
        timing_only=timing_only,
        force=force,
    )
    for sentence in far_from_fp32(bundle):
        on_notice(sentence)
    if "whole.tflite" in bundle.files and set(wanted) != {"fp32"}:
        on_notice("whole.tflite is in fp32, whatever the precision of the branches.")
    return bundle


def units_for(config: ConfigLike, profile: ProfileLike | None) -> tuple[Unit, ...]:
    """The unit of each branch by a profile, the faster one of a network of one branch; none without a profile."""
    if profile is None:
        return ()
    measured = as_profile(profile)
    units = tuple(Unit.parse(text) for text in measured.units)
    if as_config(config).branch_count == 1:
        return units[:1] if measured.table.network_us(0) <= measured.table.network_us(1) else units[1:]
    return units


def calibration_of(
    config: ModelConfig, weights: Weights, source: Path | None, seed: int, on_notice: Callable[[str], None]
) -> tuple[Calibration | None, Float32Array | None]:
    """The calibration of a network and the pictures [N, H, W, 3] that made it, as far as there are any.

    Args:
        source: a folder of pictures, or a calibration that was kept.

    Raises:
        CalibrationError: that is of another network, cannot be read, or is a bundle.
        DatasetError: there are no such pictures.
    """
    if source is None:
        return None, None
    if is_file(source) and source.name != MANIFEST:
        calibration = read_calibration(source)
        calibration.check(network_digest(config, weights), str(source))
        return calibration, None
    try:
        pictures = read_pictures(source, config.input_size, seed=seed)
    except DatasetError as error:
        folder = source.parent if source.name == MANIFEST else source
        if not is_file(folder / MANIFEST):
            raise
        kept = folder / CALIBRATION
        told = f"; give {kept} or" if is_file(kept) else " without a calibration; give"
        raise CalibrationError(f"{source}: is a bundle{told} a folder of pictures.") from error
    for sentence in pictures.notices:
        on_notice(sentence)
    return calibrate_network(config, weights, pictures), pictures.images


def far_from_fp32(bundle: Bundle) -> list[str]:
    """Warnings where a bundle's logits are far from those in fp32."""
    found = bundle.against_fp32
    if found is None:
        return []
    limit = max(LARGE_ERROR[precision] for precision in bundle.precisions)
    warnings = []
    if found.rms > limit:
        warnings.append(
            f"{bundle.config.name} loses much in {' and '.join(dict.fromkeys(bundle.precisions))}: its logits are "
            f"{found.rms:.2g} (rms, relative) from fp32, usual are {limit:g} at most; check it with `eval`."
        )
    if found.agreement < LOW_AGREEMENT and found.pictures > 1:
        warnings.append(
            f"Of {found.pictures} pictures {found.agreement:.0%} have the same class first as in fp32; check the "
            "accuracy with `eval`, or export fp16 or fp32."
        )
    return warnings
