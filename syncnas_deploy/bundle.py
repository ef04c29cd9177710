"""Bundle: a folder with everything that runs one network on a device.

manifest.json      what is here: the config, every segment with file, signature, shapes, and sha256 of each file
branch0.tflite     all segments of branch 0, one signature each; branch1.tflite has those of branch 1
network.txt        the network as an app's libsyncnas reads it, see `syncnas_bench.network_text`; beside .tflite files
*.onnx             one file per segment, where ONNX was asked for
whole.*            where it was asked for: a network of two branches as one graph, for tools that read one
reference.npz      one input image and the logits that LiteRT computed for it on the exporting host
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

import syncnas_deploy
from syncnas_bench.errors import nearest
from syncnas_bench.files import is_file, regular_bytes, sha256_of
from syncnas_deploy.bundle_formats import FORMATS, WHOLE, tflite_name
from syncnas_deploy.bundle_network import NETWORK, bundle_network
from syncnas_deploy.errors import ABSENT, BundleError, OutputError
from syncnas_deploy.files.documents import (
    Fields,
    Schema,
    Sha256,
    Text,
    decode_document,
    printable_text,
    read_json,
)
from syncnas_deploy.files.npz import Headers, read_npz
from syncnas_deploy.files.output import FolderKind, atomic_folder, check_folder, dump_json
from syncnas_deploy.files.places import neighbours
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.formats import config_from_fields, config_to_json
from syncnas_deploy.networks.lowering import lower, network_graph
from syncnas_deploy.networks.segments import Feed, Segment, cut, run_chain
from syncnas_deploy.networks.weights import Weights, network_bytes
from syncnas_exporters import Graph, GraphError, TfliteRunner, difference
from syncnas_exporters.opsets import DEFAULT_OPSET

SCHEMA = "syncnas-deploy/bundle"
VERSION = 1
MANIFEST = "manifest.json"
REFERENCE = "reference.npz"
_MAX_MANIFEST_BYTES = 4 << 20
_WHOLE_TOLERANCE = 1e-5
"""How far logits of the whole graph may be from those of the segments, of the largest; they were equal where tried."""
_ROOM_BYTES = 16 << 20
"""What a file has beside its arrays: operators, names, and metadata."""

FileName = Annotated[
    str, Meta(max_length=255, pattern=r"^[^./\\\x00][^/\\\x00]*\Z", description="a plain file of this folder")
]
Channels = Annotated[int, Meta(ge=1, le=2**31 - 1)]
FeatureShape = Annotated[tuple[Channels, ...], Meta(min_length=2, max_length=4)]
"""[1, H, W, C], or [1, classes]."""


class ManifestInput(Schema, frozen=True):
    """An input of a segment: where it comes from, and its shape."""

    source: Feed = msgspec.field(name="from")
    shape: FeatureShape


class ManifestSegment(Schema, frozen=True):
    """A segment, as an app needs it: where it runs, what it is called in which file, what goes in and comes out."""

    name: Text
    phase: Annotated[int, Meta(ge=0, le=64)]
    branch: Annotated[int, Meta(ge=0, le=1)]
    file: FileName
    signature: Text
    inputs: Annotated[tuple[ManifestInput, ...], Meta(min_length=1, max_length=2)]
    output_shape: FeatureShape
    sync: SyncOp


class Manifest(Schema, frozen=True):
    """``manifest.json``: the network, where its weights came from, and each file with its sha256."""

    schema: Text
    made_by: Text
    config: dict[str, Any]
    weights: Annotated[str, printable_text(4096)]
    files: dict[FileName, Sha256]
    segments: Annotated[tuple[ManifestSegment, ...], Meta(min_length=1, max_length=64)]


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and whose manifest is consistent.

    Attributes:
        folder: where it is.
        config: the network.
        weights: where the weights came from.
        files: sha256 by file name.
    """

    folder: Path
    config: ModelConfig
    weights: str
    files: Mapping[str, str]

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
        force: replace an older bundle of that name; what is not of it stays in the folder.

    Raises:
        OutputExists: the folder exists and is no bundle, or `force` is false.
        OutputBusy: another process is exporting to it.
        OutputError: a format is unknown, or the folder cannot be written.
        BundleError: the network's outputs are not finite with these weights.
    """
    if not formats or not set(formats) <= FORMATS.keys():
        wrong = ", ".join(sorted(set(formats) - FORMATS.keys())) or "none"
        raise OutputError(f"{folder}: formats are any of {', '.join(FORMATS)}, found {wrong!r}; give one of them.")
    with atomic_folder(folder, BUNDLE, force=force) as work:
        _fill(work, config, weights, source, formats, opset, whole, seed)
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
        return (*_read_manifest(folder / MANIFEST).files, MANIFEST)
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
) -> None:
    try:
        lowered = graphs(config, weights)
        if whole:
            lowered.setdefault(WHOLE, network_graph(config, weights, WHOLE))
    except GraphError as e:
        raise BundleError(f"{config.name}: cannot be exported: {e}.") from None
    segments = cut(config)
    # The reference is computed by LiteRT, whatever the formats that are kept.
    written = {name: FORMATS[name](segments, lowered, opset) for name in dict.fromkeys(("tflite", *formats))}
    runners = {b: TfliteRunner(written["tflite"][tflite_name(b)]) for b in range(config.branch_count)}
    shape = (1, config.input_size, config.input_size, config.stem.in_channels)
    image = np.random.default_rng(seed).uniform(-1.0, 1.0, shape).astype(np.float32)
    logits = run_chain(segments, lambda s, inputs: runners[s.branch].run(s.name, inputs), image)
    if not np.isfinite(logits).all():
        raise BundleError(f"{config.name}: gives NaN or infinite logits with weights from {source}; check the weights.")
    if whole and config.branch_count > 1:
        _check_whole(written["tflite"][f"{WHOLE}.tflite"], image, logits, config)
    for name, data in ((name, data) for kept in formats for name, data in written[kept].items()):
        (work / name).write_bytes(data)
    if "tflite" in formats:
        digests = {name: sha256_of(work / name) for name in written["tflite"]}
        (work / NETWORK).write_text(bundle_network(segments, digests), encoding="ascii", newline="\n")
    np.savez(work / REFERENCE, image=image, logits=logits)
    manifest = Manifest(
        schema=f"{SCHEMA}/{VERSION}",
        made_by=f"syncnas-deploy {syncnas_deploy.__version__}",
        config=config_to_json(config),
        weights=source,
        files={path.name: sha256_of(path) for path in sorted(work.iterdir())},
        segments=_manifest_segments(config),
    )
    (work / MANIFEST).write_text(dump_json(msgspec.to_builtins(manifest)), encoding="utf-8")


def _check_whole(model: bytes, image: NDArray[np.float32], logits: NDArray[np.float32], config: ModelConfig) -> None:
    (found,) = TfliteRunner(model).run(WHOLE, {Feed.IMAGE.value: image}).values()
    if not difference(found, logits).max_rel <= _WHOLE_TOLERANCE:
        raise BundleError(
            f"{config.name}: as one graph it computes something else than its segments; please report it."
        )


def _manifest_segments(config: ModelConfig) -> tuple[ManifestSegment, ...]:
    return tuple(
        ManifestSegment(
            name=segment.name,
            phase=segment.phase,
            branch=segment.branch,
            file=tflite_name(segment.branch),
            signature=segment.name,
            inputs=tuple(
                ManifestInput(source=feed, shape=shape)
                for feed, shape in zip(segment.feeds, segment.input_shapes, strict=True)
            ),
            output_shape=segment.output_shape,
            sync=segment.sync,
        )
        for segment in cut(config)
    )


def _read_manifest(path: Path) -> Manifest:
    value = read_json(path, BundleError, max_bytes=_MAX_MANIFEST_BYTES)
    return decode_document(Manifest, value, str(path), BundleError, version=(SCHEMA, VERSION))


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
    manifest = _read_manifest(path)
    where = f"{path}: config"
    config = config_from_fields(Fields(manifest.config, where, BundleError), where)
    if manifest.segments != _manifest_segments(config):
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
    return Bundle(folder, config, manifest.weights, manifest.files)


def _most_bytes(config: ModelConfig) -> int:
    """How large one file of a bundle may be."""
    return _ROOM_BYTES + network_bytes(config)
