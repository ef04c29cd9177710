"""Every shipped model: figures, names, export, the native runner, and the whole strategy space of each base."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from syncnas_bench import BenchPlan, HostDevice, Run, Step, Unit
from syncnas_bench.local import vulkan
from syncnas_deploy import pipeline
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.bundle_network import network_job
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.strategy import all_strategies, random_strategy
from syncnas_deploy.networks.weights import parameter_count, parameter_shapes
from syncnas_deploy.prediction.predict import ProfileCosts, predict
from syncnas_deploy.resources import shipped
from syncnas_deploy.search.widths.solver import WidthSolver
from syncnas_deploy.training.module import build
from tests.support.latency_cases import law_profile
from tests.support.parity_cases import chain_equals_torch, check

BASES = {
    "mobilenet_v2": (3_504_872, 300_774_272),
    "mnasnet_a1": (3_887_038, 311_579_072),
    "mnasnet_b1": (4_383_312, 314_415_872),
    "fbnet_b": (4_746_904, 280_605_448),
    "fbnet_c": (5_572_200, 384_960_160),
    "proxyless_r": (4_080_512, 320_427_584),
    "single_path_nas": (4_421_616, 333_467_072),
    "mobilenet_v3_large": (5_483_032, 216_589_760),
    "efficientnet_b0": (5_288_548, 385_814_752),
    "mixnet_m": (5_014_382, 339_172_672),
    "rexnet_100": (4_796_873, 398_370_392),
}
SEARCHED = {
    "syncnas_mobilenet_v2_100": (4_549_336, 488_989_348),
    "syncnas_mnasnet_b1_100": (5_676_072, 495_488_512),
    "syncnas_fbnet_c_100": (6_736_324, 551_074_668),
}
VARIANTS = {"fbnet_c_plain_e1": (5_570_664, 378_136_224)}
ALL = BASES | SEARCHED | VARIANTS


def test_all_shipped_models_are_known_here() -> None:
    assert set(shipped("model_configs")) == set(ALL)


@pytest.mark.parametrize("name", list(ALL))
def test_parameters_and_macs(name: str) -> None:
    config = load_config(name)
    assert (parameter_count(config), config.macs()) == ALL[name]


@pytest.mark.parametrize("name", list(ALL))
def test_the_named_weights_are_torchs_in_torchs_order(name: str) -> None:
    config = load_config(name)
    state = build(config).state_dict()
    found = {k: tuple(v.shape) for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert list(found.items()) == list(parameter_shapes(config).items())
    trained = sum(p.numel() for p in build(config).parameters())
    assert trained == parameter_count(config)


@pytest.mark.parametrize("name", list(ALL))
def test_exports_equal_torch(name: str) -> None:
    check(load_config(name), seed=5)


def run_once(bundle: Bundle, units: tuple[Unit, ...], folder: Path) -> np.ndarray:
    """Logits of the reference image, by the native runner."""
    image, _ = bundle.reference()
    image.tofile(folder / "image.f32")
    branches = range(bundle.config.branch_count)
    files = tuple(bundle.tflite(branch) for branch in branches)
    job = network_job(
        "once",
        bundle.segments,
        files=list(branches),
        units=list(branches),
        image=folder / "image.f32",
        output=folder / "logits.f32",
    )
    runs: list[Run] = []
    plan = BenchPlan(units, files, (Step("once", (job,), rounds=1),))
    HostDevice().run(plan, on_run=runs.append)
    assert runs[0].jobs[0].output.finite
    return np.fromfile(folder / "logits.f32", dtype="<f4")


def agree(bundle: Bundle, found: np.ndarray) -> None:
    _, logits = bundle.reference()
    assert np.abs(found - logits.ravel()).max() <= 1e-3 * np.abs(logits).max()


@pytest.mark.needs("host units")
@pytest.mark.parametrize("name", list(ALL))
def test_runs_on_the_cpu(name: str, tmp_path: Path) -> None:
    bundle = pipeline.export(name, tmp_path / "b")
    units = tuple(Unit("cpu") if b == 0 else Unit("cpu", threads=2) for b in range(bundle.config.branch_count))
    agree(bundle, run_once(bundle, units, tmp_path))


@pytest.mark.needs("host units")
@pytest.mark.skipif(
    vulkan.software_icd() is None,
    reason="a software Vulkan driver is missing (Debian: chromium-common and libvulkan1)",
)
@pytest.mark.parametrize("name", list(ALL))
def test_runs_on_the_software_gpu(name: str, tmp_path: Path) -> None:
    bundle = pipeline.export(name, tmp_path / "b")
    gpu = Unit("gpu", software=True)
    agree(bundle, run_once(bundle, (gpu,) if bundle.config.branch_count == 1 else (gpu, Unit("cpu")), tmp_path))


@pytest.mark.parametrize("name", list(BASES))
def test_the_strategy_space_of_each_base(name: str) -> None:
    base = load_config(name)
    stages = len(base.stages)
    strategies = all_strategies(stages)
    assert len(strategies) == (486 if name == "mobilenet_v3_large" else 1458)
    for strategy in strategies:
        branched(base, strategy)


@pytest.mark.parametrize("name", list(BASES))
def test_twenty_strategies_of_each_base_at_its_latency(name: str) -> None:
    base = load_config(name)
    profile = law_profile(base)
    limit = pipeline.budget_us("1.0x", profile)
    solver = WidthSolver(base, ProfileCosts(profile, Placement()), limit)
    rng = np.random.default_rng(20)
    drawn: dict[str, ModelConfig] = {}
    while len(drawn) < 20:
        strategy = random_strategy(rng, len(base.stages))
        if strategy in drawn or solver.minimum_us(strategy) > limit:
            continue
        config = branched(base, strategy, solver.solve(strategy).widths)
        assert predict(config, profile).makespan_us <= limit + 1e-6
        drawn[strategy] = config
    for number, config in enumerate(drawn.values()):
        # Reduced resolution makes twenty networks of eleven bases affordable; two are checked as they are.
        if number < 2:
            check(config, seed=number)
        else:
            chain_equals_torch(reduced(config), seed=number)


def reduced(config: ModelConfig, size: int = 96) -> ModelConfig:
    """The same network at a smaller input."""
    stages, at = [], size // 2
    for stage in config.stages:
        branches, end = [], at
        for blocks in stage.branches:
            here, sized = at, []
            for block in blocks:
                sized.append(dataclasses.replace(block, input_size=here))
                here = sized[-1].output_size
            branches.append(tuple(sized))
            end = here
        at = end
        stages.append(dataclasses.replace(stage, branches=tuple(branches)))
    return dataclasses.replace(config, stages=tuple(stages), input_size=size)
