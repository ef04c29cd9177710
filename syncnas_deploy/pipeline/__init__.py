"""The front door for Python users: one function per command, values in and values out.

from pathlib import Path

from syncnas_deploy import pipeline
from syncnas_deploy.search.loop import SearchSettings

with pipeline.device("host") as host:
    profile = pipeline.profile("mobilenet_v2", host, out=Path("host.json"))
    found = pipeline.search(profile, budget="1.0x", evaluator="zen", settings=SearchSettings(trials=24))
    bundle = pipeline.export(found.config, Path("bundle"), seed=0)
    result = pipeline.bench(bundle, host)
"""

from syncnas_deploy.pipeline.assess import COMMANDS, PAGE, Assessment, assess, assessment_path
from syncnas_deploy.pipeline.bundles import app, app_times, bench, draw, predict_bench
from syncnas_deploy.pipeline.comparing import compare
from syncnas_deploy.pipeline.devices import (
    ALL_DEVICES,
    device,
    device_names,
    devices,
    read_devices,
    units_of,
    waiting_devices,
)
from syncnas_deploy.pipeline.exports import export, units_for
from syncnas_deploy.pipeline.inputs import (
    BundleLike,
    ConfigLike,
    ProfileLike,
    as_bundle,
    as_config,
    as_profile,
    base_model,
    branched,
    budget_us,
    documents_in,
    models,
    variant,
    weights_in,
)
from syncnas_deploy.pipeline.profiles import (
    DeviceOutcome,
    check_profile,
    probe_widths,
    profile,
    profile_many,
    profile_path,
)
from syncnas_deploy.pipeline.road import AssessSettings
from syncnas_deploy.pipeline.searches import Found, FoundNetwork, predict, search
from syncnas_deploy.pipeline.training import convert_weights, evaluate, inherit_weights, train
from syncnas_deploy.report.comparison import JOURNAL

__all__ = [
    "ALL_DEVICES", "COMMANDS", "JOURNAL", "PAGE", "AssessSettings", "Assessment", "BundleLike", "ConfigLike",
    "DeviceOutcome", "Found", "FoundNetwork", "ProfileLike", "app", "app_times", "as_bundle", "as_config",
    "as_profile", "assess", "assessment_path", "base_model", "bench", "branched", "budget_us", "check_profile",
    "compare", "convert_weights", "device", "device_names", "devices", "documents_in", "draw", "evaluate", "export",
    "inherit_weights", "models", "predict", "predict_bench", "probe_widths", "profile", "profile_many",
    "profile_path", "read_devices", "search", "train", "units_for", "units_of", "variant", "waiting_devices",
    "weights_in",
]  # fmt: skip
