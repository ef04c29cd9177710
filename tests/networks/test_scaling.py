"""Networks with all channels scaled: they stay networks, and stay the kind they were."""

from __future__ import annotations

import pytest

from syncnas_deploy.networks.config import branched
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.scaling import scaled
from syncnas_deploy.networks.weights import parameter_shapes

BASES = ("mobilenet_v2", "mobilenet_v3_large", "mixnet_m", "rexnet_100", "efficientnet_b0", "fbnet_c")


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("factor", [0.1, 0.25, 0.5, 1.4])
def test_every_kind_of_network_can_be_scaled(name: str, factor: float) -> None:
    base = load_config(name)
    strategy = ("nca" * 3)[: len(base.stages) - 1] + "c"
    for config in (base, branched(base, strategy)):
        small = scaled(config, factor)
        assert (small.strategy, small.classes, small.input_size) == (config.strategy, config.classes, config.input_size)
        assert 0.3 * factor**2 < small.macs() / config.macs() < max(factor, factor**2) * 2.5
        for (*_, old), (*_, new) in zip(config.blocks(), small.blocks(), strict=True):
            assert (new.kernels, new.stride, new.expands) == (old.kernels, old.stride, old.expands)
            assert new.adds_input == old.adds_input
        assert parameter_shapes(small).keys() == parameter_shapes(config).keys()


def test_factor_one_changes_nothing() -> None:
    config = load_config("syncnas_mobilenet_v2_100")
    assert scaled(config, 1.0) is config


def test_a_scaled_network_computes() -> None:
    torch = pytest.importorskip("torch")
    from syncnas_deploy.training.module import build

    config = scaled(branched(load_config("mobilenet_v2"), "nacnaca"), 0.2)
    with torch.inference_mode():
        assert build(config)(torch.zeros(1, 3, 64, 64)).shape == (1, config.classes)
