"""A network's segments as a job for the runner, and as `network.txt` for an app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from syncnas_bench import Call, InputSource, Job, Lane
from syncnas_bench.network_text import network_text
from syncnas_deploy.bundle_formats import tflite_name
from syncnas_deploy.networks.segments import Feed, Segment

NETWORK = "network.txt"

SOURCES: Mapping[Feed, InputSource] = {Feed.IMAGE: "external", Feed.OWN: "own", Feed.PARTNER: "partner"}
"""Where the runner finds what a segment reads."""


def network_job(
    name: str,
    segments: Sequence[Segment],
    *,
    files: Sequence[int],
    units: Sequence[int],
    image: Path | None = None,
    output: Path | None = None,
) -> Job:
    """A whole network, each branch a lane.

    Args:
        name: of the job.
        segments: of one network.
        files: index of the .tflite file of each branch.
        units: index of the unit of each branch.
        image: raw float32 input; seeded random values where None.
        output: where the logits go.
    """
    lanes = []
    for branch in sorted({segment.branch for segment in segments}):
        mine = [segment for segment in segments if segment.branch == branch]
        calls = [segment_call(s, s.phase, files[branch], SOURCES) for s in mine]
        lanes.append(Lane(units[branch], tuple(calls)))
    return Job(name, tuple(lanes), input=image, output=output)


def segment_call(segment: Segment, phase: int, file: int, sources: Mapping[Feed, InputSource]) -> Call:
    """A segment as a call: its signature, fed from `sources`."""
    return Call(phase, file, segment.name, tuple(sources[feed] for feed in segment.feeds))


def bundle_network(segments: Sequence[Segment], sha256: Mapping[str, str]) -> str:
    """`network.txt` of a bundle: branch `b` is lane `b`, on the unit that the app gives it.

    Args:
        segments: of one network, ordered by phase.
        sha256: of each branch's .tflite file, by its name.
    """
    branches = sorted({segment.branch for segment in segments})
    job = network_job("network", segments, files=branches, units=branches)
    image = next(
        shape for s in segments for feed, shape in zip(s.feeds, s.input_shapes, strict=True) if feed is Feed.IMAGE
    )
    files = {tflite_name(branch): sha256[tflite_name(branch)] for branch in branches}
    return network_text(job, files, input_shape=image, output_shape=segments[-1].output_shape)
