"""Measuring a width probe: what a person with a phone sends us to settle by which rule its GPU selects work groups."""

from __future__ import annotations

import datetime

from syncnas_bench import BenchPlan, Call, Device, Job, Lane, Run, Step, Unit, run_with_retries
from syncnas_bench.work_folder import work_folder
from syncnas_deploy.errors import ProfileMismatch, WrongOutput
from syncnas_deploy.measuring.jobs import DISCARD, REPEATS, SPIN_US
from syncnas_deploy.measuring.reference_outputs import OutputCheck
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.resizing import allowed_widths
from syncnas_deploy.networks.widths import WIDTH_STEP, BlockKey
from syncnas_deploy.precision import FileFormat
from syncnas_deploy.prediction.curves import curves_of
from syncnas_deploy.prediction.dispatch import grids_of
from syncnas_deploy.prediction.identity import facts_to_share
from syncnas_deploy.prediction.profile import flat_text
from syncnas_deploy.prediction.rows import LaunchSample
from syncnas_deploy.prediction.width_probe import SCHEMA, VERSION, ProbeRow, WidthProbe
from syncnas_deploy.profiling.parts import block_graph
from syncnas_deploy.profiling.timing_files import timing_file
from syncnas_deploy.progress import OnProgress, Pace

REACH = 40
"""Channels to either side of the width that is asked for."""
LAUNCHES, ROUNDS = 2, 3


def probe_widths(
    base: ModelConfig,
    device: Device,
    unit: Unit,
    key: BlockKey,
    around: int,
    *,
    keep_identity: bool = False,
    on_progress: OnProgress = lambda _: None,
) -> WidthProbe:
    """Measure one block at every width that is a multiple of 4 around one.

    Args:
        base: a base model.
        device: to measure on.
        unit: to measure.
        key: of the block, with full outputs.
        around: expanded channels in the middle.
        keep_identity: whether the device's serial or address stays in the probe.
        on_progress: called before the first launch and after each.

    Raises:
        ProfileMismatch: the base has no such block, or the block no such widths.
        BenchError: the device could not measure.
        WrongOutput: it computed something else than this host, three times.
    """
    places = {curve.key: i for i, curve in enumerate(curves_of(base))}
    if key not in places:
        raise ProfileMismatch(f"{base.name} has no {key}; see `models {base.name}`.")
    widths = [int(w) for w in allowed_widths(base, key, max(WIDTH_STEP, around - REACH), around + REACH)]
    if around < WIDTH_STEP or not widths:
        raise ProfileMismatch(
            f"{key} of {base.name} has no widths around {around}; give a width of {WIDTH_STEP} or more."
        )
    graphs = [block_graph(base, key, width, f"w{width}") for width in widths]
    runs: list[Run] = []
    with work_folder("probe") as folder:
        file = folder / "probe.tflite"
        file.write_bytes(timing_file(graphs, FileFormat.of(unit)))
        # Each block twice: the first time counts, since of the last call the read of a GPU's output is part.
        jobs = tuple(Job(g.name, (Lane(0, (Call(0, 0, g.name), Call(1, 0, g.name))),)) for g in graphs)
        step = Step("probe", jobs, rounds=ROUNDS, discard=DISCARD, repeats=REPEATS)
        check = OutputCheck(folder)

        def keep(run: Run) -> None:
            check.check(run)
            runs.append(run)

        pace = Pace(on_progress, LAUNCHES)
        pace.begin("the first launch")
        for launch in range(LAUNCHES):
            plan = check.watched(BenchPlan((unit,), (file,), (step,), seed=launch, spin_us=SPIN_US))
            run_with_retries(device, plan, on_run=keep, redo=(WrongOutput,))
            pace.step(f"launch {launch + 1}")
    facts, grid = device.facts(), grids_of(base)[places[key]]
    return WidthProbe(
        schema=f"{SCHEMA}/{VERSION}",
        kind="simulated" if facts.simulated else "measured",
        base=base.name,
        unit=str(unit),
        device=facts_to_share(flat_text(facts.to_dict()), keep=keep_identity),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        stage=key.stage,
        block=key.block,
        base_width=grid.base_width,
        input_size=grid.input_size,
        output_size=grid.output_size,
        expansion=grid.expansion,
        depthwise=grid.depthwise,
        rows=tuple(
            ProbeRow(width, LaunchSample.of(run.job(f"w{width}").call(0, 0).busy_us for run in runs))
            for width in widths
        ),
    )
