"""BenchResult as a file: a summary for people and scripts, and all that was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.benchmarking.stamps import ROUNDING_US, wrong_stamps
from syncnas_deploy.benchmarking.trust import trust, verdict_of
from syncnas_deploy.errors import DocumentError
from syncnas_deploy.files.documents import Fields, decode_document, read_json
from syncnas_deploy.networks.formats import config_from_fields, config_to_json
from syncnas_deploy.networks.segments import cut
from syncnas_deploy.prediction.identity import false_claim
from syncnas_deploy.prediction.rows import LEAST_US

SCHEMA = "syncnas-deploy/bench-result"
VERSION = 2


def result_to_json(result: BenchResult) -> dict[str, Any]:
    """The result as a JSON value: medians and percentiles, and every sample under ``measured``."""
    measured = msgspec.json.decode(msgspec.json.encode(result))
    del measured["config"]
    return {
        "schema": f"{SCHEMA}/{VERSION}",
        **_summary(result),
        "measured": measured,
        "config": config_to_json(result.config),
    }


def _summary(result: BenchResult) -> dict[str, Any]:
    """The numbers that people and scripts look for first. Reading a result ignores them."""
    judged = trust(result)
    return {
        "name": result.config.name,
        "strategy": result.config.strategy,
        "macs": result.config.macs(),
        "device": result.device,
        "simulated": result.simulated,
        "software_gpu": result.software_gpu,
        "units": list(result.units),
        "makespan_us": round(result.makespan.median_us, 3),
        "makespan_p10_us": round(result.makespan.p10_us, 3),
        "makespan_p90_us": round(result.makespan.p90_us, 3),
        "aa_ratio": round(result.aa_ratio, 4),
        "overlap": round(result.overlap, 4),
        "overlap_ceiling": round(result.overlap_ceiling, 4),
        "branch_overlap": round(result.branch_overlap, 4),
        "branch_overlap_ceiling": round(result.branch_overlap_ceiling, 4),
        "change": round(result.change, 4),
        "output_difference": result.difference,
        "trust": {"level": judged.level, "reasons": list(judged.reasons)},
        "verdict": msgspec.to_builtins(verdict_of(result)),
        "warnings": list(result.warnings),
        "energy": msgspec.to_builtins(result.energy),
        "no_energy": result.no_energy or None,
        "segments": [
            {
                "name": s.name,
                "branch": s.branch,
                "phase": s.phase,
                "solo_us": round(s.solo.median_us, 3),
                "concurrent_us": round(s.concurrent.median_us, 3),
            }
            for s in result.segments
        ],
        "syncs": [{"after_phase": i, "overhead_us": round(s.median_us, 3)} for i, s in enumerate(result.syncs)],
        "baselines": [
            {
                "name": b.name,
                "unit": b.unit,
                "role": b.role,
                "macs": b.macs,
                "makespan_us": round(b.makespan.median_us, 3),
            }
            for b in result.baselines
        ],
    }


def read_result(path: Path) -> BenchResult:
    """Read what ``bench --out`` wrote.

    Raises:
        DocumentError: naming file, field and remedy.
        ConfigError: its config is not valid.
    """
    top = Fields(read_json(path, DocumentError), str(path), DocumentError)
    if top.schema(SCHEMA, VERSION) < VERSION:
        top.fail("schema", "is of an earlier version; run `bench` again")
    config = config_from_fields(top.fields("config"), f"{path}: config")
    measured = top.fields("measured")
    value = {**measured.rest(), "config": config}
    result = decode_document(BenchResult, value, f"{path}: measured", DocumentError)
    units = [*result.units, *(b.unit for b in result.baselines)]
    if claim := false_claim(result.facts, units, measured=not result.simulated):
        raise DocumentError(f"{path}: measured: {claim}; run `bench` again.")
    if not (result.simulated or result.software_gpu) and any("software" in unit for unit in units):
        measured.fail("software_gpu", "must be true where a unit is a software GPU; run `bench` again")
    segments = cut(config)
    found = [(s.name, s.branch, s.phase) for s in result.segments]
    if [(s.name, s.branch, s.phase) for s in segments] != found or len(result.syncs) != segments[-1].phase:
        measured.fail("segments", "are not those of the network; run `bench` again")
    if len(result.units) < config.branch_count:
        measured.fail("units", "must name the unit of each branch; run `bench` again")
    times = [result.makespan, result.again, *(b.makespan for b in result.baselines)]
    counts = {len(samples.samples_us) for samples in times}
    times += [samples for s in result.segments for samples in (s.solo, s.concurrent)]
    if any(min(samples.samples_us) < LEAST_US for samples in times):
        measured.fail("samples_us", f"has a latency that is not above {LEAST_US} us; run `bench` again")
    whole_us = np.array(result.makespan.samples_us)
    for part in [*(s.concurrent for s in result.segments), *result.syncs]:
        if len(part.samples_us) != len(whole_us) or np.any(np.abs(part.samples_us) > whole_us + ROUNDING_US):
            measured.fail("samples_us", "has a part of a run that is longer than the run; run `bench` again")
    if result.launch_samples and counts != {sum(result.launch_samples)}:
        measured.fail("launch_samples", "must add up to the number of each network's samples; run `bench` again")
    if result.energy is not None and len(result.energy.baselines_mj) != len(result.baselines):
        measured.fail("energy", "must have a value for each baseline")
    if wrong := wrong_stamps(result):
        measured.fail("stamps", f"{wrong}; run `bench` again")
    return result
