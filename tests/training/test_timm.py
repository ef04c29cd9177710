"""timm's models against ours, tensor by tensor and logit by logit; and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from syncnas_deploy.errors import MissingDependency, WeightsError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.weights import Float32Array, parameter_shapes, random_weights
from syncnas_deploy.training.checkpoints import load_weights
from syncnas_deploy.training.module import build
from syncnas_deploy.training.timm_models import from_timm
from tests.support.picture_cases import small_config

NAMES = {
    "mobilenet_v2": "mobilenetv2_100",
    "mnasnet_a1": "semnasnet_100",
    "mnasnet_b1": "mnasnet_100",
    "fbnet_c": "fbnetc_100",
    "single_path_nas": "spnasnet_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "efficientnet_b0": "efficientnet_b0",
    "mixnet_m": "mixnet_m",
    "rexnet_100": "rexnet_100",
}


@pytest.fixture(scope="module")
def timm() -> Any:
    try:
        import timm
    except Exception as e:
        pytest.skip(f"timm cannot be imported here ({type(e).__name__}): it needs a torchvision that fits torch")
    return timm


@pytest.mark.parametrize("name", list(NAMES))
def test_logits_equal_timms(timm: Any, name: str) -> None:
    torch.manual_seed(0)
    theirs = timm.create_model(NAMES[name], pretrained=False).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    config = load_config(name)
    arrays = {key: value.numpy() for key, value in theirs.state_dict().items()}
    ours = build(config, from_timm(arrays, config, NAMES[name])).double()
    images = torch.randn(2, 3, 224, 224).double()
    with torch.no_grad():
        wanted, found = theirs.double()(images), ours(images)
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def as_timm(config: ModelConfig, weights: dict[str, Float32Array]) -> dict[str, Float32Array]:
    """Our weights under other names, in timm's manner: groups apart, the post-pool layer as a convolution."""
    theirs: dict[str, Float32Array] = {}
    for name, value in _pieces(config, weights):
        if name == "post_pool.weight":
            value = value.reshape(*value.shape, 1, 1)
        theirs[f"layer{len(theirs)}.{name.rpartition('.')[2]}"] = value
    return theirs


def _pieces(config: ModelConfig, weights: dict[str, Float32Array]) -> Iterator[tuple[str, Float32Array]]:
    grouped = {
        f"stages.{s}.blocks.{i}.{part}.0.weight": groups
        for _, s, i, block in config.blocks()
        for part, groups in (("pw1", block.expand_groups), ("pw2", block.project_groups))
    }
    for name, value in weights.items():
        for piece in np.split(value, grouped.get(name, 1)):
            yield name, piece


@pytest.mark.parametrize("name", list(NAMES))
def test_every_tensor_finds_its_place(name: str) -> None:
    config = load_config(name)
    weights = random_weights(parameter_shapes(config), 0)
    found = from_timm(as_timm(config, weights), config, "timm:x")
    assert found.keys() == weights.keys()
    assert all(np.array_equal(found[key], weights[key]) for key in weights)


def test_models_that_do_not_correspond_are_refused(mobilenet: ModelConfig) -> None:
    whole = as_timm(mobilenet, random_weights(parameter_shapes(mobilenet), 0))
    names = list(whole)
    with pytest.raises(WeightsError, match="ends before classifier"):
        from_timm({k: whole[k] for k in names[:-1]}, mobilenet, "timm:x")
    with pytest.raises(WeightsError, match="has no place in mobilenet_v2"):
        from_timm({**whole, "more.weight": whole[names[0]]}, mobilenet, "timm:x")
    with pytest.raises(WeightsError, match=r"stands where mobilenet_v2 has stem_conv\.1\.weight"):
        from_timm({k: whole[k] for k in [names[0], *names[2:]]}, mobilenet, "timm:x")
    with pytest.raises(WeightsError, match="base models only"):
        from_timm(whole, load_config("syncnas_mobilenet_v2_100"), "timm:x")


def test_an_unknown_timm_name_or_no_timm_is_one_sentence(mobilenet: ModelConfig) -> None:
    with pytest.raises((WeightsError, MissingDependency), match="timm:no_such_model"):
        load_weights("timm:no_such_model", mobilenet)


class StandIn:
    """timm as far as it is asked: one plain model, and others with the same tensors that compute something else."""

    __version__ = "stand-in"

    def __init__(self) -> None:
        self.asked: list[tuple[str, bool]] = []

    def is_model(self, name: str) -> bool:
        return name.split(".")[0] in ("plain", "tf_plain", "blur", "even", "other")

    def create_model(self, name: str, pretrained: bool) -> torch.nn.Module:
        self.asked.append((name, pretrained))
        kind, _, tag = name.partition(".")
        if tag not in ("", "ra_in1k"):
            raise RuntimeError(f"Invalid pretrained tag ({tag}) for {kind}.")
        model = build(small_config(8 if kind != "other" else 16))
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d) and kind == "tf_plain":
                module.eps = 1e-3
            if isinstance(module, torch.nn.Conv2d) and module.stride == (2, 2) and kind == "even":
                module.padding = (0, 0)
        if kind == "blur":
            model.stem_conv.append(torch.nn.AvgPool2d(3, 1, 1))
        return model


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn()
    monkeypatch.setitem(sys.modules, "timm", made)
    return made


@pytest.mark.parametrize("name", ["plain", "plain.ra_in1k"])
def test_a_name_works_with_its_tag_and_without(name: str, stand_in: StandIn) -> None:
    config = small_config(8)
    assert load_weights(f"timm:{name}", config).keys() == parameter_shapes(config).keys()
    assert stand_in.asked == [(name, False), (name, True)]


@pytest.mark.parametrize("name", ["tf_plain", "tf_plain.ra_in1k", "blur", "even"])
def test_a_model_that_computes_something_else_is_refused_before_it_is_downloaded(name: str, stand_in: StandIn) -> None:
    with pytest.raises(WeightsError, match=rf"timm:{name}: computes something else than small with the same weights"):
        load_weights(f"timm:{name}", small_config(8))
    assert stand_in.asked == [(name, False)]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("absent", "knows no model of that name"),
        ("absent.ra_in1k", "knows no model of that name"),
        ("plain.absent", r"cannot be had \(Invalid pretrained tag \(absent\) for plain\.\)"),
        ("other.ra_in1k", "stands where small has"),
    ],
)
def test_other_names_and_tags_are_one_sentence(name: str, says: str, stand_in: StandIn) -> None:
    with pytest.raises(WeightsError, match=rf"timm:{name}: .*{says}"):
        load_weights(f"timm:{name}", small_config(8))


@pytest.mark.parametrize(
    "name", ["tf_efficientnet_b0.ns_jft_in1k", "tf_mobilenetv3_large_100", "tf_mixnet_m", "efficientnet_blur_b0"]
)
def test_timms_own_variants_are_refused(timm: Any, name: str) -> None:
    config = load_config({"tf_mob": "mobilenet_v3_large", "tf_mix": "mixnet_m"}.get(name[:6], "efficientnet_b0"))
    with pytest.raises(WeightsError, match="computes something else"):
        load_weights(f"timm:{name}", config)
