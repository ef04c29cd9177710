"""BenchResult: what a bundle did on a device, with every sample. The classes are the file's schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from syncnas_deploy.files.documents import Text
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction.identity import condition_to_share, facts_to_share, label, text_to_share
from syncnas_deploy.shown import Tabled, brief, ms_text
from syncnas_deploy.verdict import USUAL_SLOPE

_Microseconds = Annotated[float, Meta(ge=-1e12, le=1e12)]
_Millijoules = Annotated[float, Meta(ge=-1e12, le=1e12)]
_Sentence = Annotated[str, Meta(min_length=1, max_length=2000)]


class RunSamples(Struct, frozen=True, forbid_unknown_fields=True):
    """Samples of one quantity, microseconds, in the order of launches and runs."""

    samples_us: Annotated[tuple[_Microseconds, ...], Meta(min_length=1)]

    @property
    def median_us(self) -> float:
        """Median, microseconds."""
        return float(np.median(self.samples_us))

    @property
    def p10_us(self) -> float:
        """10th percentile, microseconds."""
        return float(np.percentile(self.samples_us, 10))

    @property
    def p90_us(self) -> float:
        """90th percentile, microseconds."""
        return float(np.percentile(self.samples_us, 90))


class SegmentSamples(Struct, frozen=True, forbid_unknown_fields=True):
    """Times of one segment: alone with the other unit idle, and beside its partner."""

    name: Text
    branch: Annotated[int, Meta(ge=0, le=1)]
    phase: Annotated[int, Meta(ge=0, le=64)]
    solo: RunSamples
    concurrent: RunSamples


class RunStamps(Struct, frozen=True, forbid_unknown_fields=True):
    """The time stamps of one run of the network, microseconds after its start, [segments] each.

    Attributes:
        run: its index among the samples.
        begin_us, end_us: of each segment.
        arrive_us: when what the partner reads of its output has been downloaded.
        leave_us: when its branch has left the barrier after it.
    """

    run: Annotated[int, Meta(ge=0)]
    begin_us: tuple[_Microseconds, ...]
    end_us: tuple[_Microseconds, ...]
    arrive_us: tuple[_Microseconds, ...]
    leave_us: tuple[_Microseconds, ...]


class Baseline(Struct, frozen=True, forbid_unknown_fields=True):
    """A network of one branch on one unit, measured in the same rounds.

    Attributes:
        role: "baseline" was asked for; "today" is the profile's base, which says how fast the device is today; "rival"
            is what one would run instead of two branches.
        predicted_us: from the profile, where there is one.
        reward, standard_error: of a rival, where an evaluator can compare it with two branches.
        slope: of a rival, see `verdict.Contender`.
    """

    name: Text
    unit: Text
    macs: Annotated[int, Meta(ge=1, le=10**18)]
    makespan: RunSamples
    role: Literal["baseline", "today", "rival"] = "baseline"
    predicted_us: _Microseconds | None = None
    reward: float | None = None
    standard_error: Annotated[float, Meta(ge=0)] = 0.0
    slope: Annotated[float, Meta(ge=-1e6, le=1e6)] = USUAL_SLOPE


class Energy(Struct, frozen=True, forbid_unknown_fields=True):
    """Energy of one inference besides the idle device, measured in a loop.

    Attributes:
        source: name of the meter.
        idle_w: what the whole device draws at rest, in watts.
        network_mj: of the network, in millijoules.
        baselines_mj: of each baseline.
    """

    source: Text
    idle_w: float
    network_mj: _Millijoules
    baselines_mj: tuple[_Millijoules, ...]


class BenchResult(Tabled, Struct, frozen=True, forbid_unknown_fields=True):
    """What a bundle did on a device.

    Attributes:
        config: the network.
        device: its name. `simulated` and `software_gpu` say that a unit is no real one.
        facts: of the device, as text.
        units: of branch 0 and of branch 1.
        makespan, again: the same network twice in each round (A/A).
        syncs: overhead after each phase but the last, [phases - 1].
        change: largest relative change of the network's time within a launch, by rolling medians. A unit that heats up
            becomes slower.
        difference: largest difference of the logits to the exporting host's, relative; None on simulated units.
        warnings: one sentence for each thing that a reader should know, such as what was left out and why.
        energy: None where it was not measured; `no_energy` says why.
        launch_samples: number of makespans of each launch, in order.
        before: the device's condition before the first launch; `condition` is the one after the last.
        reward, standard_error: of the network, where an evaluator can compare it with one branch.
        stamps: of some runs from the fastest to the slowest, the median one among them; empty in results of before 0.3.
    """

    config: ModelConfig
    device: Text
    simulated: bool
    software_gpu: bool
    units: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=2)]
    facts: Mapping[str, str]
    condition: Mapping[str, str]
    makespan: RunSamples
    again: RunSamples
    segments: tuple[SegmentSamples, ...]
    syncs: tuple[RunSamples, ...]
    baselines: Annotated[tuple[Baseline, ...], Meta(max_length=64)]
    change: Annotated[float, Meta(ge=-1, le=1e6)]
    difference: Annotated[float, Meta(ge=0)] | None
    warnings: tuple[_Sentence, ...] = ()
    energy: Energy | None = None
    no_energy: Annotated[str, Meta(max_length=2000)] = ""
    launch_samples: tuple[Annotated[int, Meta(ge=1)], ...] = ()
    before: Mapping[str, str] = {}
    reward: float | None = None
    standard_error: float = 0.0
    stamps: Annotated[tuple[RunStamps, ...], Meta(max_length=1000)] = ()

    def __repr__(self) -> str:
        times = f"{ms_text(self.makespan.median_us)} ms"
        spread = f"p10-p90 {ms_text(self.makespan.p10_us)}-{ms_text(self.makespan.p90_us)} ms"
        units = f"{self.device} {' + '.join(self.units)}"
        return brief("BenchResult", self.config.name, units, times, spread, "SIMULATED" if self.simulated else "")

    def rows(self) -> list[dict[str, object]]:
        """The segments, a row each; medians and percentiles in microseconds."""
        return [
            {
                "name": segment.name,
                "branch": segment.branch,
                "phase": segment.phase,
                "unit": self.units[segment.branch],
                "solo_us": segment.solo.median_us,
                "concurrent_us": segment.concurrent.median_us,
                "concurrent_p10_us": segment.concurrent.p10_us,
                "concurrent_p90_us": segment.concurrent.p90_us,
            }
            for segment in self.segments
        ]

    @property
    def today_us(self) -> tuple[float, ...]:
        """Latency of the profile's base on each of the network's units, microseconds; empty without a profile."""
        found = {b.unit: b.makespan.median_us for b in self.baselines if b.role == "today"}
        return tuple(found[unit] for unit in self.units) if found.keys() >= set(self.units) else ()

    @property
    def median_run(self) -> int:
        """Index of the run whose makespan is nearest to the median."""
        return int(np.abs(np.array(self.makespan.samples_us) - self.makespan.median_us).argmin())

    def shared(self, *, keep_identity: bool) -> BenchResult:
        """The result as it is given to others; see `DeviceProfile.shared`."""
        facts, keep = self.facts, keep_identity
        return msgspec.structs.replace(
            self,
            device=self.device if keep else label(facts),
            facts=facts_to_share(facts, keep=keep),
            condition=condition_to_share(self.condition, keep=keep),
            before=condition_to_share(self.before, keep=keep),
            warnings=tuple(text_to_share(text, facts, keep=keep) for text in self.warnings),
            no_energy=text_to_share(self.no_energy, facts, keep=keep),
        )

    @property
    def aa_ratio(self) -> float:
        """Median makespan over the median of the same network measured again."""
        return self.makespan.median_us / self.again.median_us

    @property
    def overlap(self) -> float:
        """Sum of all segments' solo times over the makespan: 1 is no gain from the second unit, 2 the most."""
        return sum(segment.solo.median_us for segment in self.segments) / self.makespan.median_us

    @property
    def overlap_ceiling(self) -> float:
        """What the overlap would be without contention and sync: stem, head and unequal branches keep it below 2."""
        return self._ceiling(self.segments)

    @property
    def branch_overlap(self) -> float:
        """Sum of solo times over the time until the later branch's end, in the phases in which both work."""
        both = self._both()
        together_us = self._longest_us(both, lambda segment: segment.concurrent.median_us)
        return sum(segment.solo.median_us for segment in both) / together_us if both else 1.0

    @property
    def branch_overlap_ceiling(self) -> float:
        """What `branch_overlap` would be without contention."""
        return self._ceiling(self._both())

    @property
    def crossings_us(self) -> tuple[float, ...]:
        """What each crossing takes of the makespan, in running order, medians, microseconds."""
        return tuple(sync.median_us for sync in self.syncs[self.config.twin_stem :])

    def stretch(self, segment: SegmentSamples) -> int:
        """See `prediction.breakdown.SegmentTime`."""
        return max(segment.phase, int(self.config.twin_stem))

    def _both(self) -> list[SegmentSamples]:
        phases = [segment.phase for segment in self.segments]
        return [segment for segment in self.segments if phases.count(segment.phase) == 2]

    def _longest_us(self, segments: Sequence[SegmentSamples], time_us: Callable[[SegmentSamples], float]) -> float:
        """The sum of the longer branch of each stretch."""
        sums_us: dict[int, list[float]] = {}
        for segment in segments:
            sums_us.setdefault(self.stretch(segment), [0.0, 0.0])[segment.branch] += time_us(segment)
        return sum(map(max, sums_us.values()))

    def _ceiling(self, segments: Sequence[SegmentSamples]) -> float:
        alone_us = sum(segment.solo.median_us for segment in segments)
        return alone_us / self._longest_us(segments, lambda segment: segment.solo.median_us) if segments else 1.0
