"""The command line: what each command prints, and how errors end."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from syncnas_deploy import bundle as bundles
from syncnas_deploy import pipeline
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.cli.exit_codes import EXIT_CODES, exit_code
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_text
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.training.checkpoints import write_safetensors
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import small_config
from tests.support.program import Program


def test_help_answers_at_once_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, time; from syncnas_deploy.cli import cli; cli.main(['--help'], standalone_mode=False);"
        "heavy = {'torch', 'numpy', 'onnx', 'ai_edge_litert', 'msgspec', 'adb_shell', 'cryptography', 'rich'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules); print(time.process_time(), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code]
    # Of the processor's time: a busy machine makes a program wait, and does not make it work.
    times_s = [float(subprocess.run(command, check=True, capture_output=True, text=True).stderr) for _ in range(5)]
    assert min(times_s) < 0.2


def test_models_lists_and_shows(program: Program) -> None:
    listed = json.loads(program("models", "--json").out)
    assert {m["name"]: m["macs"] for m in listed}["mobilenet_v2"] == 300_774_272
    text = program("models", "syncnas_mobilenet_v2_100").out
    assert "annnana" in text and text.count("\n") > 34


def test_devices_shows_the_host_and_labels_what_is_simulated(program: Program) -> None:
    found = {d["name"]: d for d in json.loads(program("devices", "--json").out)}
    assert not found["host"]["simulated"] and found["sim:phone"]["simulated"]
    assert len(found["host"]["default_units"]) == 2
    brief, whole = program("devices"), program("devices", "--simulated").out
    assert "sim:gpu" not in brief.out and "simulated devices (sim:duo, sim:phone" in brief.out and "sim:gpu" in whole
    assert "switch on USB debugging" in brief.err and "doctor --device host" in brief.err


def test_predict_and_search_on_a_profile(program: Program, law: Path, tmp_path: Path) -> None:
    found = tmp_path / "found"
    done = program(
        "search", "--profile", law, "--base", "mobilenet_v2", "--budget", "1.0x",
        "--evaluator", "capacity", "--trials", 12, "--out", found, "--json",
    )  # fmt: skip
    assert done.code == 0
    summary = json.loads(done.out)
    assert "100 %  12 of 12 trials; 0 s left; best " in done.err
    predicted = json.loads(program("predict", found / "best.json", "--profile", law, "--json").out)
    assert predicted.pop("expected_error") == summary["expected_error"] == pytest.approx(0.03)
    assert predicted == summary["predicted"]
    assert predicted["makespan_us"] <= summary["budget_us"] + 0.01
    history = (found / "history.csv").read_text().splitlines()
    assert history[0].startswith("trial,strategy,feasible,predicted_us,reward")
    assert summary["trials"] == 12 and len(history) == 13 + summary["infeasible"]
    again = program("search", "--profile", law, "--base", "mobilenet_v2", "--evaluator", "capacity", "--out", found)
    assert again.code == 8 and "--resume" in again.err
    more = program(
        "search", "--profile", law, "--base", "mobilenet_v2", "--evaluator", "capacity", "--trials", 15,
        "--out", found, "--resume",
    )  # fmt: skip
    assert more.code == 0 and len((found / "history.csv").read_text().splitlines()) >= 16
    shown = program("report", law, found)
    assert shown.code == 0 and summary["strategy"] in shown.out


def test_a_search_over_two_budgets_by_two_processes(program: Program, law: Path, tmp_path: Path) -> None:
    done = program(
        "search", "--profile", law, "--base", "mobilenet_v2", "--budget", "1.2x", "--budget", "0.9x",
        "--evaluator", "capacity", "--trials", 10, "--workers", 2, "--out", tmp_path / "found", "--json",
    )  # fmt: skip
    assert done.code == 0 and "the seed does not matter" in done.err
    summary = json.loads(done.out)
    assert [network["budget"] for network in summary["front"]] == ["0.9x", "1.2x"]
    assert summary["budget_us"] == summary["front"][1]["budget_us"]
    for network in summary["front"]:
        best = tmp_path / "found" / f"best-{network['budget']}.json"
        predicted = json.loads(program("predict", best, "--profile", law, "--json").out)
        predicted.pop("expected_error")
        assert predicted == network["predicted"] and predicted["makespan_us"] <= network["budget_us"] + 0.01


def test_a_program_that_fails_ends_the_search_and_is_quoted(program: Program, law: Path) -> None:
    evaluator = f"command:{sys.executable} -c 'raise ValueError(7)'"
    done = program("search", "--profile", law, "--base", "mobilenet_v2", "--evaluator", evaluator, "--out", "found")
    assert (done.code, done.out) == (6, "")
    assert "exit code 1 and said 'ValueError: 7'; mend it and give --resume." in done.err.splitlines()[-1]
    assert not Path("found").exists()


def test_export_writes_both_formats_and_refuses_to_overwrite(program: Program, tmp_path: Path) -> None:
    done = program("export", "syncnas_mobilenet_v2_100", "--format", "tflite", "--format", "onnx", "--out", "b")
    assert done.code == 0
    opened = bundles.read_bundle(tmp_path / "b")
    assert {s.name for s in opened.segments} == {p.stem for p in (tmp_path / "b").glob("*.onnx")}
    before = (tmp_path / "b" / "manifest.json").read_bytes()
    again = program("export", "syncnas_mobilenet_v2_100", "--out", "b")
    assert again.code == 8 and "--force" in again.err
    assert (tmp_path / "b" / "manifest.json").read_bytes() == before
    assert program("export", "syncnas_mobilenet_v2_100", "--seed", 1, "--out", "b", "--force").code == 0
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("x")
    assert program("export", "mobilenet_v2", "--out", "precious", "--force").code == 8
    assert (tmp_path / "precious" / "thesis.txt").exists()


def test_weights_are_converted_and_inherited(program: Program, mobilenet: ModelConfig, tmp_path: Path) -> None:
    np.savez(tmp_path / "base.npz", **random_weights(parameter_shapes(mobilenet), 1))
    done = program("weights", "convert", "base.npz", "--config", "mobilenet_v2", "--out", "base.safetensors", "--json")
    assert (done.code, json.loads(done.out)["tensors"]) == (0, len(parameter_shapes(mobilenet)))
    done = program(
        "weights", "inherit", "base.safetensors", "--config", "syncnas_mobilenet_v2_100", "--out", "start.safetensors"
    )
    assert done.code == 0
    again = program("weights", "convert", "base.npz", "--config", "mobilenet_v2", "--out", "base.safetensors")
    assert again.code == 8
    done = program("export", "syncnas_mobilenet_v2_100", "--weights", "start.safetensors", "--out", "b")
    assert done.code == 0 and "weights: start.safetensors" in done.out
    wrong = program("export", "mobilenet_v2", "--weights", "start.safetensors", "--out", "c")
    assert wrong.code == 3 and "stages.0.blocks.0.dw.0.weight is missing" in wrong.err


def test_completion_prints_a_script(program: Program) -> None:
    assert "_SYNCNAS_DEPLOY_COMPLETE" in program("completion", "bash").out


def test_a_wrong_runtime_is_named(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program("export", "mobilenet_v2", "--out", "b").code == 0
    monkeypatch.setenv("SYNCNAS_LITERT", str(tmp_path / "libLiteRt.so"))
    missing = program("bench", "b", "--samples", 5)
    assert missing.code == 5 and "libLiteRt.so" in missing.err
    (tmp_path / "libLiteRt.so").write_text("no library")
    wrong = program("bench", "b", "--samples", 5)
    assert wrong.code == 5 and "libLiteRt.so" in wrong.err


def test_damaged_bundles_are_refused(program: Program, tmp_path: Path) -> None:
    assert program("export", "mobilenet_v2", "--out", "b").code == 0
    model = tmp_path / "b" / "branch0.tflite"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1])
    done = program("bench", "b", "--samples", 5)
    assert done.code == 3 and "branch0.tflite: differs from its sha256" in done.err
    model.unlink()
    assert "is missing" in program("bench", "b", "--samples", 5).err
    manifest = tmp_path / "b" / "manifest.json"
    text = manifest.read_text()
    for old, new in (("branch0.tflite", "../../etc/passwd"), ('"whole"', '"hole"'), ("bundle/1", "bundle/2")):
        manifest.write_text(text.replace(old, new))
        assert program("bench", "b", "--samples", 5).code == 3


def test_errors_of_all_three_trees_have_exit_codes() -> None:
    import syncnas_bench.errors
    import syncnas_deploy.errors
    import syncnas_exporters.errors

    documented = {code for code, _ in EXIT_CODES}
    for module in (syncnas_bench.errors, syncnas_deploy.errors, syncnas_exporters.errors):
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, Exception) and found.__module__ == module.__name__:
                if found is syncnas_deploy.errors.SyncNasError:
                    continue
                assert exit_code(found.__new__(found)) in documented - {0, 1}, found


def test_an_unforeseen_error_has_no_traceback(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(pipeline, "models", broken)
    monkeypatch.delenv("SYNCNAS_DEBUG", raising=False)
    done = program("models")
    assert done.code == 1 and "RuntimeError: first line" in done.err and done.err.count("\n") == 1


def test_a_closed_pipe_ends_quietly() -> None:
    command = f"{sys.executable} -c 'from syncnas_deploy.cli import main; main()' models --json | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, env=os.environ, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full to write to")
def test_output_that_fits_nowhere_is_exit_code_8() -> None:
    command = [sys.executable, "-c", "from syncnas_deploy.cli import main; main()", "models", "mobilenet_v2"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 8
    assert done.stderr == "syncnas-deploy: No space is left for the output; make room and run the command again.\n"


@pytest.mark.needs("process limits")
@pytest.mark.parametrize(
    "command",
    [
        ("profile", "--device", "sim:phone", "--base", "mobilenet_v2", "--launches", "1", "--rounds", "1"),
        ("profile", "--device", "sim:steps", "--base", "mnasnet_b1", "--launches", "1", "--rounds", "1"),
        ("export", "mobilenet_v2"),
    ],
)
def test_a_temporary_file_that_may_not_be_written_is_exit_code_8(command: tuple[str, ...], tmp_path: Path) -> None:
    limited = ["sh", "-c", 'ulimit -f 2048; exec "$@"', "sh"]
    program = [sys.executable, "-c", "from syncnas_deploy.cli import main; main()"]
    done = subprocess.run(
        [*limited, *program, *command, "--out", "out"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 8, done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        ("syncnas-deploy: There is a limit to how large", "syncnas-deploy: out: ")
    )


def test_bench_takes_the_units_of_the_profile(program: Program, bundle: Bundle, tmp_path: Path) -> None:
    # The other way round than the device's default.
    units = ("sim:gpu", "sim:cpu")
    law, device = law_profile(small_config()), {"name": "sim:phone"}
    profile = msgspec.structs.replace(law, units=units, device=device, held_out=())
    write_profile(tmp_path / "p.json", profile)
    words = ("bench", bundle.folder, "--device", "sim:phone", "--samples", "6", "--launches", "1", "--json")
    plain, profiled = (json.loads(program(*words, *more).out) for more in ((), ("--profile", "p.json")))
    assert plain["units"] == ["sim:cpu", "sim:gpu"] and "predicted" not in plain
    assert profiled["units"] == list(units) and profiled["predicted"]["makespan_us"] > 0
    refused = program(*words, "--profile", "p.json", "--unit", "sim:cpu", "--unit", "sim:gpu")
    assert (refused.code, refused.out) == (7, "")
    assert "it is of units sim:gpu and sim:cpu, not of sim:cpu and sim:gpu" in refused.err


def test_a_base_of_ones_own_goes_the_whole_road(program: Program, tmp_path: Path, mobilenet: ModelConfig) -> None:
    own = dataclasses.replace(mobilenet, name="my_net", source="")
    (tmp_path / "my_net.json").write_text(config_text(own))
    write_profile(tmp_path / "p.json", law_profile(own))
    write_safetensors(tmp_path / "w.safetensors", random_weights(parameter_shapes(own), 0))
    for words in (
        ("search", "--profile", "p.json", "--evaluator", "capacity", "--trials", "2", "--out", "found"),
        ("predict", "found/best.json", "--profile", "p.json"),
        ("draw", "found/best.json", "--profile", "p.json", "--out", "best.svg"),
        ("report", "p.json", "found"),
        (
            "weights",
            "inherit",
            "w.safetensors",
            "--config",
            "found/best.json",
            "--base",
            "my_net.json",
            "--out",
            "x.safetensors",
        ),
    ):
        done = program(*words)
        assert done.code == 0, (words, done.err)
    named = program("weights", "inherit", "w.safetensors", "--config", "found/best.json", "--out", "y.safetensors")
    assert named.code == 3 and "names no shipped base model" in named.err
