"""In which numbers a bundle's files are written, and how far their logits are from fp32."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.bundle_formats import FORMATS, FilePrecisions, tflite_name
from syncnas_deploy.bundle_manifest import CALIBRATION, MANIFEST, AgainstFp32, BranchFile
from syncnas_deploy.calibration import Calibration
from syncnas_deploy.errors import WRONG_USE, BundleError, CalibrationError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.segments import Segment, run_chain
from syncnas_deploy.precision import Precision
from syncnas_exporters import Graph, NotATfliteFile, TfliteRunner, split_large_kernels, stand_in_ranges
from syncnas_exporters.large_kernels import LARGE_KERNELS
from syncnas_exporters.opsets import DEFAULT_OPSET
from syncnas_exporters.ranges import Ranges
from syncnas_exporters.reader import read_numbers

NEEDS_PICTURES = (
    "int8 needs --calibrate DIR with a folder of about 100 pictures; or --timing-only, for files that take as long and "
    "compute nonsense."
)


@dataclass(frozen=True)
class FileNumbers:
    """What `write_bundle` is asked for.

    Attributes:
        network: sha256 of config and weights.
        precisions: of each branch's .tflite file.
        calibration: of that network; without one int8 is for timing alone.
        pictures: [N, H, W, 3], on which files are compared with fp32; None for the reference image.
        split_kernels: branches whose large depthwise kernels are split.
    """

    network: str
    precisions: tuple[Precision, ...]
    calibration: Calibration | None
    pictures: Float32Array | None
    split_kernels: Collection[int]

    def __post_init__(self) -> None:
        if "int8" not in self.precisions:
            object.__setattr__(self, "calibration", None)

    def check(self, folder: Path, *, timing_only: bool) -> None:
        """Refuse int8 without a calibration, save for timing, and a calibration of another network.

        Raises:
            CalibrationError: either of the two.
        """
        if self.calibration is not None:
            self.calibration.check(self.network, CALIBRATION)
        elif "int8" in self.precisions and not timing_only:
            raise CalibrationError(f"{folder}: {NEEDS_PICTURES}", code=WRONG_USE)

    def branches(self) -> tuple[BranchFile, ...]:
        """The manifest's entries."""
        by = None if self.calibration is None else self.calibration.by
        return tuple(
            BranchFile(precision, by if precision == "int8" else None, branch in self.split_kernels)
            for branch, precision in enumerate(self.precisions)
        )

    def write(
        self, segments: Sequence[Segment], graphs: Mapping[str, Graph], formats: Collection[str], opset: int
    ) -> dict[str, Mapping[str, bytes]]:
        """The files of each format by their names; .tflite in these numbers, others in fp32 with whole kernels.

        Args:
            graphs: by segment name, perhaps with the whole network's.
        """
        plain = FilePrecisions.fp32(len(self.precisions))
        others = {name: FORMATS[name](segments, graphs, plain, opset) for name in formats if name != "tflite"}
        return {"tflite": self.tflite(segments, graphs), **others}

    def tflite(self, segments: Sequence[Segment], graphs: Mapping[str, Graph]) -> Mapping[str, bytes]:
        """The .tflite files by their names, in these numbers; `graphs` as for `write`."""
        split = [segment.name for segment in segments if segment.branch in self.split_kernels]
        shaped = {**graphs, **{name: split_large_kernels(graphs[name]) for name in split}}
        precisions = FilePrecisions(self.precisions, self._ranges(shaped))
        return FORMATS["tflite"](segments, shaped, precisions, DEFAULT_OPSET)

    def _ranges(self, graphs: Mapping[str, Graph]) -> Mapping[str, Ranges]:
        if self.calibration is not None:
            return self.calibration.ranges
        return {name: stand_in_ranges(graph) for name, graph in graphs.items()}

    def against_fp32(
        self, segments: Sequence[Segment], graphs: Mapping[str, Graph], files: Mapping[str, bytes], image: Float32Array
    ) -> AgainstFp32 | None:
        """How far files are from fp32; None where all is fp32, or for timing alone.

        Args:
            image: [1, H, W, 3], for want of pictures.
        """
        if set(self.precisions) == {"fp32"} or ("int8" in self.precisions and self.calibration is None):
            return None
        images = image if self.pictures is None else self.pictures
        both = files, self._plain_files(segments, graphs)
        found, wanted = (chain_logits(segments, each, images).astype(np.float64) for each in both)
        rms = float(np.sqrt(np.mean((found - wanted) ** 2)) / max(float(np.sqrt(np.mean(wanted**2))), 1e-30))
        return AgainstFp32(len(images), rms, float(np.mean(found.argmax(1) == wanted.argmax(1))))

    def plain_logits(
        self, segments: Sequence[Segment], graphs: Mapping[str, Graph], image: Float32Array
    ) -> Float32Array:
        """Logits [1, classes] of an image [1, H, W, 3] in fp32."""
        return chain_logits(segments, self._plain_files(segments, graphs), image)

    def _plain_files(self, segments: Sequence[Segment], graphs: Mapping[str, Graph]) -> Mapping[str, bytes]:
        own = {segment.name: graphs[segment.name] for segment in segments}
        return FORMATS["tflite"](segments, own, FilePrecisions.fp32(len(self.precisions)), DEFAULT_OPSET)


def chain_logits(segments: Sequence[Segment], files: Mapping[str, bytes], images: Float32Array) -> Float32Array:
    """Logits [N, classes] of images [N, H, W, 3] by LiteRT on this host, from .tflite files by file name."""
    runners = [TfliteRunner(files[tflite_name(branch)]) for branch in sorted({s.branch for s in segments})]
    return np.concatenate(
        [run_chain(segments, lambda s, feeds: runners[s.branch].run(s.name, feeds), image[None]) for image in images]
    )


def check_branch_file(path: Path, branch: int, said: BranchFile, config: ModelConfig) -> None:
    """Refuse a branch's .tflite file that is in other numbers than the manifest says of it.

    Raises:
        BundleError: it is, or it is no .tflite file.
    """
    try:
        found = read_numbers(path)
    except NotATfliteFile:
        raise BundleError(f"{path}: cannot be read as a .tflite file; export the bundle again.") from None
    if found.precision != said.precision:
        raise BundleError(
            f"{path}: is in {found.precision}, and {MANIFEST} says {said.precision}; export the bundle again."
        )
    large = any(b == branch and LARGE_KERNELS & set(block.kernels) for b, _, _, block in config.blocks())
    whole = bool(LARGE_KERNELS & found.kernels)
    if whole != (large and not said.split_kernels):
        says = "split" if said.split_kernels else "whole"
        raise BundleError(f"{path}: has other large kernels than {MANIFEST} says ({says}); export the bundle again.")
