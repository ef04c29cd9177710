"""Bundle: a folder with everything that runs one network on a device.

manifest.json      what is here: the config, every segment with file, signature, shapes, and sha256 of each file
branch0.tflite     all segments of branch 0, one signature each; branch1.tflite has those of branch 1
network.txt        the network as an app's libsyncnas reads it, see `syncnas_bench.network_text`; beside .tflite files
*.onnx             one file per segment, where ONNX was asked for
whole.*            where it was asked for: a network of two branches as one graph in fp32, for tools that read one
calibration.json   the ranges that int8 files were made with
reference.npz      one input image and the logits that LiteRT computed for it from these files on the exporting host
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

import syncnas_deploy
from syncnas_bench.errors import nearest
from syncnas_bench.files import is_file, regular_bytes, sha256_of
from syncnas_deploy.bundle_formats import FORMATS, WHOLE, check_precisions, tflite_name
from syncnas_deploy.bundle_manifest import (
    CALIBRATION,
    MANIFEST,
    REFERENCE,
    SCHEMA,
    VERSION,
    AgainstFp32,
    BranchFile,
    Manifest,
    manifest_segments,
    read_manifest,
)
from syncnas_deploy.bundle_network import NETWORK, bundle_network
from syncnas_deploy.bundle_numbers import FileNumbers, chain_logits, check_branch_file
from syncnas_deploy.calibration import Calibration, calibration_to_json, network_digest, read_calibration
from syncnas_deploy.errors import ABSENT, WRONG_USE, BundleError, OutputError
from syncnas_deploy.files.documents import Fields
from syncnas_deploy.files.npz import Headers, read_npz
from syncnas_deploy.files.output import FolderKind, atomic_folder, check_folder, dump_json
from syncnas_deploy.files.places import neighbours
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_from_fields, config_to_json
from syncnas_deploy.networks.lowering import lower, network_graph
from syncnas_deploy.networks.segments import Feed, Segment, cut
from syncnas_deploy.networks.weights import Weights, network_bytes
from syncnas_deploy.precision import FileFormat, Precision
from syncnas_deploy.shown import brief
from syncnas_exporters import Graph, GraphError, TfliteRunner, difference
from syncnas_exporters.opsets import DEFAULT_OPSET

_WHOLE_TOLERANCE = 1e-5
"""How far logits of the whole graph may be from those of the segments, of the largest; they were equal where tried."""
_ROOM_BYTES = 16 << 20
"""What a file has beside its arrays: operators, names, and metadata."""


@dataclass(frozen=True, repr=False)
class Bundle:
    """A bundle that was read and whose manifest is consistent.

    Attributes:
        folder: where it is.
        config: the network.
        weights: where the weights came from.
        files: sha256 by file name.
        branches: the format of each branch's .tflite file.
        against_fp32: how far its logits are from those in fp32; None where all is fp32 or for timing alone.
    """

    folder: Path
    config: ModelConfig
    weights: str
    files: Mapping[str, str]
    branches: tuple[BranchFile, ...]
    against_fp32: AgainstFp32 | None = None

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Of each branch's .tflite file."""
        return tuple(branch.precision for branch in self.branches)

    @property
    def formats(self) -> tuple[FileFormat, ...]:
        """Of each branch's .tflite file."""
        return tuple(FileFormat(branch.precision, branch.split_kernels) for branch in self.branches)

    @property
    def timing_only(self) -> bool:
        """Whether an int8 file was made without pictures, so that its outputs say nothing."""
        return any(branch.precision == "int8" and branch.calibrated is None for branch in self.branches)

    def __repr__(self) -> str:
        return brief("Bundle", self.config.name, f"{len(self.files)} files in {self.folder}", f"weights {self.weights}")

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The network's segments; each is a signature of its branch's file."""
        return cut(self.config)

    def tflite(self, branch: int) -> Path:
        """The file with all segments of a branch.

        Raises:
            BundleError: the bundle was exported without TFLite.
        """
        name = tflite_name(branch)
        if name not in self.files:
            raise BundleError(f"{self.folder}: holds no {name}; export it again with --format tflite.")
        return self.folder / name

    def network(self) -> Path:
        """The file that an app's library reads the network from.

        Raises:
            BundleError: the bundle was exported without TFLite, or by a program that wrote none.
        """
        if NETWORK not in self.files:
            raise BundleError(f"{self.folder}: holds no {NETWORK}; export it again with --format tflite.")
        return self.folder / NETWORK

    def reference(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Input [1, H, W, 3] and logits [1, classes] of the exporting host.

        Raises:
            BundleError: the file is damaged, or is not of this network.
        """
        path = self.folder / REFERENCE
        if REFERENCE not in self.files:
            raise BundleError(f"{self.folder}: holds no {REFERENCE}; export the bundle again.")
        size = self.config.input_size
        wanted = {"image": (1, size, size, self.config.stem.in_channels), "logits": (1, self.config.classes)}

        def accept(headers: Headers) -> None:
            if {name: header.shape for name, header in headers.items()} != wanted:
                raise BundleError(f"{path}: is not of this network; export the bundle again.")

        try:
            arrays = read_npz(path, accept)
        except ValueError as e:
            raise BundleError(f"{path}: cannot be read ({e}); export the bundle again.") from None
        image, logits = arrays["image"], arrays["logits"]
        if not np.isfinite(logits).all():
            raise BundleError(f"{path}: is not of this network; export the bundle again.")
        return image, logits


def graphs(config: ModelConfig, weights: Weights) -> dict[str, Graph]:
    """Every segment's graph by the segment's name."""
    return {segment.name: lower(segment, config, weights) for segment in cut(config)}


def write_bundle(
    folder: Path,
    config: ModelConfig,
    weights: Weights,
    *,
    source: str,
    formats: Sequence[str] = ("tflite",),
    opset: int = DEFAULT_OPSET,
    whole: bool = False,
    seed: int = 0,
    precisions: Sequence[Precision] = ("fp32",),
    calibration: Calibration | None = None,
    pictures: NDArray[np.float32] | None = None,
    timing_only: bool = False,
    split_kernels: Collection[int] = (),
    force: bool = False,
) -> Bundle:
    """Export a network; the folder appears whole or not at all.

    Args:
        folder: to be made.
        config: the network.
        weights: named arrays that fit the config.
        source: where the weights came from, for the manifest.
        formats: any of `FORMATS`.
        opset: of ONNX files, see `syncnas_exporters.opsets`.
        whole: also write a network of two branches as one graph. A base model is one graph anyway.
        seed: of the reference image, uniform in [-1, 1).
        precisions: of the .tflite files, one for all or one for each branch. ONNX files are fp32.
        calibration: of this network; int8 needs it.
        pictures: [N, H, W, 3], on which the files are compared with fp32; the reference image where None.
        split_kernels: branches whose depthwise kernels over 5x5 are written as sums of smaller ones; not in ONNX files.
        timing_only: make int8 without a calibration. Such a file takes as long as another one and computes nonsense.
        force: replace an older bundle of that name; what is not of it stays in the folder.

    Raises:
        OutputExists: the folder exists and is no bundle, or `force` is false.
        OutputBusy: another process is exporting to it.
        OutputError: a format or precision is unknown or does not fit, or the folder cannot be written.
        CalibrationError: int8 has no calibration, or one of another network.
        BundleError: the network's outputs are not finite with these weights.
    """
    if not formats or not set(formats) <= FORMATS.keys():
        wrong = ", ".join(sorted(set(formats) - FORMATS.keys())) or "none"
        raise OutputError(
            f"--format is any of {', '.join(FORMATS)}, found {wrong!r}; give one of them.", code=WRONG_USE
        )
    wanted = check_precisions(config, precisions, formats)
    numbers = FileNumbers(network_digest(config, weights), wanted, calibration, pictures, split_kernels)
    numbers.check(folder, timing_only=timing_only)
    with atomic_folder(folder, BUNDLE, force=force) as work:
        _fill(work, config, weights, source, formats, opset, whole, seed, numbers)
    return read_bundle(folder)


def check_bundle_output(folder: Path, *, force: bool) -> None:
    """Refuse a place where a bundle cannot go, before any work is done; an export killed there is cleaned up first.

    Raises:
        OutputExists: something is there, and it is no bundle or `force` is false.
        OutputBusy: another process is exporting to it.
        OutputError: the place cannot be written.
    """
    check_folder(folder, BUNDLE, force=force)


def _own_files(folder: Path) -> tuple[str, ...]:
    """The files of the bundle in a folder, the manifest last; none if there is no bundle."""
    if not is_bundle(folder):
        return ()
    try:
        return (*read_manifest(folder / MANIFEST).files, MANIFEST)
    except BundleError:
        return ()


BUNDLE = FolderKind("bundle", _own_files)


def _fill(
    work: Path,
    config: ModelConfig,
    weights: Weights,
    source: str,
    formats: Sequence[str],
    opset: int,
    whole: bool,
    seed: int,
    numbers: FileNumbers,
) -> None:
    segments = cut(config)
    try:
        lowered = graphs(config, weights)
        if whole:
            lowered.setdefault(WHOLE, network_graph(config, weights, WHOLE))
        # The reference is computed by LiteRT, whatever the formats that are kept.
        written = numbers.write(segments, lowered, {"tflite", *formats}, opset)
    except GraphError as e:
        raise BundleError(f"{config.name}: cannot be exported: {e}.") from None
    shape = (1, config.input_size, config.input_size, config.stem.in_channels)
    image = np.random.default_rng(seed).uniform(-1.0, 1.0, shape).astype(np.float32)
    logits = chain_logits(segments, written["tflite"], image)
    if not np.isfinite(logits).all():
        raise BundleError(f"{config.name}: gives NaN or infinite logits with weights from {source}; check the weights.")
    if whole and config.branch_count > 1:
        _check_whole(
            written["tflite"][f"{WHOLE}.tflite"], image, numbers.plain_logits(segments, lowered, image), config
        )
    for name, data in ((name, data) for kept in formats for name, data in written[kept].items()):
        (work / name).write_bytes(data)
    if "tflite" in formats:
        digests = {name: sha256_of(work / name) for name in written["tflite"]}
        (work / NETWORK).write_text(bundle_network(segments, digests), encoding="ascii", newline="\n")
    np.savez(work / REFERENCE, image=image, logits=logits)
    if numbers.calibration is not None:
        (work / CALIBRATION).write_text(dump_json(calibration_to_json(numbers.calibration)), encoding="utf-8")
    files = {path.name: sha256_of(path) for path in sorted(work.iterdir())}
    manifest = Manifest(
        schema=f"{SCHEMA}/{VERSION}",
        made_by=f"syncnas-deploy {syncnas_deploy.__version__}",
        config=config_to_json(config),
        weights=source,
        files=files,
        segments=manifest_segments(config, files),
        network=numbers.network,
        branches=numbers.branches(),
        against_fp32=numbers.against_fp32(segments, lowered, written["tflite"], image),
    )
    (work / MANIFEST).write_text(dump_json(msgspec.to_builtins(manifest)), encoding="utf-8")


def _check_whole(model: bytes, image: NDArray[np.float32], logits: NDArray[np.float32], config: ModelConfig) -> None:
    (found,) = TfliteRunner(model).run(WHOLE, {Feed.IMAGE.value: image}).values()
    if not difference(found, logits).max_rel <= _WHOLE_TOLERANCE:
        raise BundleError(
            f"{config.name}: as one graph it computes something else than its segments; please report it."
        )


def is_bundle(path: Path) -> bool:
    """Whether a path looks like a bundle."""
    return is_file(path / MANIFEST)


def read_bundle(folder: Path) -> Bundle:
    """Read and check a bundle: manifest, segments, and the sha256 of every file.

    Raises:
        BundleError: naming file, field and remedy.
    """
    path = folder / MANIFEST
    if not is_file(path):
        there = folder.exists()
        raise BundleError(
            f"{folder}: {f'not a bundle (no {MANIFEST})' if there else 'no such bundle'}; make one with "
            "`syncnas-deploy export`." + ("" if there else nearest(folder, neighbours(folder))),
            code=None if there else ABSENT,
        )
    manifest = read_manifest(path)
    where = f"{path}: config"
    config = config_from_fields(Fields(manifest.config, where, BundleError), where)
    # Before 0.3 each segment named its .tflite file, whether there was one or not.
    named = (manifest.files, [tflite_name(branch) for branch in range(config.branch_count)])
    if manifest.segments not in [manifest_segments(config, files) for files in named]:
        raise BundleError(f"{path}: 'segments' are not those of the config; export the bundle again.")
    for name, digest in manifest.files.items():
        file = folder / name
        try:
            size = regular_bytes(file)
            if size > _most_bytes(config):
                raise BundleError(f"{file}: {size} bytes is more than this network needs; export the bundle again.")
            if sha256_of(file) != digest:
                raise BundleError(f"{file}: differs from its sha256 in {MANIFEST}; export the bundle again.")
        except FileNotFoundError:
            raise BundleError(f"{file}: is missing; export the bundle again.") from None
        except OSError as e:
            raise BundleError(f"{file}: cannot be read ({e.strerror}); export the bundle again.") from None
    branches = manifest.branches or (BranchFile(),) * config.branch_count
    if len(branches) != config.branch_count:
        raise BundleError(f"{path}: 'branches' are not those of the config; export the bundle again.")
    for branch, said in enumerate(branches):
        if tflite_name(branch) in manifest.files:
            check_branch_file(folder / tflite_name(branch), branch, said, config)
    _check_calibration(folder, manifest, branches)
    return Bundle(folder, config, manifest.weights, manifest.files, branches, manifest.against_fp32)


def _check_calibration(folder: Path, manifest: Manifest, branches: Sequence[BranchFile]) -> None:
    """An int8 file that was calibrated has its calibration beside it, of this network and by the same pictures."""
    by = {branch.calibrated for branch in branches if branch.calibrated is not None}
    if not by:
        return
    path = folder / CALIBRATION
    if CALIBRATION not in manifest.files:
        raise BundleError(f"{path}: is missing; export the bundle again.")
    calibration = read_calibration(path)
    if calibration.network != manifest.network or by != {calibration.by}:
        raise BundleError(f"{path}: is the calibration of another network; export the bundle again with --calibrate.")


def _most_bytes(config: ModelConfig) -> int:
    """How large one file of a bundle may be."""
    return _ROOM_BYTES + network_bytes(config)
