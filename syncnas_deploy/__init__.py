"""One network on a phone's CPU and GPU at the same time: measured, searched, exported.

import syncnas_deploy as sd

with sd.device("host") as host:
    profile = sd.profile("mobilenet_v2", host, out="host.json")
    found = sd.search(profile, budget=1.0, settings=sd.SearchSettings(trials=24))
    bundle = sd.export(found.config, "bundle", seed=0)
    result = sd.bench(bundle, host, profile=profile)

Everything named here is imported when it is first asked for. `Error` is a tuple of all that is raised on purpose.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

__version__ = "0.2.0"

_ROOMS = {
    "pipeline": (
        "AssessSettings", "Assessment", "Found", "FoundNetwork", "as_bundle", "as_config", "as_profile", "assess",
        "bench", "branched", "check_profile", "convert_weights", "device", "devices", "draw", "evaluate", "export",
        "inherit_weights", "models", "predict", "profile", "profile_many", "train", "variant",
    ),
    "search.loop": ("SearchSettings",),
    "training.recipe": ("Recipe",),
    "benchmarking.trust": ("trust", "verdict_of"),
    "profiling.experiment": ("ProfileSettings",),
    "benchmarking.result": ("BenchResult",),
    "bundle": ("Bundle",),
    "networks.config": ("ModelConfig",),
    "prediction.predict": ("Prediction",),
    "prediction.profile": ("DeviceProfile",),
    "progress": ("Progress",),
    "report.drawing.svg": ("Drawing",),
    "verdict": ("Verdict",),
    "errors": ("Error", "SyncNasError"),
}  # fmt: skip
"""Where each name is at home. `__init__.pyi` has them for type checkers."""
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = ["CallableRoom", "__version__", "search", *_HOMES]  # noqa: PLE0604 - see `__getattr__`


def __getattr__(name: str) -> Any:
    if name == "search":
        return importlib.import_module("syncnas_deploy.search")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"syncnas_deploy.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class CallableRoom(ModuleType):
    """A room that has the name of a function of `pipeline`: calling it calls the function."""

    def _function(self) -> Any:
        return getattr(importlib.import_module("syncnas_deploy.pipeline"), self.__name__.rpartition(".")[2])

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._function()(*arguments, **named)

    @property
    def __signature__(self) -> Any:
        return importlib.import_module("inspect").signature(self._function())

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        """What `help` shows: the function's signature and docstring."""
        function = self._function()
        return f"{function.__name__}{self.__signature__}\n\n{importlib.import_module('inspect').getdoc(function)}"
