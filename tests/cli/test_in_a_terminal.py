"""Each command in a terminal: lines fit, numbers are whole, colours are for statuses, and the next command is told."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import msgspec
import pytest

from syncnas_deploy.cli import WORK, cli
from syncnas_deploy.networks.formats import config_text
from syncnas_deploy.prediction.profile_files import write_profile
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import draw_set, small_config
from tests.support.program import Program
from tests.support.pseudo_terminal import ESCAPE, Screen, environment, on_terminal

pytest.importorskip("pty", reason="there are no pseudo-terminals here")

NUMBER = re.compile(r"(?<![\w.,/-])[-+]?\d[\d,]*(?:\.\d+)?(?![\w/])")
NAMES = [f"a-device-whose-name-is-not-short-{letter}.profile.json" for letter in "abc"]
ROAD = (
    "devices",
    "devices --simulated",
    "doctor --device host",
    "models",
    "models small.json",
    "models syncnas_fbnet_c_100",
    "runtime list",
    "profile --device sim:duo --base small.json --launches 1 --rounds 1 --out p.json",
    "profile --device sim:duo --check p.json",
    "search --profile p.json --evaluator capacity --trials 5 --budget 1.5x --budget 2.0x --out found",
    "predict found/best.json --profile p.json",
    "draw found/best.json --profile p.json --out best.svg",
    "export found/best.json --out bundle",
    "bench bundle --device sim:duo --profile p.json --samples 6 --launches 1 --out b.json",
    "report p.json found bundle b.json found/best.json",
    "compare b.json b.json b.json",
    f"compare {' '.join(NAMES)}",
    "train found/best.json --path set --epochs 1 --warmup-epochs 0 -b 8 -j 0 --out run",
    "eval run/config.json --weights run/best.pth --path set -j 0",
    "weights convert run/best.pth --config run/config.json --out w.safetensors",
    "predict absent --profile p.json",
    "search",
    "",
    *(f"{name} --help" for name in cli.commands),
)
AGAIN = ("models", "models small.json", "predict found/best.json --profile p.json", *ROAD[14:17])
"""Commands that print the same when they are given again."""


def prepare(folder: Path) -> None:
    (folder / "small.json").write_text(config_text(small_config(8)))
    law = msgspec.structs.replace(law_profile(small_config(8)), held_out=())
    for name in NAMES:
        device = {"name": f"a device whose name is {name}"}
        write_profile(folder / name, msgspec.structs.replace(law, device=device))
    draw_set(folder / "set", 6, 0)


def screens(columns: int, folder: Path, commands: tuple[str, ...], **env: str) -> dict[str, Screen]:
    told = environment(SYNCNAS_RUNTIMES=str(folder / "store"), ANDROID_ADB_SERVER_PORT="1", **env)
    found = on_terminal([shlex.split(command) for command in commands], columns, folder, told)
    return dict(zip(commands, found, strict=True))


def numbers(text: str) -> set[str]:
    return set(NUMBER.findall(re.sub(r"\(\d+ columns? ", "", text)))


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_every_line_fits_and_every_number_is_whole(columns: int, tmp_path: Path, program: Program) -> None:
    prepare(tmp_path)
    shown = screens(columns, tmp_path, ROAD)
    for command, screen in shown.items():
        wide = [state for state in screen.states if len(state) > columns]
        assert wide == [], command
        assert "Traceback" not in screen.text and "Internal error" not in screen.text, screen.text
    codes = {command: screen.code for command, screen in shown.items() if screen.code}
    assert set(codes) <= {"predict absent --profile p.json", "search", "", ROAD[8], ROAD[13]}, codes
    for command in AGAIN:
        plain = program(*shlex.split(command))
        assert ESCAPE not in plain.out + plain.err
        assert numbers(shown[command].text) <= numbers(plain.out + plain.err), command


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_escapes_are_for_colours_alone(env: dict[str, str], tmp_path: Path) -> None:
    prepare(tmp_path)
    commands = (
        "devices",
        "doctor --device sim:phone",
        "models small.json",
        "search --profile mobilenet_v2-sim-phone --evaluator capacity --trials 3 --out found",
        "predict absent --profile mobilenet_v2-sim-phone",
    )
    shown = screens(80, tmp_path, commands, **env)
    raw = "".join(screen.raw for screen in shown.values())
    assert (ESCAPE in raw) == (not env)
    assert set(re.findall(r"\x1b[^m]*.", raw)) <= set(re.findall(r"\x1b\[[0-9;]*m", raw))
    if env == {"TERM": "dumb"}:
        assert "\r " not in raw.replace("\r\n", "")  # no live line
    else:
        assert "\r" in raw.replace("\r\n", "")


def test_the_program_alone_lists_commands_in_the_order_of_work(tmp_path: Path) -> None:
    told = screens(80, tmp_path, ("",))[""].text
    names = [str(command.name) for commands in WORK.values() for command in commands]
    places = [told.index(f"\n  {name} ") for name in names]
    assert places == sorted(places) and told.count("...") == 1 and "\\n" not in told
    assert names.index("profile") < names.index("search") < names.index("export") < names.index("bench")


ENDINGS = {
    "devices": "syncnas-deploy doctor --device host",
    "devices --simulated": "syncnas-deploy assess --device sim:phone",
    "models small.json": "syncnas-deploy profile --base small.json",
    "export 'small.json' --out 'my bundle'": "syncnas-deploy bench 'my bundle' --out 'my bundle.bench.json'",
    "search --profile mobilenet_v2-sim-phone --evaluator capacity --trials 2 --out 'a b'": (
        "syncnas-deploy bench 'a b/bundle' --device sim:phone --profile mobilenet_v2-sim-phone"
    ),
    "draw small.json --out s.svg": "syncnas-deploy export small.json",
    "runtime list": "syncnas-deploy runtime fetch",
}


@pytest.mark.parametrize("command", list(ENDINGS))
def test_each_command_ends_with_the_next_one(command: str, tmp_path: Path, program: Program) -> None:
    prepare(tmp_path)
    done = program(*shlex.split(command))
    assert done.code == 0 and done.err.splitlines()[-1].partition(": ")[2] == ENDINGS[command]
    cli.make_context("syncnas-deploy", shlex.split(ENDINGS[command])[1:])  # a command that is there
    if "search" in command:
        quiet = program(*shlex.split(command), "--force", "--quiet")
        assert (quiet.code, quiet.err) == (0, "")
        both = program(*shlex.split(command), "--force", "--quiet", "--verbose")
        assert both.code == 2 and "exclude each other" in both.err
