"""What to do next: the exact command, on stderr, with the user's own paths."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncnas_deploy.cli.progress import volume
from syncnas_deploy.cli.terminal import note_command

if TYPE_CHECKING:
    from syncnas_deploy.prediction.profile import DeviceProfile

PROGRAM = "syncnas-deploy"


def suggest(reason: str, *words: object) -> None:
    """Note the command that comes next, unless the user wants JSON or quiet.

    Args:
        reason: what it does, as the end of "next, ...".
        words: of the command, without the program's name.
    """
    if _is_wanted():
        note_command(f"next, {reason}", [PROGRAM, *map(str, words)])


def _is_wanted() -> bool:
    context = click.get_current_context(silent=True)
    return volume() != "quiet" and not (context and context.params.get("as_json"))


def suggest_search(path: Path, profile: DeviceProfile, device: str = "") -> None:
    """Note the command that searches with a profile, within a budget that can be met, by an evaluator that is there.

    A profile that is doubtful is better made again before; one that is worthless is not searched with.
    """
    if not _is_wanted():
        return
    from syncnas_deploy.pipeline.inputs import enough_budget

    if profile.level != "trustworthy":
        reason = f"since this profile is {profile.level}, profile again on a quiet device"
        suggest_profiling(reason, path, profile, device)
    if profile.level == "worthless":
        return
    budget = enough_budget(profile)
    evaluator = () if importlib.util.find_spec("torch") else ("--evaluator", "capacity")
    options = (*(() if budget == "1.0x" else ("--budget", budget)), *evaluator)
    suggest("search the best network for it", "search", "--profile", path, *options)


def suggest_profiling(reason: str, path: Path, profile: DeviceProfile, device: str = "") -> None:
    """Note the command that makes a profile again, into a file of its own."""
    where = ("--device", device) if device else device_words(profile)
    units = [word for unit in profile.units for word in ("--unit", unit)]
    again = path.with_name(f"{path.stem}-again.json")
    suggest(reason, "profile", *where, "--base", path, *units, "--out", again)


def device_words(profile: DeviceProfile) -> tuple[str, ...]:
    """The option that names a profile's device; nothing for a phone, whose profile does not tell which one it is."""
    name = profile.device.get("name", "")
    return ("--device", name) if name == "host" or name.startswith("sim:") else ()


def suggest_measuring_again() -> None:
    """Note the command that measures again what was worthless: the same one, which may replace the --out it has."""
    options = click.get_current_context().params
    replaces = options.get("force") is False and options["out"]
    suggest("measure again on a quiet device", *sys.argv[1:], *(["--force"] if replaces else []))


def suggest_going_on(command: click.Group) -> None:
    """Note the command that goes on with this one, which was interrupted."""
    words = sys.argv[1:]
    running = command.get_command(click.Context(command), words[0]) if words else None
    if running is None:
        return
    options = [name for parameter in running.params for name in parameter.opts]
    if "--resume" in options and "--check" not in words:
        note_command("go on with", [PROGRAM, *resumed(words)])
    else:
        note_command("give the same command again", [PROGRAM, *words])


def resumed(words: Sequence[str]) -> list[str]:
    """The words of a command that goes on where this one ended."""
    return [*(word for word in words if word not in ("--resume", "--force")), "--resume"]


def suggest_resuming(paths: Sequence[Path]) -> None:
    """Note the command that resumes, if any of the profiles has finished steps."""
    if any(os.path.lexists(path.with_name(path.name + ".journal")) for path in paths):
        note_command("What was finished is kept; go on with", [PROGRAM, *resumed(sys.argv[1:])])
