"""Reading what commands are given: a model or a profile by name or file, a base model, a latency budget."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from syncnas_deploy.errors import ConfigError, InfeasibleBudget
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import load_config, read_config
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.profile_files import load_profile
from syncnas_deploy.resources import shipped

ConfigLike = ModelConfig | str | Path
ProfileLike = DeviceProfile | str | Path


def as_config(config: ConfigLike) -> ModelConfig:
    return config if isinstance(config, ModelConfig) else load_config(config)


def as_profile(profile: ProfileLike) -> DeviceProfile:
    return profile if isinstance(profile, DeviceProfile) else load_profile(profile)


def models() -> Iterator[ModelConfig]:
    """The shipped models, in name order."""
    for path in shipped("model_configs").values():
        yield read_config(path)


def base_model(config: ConfigLike) -> ModelConfig:
    """A base model. A branched model stands for the shipped base that it came from.

    Raises:
        UnknownModel: no such model.
        ConfigError: it has two branches and names no shipped base.
    """
    found = as_config(config)
    if found.branch_count == 1:
        return found
    if found.base is None or found.base not in shipped("model_configs"):
        raise ConfigError(f"{found.name}: has two branches and names no shipped base model; give a base model.")
    return load_config(found.base)


def budget_us(text: str, profile: DeviceProfile) -> float:
    """A latency budget in microseconds, from ``1.0x`` (of the base on its faster unit), ``25ms`` or ``900us``.

    Raises:
        InfeasibleBudget: not such a text, or not a positive time.
    """
    amount, unit = check_budget(text)
    if unit == "x":
        return amount * min(profile.table.network_us(at) for at in (0, 1))
    return amount * (1000.0 if unit == "ms" else 1.0)


def check_budget(text: str) -> tuple[float, str]:
    """A latency budget's amount and unit: x, ms or us.

    Raises:
        InfeasibleBudget: not such a text, or not a positive time.
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(x|ms|us)", text.strip())
    if match is None or float(match[1]) <= 0:
        raise InfeasibleBudget(f"Budget {text[:40]!r} is not a latency; write 1.0x (of the base model), 25ms or 900us.")
    return float(match[1]), match[2]
