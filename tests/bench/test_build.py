"""The build hook: what it rebuilds, and that what is installed came from the present sources."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from syncnas_bench.device import RUNNERS, runner_program
from tests.support.documents import ROOT
from tests.support.native_sources import build_hook

pytestmark = pytest.mark.needs("native code")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    module = build_hook()
    monkeypatch.setattr(module, "OUTPUT", tmp_path / "_native")
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    return module


class FakeCompiler:
    """Stands in for all compilers: keeps the commands and writes the file that each was asked for."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.code = 0

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        Path(command[command.index("-o") + 1]).write_text("program")
        return subprocess.CompletedProcess(command, self.code, "", "error: no")


@pytest.fixture
def compiler(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> FakeCompiler:
    compiler = FakeCompiler()
    monkeypatch.setattr(hook.subprocess, "run", compiler)
    return compiler


def test_rebuilds_only_what_changed(
    hook: ModuleType, compiler: FakeCompiler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built = hook.build_all()
    assert [path.relative_to(hook.OUTPUT).as_posix() for path in built] == [
        *(f"{folder}/syncnas-runner" for folder in RUNNERS),
        *(
            f"{folder}/libsyncnas.so"
            for folder in ("x86_64-linux", "aarch64-linux", "aarch64-android", "x86_64-android")
        ),
        *(f"{folder}/libmeasure.so" for folder in ("aarch64-android", "x86_64-android")),
    ]
    first = len(compiler.commands)
    hook.build_all()
    assert len(compiler.commands) == first
    sources = tmp_path / "native"
    shutil.copytree(hook.SOURCES, sources)
    monkeypatch.setattr(hook, "SOURCES", sources)
    hook.build_all()
    assert len(compiler.commands) == first, "the same sources elsewhere are the same sources"
    (sources / "android" / "include" / "time.h").write_text("// changed")
    hook.build_all()
    assert len(compiler.commands) == 2 * first


def test_another_list_of_symbols_rebuilds_android_alone(
    hook: ModuleType, compiler: FakeCompiler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sources = tmp_path / "native"
    shutil.copytree(hook.SOURCES, sources)
    monkeypatch.setattr(hook, "SOURCES", sources)
    hook.build_all()
    compiler.commands.clear()
    with (sources / "android" / "libc.symbols").open("a") as symbols:
        symbols.write("sysconf\n")
    hook.build_all()
    assert compiler.commands
    assert not [command for command in compiler.commands if "cc" in command], "only Linux runners are made by zig cc"


def test_failed_build_leaves_nothing_behind(hook: ModuleType, compiler: FakeCompiler) -> None:
    compiler.code = 1
    with pytest.raises(RuntimeError, match="native code does not compile for x86_64-linux"):
        hook.build_all()
    assert [path for path in hook.OUTPUT.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("target", [0, 1, 2])
def test_failed_target_is_named(hook: ModuleType, compiler: FakeCompiler, target: int) -> None:
    compiler.code = 1
    with pytest.raises(RuntimeError, match=f"does not compile for {hook.TARGETS[target].folder}:\nerror: no"):
        hook.build(hook.TARGETS[target])


def test_ndk_is_used_where_there_is_one(
    hook: ModuleType, compiler: FakeCompiler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clang = tmp_path / "ndk" / "toolchains" / "llvm" / "prebuilt" / "linux-x86_64" / "bin" / "clang"
    clang.parent.mkdir(parents=True)
    clang.touch()
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path / "ndk"))
    hook.build(hook.TARGETS[2])
    (command,) = compiler.commands
    assert command[:2] == [str(clang), "--target=aarch64-linux-android28"]
    assert {"runner.c", "executor.c", "-pie", "-mno-outline-atomics"} <= set(command)
    assert not [word for word in command if word.startswith("android/")], "the NDK has its own headers and start-up"
    (link,) = (word for word in command if word.startswith("-Wl,"))
    assert "-z,max-page-size=16384" in link
    monkeypatch.delenv("ANDROID_NDK_HOME")
    hook.build(hook.TARGETS[2])
    assert len(compiler.commands) > 1, "another compiler makes another program"


def test_wrong_ndk_is_refused(hook: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"ANDROID_NDK_HOME names .* which holds no NDK"):
        hook.build_all()


def test_runners_in_the_package_are_of_these_sources(hook: ModuleType) -> None:
    native = runner_program().parent.parent
    for target in hook.TARGETS:
        stamp = (native / target.folder / target.name).with_suffix(".sha256")
        assert stamp.read_text() == hook.source_hash(target.recipe), "run: python hatch_build.py"


def test_the_macs_runner_is_the_same_bytes_wherever_it_is_built(hook: ModuleType) -> None:
    (target,) = (target for target in hook.TARGETS if target.folder == "arm64-darwin")
    built = hook.build(target).read_bytes()
    assert built == runner_program(target.folder).read_bytes(), "built in another folder by another process"


def test_each_system_has_its_own_files_of_what_systems_differ_in(hook: ModuleType, compiler: FakeCompiler) -> None:
    for target in (*hook.TARGETS, hook.TRIAL):
        compiler.commands.clear()
        hook.build(target)
        words = {word for command in compiler.commands for word in command}
        own = {"darwin": {"darwin", "posix"}, "win32": {"windows"}}.get(target.folder.split("-")[1], {"linux", "posix"})
        assert {word for word in words if word.startswith("system_")} == {f"system_{name}.c" for name in own}


def test_import_is_light() -> None:
    script = "import sys, syncnas_bench; print([m for m in sys.modules if m.startswith(('ai_edge', 'torch'))])"
    path = f"import sys; sys.path.insert(0, {str(ROOT / 'bench')!r});"
    done = subprocess.run([sys.executable, "-c", path + script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
