"""``manifest.json`` of a bundle: its fields, and their ranges."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from syncnas_deploy.bundle_formats import onnx_name, tflite_name
from syncnas_deploy.calibration import Calibrated
from syncnas_deploy.errors import BundleError
from syncnas_deploy.files.documents import Schema, Sha256, Text, decode_document, printable_text, read_json
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.segments import Feed, cut
from syncnas_deploy.precision import Precision

SCHEMA = "syncnas-deploy/bundle"
VERSION = 2
"""Version 1 had no `network`, `branches` and `against_fp32`: all of its files are fp32."""
MANIFEST = "manifest.json"
REFERENCE = "reference.npz"
CALIBRATION = "calibration.json"
_MAX_MANIFEST_BYTES = 4 << 20

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
    """A segment, as an app needs it: where it runs, what it is called in which file, what goes in and comes out.

    Attributes:
        file: its branch's .tflite file; None where there is none.
        onnx: its own .onnx file, where there is one. Shapes in it are [1, C, H, W].
    """

    name: Text
    phase: Annotated[int, Meta(ge=0, le=64)]
    branch: Annotated[int, Meta(ge=0, le=1)]
    file: FileName | None
    signature: Text
    inputs: Annotated[tuple[ManifestInput, ...], Meta(min_length=1, max_length=2)]
    output_shape: FeatureShape
    sync: SyncOp
    onnx: FileName | None = None


class BranchFile(Schema, frozen=True):
    """The format of a branch's .tflite file.

    Attributes:
        calibrated: for int8, by what; None where the file is for timing alone.
        split_kernels: whether depthwise kernels over 5x5 are sums of smaller ones.
    """

    precision: Precision = "fp32"
    calibrated: Calibrated | None = None
    split_kernels: bool = False


class AgainstFp32(Schema, frozen=True):
    """How far a bundle's logits are from the same network's in fp32.

    Attributes:
        pictures: that were compared; one where it was the reference image alone.
        rms: root mean square of the difference over that of the logits in fp32.
        agreement: share of the pictures with the same class first.
    """

    pictures: Annotated[int, Meta(ge=1, le=1_000_000)]
    rms: Annotated[float, Meta(ge=0)]
    agreement: Annotated[float, Meta(ge=0, le=1)]


class Manifest(Schema, frozen=True):
    """``manifest.json``: the network, where its weights came from, and each file with its sha256.

    Attributes:
        network: sha256 of config and weights, as in a calibration.
        branches: one for each branch.
    """

    schema: Text
    made_by: Text
    config: dict[str, Any]
    weights: Annotated[str, printable_text(4096)]
    files: dict[FileName, Sha256]
    segments: Annotated[tuple[ManifestSegment, ...], Meta(min_length=1, max_length=64)]
    network: Sha256 | None = None
    branches: Annotated[tuple[BranchFile, ...], Meta(min_length=1, max_length=2)] | None = None
    against_fp32: AgainstFp32 | None = None


def manifest_segments(config: ModelConfig, files: Collection[str]) -> tuple[ManifestSegment, ...]:
    """The segments of a network, as a manifest has them that names these files."""

    def there(name: str) -> str | None:
        return name if name in files else None

    return tuple(
        ManifestSegment(
            name=segment.name,
            phase=segment.phase,
            branch=segment.branch,
            file=there(tflite_name(segment.branch)),
            signature=segment.name,
            inputs=tuple(
                ManifestInput(source=feed, shape=shape)
                for feed, shape in zip(segment.feeds, segment.input_shapes, strict=True)
            ),
            output_shape=segment.output_shape,
            sync=segment.sync,
            onnx=there(onnx_name(segment.name)),
        )
        for segment in cut(config)
    )


def read_manifest(path: Path) -> Manifest:
    """Read ``manifest.json``.

    Raises:
        BundleError: naming file, field and remedy.
    """
    value = read_json(path, BundleError, max_bytes=_MAX_MANIFEST_BYTES)
    return decode_document(Manifest, value, str(path), BundleError, version=(SCHEMA, VERSION))
