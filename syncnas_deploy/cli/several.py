"""`profile` on several devices at once: their progress, their failures, and how to go on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncnas_deploy.cli.exit_codes import exit_code
from syncnas_deploy.cli.next_step import suggest_resuming, suggest_search
from syncnas_deploy.cli.progress import showing
from syncnas_deploy.cli.settings import environment
from syncnas_deploy.cli.terminal import emit, note, say, say_page

if TYPE_CHECKING:
    from syncnas_deploy.networks.config import ModelConfig
    from syncnas_deploy.pipeline import DeviceOutcome
    from syncnas_deploy.profiling.experiment import ProfileSettings


def profile_several(
    base: ModelConfig,
    devices: Sequence[str],
    *,
    out: Path | None,
    units: Sequence[str],
    calibrate: Path | None,
    settings: ProfileSettings,
    resume: bool,
    force: bool,
    keep_identity: bool,
    as_json: bool,
) -> None:
    """Measure the devices, print each one's result, and leave with the first failure's exit code."""
    from syncnas_deploy import pipeline
    from syncnas_deploy.report.tables import profile_page

    folder = out or Path()
    if folder.suffix == ".json" or os.path.isfile(folder):  # noqa: PTH113 - of what cannot be looked at the outputs tell
        raise click.UsageError(f"--out {folder}: several devices are measured; name a folder for their profiles.")
    known = environment()
    names = pipeline.device_names(devices, known)
    with showing(f"profiling {len(names)} devices for {base.name}") as shown:
        outcomes = pipeline.profile_many(
            base,
            names,
            folder=folder,
            units=units,
            calibrate=calibrate,
            settings=settings,
            resume=resume,
            force=force,
            keep_identity=keep_identity,
            environment=known,
            on_progress=lambda name, progress: shown(progress, name),
            on_notice=shown.note,
        )
    if as_json:
        emit([_outcome_json(outcome) for outcome in outcomes])
    for outcome in outcomes:
        if outcome.profile is not None and not as_json:
            say_page(profile_page(outcome.profile))
            say(f"written to {outcome.path}", "")
    _leave_if_any_failed(outcomes)
    if outcomes[0].profile is not None:
        suggest_search(outcomes[0].path, outcomes[0].profile, outcomes[0].device)


def _outcome_json(outcome: DeviceOutcome) -> dict[str, Any]:
    from syncnas_deploy.prediction.profile_files import profile_to_json

    if outcome.profile is None:
        return {"device": outcome.device, "error": str(outcome.error)}
    return {"device": outcome.device, "path": str(outcome.path), "profile": profile_to_json(outcome.profile)}


def _leave_if_any_failed(outcomes: Sequence[DeviceOutcome]) -> None:
    failed = [(outcome, outcome.error) for outcome in outcomes if outcome.error is not None]
    for outcome, error in failed:
        if not isinstance(error, Exception) or exit_code(error) is None:
            raise error
        note(f"{outcome.device}: {error}")
    if failed:
        suggest_resuming([outcome.path for outcome, _ in failed])
        raise click.exceptions.Exit(exit_code(failed[0][1]) or 1)
