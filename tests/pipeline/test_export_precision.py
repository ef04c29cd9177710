"""`export --precision`: what it says, what it warns of, and that the native runner computes what the files say."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from syncnas_bench import HostDevice, Unit
from syncnas_deploy.benchmarking.run import run_bench
from syncnas_deploy.bundle import Bundle, read_bundle
from syncnas_deploy.bundle_manifest import AgainstFp32, BranchFile
from syncnas_deploy.errors import BundleError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.pipeline.bundles import _chosen_units
from syncnas_deploy.pipeline.exports import export, far_from_fp32
from syncnas_deploy.precision import Precision
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_exporters.reader import read_numbers
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import draw_set, small_branched, small_config
from tests.support.precision_cases import WithGpu
from tests.support.program import Program


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_set(tmp_path_factory.mktemp("pictures") / "shapes", 3, 0)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "small.json"
    write_config(path, small_branched())
    return path


@pytest.fixture(scope="module")
def bundle(network: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("bundle") / "b"
    return export(str(network), out, precisions=("int8", "fp16"), calibrate=pictures)


def test_the_command_says_how_far_the_files_are_from_fp32(network: Path, pictures: Path, program: Program) -> None:
    mixed = ("--precision", "int8", "--precision", "fp16", "--calibrate", str(pictures))
    code, out, err = program("export", str(network), *mixed, "--out", "b")
    assert code == 0
    assert "int8 | fp16: logits 0.0" in out and "(rms, relative) from fp32 on 12 pictures; " in out
    assert "has 12 pictures to calibrate with; 100 give ranges nearer to the truth" in err
    code, out, _ = program("export", str(network), "--precision", "fp16", "--out", "half", "--json")
    value = json.loads(out)
    assert value["precisions"] == ["fp16", "fp16"] and value["against_fp32"]["pictures"] == 1
    code, out, _ = program("export", str(network), "--out", "plain")
    assert "fp32" not in out
    kept = ("--precision", "int8", "--calibrate", "b/calibration.json")
    assert program("export", str(network), *kept, "--out", "kept")[0] == 0
    assert read_bundle(Path("kept")).branches[0] == read_bundle(Path("b")).branches[0]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--precision", "int8"), 2, "int8 needs --calibrate DIR with a folder of about 100 pictures; or --timing-"),
        (("--precision", "int9"), 2, "'int9' is not one of 'fp32', 'fp16', 'int8'"),
        (("--precision", "int8", "--calibrate", "nowhere"), 4, "nowhere: no such folder; give one with about 100"),
        (("--precision", "int8", "--calibrate", "."), 3, ".: holds no pictures; give a folder with about 100"),
        (("--precision", "int8", "--calibrate", "other.json"), 3, "other.json: is no calibration; give a folder"),
        (
            ("--precision", "int8", "--calibrate", "{b}/calibration.json"),
            3,
            "is the calibration of another network or other weights",
        ),
        (("--precision", "int8", "--calibrate", "{b}"), 3, "/b: is a bundle; give {b}/calibration.json or a folder of"),
        (("--precision", "int8", "--calibrate", "{b}/manifest.json"), 3, "is a bundle; give {b}/calibration.json or"),
        (("--precision", "int8", "--calibrate", "fp32"), 3, "fp32: is a bundle without a calibration; give a folder"),
        (("--precision", "fp16", "--format", "onnx"), 2, "--precision is that of .tflite files; add --format tflite"),
        (("--calibrate", "."), 2, "--calibrate is for int8; add --precision int8 or leave it out."),
        (("--precision", "fp16", "--calibrate", "."), 2, "--calibrate is for int8; add --precision int8 or leave it"),
        (("--timing-only",), 2, "--timing-only would do nothing here; it is for --precision int8."),
        (
            ("--precision", "int8", "--timing-only", "--calibrate", "."),
            2,
            "--timing-only would do nothing here; leave it out, since pictures are given.",
        ),
        (("--opset", "17"), 2, "--opset would do nothing here; add --format onnx."),
        (("--split-kernels", "0", "--format", "onnx"), 2, "--split-kernels would do nothing here; it is for"),
        (("--split-kernels", "2"), 2, "2 is not in the range 0<=x<=1"),
        (("--precision", "fp16") * 3, 2, "--precision: small_nca has two branches and 3 precisions were given"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(
    arguments: tuple[str, ...], code: int, says: str, network: Path, bundle: Bundle, program: Program
) -> None:
    Path("other.json").write_text("{}")
    Path("fp32").mkdir()
    Path("fp32", "manifest.json").write_text("{}")
    given = [argument.replace("{b}", str(bundle.folder)) for argument in arguments]
    found, _, err = program("export", str(network), "--seed", "1", *given, "--out", "b")
    assert (found, says.replace("{b}", str(bundle.folder)) in err) == (code, True), err
    assert not Path("b").exists()


@pytest.mark.parametrize(
    ("precisions", "against", "warns"),
    [
        ("int8", AgainstFp32(100, 0.2, 0.99), ["loses much in int8: its logits are 0.2 (rms, relative) from fp32"]),
        ("int8", AgainstFp32(100, 0.049, 0.9), ["Of 100 pictures 90% have the same class first as in fp32"]),
        ("fp16", AgainstFp32(100, 0.003, 1.0), ["loses much in fp16"]),
        ("int8", AgainstFp32(1, 0.02, 0.0), []),
        ("fp16", None, []),
    ],
)
def test_a_bundle_that_is_far_from_fp32_is_warned_of(
    precisions: Precision, against: AgainstFp32 | None, warns: list[str], bundle: Bundle
) -> None:
    branches = (BranchFile(precisions),) * 2
    found = far_from_fp32(dataclasses.replace(bundle, branches=branches, against_fp32=against))
    assert len(found) == len(warns) and all(text in sentence for text, sentence in zip(warns, found, strict=True))


@pytest.mark.parametrize(
    ("config", "precisions", "warned"),
    [
        (small_config(), ("int8",), True),
        (small_branched(), ("int8",), True),
        (small_branched(), ("int8", "fp16"), True),
        (small_branched(), ("fp16",), False),
    ],
)
def test_a_network_that_int8_ruins_is_told_when_it_is_exported(
    config: ModelConfig, precisions: tuple[str, ...], warned: bool, pictures: Path, program: Program
) -> None:
    weights = random_weights(parameter_shapes(config), 0)
    for name, values in weights.items():
        # A channel of a thousand times the others, which int8 rounds to nothing; the head ignores it.
        if name.startswith(("stages.2.", "stage3.")) and name.endswith("pw2.1.bias"):
            values[0] = 1e3
    weights["head_conv.0.weight"][:, 0] = 0.0
    write_config(Path("net.json"), config)
    np.savez("w.npz", **weights)
    options = [word for precision in precisions for word in ("--precision", precision)]
    options += ["--calibrate", str(pictures)] if "int8" in precisions else []
    told = program("export", "net.json", "--weights", "w.npz", *options, "--out", "b")
    assert told.code == 0 and (f"loses much in {' and '.join(precisions)}: its logits are" in told.err) == warned
    assert f"{' | '.join((precisions * 2)[: config.branch_count])}: logits " in told.out


@pytest.mark.needs("host units")
def test_the_native_runner_computes_what_the_files_say(bundle: Bundle) -> None:
    units = Unit("cpu", precision="int8"), Unit("cpu", threads=2)
    result = run_bench(bundle, HostDevice(), units, samples=5, launches=1, energy=False)
    assert result.difference is not None and result.difference < 5e-2
    assert result.units == ("cpu:1:int8", "cpu:2")


@pytest.mark.parametrize(
    ("units", "says"),
    [
        (("cpu:1", "cpu:2"), "branch 0 is int8, and unit cpu:1 takes fp32 or fp16; name the unit cpu:1:int8, or"),
        (("cpu:1:int8", "cpu:2:int8"), "branch 1 is fp16, and unit cpu:2:int8 takes int8; name the unit cpu:2, or"),
        (
            ("gpu:fp16:software", "cpu:1"),
            "branch 0 is int8, and unit gpu:fp16:software takes fp32 or fp16; export it again "
            "with: syncnas-deploy export CONFIG "
            "--precision fp16 --precision fp32",
        ),
        (
            ("cpu:1:int8:split", "cpu:1"),
            "unit cpu:1:int8:split takes int8 with split kernels; name the unit cpu:1:int8,",
        ),
        (
            ("cpu:1:split", "cpu:1"),
            "branch 0 is int8, and unit cpu:1:split takes fp32 or fp16 with split kernels; name",
        ),
    ],
)
def test_bench_refuses_a_file_that_is_not_what_its_unit_runs(units: tuple[str, str], says: str, bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=says):
        run_bench(bundle, HostDevice(), [Unit.parse(text) for text in units], samples=5, launches=1)


PROFILES = {
    ("cpu:1@0:int8", "gpu:fp16"): ("int8", "fp16"),
    ("cpu:1@0", "gpu"): ("fp32", "fp32"),
    ("cpu:1@0:int8:split", "cpu:1@1"): ("int8 with split kernels", "fp32"),
    ("gpu:fp16:software", "cpu:1@0:split"): ("fp16", "fp32 with split kernels"),
    ("sim:cpu", "sim:gpu"): ("fp32", "fp32"),
}


@pytest.mark.parametrize("units", PROFILES)
def test_a_bundle_is_what_the_profiles_units_run(
    units: tuple[str, str], network: Path, pictures: Path, mobilenet: ModelConfig, program: Program
) -> None:
    write_profile(Path("p.json"), msgspec.structs.replace(law_profile(mobilenet), units=units))
    words = ("export", network, "--profile", "p.json")
    if "int8" in units[0]:
        told = program(*words, "--out", "b")
        assert told.code == 2 and "int8 needs --calibrate DIR with a folder of about 100 pictures; or" in told.err
        Path("syncnas.toml").write_text(f"calibrate = {str(pictures)!r}\n")
    assert program(*words, "--out", "b").code == 0
    made = read_bundle(Path("b"))
    assert tuple(map(str, made.formats)) == PROFILES[units] and not made.timing_only
    assert all(form.runs_on(Unit.parse(unit)) for form, unit in zip(made.formats, units, strict=True))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--precision", "fp16", "--whole"), True),
        (("--precision", "int8", "--precision", "fp32", "--timing-only", "--whole"), True),
        (("--precision", "int8", "--timing-only", "--whole", "--format", "tflite", "--format", "onnx"), True),
        (("--precision", "fp16"), False),
        (("--whole",), False),
    ],
)
def test_a_whole_graph_beside_branches_of_less_precision_is_said_to_be_fp32(
    options: tuple[str, ...], said: bool, network: Path, program: Program
) -> None:
    told = program("export", network, *options, "--out", "b")
    assert told.code == 0, told.err
    assert ("whole.tflite is in fp32, whatever the precision of the branches." in told.err) == said
    if "--whole" in options:
        assert read_numbers(Path("b/whole.tflite")).precision == "fp32"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--precision", "fp32"), "branch 0 would be fp32, and unit cpu:1@0:int8 takes int8; leave"),
        (("--precision", "int8", "--timing-only"), "branch 1 would be int8, and unit gpu:fp16 takes fp32 or"),
        (("--split-kernels", "0", "--timing-only"), "leave --precision and --split-kernels out, which --profile tells, "
            "or profile the unit cpu:1@0:int8:split."),
    ],
)  # fmt: skip
def test_what_is_asked_for_beside_a_profile_is_what_its_units_run(
    options: tuple[str, ...], says: str, network: Path, mobilenet: ModelConfig, program: Program
) -> None:
    units = ("cpu:1@0:int8", "gpu:fp16")
    write_profile(Path("p.json"), msgspec.structs.replace(law_profile(mobilenet), units=units))
    told = program("export", network, "--profile", "p.json", *options, "--out", "b")
    assert (told.code, says in told.err) == (2, True), told.err
    assert not Path("b").exists()


@pytest.mark.parametrize(
    ("precisions", "units"),
    [
        (("int8", "fp16"), ("cpu:2:int8", "gpu:fp16")),
        (("fp32", "fp16"), ("cpu:2", "gpu:fp16")),
        (("fp32", "fp32"), ("cpu:2", "gpu")),
    ],
)
def test_a_devices_default_units_run_what_the_bundle_holds(
    precisions: tuple[Precision, Precision], units: tuple[str, str], bundle: Bundle
) -> None:
    branches = tuple(BranchFile(precision) for precision in precisions)
    chosen = _chosen_units(dataclasses.replace(bundle, branches=branches), WithGpu(), ())
    assert tuple(map(str, chosen)) == units
