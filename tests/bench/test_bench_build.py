"""The build hook: what it rebuilds, and that what is installed came from the present sources."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from syncnas_bench.device import runner_program

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "OUTPUT", tmp_path / "_native")
    return module


class FakeZig:
    """Stands in for the compiler: counts calls and writes the file it was asked for."""

    def __init__(self) -> None:
        self.calls = 0
        self.code = 0

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.calls += 1
        Path(command[command.index("-o") + 1]).write_text("program")
        return subprocess.CompletedProcess(command, self.code, "", "error: no")


def test_rebuilds_only_what_changed(hook: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    zig = FakeZig()
    monkeypatch.setattr(hook.subprocess, "run", zig)
    built = hook.build_all()
    assert [path.parent.name for path in built] == ["x86_64-linux", "aarch64-linux"]
    assert zig.calls == 2
    hook.build_all()
    assert zig.calls == 2
    sources = tmp_path / "native"
    sources.mkdir()
    (sources / "runner.c").write_text("int main(void) { return 0; }")
    monkeypatch.setattr(hook, "SOURCES", sources)
    hook.build_all()
    assert zig.calls == 4


def test_failed_build_leaves_nothing_behind(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    zig = FakeZig()
    zig.code = 1
    monkeypatch.setattr(hook.subprocess, "run", zig)
    with pytest.raises(RuntimeError, match="does not compile for x86_64"):
        hook.build_all()
    assert list(hook.OUTPUT.rglob("*.new")) == []


def test_runner_in_the_package_is_of_these_sources(hook: ModuleType) -> None:
    program = runner_program()
    stamp = program.with_suffix(".sha256")
    assert stamp.read_text() == hook.source_hash(hook.TARGETS[program.parent.name]), "run: python hatch_build.py"


def test_import_is_light() -> None:
    script = "import sys, syncnas_bench; print([m for m in sys.modules if m.startswith(('ai_edge', 'torch'))])"
    path = f"import sys; sys.path.insert(0, {str(ROOT / 'bench')!r});"
    done = subprocess.run([sys.executable, "-c", path + script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
