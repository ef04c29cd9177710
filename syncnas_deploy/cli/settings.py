"""The project's settings: `syncnas.toml` in the current folder says what options mean that are left out.

    device = "R58M123"            # as --device
    units = ["cpu:4@4-7", "gpu"]  # as --unit, twice
    base = "my_base.json"         # as --base
    calibrate = "pictures"        # as --calibrate of assess and export
    runtime = "litert"            # LiteRT: a library for this host, or a folder of libraries for a phone

An option on the command line goes first, then an environment variable, then the file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncnas_deploy.cli.terminal import note
from syncnas_deploy.errors import ABSENT, SettingsError

if TYPE_CHECKING:
    from syncnas_bench.environment import Environment

NAME = "syncnas.toml"
KINDS = dict.fromkeys(("device", "units", "base", "calibrate", "runtime"), "a text") | {"units": "a list of two texts"}
_MAX_BYTES = 64 * 1024
_SAID = "syncnas_deploy.settings_said"
"""Where in click's context the keys are that were told."""


def project_settings() -> Mapping[str, Any]:
    """What the file holds; nothing where there is none.

    Raises:
        SettingsError: it is no TOML, or holds something else.
    """
    from syncnas_bench.files import is_file

    path = Path(NAME)
    if not os.path.lexists(path):
        return {}
    if not is_file(path):
        raise SettingsError(f"{NAME}: is no file; correct it or remove it.")
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise SettingsError(f"{NAME}: has more than {_MAX_BYTES} bytes; this is no file of settings.")
        values: dict[str, Any] = tomllib.loads(content.decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as e:
        reason: object = e.strerror if isinstance(e, OSError) else e
        if type(e) is ValueError:  # Python's advice is for programs
            reason = "a number has too many digits"
        raise SettingsError(f"{NAME}: cannot be read as TOML ({reason}); correct it or remove it.") from None
    for key, value in values.items():
        _check(key, value)
    return values


def _check(key: str, value: object) -> None:
    from syncnas_bench.errors import nearest

    if key not in KINDS:
        raise SettingsError(f"{NAME}: {key[:40]!r} is no setting; there are {', '.join(KINDS)}.{nearest(key, KINDS)}")
    texts = value if key == "units" else [value]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise SettingsError(f"{NAME}: {key!r} must be {KINDS[key]}; correct it.")
    if not all(text.strip() for text in texts):
        raise SettingsError(f"{NAME}: {key!r} is empty{' in one place' * (key == 'units')}; fill it or remove it.")
    if key == "units" and len(texts) != 2:
        raise SettingsError(f"{NAME}: {key!r} must be {KINDS[key]}, found {len(texts)}; correct it.")


def setting(key: str) -> Any:
    """A setting of the project, and a note, once in a command, that it is taken from there; None where there is none.

    Raises:
        SettingsError: see `project_settings`.
    """
    value, context = project_settings().get(key), click.get_current_context(silent=True)
    said = context.meta.setdefault(_SAID, set()) if context else set()
    if value is not None and key not in said:
        said.add(key)
        note(f"{NAME}: {key} = {value if isinstance(value, str) else ', '.join(value)}")
    return value


def path_setting(key: str) -> Path | None:
    """A setting that is a path, with a note; None where there is none.

    Raises:
        SettingsError: there is nothing at that path, or see `project_settings`.
    """
    from syncnas_bench.files import exists

    value = project_settings().get(key)
    if value is not None and not exists(Path(value)):
        raise SettingsError(f"{NAME}: {key} {value!r} does not exist; correct it.", code=ABSENT)
    return None if value is None else Path(setting(key))


def environment() -> Environment:
    """This process's environment, with the project's `runtime` where no variable names one.

    Raises:
        SettingsError: it does not exist, or see `project_settings`.
    """
    from syncnas_bench.environment import DEVICE_LITERT_VARIABLE, LITERT_VARIABLE, Environment
    from syncnas_bench.files import is_folder

    found = Environment.of_process()
    path = None if found.litert or found.device_litert else path_setting("runtime")
    if path is None:
        return found
    variable = DEVICE_LITERT_VARIABLE if is_folder(path) else LITERT_VARIABLE
    return Environment({**found.variables, variable: str(path)})
