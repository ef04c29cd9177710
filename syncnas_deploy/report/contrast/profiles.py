"""Profiles beside each other: several devices, or one device then and now."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction.predict import predict
from syncnas_deploy.prediction.profile import DeviceProfile, base_digest
from syncnas_deploy.report.contrast.sheets import Sheet, kinds_of, networks_alike, only_one
from syncnas_deploy.report.tables import label_lines
from syncnas_deploy.shown import ms_text


def compare_profiles(
    named: Sequence[tuple[str, DeviceProfile]], best: Mapping[str, ModelConfig], budget: str
) -> list[Sheet]:
    """One row for each device; and what a network that was found for one does on the others.

    Args:
        named: each with its name.
        best: by name, the network of the most MACs within the budget on that device.
        budget: the budget's text.

    Raises:
        Incomparable: other base models, units or precisions, or simulated beside measured.
    """
    networks_alike([(name, profile.base) for name, profile in named])
    only_one("the base model", [(name, f"{p.base.name} ({base_digest(p.base)[:8]})") for name, p in named])
    only_one("what was measured", [(name, "hardware" if p.kind == "measured" else "a law") for name, p in named])
    only_one("the kind of units", [(name, kinds_of(profile.units)) for name, profile in named])
    numbers = ("base (ms)", "launches differ", "contention", "crossing (us)", "expected error")
    head = ("file", "device", "units", *numbers, "trust")
    rows = tuple(_row(name, profile) for name, profile in named)
    notes = ["base, contention: of each unit; a difference smaller than that between launches may be chance"]
    notes += label_lines(named[0][1])
    notes += [f"{name}: {doubt}; profile again" for name, profile in named for doubt in [profile.doubt] if doubt]
    return [Sheet("devices", head, rows, tuple(notes)), _elsewhere(named, best, budget)]


def _row(name: str, profile: DeviceProfile) -> tuple[str, ...]:
    bases, apart, contention = [], [], []
    for unit in (0, 1):
        sample = next((row.sample for row in profile.networks if row.unit == unit and row.pair == 0), None)
        bases.append("-" if sample is None else ms_text(sample.median_us))
        apart.append("-" if sample is None else f"{sample.disagreement:.1%}")
        factors = [row.factor for row in profile.contention if row.unit == unit and row.part == "stage"]
        contention.append(f"{statistics.median(factors):.2f}" if factors else "-")
    syncs = [row.sample.median_us for row in profile.syncs if row.place == "sync"]
    crossing = f"{min(syncs):.1f}-{max(syncs):.1f}" if syncs else "-"
    expected = "-" if profile.expected_error is None else f"{profile.expected_error:.1%}"
    device = profile.device.get("name", "a device")
    pairs = ("/".join(values) for values in (bases, apart, contention))
    return (name, device, " and ".join(profile.units), *pairs, crossing, expected, profile.level)


def _elsewhere(named: Sequence[tuple[str, DeviceProfile]], best: Mapping[str, ModelConfig], budget: str) -> Sheet:
    """Latency of each device's network on every device."""
    head = ("best network for", "strategy", "MACs (M)", *(f"on {name} (ms)" for name, _ in named))
    rows = []
    for name, _ in named:
        config = best.get(name)
        if config is None:
            rows.append((name, "none meets the budget", "-", *("-" for _ in named)))
            continue
        times = (_latency(config, profile) for _, profile in named)
        rows.append((name, config.strategy or "-", f"{config.macs() / 1e6:.1f}", *times))
    told = f"the most MACs within {budget} of the base on that device; each latency is predicted"
    return Sheet(f"best strategies within {budget}, and what they take elsewhere", head, tuple(rows), (told,))


def _latency(config: ModelConfig, profile: DeviceProfile) -> str:
    try:
        return ms_text(predict(config, profile).makespan_us)
    except ProfileMismatch:
        return "not known"
