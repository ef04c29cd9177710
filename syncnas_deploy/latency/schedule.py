"""A network's segments as a job for the runner: which signature, in which phase, fed from where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from syncnas_bench import Call, Job, Lane, Work
from syncnas_deploy.latency.points import graph_work
from syncnas_deploy.models.segments import Feed, Segment
from syncnas_exporters.graph import Graph

SPIN_US = 2000
"""How long a branch polls at a sync before it sleeps; waking up from sleep costs tens of microseconds."""

_SOURCES = {Feed.IMAGE: "external", Feed.OWN: "own", Feed.PARTNER: "partner"}


def works(graphs: Mapping[str, Graph]) -> dict[str, Work]:
    """What each graph computes; a simulated device turns it into a time."""
    return {name: Work(*graph_work(graph)) for name, graph in graphs.items()}


def network_job(
    name: str,
    segments: Sequence[Segment],
    work: Mapping[str, Work],
    *,
    files: Sequence[int],
    units: Sequence[int],
    prefix: str = "",
    serial: bool = False,
    image: Path | None = None,
    output: Path | None = None,
) -> Job:
    """A whole network, each branch a lane.

    Args:
        name: of the job.
        segments: of one network.
        work: by segment name.
        files: index of the .tflite file of each branch.
        units: index of the unit of each branch.
        prefix: of the signatures' names.
        serial: the branches take turns.
        image: raw float32 input; seeded random values where None.
        output: where the logits go.
    """
    lanes = []
    for branch in sorted({segment.branch for segment in segments}):
        calls = [
            Call(
                phase=segment.phase,
                file=files[branch],
                signature=prefix + segment.name,
                inputs=tuple(_SOURCES[feed] for feed in segment.feeds),  # type: ignore[misc]
                work=work[segment.name],
                output_bytes=segment.output_bytes,
            )
            for segment in segments
            if segment.branch == branch
        ]
        lanes.append(Lane(units[branch], tuple(calls)))
    return Job(name, tuple(lanes), serial=serial, input=image, output=output)
