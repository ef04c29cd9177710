"""The package from Python: its names, late imports, errors, budgets as numbers and paths as text."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import syncnas_deploy as sd
from syncnas_bench import SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.errors import BudgetError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_exporters import read_signatures
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import draw_set, small_branched, small_config


def run(code: str) -> str:
    """What a program prints in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "imports",
    [
        "import syncnas_deploy as sd",
        "import syncnas_deploy as sd; import syncnas_deploy.search.loop",
        "import syncnas_deploy.search.loop; import syncnas_deploy as sd",
        "from syncnas_deploy.search import results; import syncnas_deploy as sd",
        "from syncnas_deploy import search; import syncnas_deploy as sd; assert sd.search is search",
        "from syncnas_deploy import pipeline; import syncnas_deploy as sd",
        "import syncnas_deploy as sd; sd.search; import syncnas_deploy.search.evaluators",
    ],
)
def test_search_is_called_whatever_was_imported_first(imports: str) -> None:
    ask = "import inspect; from syncnas_deploy import pipeline; pipeline.search = lambda profile, budget: budget"
    use = "from syncnas_deploy.search import loop; import syncnas_deploy.search.loop as same; assert same is loop"
    code = f"{imports}; {ask}; print(sd.search(0, budget=1.0), *inspect.signature(sd.search).parameters); {use}"
    assert run(code) == "1.0 profile budget"


def test_help_shows_the_function() -> None:
    shown = run("import syncnas_deploy as sd; help(sd.search)")
    assert "search(profile: " in shown and "budget: one latency or several" in shown and "trials=100" in shown


def test_an_import_alone_imports_nothing_more() -> None:
    heavy = "{'numpy', 'msgspec', 'click', 'torch', 'syncnas_bench', 'syncnas_exporters', 'inspect'}"
    assert run(f"import syncnas_deploy, sys; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_every_name_is_there_listed_and_known_to_type_checkers() -> None:
    stub = ast.parse(Path(sd.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    stubbed = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert stubbed - {None} == set(sd.__all__) - {"CallableRoom", "__version__"}
    assert set(sd.__all__) <= set(dir(sd))
    for name in sd.__all__:
        assert getattr(sd, name) is not None
        if callable(getattr(pipeline, name, None)) and name != "search":
            assert getattr(sd, name) is getattr(pipeline, name)
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        sd.serach  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    "fails",
    [lambda: sd.as_config("mobilenet"), lambda: sd.device("sim:nothing"), lambda: read_signatures(b"no model")],
    ids=["syncnas_deploy", "syncnas_bench", "syncnas_exporters"],
)
def test_one_name_catches_what_any_package_raises(fails: Callable[[], object]) -> None:
    with pytest.raises(sd.Error):
        fails()


@pytest.mark.parametrize(
    ("budget", "times"),
    [(1.0, 1.0), (2, 2.0), (10, 10.0), (np.float64(1.5), 1.5), (np.float32(1.1), 1.1), (np.int64(2), 2.0),
     (4 / 3, 1.333333), ("1.25x", 1.25), ("25x", 25.0)],
)  # fmt: skip
def test_a_number_is_a_budget_in_times_of_the_base(mobilenet: ModelConfig, budget: Any, times: float) -> None:
    profile = law_profile(mobilenet)
    assert pipeline.budget_us(budget, profile) == times * pipeline.budget_us("1.0x", profile)
    found = sd.search(profile, budget=budget, evaluator="capacity", settings=sd.SearchSettings(trials=2))
    assert found.budget_us == pipeline.budget_us(budget, profile)
    assert found.main.budget == (budget if isinstance(budget, str) else f"{times}x")


NO_BUDGETS = (
    0.0, -1.0, float("nan"), float("inf"), 1e-9, 25, 7.8e3, 10.5, np.float32(16), True, np.bool_(True), None, "fast",
    "25",
)  # fmt: skip


@pytest.mark.parametrize("budget", [*NO_BUDGETS, [], [1.0, "1.0x"], [1.0, 25], np.array([0.8, 25])])
def test_what_is_no_budget_is_one_sentence(mobilenet: ModelConfig, budget: Any) -> None:
    with pytest.raises(BudgetError, match=r"\dms\b|same latency"):
        sd.search(law_profile(mobilenet), budget=budget, evaluator="capacity")


@pytest.mark.parametrize("budget", NO_BUDGETS)
def test_what_is_no_budget_is_refused_before_anything_is_measured(tmp_path: Path, budget: Any) -> None:
    with pytest.raises(BudgetError, match=r"\dms\b"):
        sd.assess(SimDevice("phone"), "mobilenet_v2", tmp_path / "a", sd.AssessSettings(budget, "capacity"))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"algorithm": "mcts"}, "one of surrogate, uct, .*MCTS is uct"),
        ({"algorithm": None}, "one of surrogate"),
        ({"trials": 0}, "trials is a whole number from 1 on, found 0"),
        ({"trials": 24.0}, "trials"),
        ({"trials": "24"}, "trials"),
        ({"trials": True}, "trials"),
        ({"seed": -1}, "seed"),
        ({"max_energy_mj": float("nan")}, "max_energy_mj"),
        ({"max_energy_mj": 0}, "max_energy_mj"),
        ({"width_step": 6}, "a multiple of 4, found 6"),
        ({"width_step": 0}, "width_step"),
    ],
)
def test_settings_that_make_no_sense_are_one_sentence(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(sd.Error, match=says):
        sd.SearchSettings(**settings)


def test_settings_may_be_numbers_of_numpy(mobilenet: ModelConfig, tmp_path: Path) -> None:
    settings = sd.SearchSettings(np.int64(2), seed=np.int64(1))  # type: ignore[arg-type]
    sd.search(law_profile(mobilenet), evaluator="capacity", settings=settings, out=tmp_path / "found")
    with pytest.raises(sd.Error, match="trials"):
        sd.AssessSettings(trials=0)


CALLS = {
    "search": "sd.search('p.json', evaluator='capacity', settings=sd.SearchSettings(trials=4), workers=2, out='out')",
    "evaluate": "sd.evaluate('mobilenet_v2', 'pictures', weights='nowhere')",
    "train": "sd.train('mobilenet_v2', 'pictures', 'out')",
}


@pytest.mark.parametrize("call", CALLS)
def test_a_worker_that_imports_its_script_starts_no_workers(mobilenet: ModelConfig, call: str) -> None:
    write_profile(Path("p.json"), law_profile(mobilenet))
    start = "import multiprocessing\nif __name__ == '__main__':\n"
    start += "    process = multiprocessing.get_context('spawn').Process()\n    process.start()\n    process.join()\n"
    Path("script.py").write_text(f"{start}else:\n    import syncnas_deploy as sd\n    {CALLS[call]}\n")
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    last = done.stderr.rstrip().rpartition("\n")[2]
    assert re.search(rf'WorkersUnavailable: {call} .*`if __name__ == "__main__":`', last), done.stderr
    assert not Path("out").exists()


def test_a_training_script_without_a_guard_hears_of_it() -> None:
    draw_set(Path("pictures"), 4, seed=0)
    write_config(Path("c.json"), small_config(8))
    recipe = "from syncnas_deploy.training.recipe import Recipe"
    call = "sd.train('c.json', 'pictures', 'out', Recipe(epochs=1, batch=4, warmup_epochs=0))"
    Path("script.py").write_text(f"import syncnas_deploy as sd\n{recipe}\n{call}\n")
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert re.search(r'WorkersUnavailable: .*`if __name__ == "__main__":`', done.stderr.rstrip().rpartition("\n")[2])


def test_a_script_without_a_guard_hears_of_it(mobilenet: ModelConfig) -> None:
    write_profile(Path("p.json"), law_profile(mobilenet))
    Path("script.py").write_text(f"import syncnas_deploy as sd\n{CALLS['search']}\n")
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert re.search(
        r'WorkersUnavailable: .*--workers 1; .*`if __name__ == "__main__":`', done.stderr.rstrip().rpartition("\n")[2]
    )
    Path("guarded.py").write_text(f"import syncnas_deploy as sd\nif __name__ == '__main__':\n    {CALLS['search']}\n")
    subprocess.run([sys.executable, "guarded.py"], capture_output=True, check=True)
    assert Path("out/best.json").exists()


def test_a_path_may_be_text_everywhere(mobilenet: ModelConfig, tmp_path: Path) -> None:
    with SimDevice("phone") as phone:
        bundle = sd.export(small_branched(8), f"{tmp_path}/b")
        sd.bench(bundle, phone, samples=6, launches=1, out=f"{tmp_path}/bench.json")
    write_profile(tmp_path / "p.json", law_profile(mobilenet))
    settings = sd.SearchSettings(trials=2)
    sd.search(f"{tmp_path}/p.json", evaluator="capacity", settings=settings, out=f"{tmp_path}/found")
    sd.draw(f"{tmp_path}/found", f"{tmp_path}/d.svg", profile=f"{tmp_path}/p.json")
    assert {path.name for path in tmp_path.iterdir()} == {"b", "bench.json", "p.json", "found", "d.svg"}


def test_a_profile_has_a_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("syncnas_deploy.profiling.measure.measure", lambda *_a, keep, **_n: keep)
    monkeypatch.setattr("syncnas_deploy.pipeline.profiles.check_output", lambda path, **_: asked.append(path))
    asked: list[Path] = []
    sd.profile("mobilenet_v2", SimDevice("phone"))
    assert asked == [Path("mobilenet_v2-sim-phone.profile.json")]


def test_without_torch_a_search_takes_an_evaluator_that_works(
    monkeypatch: pytest.MonkeyPatch, mobilenet: ModelConfig
) -> None:
    told: list[str] = []
    monkeypatch.setitem(sys.modules, "torch", None)
    found = sd.search(law_profile(mobilenet), settings=sd.SearchSettings(trials=2), on_notice=told.append)
    assert found.main.best.reward == pytest.approx(np.log(found.config.macs()))
    assert re.search(r"capacity.*install 'syncnas-deploy\[torch\]'", told[0])


@pytest.mark.parametrize(
    "use",
    [
        lambda name: sd.profile("mobilenet_v2", name),
        lambda name: sd.bench(sd.export(small_branched(8), "b"), name),
        lambda name: sd.assess(name, "mobilenet_v2", "a", sd.AssessSettings(evaluator="capacity")),
    ],
    ids=["profile", "bench", "assess"],
)
def test_a_name_in_a_devices_place_is_one_sentence(use: Callable[[Any], object]) -> None:
    with pytest.raises(sd.Error, match=r"with sd\.device\('host'\) as device"):
        use("host")
