"""A hundred commands with wrong input: each ends with the exit code of its kind, and one sentence says what to do."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from syncnas_deploy import pipeline
from syncnas_deploy.cli.exit_codes import EXIT_CODES
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import config_to_json, write_config
from syncnas_deploy.networks.scaling import variant
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.search.loop import SearchSettings
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import draw_set, small_branched
from tests.support.program import Program

LAW = "--profile law.json"
FIND = f"search {LAW} --evaluator capacity --trials 2"

CASES: tuple[tuple[int, str, str], ...] = (
    # Wrong use of a command or an option.
    (2, "modles", "Did you mean 'models'?"),
    (2, "models --jsn", "No such option"),
    (2, "models --out my.json", "Name the model that is to be changed"),
    (2, "models --classes 10", "Name the model that is to be changed"),
    (2, "models mobilenet_v2 --classes 0", "1<=x<=1000000"),
    (2, "models mobilenet_v2 --classes ten", "not a valid integer"),
    (2, "models mobilenet_v2 --input-size 4", "8<=x<=4096"),
    (2, "models mobilenet_v2 --width 0", "0.05<=x<=20"),
    (2, "models mobilenet_v2 --width nan", "nan is no number"),
    (2, "predict mobilenet_v2", "Missing option '--profile'"),
    (2, f"predict {LAW}", "Missing argument 'CONFIG'"),
    (2, f"{FIND} --budget 20", "write 1.0x"),
    (2, f"{FIND} --budget 90%", "write 1.0x"),
    (2, f"{FIND} --budget '20 ms'", "write 1.0x"),
    (2, f"{FIND} --budget -1x", "write 1.0x"),
    (2, f"{FIND} --budget 0x", "write 1.0x"),
    (2, f"{FIND} --budget 1.0x --budget 1.00x", "the same latency"),
    (2, f"{FIND} --trials 0", "1<=x<=100000"),
    (2, f"{FIND} --algorithm luck", "surrogate"),
    (2, f"{FIND} --workers none", "give a number of processes"),
    (2, f"{FIND} --workers 1000", "1 to 256"),
    (2, f"{FIND} --worker-resource GPU=0", "NAME=AMOUNT"),
    (2, f"{FIND} --max-energy 0", "x>0"),
    (2, f"{FIND} --max-energy inf", "inf is no number"),
    (2, f"search {LAW} --evaluator train:set,epoch=1", "Did you mean 'epochs'?"),
    (2, f"search {LAW} --evaluator train:set,epochs=0", "must be 1 to"),
    (2, f"search {LAW} --evaluator inherit:w.npz", "write inherit:WEIGHTS,FOLDER"),
    (2, "draw mobilenet_v2 --out a.pdf", "a drawing is .svg or .png"),
    (2, "draw mobilenet_v2 --out a", "a drawing is .svg or .png"),
    (2, "draw mobilenet_v2 --unit cpx:2", "cpu:THREADS"),
    (2, "eval mobilenet_v2 --path set", "needs weights; give --weights"),
    (2, "eval small --path set --weights w.npz", "a bundle has its weights"),
    (2, "export mobilenet_v2 --weights w.npz --seed 1", "exclude each other"),
    (2, "export mobilenet_v2 --format pdf", "tflite"),
    (2, "bench small --baseline @cpu:1", "BUNDLE or BUNDLE@UNIT"),
    (2, "bench small --samples 1", "5<=x<=10000"),
    (2, "bench small --unit cpu:1", "--unit twice"),
    (2, "profile", "Missing option '--base'"),
    (2, "profile --base mobilenet_v2 --unit cpu:1 --unit cpu:1", "two different units"),
    (2, "profile --base mobilenet_v2 --device sim:duo --device sim:duo", "is named twice"),
    (2, "profile --check law.json --resume", "--check takes --device and --json only"),
    (2, "runtime fetch --abi arm64", "there is no ABI 'arm64'"),
    (2, "runtime fetch --sha256 x", "FILE=SUM"),
    (2, f"runtime fetch --sha256 libLiteRt.so={'x' * 64}", "is not FILE=SUM with 64 hexadecimal digits"),
    (2, "completion powershell", "bash"),
    (2, "train small.json --path set --lr -1", "rate must be between"),
    # Outputs in the place of another output or of an input.
    (2, "bench small --device host --trace one.json --out one.json --force", "--trace and --out are both one.json"),
    (2, "bench small --device host --trace ./one.json --out one.json", "give each a name of its own"),
    (2, "report law.json --html law.json --force", "--html law.json: this command reads that file"),
    (2, "compare law.json host.json --html host.json --force", "this command reads that file; give another name"),
    (2, "report small --html small/manifest.json --force", "this command reads that file"),
    (2, "bench small --device host --trace small/branch0.tflite --force", "this command reads that file"),
    (2, "report law.json --html a.html --learning a.html", "give each a name of its own"),
    (
        2,
        "weights convert text.safetensors --config small.json --out text.safetensors --force",
        "this command reads that file",
    ),
    (
        2,
        "eval small.json --weights text.safetensors --path set --predictions text.safetensors --force",
        "reads that file",
    ),
    (2, "doctor --report -", "--report -: is no name of a file; name one, or give --json for stdout."),
    (2, "models mobilenet_v2 --out - --json", "--out -: is no name of a file"),
    (2, "report law.json --html -", "--html -: is no name of a file"),
    (2, "weights inherit text.safetensors --config small.json --out -", "--out -: is no name of a file"),
    (
        2,
        "eval small.json --weights text.safetensors --path set --predictions -",
        "--predictions -: is no name of a file",
    ),
    (2, "train small.json --path set --tensorboard -", "--tensorboard -: is no name of a file"),
    # Options of other commands.
    (
        2,
        "assess --device host --precision int8",
        "Here the format is said by --int8 or by the units: --unit cpu:1@0:int8",
    ),
    (2, "export small.json --int8", "Here the format is said by --precision int8."),
    (2, "profile --base mobilenet_v2 --precision int8", "Here the format is said by the units: --unit"),
    (2, "search --profile law.json --precision int8", "It is an option of export and eval."),
    (2, "predict small.json --profile law.json --trials 4", "It is an option of assess and search."),
    # Options that would be ignored, and words that are empty.
    (2, "export small.json --timing-only", "--timing-only would do nothing here; it is for --precision int8."),
    (2, "export small.json --calibrate set", "--calibrate is for int8"),
    (
        2,
        "export mobilenet_v2 --whole",
        "--whole would do nothing here; the file of mobilenet_v2, of one branch",
    ),
    (2, "bench small --device host" + " --unit cpu:1" * 3, "3 units were given; give --unit twice"),
    (2, "export small.json --opset 17", "--opset would do nothing here"),
    (2, "export small.json --precision fp16 --precision fp16 --precision fp16", "3 precisions were given"),
    (2, "export small.json --precision fp17", "'fp17' is not one of"),
    (2, "bench small --evaluator capacity", "--evaluator would do nothing here; it compares with rivals"),
    (2, "bench small --rivals", "--rivals would do nothing here; add --profile"),
    (2, f"bench small {LAW} --no-rivals --evaluator zen", "--evaluator would do nothing here"),
    (2, "profile --base mobilenet_v2 --probe 7.1@704 --watch p.html", "--probe takes one --device"),
    (2, "eval small --path set --device cuda", "--device would do nothing here; a bundle runs on this host's CPU."),
    (2, "eval small --path set --input-size 64", "--input-size would do nothing here; a bundle has its own."),
    (2, "train small.json --path set --new-classifier", "--new-classifier would do nothing here; it is for --weights."),
    (2, "train small.json --path set --period-factor 2", "--period-factor would do nothing here; add --period-epochs."),
    (2, "train small.json --path parts --held-out 0.2", "--held-out would do nothing here; PATH has train and val."),
    (2, "compare found found --budget 0.8x", "--budget would do nothing here; it is for profiles."),
    (
        4,
        f"runtime fetch --url http://127.0.0.1:1/a.aar --sha256 b.aar={0:064}",
        "--sha256 is of b.aar, which is not",
    ),
    (2, "doctor --device ''", "--device is empty; give it a value or leave it out."),
    (2, "export small.json --calibrate ''", "--calibrate is empty"),
    (2, "export small.json --out=", "--out is empty"),
    (2, f"search {LAW} --evaluator= --trials 2", "--evaluator is empty"),
    (2, "models ''", "An argument is empty"),
    (2, "weights convert '' --config small.json --out o.safetensors", "An argument is empty"),
    (2, "report law.json law.json --learning l.svg", "--learning draws one profile"),
    # A file's content cannot be used.
    (3, "models brace.json", "not JSON"),
    (3, "models list.json", "expected an object"),
    (3, "models nan.json", "NaN"),
    (3, "models newer.json", "upgrade syncnas-deploy"),
    (3, "models typo.json", "Did you mean 'classes'?"),
    (3, "models set", "holds no network"),
    (3, "models law.json", "must be 'syncnas-deploy/model-config/1'"),
    (3, "models bytes.json", "not UTF-8"),
    (3, "models mobilenet_v2 --width 20", "between 1 and 16384"),
    (3, "predict best.json --profile brace.json", "not JSON"),
    (3, "predict best.json --profile best.json", "must be 'syncnas-deploy/device-profile/3'"),
    (3, "predict best.json --profile set", "holds no profiles"),
    (3, "report list.json", "neither a profile"),
    (3, "report set", "neither a bundle nor a search's folder"),
    (3, "bench set", "not a bundle"),
    (3, "bench torn", "not JSON"),
    (3, "export mobilenet_v2 --weights w.npz", "stem_conv.0.weight is missing"),
    (3, "export mobilenet_v2 --weights text.pth", "text.pth"),
    (3, "export mobilenet_v2 --weights law.json", "weights are in a"),
    (3, "eval small.json --path set --weights w.npz", "is missing"),
    (3, "train small.json --path empty", "holds no class folders"),
    (3, f"search {LAW} --evaluator table:columns.csv", "must name the column"),
    (3, f"search {LAW} --evaluator table:brace.json", "brace.json"),
    (3, "runtime add brace.json --version 2.3.0", "brace.json"),
    (3, "weights convert text.pth --config mobilenet_v2 --out o.safetensors", "text.pth"),
    (3, "weights inherit w.npz --config lonely.json --out o.safetensors", "names no shipped base model"),
    # What is named does not exist.
    (4, "models alexnet", "neither a config file nor a shipped model"),
    (4, "models mobilnet_v2", "Did you mean 'mobilenet_v2'?"),
    (4, "models MobileNet_v2", "Did you mean 'mobilenet_v2'?"),
    (4, "models bst.json", "Did you mean 'best.json'?"),
    (4, f"predict nosuch {LAW}", "neither a config file nor a shipped model"),
    (4, "predict best.json --profile nosuch", "no such profile"),
    (4, "predict best.json --profile nosuch.json", "no such profile"),
    (3, "weights convert text.npz --config mobilenet_v2 --out o.safetensors", "; get it again, or save it anew.\n"),
    (3, "weights convert text.safetensors --config small.json --out o.safetensors", "; get it again, or save it anew."),
    (3, "export small.json --weights text.npz --out o", "; get it again, or save it anew.\n"),
    (4, "models /dev/zero", "`syncnas-deploy models` lists 15 names.\n"),
    (4, "models nowhere", "`syncnas-deploy models` lists 15 names.\n"),
    (4, "predict best.json --profile nowhere", "or use mobilenet_v2-sim-phone.\n"),
    (4, "bench nowhere", "`syncnas-deploy export`.\n"),
    (4, "predict best.json --profile mobilenet_v2-sim-fone", "Did you mean 'mobilenet_v2-sim-phone'?"),
    (4, "report nosuch", "neither a file, a folder nor a shipped name"),
    (4, "report law.jsn", "Did you mean 'law.json'?"),
    (4, "bench nosuch", "no such bundle"),
    (4, "bench smal", "Did you mean 'small'?"),
    (4, "bench small --baseline nosuch", "no such bundle"),
    (4, "bench small --device sim:fone", "Did you mean 'sim:phone'?"),
    (4, "doctor --device hots", "Did you mean 'host'?"),
    (4, "profile --base alexnet", "alexnet"),
    (4, "profile --check nosuch.json", "no such profile"),
    (4, "assess --base alexnet", "alexnet"),
    (4, "export mobilenet_v2 --weights nofile.pth", "no such file"),
    (4, "weights convert nofile.npz --config mobilenet_v2 --out o.safetensors", "no such file"),
    (4, "train small.json --path nosuch", "no such folder"),
    (4, "eval small.json --path set --weights nofile.safetensors", "no such file"),
    (4, f"search {LAW} --evaluator table:none.csv", "cannot be read (No such file"),
    (4, f"search {LAW} --evaluator capcity", "Did you mean 'capacity'?"),
    (4, f"search {LAW} --evaluator train:nosuch", "no such folder"),
    (4, f"search {LAW} --evaluator inherit:none.npz,set,batch=2", "none.npz"),
    (4, f"{FIND} --base alexnet", "alexnet"),
    (4, "runtime add nosuch-2.3.0.aar", "does not exist"),
    # A unit, a budget, a profile that does not fit; an output that is there.
    (5, "profile --base mobilenet_v2 --device host --unit cpu:1@999 --unit cpu:1@0", "999"),
    (
        5,
        "profile --base mobilenet_v2 --device host --unit sim:cpu --unit sim:gpu",
        "device host has no unit sim:cpu; it",
    ),
    (5, "bench small --device host --unit cpu:1@0 --unit sim:cpu:int8", "has no unit sim:cpu:int8; it has cpu:1"),
    (5, "bench small --device sim:phone --unit cpu:1 --unit cpu:2", "has no unit cpu:1; it has sim:cpu, sim:gpu."),
    (5, "profile --base mobilenet_v2 --device sim:duo --unit cpu:1 --probe 7.1@704", "has no unit cpu:1; it has sim:"),
    (5, "bench small --device sim:phone --baseline small@cpu:1", "device sim:phone has no unit cpu:1"),
    (2, "bench small --device host --unit cpu:1@0:int9 --unit cpu:1@1", "unit 'cpu:1@0:int9' is not valid"),
    (2, "bench small --device host --unit cpu:1@0:INT8 --unit cpu:1@1", "unit 'cpu:1@0:INT8' is not valid"),
    (2, "bench small --device host --unit gpu:fp16:fp16 --unit cpu:1@1", "unit 'gpu:fp16:fp16' is not valid"),
    (5, "train small.json --path set --device cuda -b 2", "torch finds none here"),
    (7, f"{FIND} --budget 5us", "raise --budget to at least"),
    (7, f"{FIND} --base mnasnet_b1", "measured for base 'mobilenet_v2'"),
    (7, f"predict mobilenet_v2 {LAW}", "has one branch"),
    (7, f"predict ten.json {LAW}", "10 classes instead of 1000"),
    (7, f"predict small160.json {LAW}", "an input of 160 pixels instead of 224"),
    (7, f"predict syncnas_fbnet_c_100 {LAW}", "base fbnet_c_plain_e1 instead of mobilenet_v2"),
    (7, f"draw ten.json {LAW}", "10 classes instead of 1000"),
    (7, f"bench small {LAW} --device sim:phone", "`syncnas-deploy profile --device sim:phone --base law.json`."),
    (
        7,
        "bench small --profile host.json --device host --unit cpu:1 --unit cpu:2",
        "`syncnas-deploy profile --device host --base host.json --unit cpu:1 --unit cpu:2`.",
    ),
    (
        7,
        "bench int8 --profile host.json --device host",
        "`syncnas-deploy profile --device host --base host.json --unit cpu:1@0:int8 --unit cpu:1@1:int8`.",
    ),
    (8, "models mobilenet_v2 --out best.json", "--force"),
    (8, "draw mobilenet_v2 --out there.svg", "--force"),
    (8, "export mobilenet_v2 --out set", "set"),
    (8, "export mobilenet_v2 --out /proc/nowhere/b", "cannot be written"),
    (8, f"{FIND} --out found", "give --resume to go on"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, mobilenet: ModelConfig) -> Path:
    """What the commands name."""
    folder = tmp_path_factory.mktemp("files")
    write_profile(folder / "law.json", law_profile(mobilenet))
    host = msgspec.structs.replace(law_profile(mobilenet), units=("cpu:1@0", "cpu:1@1"), device={"name": "host"})
    write_profile(folder / "host.json", host)
    pipeline.export(small_branched(8), folder / "int8", precisions=("int8",), timing_only=True)
    (folder / "nowhere").symlink_to("nothing")
    write_config(folder / "best.json", branched(mobilenet, "nnnnnna"))
    write_config(folder / "ten.json", variant(branched(mobilenet, "nnnnnna"), classes=10))
    write_config(folder / "small160.json", variant(branched(mobilenet, "nnnnnna"), input_size=160))
    write_config(folder / "small.json", small_branched(8))
    value = config_to_json(mobilenet)
    texts = {
        "brace.json": "{",
        "list.json": "[]",
        "nan.json": '{"schema": NaN}',
        "newer.json": json.dumps({**value, "schema": "syncnas-deploy/model-config/7"}),
        "typo.json": json.dumps({**{k: v for k, v in value.items() if k != "classes"}, "clases": 10}),
        "lonely.json": json.dumps({**config_to_json(small_branched(8)), "base": "gone"}),
        "columns.csv": "a,b\n1,2\n",
        "text.pth": "no weights",
        "text.safetensors": "no weights",
        "text.npz": "no weights",
        "there.svg": "<svg/>",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "bytes.json").write_bytes(b"\xff\xfe{}")
    np.savez(folder / "w.npz", x=np.zeros(3, np.float32))
    draw_set(folder / "set", 2, 0)
    for part in ("train", "val"):
        draw_set(folder / "parts" / part, 2, 0)
    (folder / "empty").mkdir()
    (folder / "torn").mkdir()
    (folder / "torn" / "manifest.json").write_text("{")
    pipeline.export(small_branched(8), folder / "small")
    settings = SearchSettings(trials=2)
    pipeline.search(folder / "law.json", evaluator="capacity", settings=settings, out=folder / "found")
    return folder


@pytest.fixture
def listing(files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In the folder of the files, of which none is more or less in the end."""
    monkeypatch.chdir(files)
    monkeypatch.setenv("SYNCNAS_RUNTIMES", str(files.parent / "store"))
    monkeypatch.delenv("SYNCNAS_DEBUG", raising=False)
    before = sorted(files.rglob("*"))
    yield
    assert sorted(files.rglob("*")) == before, "something half-made was left"


@pytest.mark.usefixtures("listing")
@pytest.mark.parametrize(("code", "words", "says"), CASES, ids=[words[:60] for _, words, _ in CASES])
def test_wrong_input_has_the_exit_code_of_its_kind(program: Program, code: int, words: str, says: str) -> None:
    done = program(*shlex.split(words))
    assert (done.code, done.out) == (code, ""), done.err
    assert says in done.err and "Internal error" not in done.err and "Traceback" not in done.err
    if code != 2:
        assert done.err.splitlines()[-1].startswith("syncnas-deploy: ")


@pytest.mark.usefixtures("listing")
@pytest.mark.parametrize(
    ("packages", "words", "extra"),
    [
        ("torch", "eval small --path set", "torch"),
        ("torch", "eval small.json --path set --weights w.npz", "torch"),
        ("torch", "train small.json --path set", "torch"),
        ("torch", f"search {LAW} --evaluator zen", "torch"),
        ("torch", f"search {LAW} --evaluator train:set,batch=2", "torch"),
        ("torch", "weights convert text.pth --config mobilenet_v2 --out o.safetensors", "torch"),
        ("safetensors", "export small.json --weights text.safetensors", "torch"),
        ("onnx", "export small.json --format onnx", "onnx"),
        ("distributed", f"{FIND} --workers tcp://127.0.0.1:1", "cluster"),
    ],
)
def test_an_optional_package_that_is_missing_is_one_sentence(
    program: Program, monkeypatch: pytest.MonkeyPatch, packages: str, words: str, extra: str
) -> None:
    for name in [name for name in (*sys.modules, packages) if name.partition(".")[0] == packages]:
        monkeypatch.setitem(sys.modules, name, None)
    done = program(*shlex.split(words))
    assert (done.code, done.out) == (9, ""), done.err
    assert f"syncnas-deploy[{extra}]" in done.err.splitlines()[-1]


def test_there_are_a_hundred_and_every_kind_is_documented() -> None:
    assert len(CASES) >= 100 and len({words for _, words, _ in CASES}) == len(CASES)
    assert {code for code, *_ in CASES} <= {code for code, _ in EXIT_CODES}
