"""What a stranger may rely on in the whole house: names that mean one thing, and walls that hold."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = (ROOT / "syncnas_deploy", ROOT / "exporters" / "syncnas_exporters", ROOT / "bench" / "syncnas_bench")
USES_TORCH = ("syncnas_deploy/training/", "syncnas_deploy/search/evaluators/")


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the three packages, by its path in the checkout."""
    for package in PACKAGES:
        for path in sorted(package.rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def test_no_class_name_stands_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path, module in modules():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(path)
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_an_array_alias_names_its_type() -> None:
    vague = {"Array", "Floats", "Ints", "Numbers"}
    for path, module in modules():
        for node in module.body:
            if isinstance(node, ast.Assign):
                names = {target.id for target in node.targets if isinstance(target, ast.Name)}
                assert not names & vague, f"{path}: {names & vague}"


def test_torch_is_imported_where_it_is_at_home_alone() -> None:
    strangers = []
    for path, module in modules():
        for node in ast.walk(module):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if any(name.split(".")[0] == "torch" for name in names) and not path.startswith(USES_TORCH):
                strangers.append(path)
    assert strangers == []


def test_few_modules_ask_which_system_this_is() -> None:
    at_home = {
        "bench/syncnas_bench/device.py",  # which runner is this machine's
        "bench/syncnas_bench/adb/target.py",
        "bench/syncnas_bench/local/host.py",
        "bench/syncnas_bench/local/runner.py",
        "bench/syncnas_bench/work_folder.py",  # whether files have owners
        "exporters/syncnas_exporters/litert_library.py",  # what the library is called
        "syncnas_deploy/cli/ending.py",
        "syncnas_deploy/pipeline/doctor_report.py",
        "syncnas_deploy/search/evaluators/program.py",
        "syncnas_deploy/search/evaluators/supervisor.py",  # without packages
    }
    for path, module in modules():
        asked = {ast.unparse(node) for node in ast.walk(module) if isinstance(node, ast.Attribute)}
        asks = asked & {"sys.platform", "os.name", "platform.system"}
        assert not asks or path in at_home or path.startswith("bench/syncnas_bench/systems/"), (path, asks)


def test_every_module_says_what_it_is() -> None:
    assert [path for path, module in modules() if not ast.get_docstring(module)] == []


def test_one_module_alone_writes_to_the_terminal() -> None:
    printers = {"print", "echo", "secho", "echo_via_pager", "prompt", "confirm", "progressbar"}
    at_home = {
        "syncnas_deploy/cli/terminal.py",
        "bench/syncnas_bench/local/vulkan.py",  # programs of their own, whose output is read through a pipe
        "bench/syncnas_bench/local/metal.py",
    }
    strangers = []
    for path, module in modules():
        for node in ast.walk(module):
            if not isinstance(node, ast.Call) or path in at_home:
                continue
            called = ast.unparse(node.func)
            streams = ("sys.stdout.", "sys.stderr.", "sys.__stdout__.", "sys.__stderr__.")
            to_stream = any(ast.unparse(argument)[:10] in ("sys.stdout", "sys.stderr") for argument in node.args)
            if called.split(".")[-1] in printers or called.startswith(streams) or to_stream or called == "e.show":
                strangers.append(f"{path}: {called}")
    assert strangers == []
