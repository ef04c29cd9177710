"""What commands are given, found in one way: a network, a profile, a bundle, weights, a latency budget.

Each may be the name of something shipped, a file, an open stream (``/dev/stdin``, a shell's ``<(command)``), or a
folder that holds it: of a search, of a training, of an assessment, or a bundle. A shipped name goes first; ``./NAME``
is a path.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from syncnas_bench.errors import nearest
from syncnas_bench.files import exists, is_file, is_folder
from syncnas_deploy.bundle import Bundle, is_bundle, read_bundle
from syncnas_deploy.bundle_manifest import MANIFEST
from syncnas_deploy.errors import (
    ABSENT,
    BudgetError,
    ConfigError,
    DocumentError,
    InfeasibleBudget,
    ProfileError,
    ProfileMismatch,
)
from syncnas_deploy.files.documents import read_json
from syncnas_deploy.files.places import as_path, is_stream, neighbours
from syncnas_deploy.networks import config as networks
from syncnas_deploy.networks import scaling
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import load_config, read_config
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.prediction.predict import ProfileCosts, fastest_placement
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.profile_files import SCHEMA as PROFILE_SCHEMA
from syncnas_deploy.prediction.profile_files import load_profile
from syncnas_deploy.report.comparison import BEST
from syncnas_deploy.resources import shipped
from syncnas_deploy.search.candidates import CandidateSpace

ConfigLike = ModelConfig | str | Path
ProfileLike = DeviceProfile | str | Path
BundleLike = Bundle | str | Path
BudgetLike = str | float

PROFILE, SEARCH, BUNDLE, RESULT = "profile.json", "search", "bundle", "bench.json"
"""What an assessment's folder holds."""
INT8 = "int8"
"""The folder in it that holds the same of its units in int8."""
RUN_CONFIG, RUN_WEIGHTS = "config.json", "best.pth"
"""What a training's folder holds."""
MOST_TIMES = 10
"""A budget that is a plain number, and more than this, is meant as something else than times the base."""
_ROOM = 1.25
"""How much more than the least latency a budget needs, so that there is something to choose."""


def as_config(config: ConfigLike) -> ModelConfig:
    """A network: by a shipped name, from a file, or from the folder of a search, a training, an assessment or a bundle.

    Raises:
        UnknownModel: there is nothing of that name.
        ConfigError: what is there is no network.
    """
    if isinstance(config, ModelConfig):
        return config
    path = as_path(config)
    if str(config) in shipped("model_configs") or not is_folder(path):
        return load_config(config)
    if is_bundle(path):
        return read_bundle(path).config
    inside = next((path / name for name in (BEST, RUN_CONFIG, f"{SEARCH}/{BEST}") if is_file(path / name)), None)
    if inside is None:
        raise ConfigError(f"{path}: holds no network: neither {BEST}, {RUN_CONFIG} nor {MANIFEST}; name its file.")
    return read_config(inside)


def as_profile(profile: ProfileLike) -> DeviceProfile:
    """A profile: by a shipped name, from a file, or from an assessment's folder or one that holds a single profile.

    Raises:
        ProfileError: there is none, or it is not valid.
    """
    if isinstance(profile, DeviceProfile):
        return profile
    path = as_path(profile)
    if str(profile) in shipped("device_profiles") or not is_folder(path):
        return load_profile(profile)
    found = [path / PROFILE] if is_file(path / PROFILE) else sorted(path.glob("*.profile.json"))
    if len(found) != 1:
        raise ProfileError(f"{path}: holds {len(found) or 'no'} profiles; name the file of one.")
    return load_profile(found[0])


def as_bundle(bundle: BundleLike) -> Bundle:
    """A bundle: its folder, its manifest, or the folder of an assessment.

    Raises:
        BundleError: there is none, or it is damaged.
    """
    if isinstance(bundle, Bundle):
        return bundle
    path = as_path(bundle)
    if path.name == MANIFEST and is_file(path):
        path = path.parent
    return read_bundle(path / BUNDLE if not is_bundle(path) and is_bundle(path / BUNDLE) else path)


def weights_in(config: object) -> Path | None:
    """The best weights of a training's folder; None for anything else."""
    path = Path(config) / RUN_WEIGHTS if isinstance(config, (str, Path)) else None
    return path if path and is_file(path) and is_file(path.parent / RUN_CONFIG) else None


def documents_in(words: Sequence[str | Path]) -> list[Path]:
    """What a report can show of each word: shipped names as their files, folders as what they hold.

    Raises:
        DocumentError: there is nothing of that name.
    """
    names = shipped("device_profiles") | shipped("model_configs")
    found: list[Path] = []
    for word in words:
        path = as_path(word)
        if not exists(path):
            near = nearest(word, [*names, *neighbours(path)])
            if str(word) not in names:
                raise DocumentError(
                    f"{word}: neither a file, a folder nor a shipped name; check it.{near}", code=ABSENT
                )
            path = names[str(word)]
        roads = (path, path / INT8)
        inside = [road / name for road in roads for name in (PROFILE, SEARCH, RESULT) if exists(road / name)]
        if is_folder(path) and not is_bundle(path) and not is_file(path / BEST):
            inside += [path / RUN_CONFIG] if is_file(path / RUN_CONFIG) else []
            inside = inside or sorted(path.glob("*.profile.json"))
            found += inside or [path]
        else:
            found.append(path)
    return found


def called(document: Path) -> Path:
    """What a user calls a document: a shipped one by its name, another one by its path."""
    names = shipped("device_profiles") | shipped("model_configs")
    return next((Path(name) for name, path in names.items() if path == document), document)


def variant(
    config: ConfigLike, *, classes: int | None = None, input_size: int | None = None, width: float = 1.0
) -> ModelConfig:
    """A network at another size, see `networks.scaling.variant`."""
    return scaling.variant(as_config(config), classes=classes, input_size=input_size, width=width)


def branched(
    base: ConfigLike,
    strategy: str,
    widths: Widths | None = None,
    *,
    name: str | None = None,
    placement: Placement = Placement(),
) -> ModelConfig:
    """Two branches of a base model, see `networks.config.branched`."""
    return networks.branched(as_config(base), strategy, widths, name=name, placement=placement)


def models() -> tuple[ModelConfig, ...]:
    """The shipped models, in name order."""
    return tuple(read_config(path) for path in shipped("model_configs").values())


def base_model(config: ConfigLike) -> ModelConfig:
    """A base model. A branched model stands for the shipped base that it came from, a profile's file for its base.

    Raises:
        UnknownModel: no such model.
        ConfigError: it has two branches and names no shipped base.
    """
    if not isinstance(config, ModelConfig) and _is_profile(as_path(config)):
        return as_profile(config).base
    found = as_config(config)
    if found.branch_count == 1:
        return found
    if found.base is None or found.base not in shipped("model_configs"):
        raise ConfigError(
            f"{found.name}: has two branches and names no shipped base model; give a base model, or a profile of it."
        )
    return load_config(found.base)


def _is_profile(path: Path) -> bool:
    if is_stream(path) or not is_file(path):  # a stream can be read once
        return False
    value = read_json(path, ConfigError)
    return isinstance(value, dict) and str(value.get("schema", "")).startswith(PROFILE_SCHEMA)


def budget_text(budget: BudgetLike) -> str:
    """A latency budget's text; a number, above 0 and up to `MOST_TIMES`, is a multiple of the base's latency.

    Raises:
        BudgetError: another number, or no budget.
    """
    if isinstance(budget, str):
        return budget.strip()
    if isinstance(budget, numbers.Real) and not isinstance(budget, bool) and 0 < budget <= MOST_TIMES:
        return f"{round(float(budget), 6)}x"
    said = str(budget)[:40]
    like = said if re.fullmatch(r"[1-9][0-9]{0,5}(\.[0-9]{1,6})?", said) else "25"
    raise BudgetError(
        f"The budget {said} is no number above 0 and up to {MOST_TIMES}, which is times the base's latency; write "
        f"1.0 for the base's own, or a text such as '{like}ms' or '{like}x'."
    )


def budget_texts(budget: BudgetLike | Sequence[BudgetLike]) -> list[str]:
    """The texts of one latency budget or of several.

    Raises:
        BudgetError: there is none, or see `budget_text`.
    """
    several = [budget] if isinstance(budget, str) or not isinstance(budget, Iterable) else budget
    texts = [budget_text(one) for one in several]
    if not texts:
        raise BudgetError("There is no budget; write 1.0 for the base's latency, or a text such as '25ms'.")
    return texts


def budget_us(budget: BudgetLike, profile: DeviceProfile) -> float:
    """A latency budget in microseconds, from ``1.0x`` or 1.0 (of the base on its faster unit), ``25ms`` or ``900us``.

    Raises:
        BudgetError: not such a text, or not a positive time.
    """
    amount, unit = check_budget(budget)
    if unit == "x":
        return amount * min(profile.table.network_us(at) for at in (0, 1))
    return amount * (1000.0 if unit == "ms" else 1.0)


def enough_budget(profile: DeviceProfile) -> str:
    """A latency budget that networks of two branches can meet: 1.0x, or more where the base has little to share."""
    try:
        CandidateSpace(profile.base, ProfileCosts(profile, fastest_placement(profile)), [budget_us("1.0x", profile)])
    except InfeasibleBudget as error:
        if error.least_us is not None:
            return f"{math.ceil(2 * _ROOM * error.least_us / budget_us('1.0x', profile)) / 2:g}x"
    except ProfileMismatch:
        pass
    return "1.0x"


def check_budget(budget: BudgetLike) -> tuple[float, str]:
    """A latency budget's amount and unit: x, ms or us.

    Raises:
        BudgetError: not such a text, or not a positive time.
    """
    text = budget_text(budget)
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(x|ms|us)", text)
    if match is None or float(match[1]) <= 0:
        raise BudgetError(f"Budget {text[:40]!r} is not a latency; write 1.0x (of the base model), 25ms or 900us.")
    return float(match[1]), match[2]
