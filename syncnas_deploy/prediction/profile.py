"""DeviceProfile: what was measured on one device for one base model.

The profile keeps the statistics of every point in every launch; the latency table is derived from them, never stored.
All latencies are microseconds of one inference of batch 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from syncnas_bench import Unit
from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.files.documents import Text
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_to_json
from syncnas_deploy.prediction.energy import PowerModel
from syncnas_deploy.prediction.identity import condition_to_share, facts_to_share, other_name, text_to_share
from syncnas_deploy.prediction.rows import (
    DIFFERING,
    MAX_ROWS,
    MAX_UNITS,
    HeldOutRow,
    LearningRow,
    MeasuredRows,
    PowerRow,
    differing_text,
)
from syncnas_deploy.prediction.table import LatencyTable
from syncnas_deploy.prediction.width_steps import width_step
from syncnas_deploy.shown import Tabled, brief

Kind = Literal["measured", "simulated"]
_RowCount = Meta(max_length=MAX_ROWS)

Level = Literal["trustworthy", "doubtful", "worthless"]
LIMITS = (0.10, 0.25)
"""Expected error from which a profile is doubtful, and from which it is worthless."""
FEW_POINTS = 0.05
"""Share of the points that may differ between launches before a profile is doubtful.

With so many of them wrong predictions move by less than the profile's own expected error; see docs/design.md.
"""
NO_ENERGY = "no energy: "
USUAL_ERROR = 0.05
"""Relative error of a prediction where no networks were held out."""
LEAST_RATIO_ERROR = 0.01
"""Relative standard error of the ratio of two predicted latencies, one of two branches and one of a single branch, that
no profile is better than. Held-out networks do not show what the model has wrong alike in all networks of two branches;
on a simulated device without any noise that was 1 %.
"""

KIND_FACTS = ("model", "cpu_model")
"""Two measurements with a different value of one of these facts are of different devices."""


class DeviceProfile(Tabled, MeasuredRows, frozen=True, kw_only=True, dict=True):
    """Measurements of one base model on two units of one device, with their provenance.

    Attributes:
        base: the base model's whole config.
        units: texts of the units of branch 0 and of branch 1.
        other_units: texts of units that a network of one branch may run on besides, such as all cores.
        device, versions, condition, settings: facts as text; nested names are joined by dots.
        learning: how predictions got better with more points.
        held_out: how far predictions are off for networks that the table was not made from.
        power: what the device drew in four states; empty where it has no power meter.
    """

    kind: Kind
    base: ModelConfig
    units: tuple[Text, Text]
    device: Mapping[str, str]
    versions: Mapping[str, str]
    condition: Mapping[str, str]
    created: Text
    settings: Mapping[str, str]
    warnings: Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(max_length=1000)]
    learning: Annotated[tuple[LearningRow, ...], _RowCount] = ()
    held_out: Annotated[tuple[HeldOutRow, ...], _RowCount] = ()
    power: Annotated[tuple[PowerRow, ...], _RowCount] = ()
    other_units: Annotated[tuple[Text, ...], Meta(max_length=MAX_UNITS - 2)] = ()

    def __repr__(self) -> str:
        error = "" if self.expected_error is None else f"predicts within {self.expected_error:.1%}"
        where = f"{self.base.name} on {' + '.join(self.units)}"
        return brief("DeviceProfile", where, f"{self.kind} {self.created}", f"{len(self.points)} points", error)

    def rows(self) -> list[dict[str, object]]:
        """The points, a row each: what was measured on which unit, and its solo latency in microseconds."""
        return [
            {
                "unit": self.units[row.unit],
                **msgspec.structs.asdict(row.point),
                "op": row.point.op.value,
                "median_us": row.sample.median_us,
                "p10_us": row.sample.p10_us,
                "p90_us": row.sample.p90_us,
                "samples": row.sample.count,
            }
            for row in self.points
        ]

    @property
    def whole_units(self) -> tuple[str, ...]:
        """Texts of all units on which whole networks were measured, those of the branches first."""
        return (*self.units, *self.other_units)

    @property
    def expected_error(self) -> float | None:
        """The relative error that 9 of 10 held-out networks were within; None where no networks were held out."""
        if not self.held_out:
            return None
        return float(np.quantile([abs(row.error) for row in self.held_out], 0.9))

    @property
    def doubts(self) -> tuple[str, ...]:
        """What makes it doubtful: many points that differed, and all warnings but that there is no energy."""
        many = sum(row.sample.differs for row in self.points) > FEW_POINTS * len(self.points)
        texts = [text for text in self.warnings if not (DIFFERING.fullmatch(text) or text.startswith(NO_ENERGY))]
        return (*texts, differing_text(self.points)) if many else tuple(texts)

    @property
    def level(self) -> Level:
        """How far it can be trusted, by its expected error; one with a doubt is doubtful at least."""
        doubtful, worthless = LIMITS
        error = self.expected_error or 0.0
        if error > worthless:
            return "worthless"
        return "doubtful" if self.doubts or error > doubtful else "trustworthy"

    @property
    def doubt(self) -> str:
        """Why it is doubtful or worthless, in a sentence; "" where it is trustworthy."""
        if self.level == "trustworthy":
            return ""
        error = self.expected_error or 0.0
        reasons = [f"its predictions are {error:.0%} off"] if error > LIMITS[0] else []
        if self.doubts:
            reasons.append(f"{len(self.doubts)} warning{'s' * (len(self.doubts) > 1)}: {self.doubts[0]}")
        return f"the profile is {self.level} ({'; '.join(reasons)})"

    @property
    def ratio_error(self) -> float:
        """Relative standard error of the ratio of a predicted latency to that of a network of one branch."""
        # Nine of ten predictions are within the expected error: 1.64 standard deviations.
        return max(LEAST_RATIO_ERROR, (self.expected_error or USUAL_ERROR) / 1.64)

    @property
    def software_gpu(self) -> bool:
        """Whether a GPU of its units is a Vulkan driver that computes on the CPU."""
        return any(Unit.parse(text).software for text in self.whole_units)

    @cached_property
    def width_steps(self) -> tuple[int, int]:
        """By unit, of what the solver takes multiples as widths, channels."""
        first, second = (width_step(self.learning, self.points, unit) for unit in (0, 1))
        return first, second

    def check_base(self, base: ModelConfig) -> None:
        """Refuse another base model than the one that was measured.

        Raises:
            ProfileMismatch: name or content of the two base models differ.
        """
        if self.base.name != base.name or base_digest(self.base) != base_digest(base):
            raise ProfileMismatch(
                f"The profile was measured for base {self.base.name!r}, not for {base.name!r} as it is here"
                f"{differences(base, self.base, ': ')}; measure again with: syncnas-deploy profile --base {base.name}."
            )

    def shared(self, *, keep_identity: bool) -> DeviceProfile:
        """The profile as it is given to others: without what tells which device it is of, or saying that it tells."""
        facts, keep = self.device, keep_identity
        return msgspec.structs.replace(
            self,
            device=facts_to_share(facts, keep=keep),
            versions={name: text_to_share(text, facts, keep=keep) for name, text in self.versions.items()},
            condition=condition_to_share(self.condition, keep=keep),
            warnings=tuple(text_to_share(text, facts, keep=keep) for text in self.warnings),
        )

    def other_device(self, device: Mapping[str, str], units: Sequence[str]) -> str:
        """Why the profile says nothing about a measurement; "" where device and units are the same.

        Args:
            device: facts of the device that was measured, as text.
            units: texts of the units of branch 0 and of branch 1.
        """
        if other := other_name(self.device, device):
            return other
        for fact in KIND_FACTS:
            mine, theirs = self.device.get(fact), device.get(fact)
            if mine is not None and theirs is not None and mine != theirs:
                return f"it is of a device whose {fact} is {mine!r}, not {theirs!r}"
        if tuple(units) != self.units:
            return f"it is of units {' and '.join(self.units)}, not of {' and '.join(units)}"
        return ""

    @cached_property
    def power_model(self) -> PowerModel | None:
        """What each unit draws; None where no power was measured."""
        return PowerModel.of(self.power) if self.power else None

    @cached_property
    def table(self) -> LatencyTable:
        """The latency table made of the rows."""
        return LatencyTable(self.base, self)


def flat_text(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Facts of any JSON kind as a flat mapping of texts; nested names are joined by dots."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flat_text(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value)
    return flat


def differences(config: ModelConfig, base: ModelConfig, opening: str = "") -> str:
    """Where a network is not of a base, both values each; "" where base, classes, input size and ends are the same.

    Args:
        config: of one or two branches.
        base: a profile's.
        opening: stands before what is found.
    """
    named = config.base or (config.name if config.branch_count == 1 else base.name)
    asked = (
        ("base {}", named, base.name),
        ("{} classes", config.classes, base.classes),
        ("an input of {} pixels", config.input_size, base.input_size),
    )
    inside = (
        ("{} stages", len(config.stages), len(base.stages)),
        ("a stem of {} channels", config.stem.out_channels, base.stem.out_channels),
        ("a head of {} channels", config.head.out_channels, base.head.out_channels),
    )
    for pairs in (asked, inside):
        found = [f"{text.format(mine)} instead of {theirs}" for text, mine, theirs in pairs if mine != theirs]
        if found:
            return f"{opening}it has {', '.join(found)}"
    return ""


def base_digest(base: ModelConfig) -> str:
    """sha256 of a config's content: equal for equal networks, whatever their names."""
    value = {k: v for k, v in config_to_json(base).items() if k not in ("name", "source")}
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
