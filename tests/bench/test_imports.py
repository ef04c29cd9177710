"""What importing the package costs: nothing of ADB, and no NumPy, before they are needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import syncnas_bench

ROOT = Path(syncnas_bench.__file__).parents[1]
HEAVY = {"adb_shell", "cryptography", "numpy", "rsa", "ai_edge_litert"}


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import syncnas_bench", set()),
        ("import syncnas_bench.errors, syncnas_bench.files, syncnas_bench.environment", set()),
        ("from syncnas_bench import BenchPlan, Unit, BenchError", set()),
        ("from syncnas_bench import default_device; default_device()", {"numpy"}),
        ("import syncnas_bench.adb.discovery, syncnas_bench.adb.direct", {"numpy"}),
        ("from syncnas_bench import find_device; find_device('sim:duo'); find_device('host')", {"numpy"}),
    ],
)
def test_importing_costs_what_is_used(code: str, allowed: set[str]) -> None:
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not (HEAVY - allowed) & {name.partition(".")[0] for name in done.stdout.split()}


def test_every_name_of_the_package_is_there() -> None:
    assert {name: getattr(syncnas_bench, name) for name in syncnas_bench.__all__}.keys() <= set(dir(syncnas_bench))
    with pytest.raises(AttributeError, match="no attribute 'Work'"):
        _ = syncnas_bench.Work


def test_no_module_can_be_imported_on_one_system_alone() -> None:
    packages = (ROOT / "syncnas_bench", *(ROOT.parent / name for name in ("exporters", "syncnas_deploy")))
    for path in (path for package in packages for path in package.rglob("*.py")):
        tops = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import)]
        assert not {alias.name for node in tops for alias in node.names} & {"fcntl", "msvcrt", "termios"}, path
