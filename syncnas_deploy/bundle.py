"""Bundle: a folder with everything that runs one network on a device.

manifest.json      what is here: the config, every segment with file, signature, shapes, and sha256 of each file
branch0.tflite     all segments of branch 0, one signature each; branch1.tflite likewise
*.onnx             one file a segment, where ONNX was asked for
reference.npz      one input image and the logits that LiteRT computed for it on the exporting host
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import syncnas_deploy
from syncnas_deploy.errors import BundleError, OutputError, OutputExists
from syncnas_deploy.files.documents import Fields, read_json
from syncnas_deploy.files.output import dump_json
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_from_fields, config_to_json
from syncnas_deploy.networks.lowering import lower
from syncnas_deploy.networks.segments import Feed, Segment, cut
from syncnas_deploy.networks.weights import Array
from syncnas_exporters import GraphError, TfliteRunner, write_onnx, write_tflite
from syncnas_exporters.graph import Graph

SCHEMA = "syncnas-deploy/bundle"
VERSION = 1
MANIFEST = "manifest.json"
REFERENCE = "reference.npz"
FORMATS = ("tflite", "onnx")


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
        name = f"branch{branch}.tflite"
        if name not in self.files:
            raise BundleError(f"{self.folder}: holds no {name}; export it again with --format tflite.")
        return self.folder / name

    def reference(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Input [1, H, W, 3] and logits [1, classes] of the exporting host.

        Raises:
            BundleError: the file is damaged.
        """
        path = self.folder / REFERENCE
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return archive["image"].astype(np.float32), archive["logits"].astype(np.float32)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as e:
            raise BundleError(f"{path}: cannot be read ({e}); export the bundle again.") from None


def graphs(config: ModelConfig, weights: Mapping[str, Array]) -> dict[str, Graph]:
    """Every segment's graph by the segment's name."""
    return {segment.name: lower(segment, config, weights) for segment in cut(config)}


def write_bundle(
    folder: Path,
    config: ModelConfig,
    weights: Mapping[str, Array],
    *,
    source: str,
    formats: Sequence[str] = ("tflite",),
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
        seed: of the reference image, uniform in [-1, 1).
        force: replace an older bundle of that name.

    Raises:
        OutputExists: the folder exists and is no bundle, or `force` is false.
        OutputError: it cannot be written.
        BundleError: the network's outputs are not finite with these weights.
    """
    check_bundle_output(folder, force=force)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    except OSError as e:
        raise OutputError(f"{folder}: cannot be written ({e.strerror}); choose another --out.") from None
    try:
        _fill(work, config, weights, source, formats, seed)
        work.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        work.rename(folder)
    except OSError as e:
        raise OutputError(f"{folder}: cannot be written ({e.strerror}); choose another --out.") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return read_bundle(folder)


def check_bundle_output(folder: Path, *, force: bool) -> None:
    """Refuse a place where a bundle cannot go, before any work is done.

    Raises:
        OutputExists: something is there, and it is no bundle or `force` is false.
    """
    if not folder.exists():
        return
    empty = folder.is_dir() and not any(folder.iterdir())
    if not empty and not (folder / MANIFEST).is_file():
        raise OutputExists(f"{folder}: exists and is not a bundle; choose another --out.")
    if not empty and not force:
        raise OutputExists(f"{folder}: exists already; give --force to replace it or choose another --out.")


def _fill(
    work: Path,
    config: ModelConfig,
    weights: Mapping[str, Array],
    source: str,
    formats: Sequence[str],
    seed: int,
) -> None:
    try:
        lowered = graphs(config, weights)
    except GraphError as e:
        raise BundleError(f"{config.name}: cannot be exported: {e}.") from None
    segments = cut(config)
    models: dict[int, bytes] = {}
    for branch in range(config.branch_count):
        models[branch] = write_tflite([lowered[s.name] for s in segments if s.branch == branch])
    files: dict[str, bytes] = {}
    if "tflite" in formats:
        files |= {f"branch{branch}.tflite": model for branch, model in models.items()}
    if "onnx" in formats:
        files |= {f"{segment.name}.onnx": write_onnx(lowered[segment.name]) for segment in segments}
    shape = (1, config.input_size, config.input_size, config.stem.in_channels)
    image = np.random.default_rng(seed).uniform(-1.0, 1.0, shape).astype(np.float32)
    runners = {branch: TfliteRunner(model) for branch, model in models.items()}
    logits = run_chain(segments, lambda s, inputs: runners[s.branch].run(s.name, inputs), image)
    if not np.isfinite(logits).all():
        raise BundleError(f"{config.name}: gives NaN or infinite logits with weights from {source}; check the weights.")
    for name, data in files.items():
        (work / name).write_bytes(data)
    np.savez(work / REFERENCE, image=image, logits=logits)
    digests = {path.name: _sha256(path) for path in sorted(work.iterdir())}
    manifest = {
        "schema": f"{SCHEMA}/{VERSION}",
        "made_by": f"syncnas-deploy {syncnas_deploy.__version__}",
        "config": config_to_json(config),
        "weights": source,
        "files": digests,
        "segments": [_segment_json(segment) for segment in segments],
    }
    (work / MANIFEST).write_text(dump_json(manifest), encoding="utf-8")


def run_chain(segments: Sequence[Segment], run: Any, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run all segments one after another, as the phases would, and return the logits.

    Args:
        segments: of one network.
        run: called with a segment and its inputs by name; returns its outputs by name.
        image: [1, H, W, 3].
    """
    latest: dict[int, NDArray[np.float32]] = {}
    for phase in range(segments[-1].phase + 1):
        done: dict[int, NDArray[np.float32]] = {}
        for segment in (s for s in segments if s.phase == phase):
            feeds = {
                Feed.IMAGE: image,
                Feed.OWN: latest.get(segment.branch),
                Feed.PARTNER: latest.get(1 - segment.branch),
            }
            (done[segment.branch],) = run(segment, {feed.value: feeds[feed] for feed in segment.feeds}).values()
        latest |= done
    return latest[segments[-1].branch]


def _segment_json(segment: Segment) -> dict[str, Any]:
    return {
        "name": segment.name,
        "phase": segment.phase,
        "branch": segment.branch,
        "file": f"branch{segment.branch}.tflite",
        "signature": segment.name,
        "inputs": [
            {"from": feed.value, "shape": list(shape)}
            for feed, shape in zip(segment.feeds, segment.input_shapes, strict=True)
        ],
        "output_shape": list(segment.output_shape),
        "sync": segment.sync.value,
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_bundle(path: Path) -> bool:
    """Whether a path looks like a bundle."""
    return (path / MANIFEST).is_file()


def read_bundle(folder: Path) -> Bundle:
    """Read and check a bundle: manifest, segments, and the sha256 of every file.

    Raises:
        BundleError: naming file, field and remedy.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise BundleError(f"{folder}: not a bundle (no {MANIFEST}); make one with `syncnas-deploy export`.")
    top = Fields(read_json(manifest, BundleError), str(manifest), BundleError)
    top.schema(SCHEMA, VERSION)
    top.text("made_by")
    config = config_from_fields(top.fields("config"), f"{manifest}: config")
    files = top.mapping("files")
    weights = top.text("weights", max_length=4096)
    names = [fields.text("name") for fields in top.each("segments", 1, 64)]
    if names != [segment.name for segment in cut(config)]:
        top.fail("segments", "are not those of the config; export the bundle again")
    top.done()
    for name, digest in files.items():
        if Path(name).name != name or name.startswith("."):
            top.fail("files", "must name plain files of this folder")
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{path}: is missing; export the bundle again.")
        if _sha256(path) != digest:
            raise BundleError(f"{path}: differs from its sha256 in {MANIFEST}; export the bundle again.")
    return Bundle(folder, config, weights, files)
