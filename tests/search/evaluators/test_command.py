"""Any program as an evaluator: what it is given, what it may print, and what is said when it does not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from syncnas_deploy.errors import EvaluationError, UnknownEvaluator
from syncnas_deploy.networks.config import branched
from syncnas_deploy.search.evaluators import Command, compares_branches, make_evaluator
from syncnas_deploy.search.loop import SearchSettings, search
from tests.support.configs import parse_config
from tests.support.synthetic import SyntheticTable, toy_base
from tests.support.waiting import wait_for
from tests.support.worker_cases import is_running

BASE = toy_base((1, 1, 1))
CONFIG = branched(BASE, "nca")


def program(folder: Path, text: str, arguments: str = "") -> Command:
    """An evaluator that runs a Python script."""
    script = folder / "a program.py"
    script.write_text(text)
    return Command.parse(f"{sys.executable} '{script}' {arguments}")


def test_it_is_given_the_config_and_the_seed_in_every_way(tmp_path: Path) -> None:
    evaluator = program(
        tmp_path,
        "import json, os, sys\n"
        "config = json.load(sys.stdin)\n"
        "assert config == json.load(open(sys.argv[1]))\n"
        "assert sys.argv[2] == 's' + os.environ['SYNCNAS_SEED'] == 's77'\n"
        "open(sys.argv[3], 'w').write(json.dumps(config))\n"
        "print('training...')\n"
        "print(json.dumps({'reward': 0.5, 'spread': 0.01, 'details': {'loss': 1}}))\n",
        f"{{config}} s{{seed}} {tmp_path / 'seen.json'}",
    )
    evaluation = evaluator.evaluate(CONFIG, 77)
    assert (evaluation.reward, evaluation.spread, evaluation.details) == (0.5, 0.01, {"loss": 1.0})
    assert evaluation.seconds > 0
    assert parse_config((tmp_path / "seen.json").read_text(), "seen") == CONFIG


@pytest.mark.parametrize(
    ("output", "reward"),
    [
        ('{"reward": 0.5}', 0.5),
        ('{"reward": -3}\n\n', -3.0),
        ('{\n "reward": 1e-3\n}\n', 1e-3),
        ('noise\n{"reward": 2}', 2.0),
        ('{"infeasible": true}', None),
        ('{"infeasible": false, "reward": 1}', 1.0),
        ('{"infeasible": true, "details": {"memory": 3}}', None),
    ],
)
def test_what_it_may_print(tmp_path: Path, output: str, reward: float | None) -> None:
    assert program(tmp_path, f"print({output!r}, end='')").evaluate(CONFIG, 1).reward == reward


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "output is empty; print a JSON object"),
        ("print('0.5')", "expected an object, found a number"),
        ("print('[0.5]')", "expected an object"),
        ("print('{')", "not JSON"),
        (
            "print('epoch 1'); print('acc 0.7')",
            r"""not JSON.*; it ends with the line 'acc 0\.7' and should end with one such as {"reward": 0\.71}; mend""",
        ),
        ("print('{\"reward\": 1}'); print('done\\x1b[31m')", r"it ends with the line 'done\\x1b\[31m' and"),
        ("print('1,2,' * 99)", "it ends with the line '(1,2,){20}' and"),
        ("print('{\"reward\": NaN}')", "contains NaN"),
        ("print('{\"reward\": Infinity}')", "contains Infinity"),
        ("print('{\"reward\": 1e999}')", "too large for a number"),
        ('print(\'{"reward": "0.5"}\')', "'reward' must be a number, found a string"),
        ("print('{\"reward\": true}')", "'reward' must be a number"),
        ("print('{}')", "'reward' is missing"),
        ("print('{\"reward\": null}')", "'reward' is missing|'reward' must be a number"),
        ("print('{\"infeasible\": 1}')", "'infeasible' must be true or false"),
        ('print(\'{"infeasible": true, "reward": 1}\')', "print one of them"),
        ('print(\'{"reward": 1, "acuracy": 1}\')', "'acuracy' is not a known field"),
        ('print(\'{"reward": 1, "spread": -1}\')', "'spread' must be between"),
        ('print(\'{"reward": 1, "details": {"a": "b"}}\')', "'a' must be a number"),
        ('print(\'{"reward": 1, "reward": 2}\')', "a key appears twice"),
        ("print('x' * 2_000_000)", "printed more than 1048576 bytes; let it"),
        ("raise SystemExit(3)", "ended with exit code 3; mend it"),
        (
            "raise ValueError('no such layer')",
            "exit code 1 and said 'ValueError: no such layer'; mend it",
        ),
        ("import os; os.kill(os.getpid(), 11)", "was ended by signal 11"),
        ("import os; os.write(1, b'\\xff\\xfe')", "not JSON"),
    ],
)
def test_what_it_may_not_do_is_said_in_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(EvaluationError, match=says) as caught:
        program(tmp_path, text).evaluate(CONFIG, 1)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    assert "a program.py" in str(caught.value)


def test_a_program_in_a_deep_folder_is_known_by_its_end(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a folder"] * 20)
    deep.mkdir(parents=True)
    with pytest.raises(EvaluationError, match=r"/a program\.py' ended with") as caught:
        program(deep, "raise SystemExit(3)").evaluate(CONFIG, 1)
    assert len(str(caught.value)) < 200


def test_what_it_prints_goes_through_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    text = "import os; open(os.environ['TMPDIR'] + '/x', 'w'); print('{\"reward\": 1}')"
    assert program(tmp_path, text).evaluate(CONFIG, 1).reward == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a program.py"], "its temporary files are removed"


def test_one_that_is_not_there() -> None:
    with pytest.raises(EvaluationError, match=r"no-such-program: cannot be started \(No such file"):
        Command.parse("no-such-program {config}").evaluate(CONFIG, 1)


@pytest.mark.parametrize("session", ["", ", start_new_session=True"])
def test_one_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path, session: str) -> None:
    text = (
        "import pathlib, subprocess, sys, time\n"
        f"child = subprocess.Popen(['sleep', '600']{session})\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
        "print('still at it', file=sys.stderr, flush=True)\n"
        "time.sleep(600)\n"
    )
    (tmp_path / "slow.py").write_text(text)
    with pytest.raises(EvaluationError, match=r"longer than 6 s and said 'still at it'; put a larger timeout"):
        Command.parse(f"timeout=6 {sys.executable} {tmp_path / 'slow.py'}").evaluate(CONFIG, 1)
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not is_running(pid))


def test_settings_before_the_program() -> None:
    evaluator = make_evaluator("command:timeout=60 spread=0.02 python rate.py 'a b'")
    assert isinstance(evaluator, Command)
    assert evaluator == Command(("python", "rate.py", "a b"), 60.0, 0.02)
    assert evaluator.name == "command:python rate.py 'a b'"
    assert "60 s" in evaluator.cost
    assert evaluator.key == Command.parse("timeout=5 python rate.py 'a b'").key
    assert make_evaluator("command:spread=0 python rate.py").spread == 0.0
    for text, compares in (
        ("", True),
        ("compares=yes ", True),
        ("compares=no ", False),
        ("spread=0 compares=no ", False),
    ):
        assert compares_branches(make_evaluator(f"command:{text}rate.py")) is compares
    assert make_evaluator("command:compares=no python rate.py 'a b'").key == evaluator.key
    for text, says in (
        ("compares=maybe x", "compares must be yes or no, found 'maybe'"),
        ("compare=no x", "no setting 'compare'; timeout, spread, compares may stand before the program.*'compares'"),
        ("spread=0 CUDA=0 x", "no setting 'CUDA'; timeout, spread, compares may stand"),
        ("seed= x", "no setting 'seed'; timeout"),
        ("compares= x", "compares must be yes or no, found ''"),
        ("compares=no", "names no program"),
        ("spread=-1 x", "spread must be a number of 0 or more"),
        ("spread=nan x", "spread must be a number of 0 or more"),
        ("timeout=0.0 x", "timeout must be a number above 0"),
        ("", "names no program"),
        ("timeout=60", "names no program"),
        ("timeout=0 x", "timeout must be a number above 0"),
        ("spread=much x", "spread must be a number of 0 or more"),
        ("'x", "cannot be split into words"),
    ):
        with pytest.raises(UnknownEvaluator, match=says):
            make_evaluator(f"command:{text}")


def test_a_search_keeps_what_was_finished_and_goes_on_with_the_mended_program(tmp_path: Path) -> None:
    good = "import json, sys; s = json.load(sys.stdin)['strategy']; print(json.dumps({'reward': ord(s[0]) + len(s)}))"
    bad = (
        f"import pathlib; p = pathlib.Path({str(tmp_path / 'n')!r}); n = int(p.read_text()); p.write_text(str(n + 1))\n"
    )
    (tmp_path / "n").write_text("0")
    table, journal = SyntheticTable(BASE, 1), tmp_path / "j"

    def run(evaluator: Command) -> int:
        settings = SearchSettings(trials=6, algorithm="random")
        return len(search(BASE, table, [1e6], evaluator, settings, journal_path=journal).trials)

    with pytest.raises(EvaluationError, match="said 'ZeroDivisionError"):
        run(program(tmp_path, f"{bad}n < 3 or 1 / 0\n{good}"))
    rows = journal.read_bytes().splitlines()[1:]
    assert len(rows) == 3
    assert str(tmp_path) not in journal.read_text(), "a path of the command line is nobody else's"
    assert run(program(tmp_path, good)) == 6
    assert journal.read_bytes().splitlines()[1:4] == rows
    assert json.loads(rows[0])["row"]["seconds"] > 0
