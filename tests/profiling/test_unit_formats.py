"""Units say the format of their files: what is measured on them is written in it, and rivals and bundles, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncnas_bench import BenchPlan, Device, HostDevice, SimDevice, Unit
from syncnas_deploy import pipeline
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.resizing import ratio_widths
from syncnas_deploy.pipeline.devices import in_int8, other_units, paired_units
from syncnas_deploy.pipeline.rivals import _bundle
from syncnas_deploy.precision import PRECISIONS, FileFormat
from syncnas_deploy.profiling.experiment import Experiment
from syncnas_deploy.profiling.width_design import WidthPair
from tests.support.picture_cases import small_config
from tests.support.precision_cases import QUICK, WithGpu, with_large_kernels


@pytest.fixture(scope="module")
def base() -> ModelConfig:
    """A small base whose second stage has 7x7 kernels."""
    return with_large_kernels(small_config())


def files_of(base: ModelConfig, units: tuple[str, str], folder: Path) -> BenchPlan:
    folder.mkdir()
    experiment = Experiment(base, [Unit.parse(text) for text in units], QUICK, folder)
    widths = ratio_widths(base, 1.0)
    experiment.add_pair(WidthPair(widths, widths))
    return experiment.plan([step.name for step in experiment.steps], 0)


def test_each_unit_has_files_of_its_format_and_equal_formats_share_one(base: ModelConfig, tmp_path: Path) -> None:
    one = files_of(base, ("cpu:1", "gpu:fp16"), tmp_path / "one")
    assert [path.name for path in one.files if path.name.startswith("pair")] == ["pair0.tflite"]
    mixed = files_of(base, ("cpu:1:int8", "cpu:2:split"), tmp_path / "mixed")
    pairs = [path for path in mixed.files if path.name.startswith("pair")]
    assert [path.name for path in pairs] == ["pair0.tflite", "pair0_1.tflite"]
    plain = next(path for path in one.files if path.name == "pair0.tflite").stat().st_size
    assert pairs[0].stat().st_size < 0.8 * plain < plain < pairs[1].stat().st_size
    (step,) = [step for step in mixed.steps if step.name == "pair_0"]
    used = {(lane.unit_index, mixed.files[call.file_index].name) for job in step.jobs for lane in job.lanes
            for call in lane.calls}  # fmt: skip
    assert used == {(0, "pair0.tflite"), (1, "pair0_1.tflite")}


@pytest.mark.needs("host units")
def test_a_profile_of_int8_beside_fp32_is_measured_and_checked(base: ModelConfig, tmp_path: Path) -> None:
    units = ("cpu:1:int8", "cpu:2")
    found = pipeline.profile(base, HostDevice(), out=tmp_path / "p.json", units=units, settings=QUICK, examine=False)
    assert found.units == units
    assert all(found.table.network_us(unit) > 0 for unit in (0, 1))
    assert len(pipeline.check_profile(found, HostDevice()).rows) >= 2


@pytest.mark.parametrize("unit", ["cpu:1", "cpu:1:int8", "cpu:1:split", "cpu:1:int8:split", "gpu:fp16"])
def test_a_rivals_bundle_is_what_its_unit_runs(unit: str, base: ModelConfig, tmp_path: Path) -> None:
    form = FileFormat.of(Unit.parse(unit))
    made = _bundle(tmp_path / "b", base, form)
    assert made.formats == (form,) and form.runs_on(Unit.parse(unit))
    others = [text for text in ("cpu:1", "cpu:1:int8", "cpu:1:split") if text != unit and unit.startswith("cpu")]
    assert not any(form.runs_on(Unit.parse(text)) for text in others)


TAKEN = {
    "cpu:1": {"fp32", "fp16"},
    "cpu:1:int8": {"int8"},
    "cpu:2@0,1:split": {"fp32 with split kernels", "fp16 with split kernels"},
    "cpu:1:int8:split": {"int8 with split kernels"},
    **{gpu: {"fp32", "fp16"} for gpu in ("gpu", "gpu:fp16", "gpu:software", "gpu:fp16:software")},
}
FORMS = [FileFormat(precision, split) for precision in PRECISIONS for split in (False, True)]


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("unit", TAKEN)
def test_a_unit_takes_its_files_and_of_others_it_is_said_what_it_takes(unit: str, form: FileFormat) -> None:
    on, taken = Unit.parse(unit), TAKEN[unit]
    assert form.runs_on(on) == (str(form) in taken)
    if not form.runs_on(on):
        mine, theirs = form.refused_by(on).split(f", and unit {unit} takes ")
        precisions = theirs.partition(" with ")[0].split(" or ")
        kernels = theirs.partition(" with ")[2]
        assert mine == str(form) and set(precisions) == {text.split()[0] for text in taken}
        # What is refused is not said to be taken.
        assert form.precision not in precisions or kernels == f"{'whole' if form.split_kernels else 'split'} kernels"


@pytest.mark.parametrize(
    ("chosen", "form"), [("cpu:1:int8", ":int8"), ("cpu:1:split", ":split"), ("cpu:1", ""), ("gpu:fp16", "")]
)
def test_all_cores_run_the_faster_format(chosen: str, form: str) -> None:
    device = HostDevice()
    widest = max((i.unit for i in device.units() if i.unit.kind == "cpu"), key=lambda unit: unit.threads)
    if widest.threads > 1:
        assert [str(u) for u in other_units(device, (Unit.parse(chosen), Unit("gpu")))] == [f"{widest}{form}"]


PICTURES = Path("pictures")


@pytest.mark.parametrize(
    ("device", "named", "pictures", "found"),
    [
        (WithGpu(), (), PICTURES, ("cpu:2:int8", "gpu:fp16")),
        (WithGpu(), (), None, ("cpu:2", "gpu")),
        (WithGpu(), ("cpu:1", "gpu"), PICTURES, ("cpu:1", "gpu")),
        (SimDevice("phone"), (), PICTURES, ("sim:cpu", "sim:gpu")),
    ],
)
def test_int8_and_fp16_are_paired_where_there_are_pictures_and_a_gpu(
    device: Device, named: tuple[str, ...], pictures: Path | None, found: tuple[str, str]
) -> None:
    told: list[str] = []
    assert tuple(map(str, paired_units(device, named, pictures, told.append))) == found
    line = "units cpu:2:int8 and gpu:fp16, since pictures is there to calibrate int8 with; --unit names others"
    assert told == ([line] if found[0].endswith("int8") else [])


def test_without_a_gpu_pictures_change_no_unit() -> None:
    chosen = HostDevice().default_units()
    assert "gpu" in {unit.kind for unit in chosen} or paired_units(HostDevice(), (), PICTURES) == chosen


@pytest.mark.parametrize(
    ("unit", "rounded"),
    [
        ("cpu:1@0", "cpu:1@0:int8"),
        ("cpu:2:split", "cpu:2:int8:split"),
        ("gpu:software", "gpu:fp16:software"),
        ("gpu:fp16", "gpu:fp16"),
        ("sim:cpu", "sim:cpu"),
    ],
)
def test_a_unit_in_int8(unit: str, rounded: str) -> None:
    assert str(in_int8(Unit.parse(unit))) == rounded
