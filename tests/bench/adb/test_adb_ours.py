"""A device's files are never ours to delete: in each shell of this machine, then on a phone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncnas_bench.adb import lease
from syncnas_bench.adb.lease import LONGEST_S, take_lease
from syncnas_bench.adb.probe import FACTS_SCRIPT, parse_probe
from syncnas_bench.adb.scratch import SHELL_FUNCTIONS, claim
from syncnas_bench.adb.workspace import Workspace
from syncnas_bench.errors import DeviceLeased, DeviceUnavailable
from syncnas_bench.systems import here
from tests.support.adb_cases import device_of, new_phone, no_server_env
from tests.support.bench_cases import Collector, sim_plan
from tests.support.shell_links import SHELLS, ShellLink

HEX = "0123456789abcdef"
OURS = (
    "plan.txt",
    "pid",
    "syncnas-runner",
    "out-step-job",
    "a" * 64,
    "lib/libLiteRt.so",
    "lib/libLiteRtXAccelerator.so",
)
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
UP_S = int(float(Path("/proc/uptime").read_text().split()[0]))


@pytest.fixture(params=SHELLS, ids=[name for name, _ in SHELLS])
def link(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return ShellLink(request.param[1], tmp_path)


def fill(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Somebody's files: hidden ones, some in numbered folders, some called as ours are."""
    return fill(tmp_path / "victim", ("keep", ".hidden", "1/owner", "16384/owner", "16384/data", *OURS))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


PLANTED: dict[str, Callable[[Path, Path], object]] = {
    "any name of ours": lambda scratch, victim: (scratch / "syncnas-x").symlink_to(victim),
    "a workspace's name": lambda scratch, victim: (scratch / f"syncnas-{HEX}").symlink_to(victim),
    "libraries of a workspace": lambda scratch, victim: (
        fill(scratch / f"syncnas-{HEX}", ("mine",)) / "lib"
    ).symlink_to(victim / "lib"),
    "a file of a workspace": lambda scratch, victim: (
        fill(scratch / f"syncnas-{HEX}", ("mine",)) / "plan.txt"
    ).symlink_to(victim / "keep"),
    "a generation": lambda scratch, victim: (fill(scratch / "syncnas.lease", ("1/owner",)) / "5").symlink_to(
        victim / "1"
    ),
    "an owner": lambda scratch, victim: (fill(scratch / "syncnas.lease", ("7/mine",)) / "7/owner").symlink_to(
        victim / "keep"
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_link_in_the_scratch_folder_costs_nobody_a_file(link: Any, scratch: Path, victim: Path, planted: str) -> None:
    before = files_in(victim)
    PLANTED[planted](scratch, victim)
    lease = take_lease(link, str(scratch))
    workspace = Workspace(link, str(scratch))
    workspace.remove()
    lease.release(link)
    assert files_in(victim) == before
    assert (scratch / f"syncnas-{HEX}").exists() == ("workspace" in planted)
    assert not Path(workspace.folder).exists()


def test_what_we_made_goes_and_what_others_made_stays(link: Any, scratch: Path) -> None:
    fill(scratch / f"syncnas-{HEX}", OURS)
    fill(scratch / f"syncnas-{HEX[::-1]}", (*OURS, "notes.txt", "lib/theirs.so"))
    fill(scratch / "syncnas-tools", OURS)
    fill(scratch / "syncnas.lease", ("3/owner", "4/owner", "4/theirs", "x/owner"))
    take_lease(link, str(scratch)).release(link)
    workspace = Workspace(link, str(scratch))
    left = {name for name in files_in(scratch) if not name.startswith("syncnas-tools")}
    assert left == {
        f"syncnas-{HEX[::-1]}/notes.txt",
        f"syncnas-{HEX[::-1]}/lib/theirs.so",
        "syncnas.lease/4/theirs",
        "syncnas.lease/5/owner",
        "syncnas.lease/x/owner",
    }
    assert len(files_in(scratch / "syncnas-tools")) == len(OURS) and workspace.is_there()
    fill(Path(workspace.folder), OURS)
    workspace.remove()
    assert not Path(workspace.folder).exists()


REFUSED: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "link": (lambda place, victim: place.symlink_to(victim), r"is a link; .* `adb -s R58M123 shell rm /"),
    "dangling link": (lambda place, victim: place.symlink_to("nowhere"), "is a link"),
    "file": (lambda place, victim: place.write_text("mine"), r"is no folder; .* `adb -s R58M123 shell rm /"),
    "full": (lambda place, victim: fill(place, ("999999999/owner",)), r"no number left; .* shell rm -r /"),
}


@pytest.mark.parametrize("planted", REFUSED)
def test_a_lease_folder_that_is_none_is_refused(link: Any, scratch: Path, victim: Path, planted: str) -> None:
    plant, says = REFUSED[planted]
    before = files_in(victim)
    plant(scratch / "syncnas.lease", victim)
    with pytest.raises(DeviceUnavailable, match=f"syncnas.lease {says}" if planted != "full" else says):
        take_lease(link, str(scratch))
    assert files_in(victim) == before


def test_a_scratch_folder_behind_a_link_is_refused(link: Any, tmp_path: Path, scratch: Path) -> None:
    (tmp_path / "way").symlink_to(tmp_path)
    for use in (take_lease, Workspace):
        with pytest.raises(DeviceUnavailable, match="behind a link"):
            use(link, str(tmp_path / "way/scratch"))
    assert files_in(scratch) == []


PRIVATE: dict[str, tuple[Callable[[Path], object], str]] = {
    "link": (lambda place: place.symlink_to("/"), "is a link"),
    "file": (lambda place: place.write_text("x"), "is no folder"),
    "open": (lambda place: place.mkdir(0o755), "is open to other users; .* shell chmod 700 /"),
}
if os.geteuid() == 0:  # nobody else may give a folder away
    PRIVATE["other"] = (lambda place: (place.mkdir(0o700), os.chown(place, 4242, 4242)), "another user's")


@pytest.mark.parametrize("planted", PRIVATE)
def test_a_private_folder_that_is_not_ours_is_refused(link: Any, tmp_path: Path, planted: str) -> None:
    plant, says = PRIVATE[planted]
    plant(tmp_path / "syncnas-0")
    with pytest.raises(DeviceUnavailable, match=says):
        claim(link, str(tmp_path / "syncnas-0"))


def test_a_board_gets_a_private_folder(link: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert parse_probe(link.shell(FACTS_SCRIPT).stdout).scratch == str(tmp_path.resolve()), "a user's own folder"
    tmp_path.chmod(0o1777)
    place = parse_probe(link.shell(FACTS_SCRIPT).stdout).scratch
    assert place == f"{tmp_path.resolve()}/syncnas-{os.geteuid()}" and not Path(place).exists()
    for _ in range(2):
        claim(link, place)
        assert Path(place).stat().st_mode & 0o777 == 0o700


IMPOSSIBLE = {
    "for ever": ("3", f"aa {UP_S + 10**11} {BOOT}"),
    "2^63-1 seconds": ("3", f"aa {2**63 - 1} {BOOT}"),
    "20 digits": ("3", f"aa {'9' * 20} {BOOT}"),
    "longer than any": ("3", f"aa {UP_S + int(LONGEST_S) + 600} {BOOT}"),
    "no number": ("3", f"aa 1e9 {BOOT}"),
    "a generation of 2^63-1": (str(2**63 - 1), f"aa {UP_S + 60} {BOOT}"),
    "a generation of 20 digits": ("9" * 20, f"aa {UP_S + 60} {BOOT}"),
    "generation 0": ("0", f"aa {UP_S + 60} {BOOT}"),
    "a command": ("3", f"$(touch${{IFS}}here) {UP_S + 60} {BOOT}"),
    "an escape": ("3", f"\x1b[2J {UP_S + 60} {BOOT}"),
    "5 MB": ("3", "a" * 5_000_000),
}


@pytest.mark.parametrize("told", IMPOSSIBLE)
def test_an_impossible_lease_does_not_count(link: Any, scratch: Path, told: str) -> None:
    generation, text = IMPOSSIBLE[told]
    fill(scratch / "syncnas.lease" / generation, ("owner",)).joinpath("owner").write_text(text)
    take_lease(link, str(scratch)).release(link)
    assert not list(scratch.parent.glob("here*")) and not list(scratch.rglob("here*"))


@pytest.mark.parametrize("make", [os.mkfifo, lambda place: place.symlink_to("/dev/zero"), os.mkdir])
def test_an_owner_that_is_no_file_does_not_count(link: Any, scratch: Path, make: Any) -> None:
    (scratch / "syncnas.lease/3").mkdir(parents=True)
    make(scratch / "syncnas.lease/3/owner")
    take_lease(link, str(scratch)).release(link)


def test_a_lease_that_cannot_be_had_says_how_to_end_it(link: Any, scratch: Path) -> None:
    owner = fill(scratch / "syncnas.lease/3", ("owner",)) / "owner"
    owner.write_text(f"{'f' * 16}.1.2.01234567 {UP_S + 600} {BOOT}\n")
    with pytest.raises(DeviceLeased, match=r"ends in \d+ s at the latest, or end it with `adb") as caught:
        take_lease(link, str(scratch))
    command = str(caught.value).split("`")[1]
    assert command == f"adb -s R58M123 shell rm {owner}"
    link.check(command.partition(" shell ")[2])
    take_lease(link, str(scratch)).release(link)


MEANWHILE = {
    "made, and removed by who took the next one": ("command mkdir ./1 ./2; rmdir ./1; return 1", DeviceLeased),
    "made and given up": ("command mkdir ./1; rmdir ./1; return 1", DeviceLeased),
    "removed before anything is in it": ("command mkdir ./1 ./2; rmdir ./1", DeviceLeased),
    "no folder can be made": ('rmdir "$lease"; return 1', DeviceUnavailable),
    "no file can be made": ('command mkdir ./1; rmdir ./1 "$lease"', DeviceUnavailable),
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_who_comes_second_finds_the_device_busy_and_not_broken(
    link: Any, scratch: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands, error = MEANWHILE[what]
    mkdir = f'mkdir() {{ case "$1" in ./1) {commands} ;; *) command mkdir "$@" ;; esac; }}'
    monkeypatch.setattr(lease, "SHELL_FUNCTIONS", f"{SHELL_FUNCTIONS}{mkdir}\n")
    with pytest.raises(error):
        take_lease(link, str(scratch))


def test_a_phone_with_such_links_is_measured_and_keeps_all(tmp_path: Path) -> None:
    with new_phone() as phone:
        scratch, victim = phone.root / "data/local/tmp", fill(phone.root.parent / "victim", ("keep", ".hidden"))
        (scratch / "syncnas-x").symlink_to(victim)
        (scratch / f"syncnas-{HEX}").symlink_to(victim)
        scratch.chmod(0o777)
        with device_of(phone.address, no_server_env(tmp_path)) as device:
            device.run(sim_plan(steps=1), on_run=Collector())
            private = scratch / f"syncnas-{os.geteuid()}"
            assert [path.name for path in private.iterdir()] == ["syncnas.lease"]
            assert "writable folder" in {check.name for check in device.examine()}
            scratch.chmod(0o755)
            with device_of(phone.address, no_server_env(tmp_path)) as again:
                again.run(sim_plan(steps=1), on_run=Collector())
        assert files_in(victim) == [".hidden", "keep"]


@pytest.mark.needs("/proc")
def test_a_dead_process_that_nobody_has_waited_for_holds_no_lease() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert here().process_started(child.pid)
    child.kill()
    while here().process_started(child.pid):  # until the kernel has ended it
        time.sleep(0.01)
    assert Path(f"/proc/{child.pid}").exists()
    child.communicate()
