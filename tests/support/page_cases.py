"""Folders that pages are made of: a simulated phone that was assessed, a large search, a probe, hostile texts."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from syncnas_bench import SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.networks.config import branched
from syncnas_deploy.networks.formats import load_config, write_config
from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.profiling.experiment import ProfileSettings
from tests.support.latency_cases import law_profile

PARTS = ("profile.json", "search", "bundle", "bench.json")
HOSTILE = "</script><img src=x onerror=alert(1)><b onclick=alert(2)>\"'`&amp;{{7*7}}${7*7}"
"""Printable, so that every field takes it."""
UNPRINTABLE = HOSTILE + "\u2028\u202e\x1b[31m\x00\ufeff"


def assessed(folder: Path) -> list[Path]:
    """A simulated phone in virtual time, from profile to bench."""
    settings = pipeline.AssessSettings(
        evaluator="capacity", trials=12, samples=36, profile=ProfileSettings(launches=2, networks=2)
    )
    pipeline.assess(SimDevice("phone"), "mobilenet_v2", folder, settings)
    return [folder / name for name in PARTS]


def probed(folder: Path) -> list[Path]:
    """A width probe of a simulated phone, and a profile of the same device."""
    probe = pipeline.probe_widths("mobilenet_v2", SimDevice("midrange"), "7.1@704", out=folder / "probe.json")
    law = law_profile(load_config("mobilenet_v2"))
    write_profile(folder / "p.json", msgspec.structs.replace(law, units=("sim:cpu", "sim:gpu"), device=probe.device))
    return [folder / "probe.json", folder / "p.json"]


def demo() -> list[Path]:
    """The report on the site: a phone of another kind, with a probe."""
    folder = Path(__file__).parents[2] / "docs" / "demo"
    return [folder / name for name in ("profile.json", "search", "bench.json", "probe.json")]


def large(folder: Path) -> list[Path]:
    """The shipped profile, whose points are as many as a full measurement's, and a search of all 1,458 strategies."""
    folder.mkdir()
    rng = random.Random(0)
    base = load_config("mobilenet_v2")
    write_config(folder / "best.json", branched(base, "nnnnnna"))
    rows = ["trial,strategy,feasible,predicted_us,reward,seconds,budget_us,repeat,outcome,note,energy_mj"]
    for i, strategy in enumerate(all_strategies(7)):
        latency_us, reward = rng.uniform(3000.0, 3500.0), rng.gauss(170.0, 1.0)
        rows.append(f"{i + 1},{strategy},true,{latency_us:.1f},{reward!r},1.0,3500.0,0,evaluated,,")
    (folder / "history.csv").write_text("\n".join(rows) + "\n")
    (folder / "front.csv").write_text(
        "budget,budget_us,strategy,predicted_us,reward,evaluations,standard_error,sure,config,energy_mj\n"
        "1.0x,3500.0,nnnnnna,3400.0,173.2,1,0.1,true,best.json,\n"
    )
    profile = Path(__file__).parents[2] / "device_profiles" / "mobilenet_v2-sim-phone.json"
    return [profile, folder]


def hostile(source: Path, folder: Path) -> list[Path]:
    """An assessment's files with hostile texts wherever one may stand."""
    shutil.copytree(source, folder)
    for name in ("profile.json", "bench.json"):
        value = json.loads((folder / name).read_text())
        value = _spoilt(value, HOSTILE)
        measured = value.get("measured", value)
        for mapping in ("facts", "condition", "before", "device", "versions", "settings"):
            if isinstance(measured.get(mapping), dict):
                # Facts that say which device it is stay alike in both files; all others may be anything.
                measured[mapping] = {**measured[mapping], UNPRINTABLE: UNPRINTABLE, "long": "<b>" * 200_000}
        measured["warnings"] = [HOSTILE, *measured["warnings"]]
        (folder / name).write_text(json.dumps(value))
    other = json.loads((folder / "bench.json").read_text())
    other["measured"]["units"] = [f"{unit}.of-another" for unit in other["measured"]["units"]]
    (folder / "other.json").write_text(json.dumps(other))
    probe = _spoilt(json.loads(demo()[-1].read_text()), HOSTILE)
    (folder / "probe.json").write_text(json.dumps({**probe, "device": {"name": HOSTILE, UNPRINTABLE: UNPRINTABLE}}))
    for name in ("history.csv", "front.csv"):
        head, *lines = (folder / "search" / name).read_text().splitlines()
        columns = head.split(",")
        spoilt = [_spoilt_row(columns, line.split(",")) for line in lines]
        (folder / "search" / name).write_text("\n".join([head, *spoilt]) + "\n")
    return [folder / name for name in (*PARTS, "other.json", "probe.json")]


def _spoilt(value: Any, text: str) -> Any:
    """Names of networks and devices with a text at their end; what refers to each other stays equal."""
    free = {"name", "created", "source", "base"}

    def walk(node: Any) -> Iterator[None]:
        if isinstance(node, dict):
            for key, item in node.items():
                if key in free and isinstance(item, str) and "_branch" not in item and item not in ("stem", "head"):
                    node[key] = item + text
                yield from walk(item)
        elif isinstance(node, list):
            for item in node:
                yield from walk(item)

    list(walk(value))
    return value


def _spoilt_row(columns: list[str], cells: list[str]) -> str:
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    return ",".join(
        quoted if name in ("note", "config", "sure") else cell for name, cell in zip(columns, cells, strict=True)
    )
