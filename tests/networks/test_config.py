"""ModelConfig: what is accepted, what is refused and how it says so, and the figures of the shipped models."""

from __future__ import annotations

import dataclasses
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from syncnas_deploy.errors import ConfigError, StrategyError, UnknownModel
from syncnas_deploy.networks.config import ModelConfig, SyncOp, branched, check_strategy, name_after, stage_outputs
from syncnas_deploy.networks.formats import config_text, config_to_json, load_config, read_config, write_config
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.segments import Feed, cut
from syncnas_deploy.networks.weights import parameter_count, parameter_shapes
from syncnas_deploy.resources import shipped
from tests.support.configs import parse_config

DATA = Path(__file__).parent.parent / "data"
PUBLISHED = json.loads((DATA / "published_state_dicts.json").read_text())

PUBLISHED_FORMAT = {
    "name": "tiny",
    "act": "ReLU6",
    "stem": [3, 8, 3, 2],
    "head": [16, 32, 1, 1],
    "bn_momentum": 0.1,
    "0": {"0": [[16, 3, 1, 8, 16, 8]], "1": [[16, 3, 1, 8, 12, 8]]},
    "1": {"0": [[16, 5, 2, 16, 32, 16]], "1": [[16, 5, 2, 16, 24, 16]]},
    "sync": ["c", "a"],
}


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_params_and_macs_are_the_published_ones(name: str) -> None:
    config = load_config(name)
    assert parameter_count(config) == PUBLISHED[name]["params"]
    assert config.macs() == PUBLISHED[name]["macs"]


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_weight_names_and_shapes_are_the_published_ones(name: str) -> None:
    wanted = PUBLISHED[name]["state_dict"]
    found = {key: list(shape) for key, shape in parameter_shapes(load_config(name)).items()}
    counters = {key: [] for key in wanted if key.endswith("num_batches_tracked")}
    assert found | counters == wanted


@pytest.mark.parametrize("name", list(shipped("model_configs")))
def test_a_written_config_reads_back_equal(name: str) -> None:
    config = load_config(name)
    assert parse_config(config_text(config), "here") == config


def test_every_strategy_gives_a_valid_config_and_segments(mobilenet: ModelConfig) -> None:
    strategies = ["".join(letters) + last for letters in product("nac", repeat=6) for last in "ac"]
    assert len(strategies) == 1458
    for strategy in strategies:
        config = branched(mobilenet, strategy, placement=Placement(len(strategy.replace("n", "")) % 2))
        segments = cut(config)
        syncs = len(strategy.replace("n", ""))
        assert len(segments) == 2 * syncs + 2
        assert len({segment.name for segment in segments}) == len(segments)
        assert segments[0].stem and segments[0].feeds == (Feed.IMAGE,) and segments[0].branch == config.trunk
        assert segments[-1].head and segments[-1].branch == config.trunk
        assert segments[-1].sync is SyncOp(strategy[-1])
        blocks = [placed for segment in segments for placed in segment.blocks]
        assert len(blocks) == 2 * 17
        for segment in segments[3:]:
            assert set(segment.feeds) == {Feed.OWN, Feed.PARTNER}
            assert segment.sync is not SyncOp.NONE


def test_segment_inputs_are_the_outputs_of_the_phase_before(mobilenet: ModelConfig) -> None:
    for strategy in ("cnaccna", "nnnnnnc", "aaaaaaa", "ccccccc"):
        segments = cut(branched(mobilenet, strategy, placement=Placement(1)))
        out = {(s.phase, s.branch): s.output_shape for s in segments}
        for segment in segments[1:]:
            if segment.phase == 1:
                assert segment.input_shapes == (out[0, 1],)
            else:
                assert segment.input_shapes == tuple(out[segment.phase - 1, b] for b in (0, 1))


def test_concat_shares_the_stage_and_restores_its_width(mobilenet: ModelConfig) -> None:
    config = branched(mobilenet, "ncnnnna")
    assert [b.out_channels for b in config.stages[1].branches[0]] == [12, 12]
    assert config.stages[2].branches[0][0].in_channels == 24
    assert stage_outputs(27, SyncOp.CONCAT) == (14, 13)
    assert stage_outputs(27, SyncOp.ADD) == (27, 27)


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        ("nnnna", "5 letters"),
        ("nnnnnnxa", "8 letters"),
        ("nnxnnna", "'x'"),
        ("aaaaaan", "ends in n"),
        ("", "0 letters"),
    ],
)
def test_wrong_strategies_are_refused(mobilenet: ModelConfig, strategy: str, says: str) -> None:
    with pytest.raises(StrategyError, match=says):
        check_strategy(strategy, 7)
    with pytest.raises(StrategyError):
        branched(mobilenet, strategy)


def test_a_branched_model_is_not_branched_again() -> None:
    with pytest.raises(ConfigError, match="two branches already"):
        branched(load_config("syncnas_mobilenet_v2_100"), "nnnnnna")


def published(channels: int, size: int, blocks: int) -> str:
    row = [size, 3, 1, channels, channels, channels]
    value = {"act": "ReLU6", "stem": [3, channels, 3, 2], "head": [channels, 16, 1, 1], "0": [row] * blocks}
    return json.dumps(value)


@pytest.mark.parametrize(
    ("channels", "size", "blocks", "gigabytes"),
    [
        (16_384, 16, 2, "2.2"),
        (16_384, 16, 64, "68.8"),
        (2048, 512, 1, "4.3"),
        (16, 2048, 1, None),
        (2048, 32, 32, None),
    ],
)
def test_a_network_that_needs_too_much_memory_is_no_config(
    channels: int, size: int, blocks: int, gigabytes: str | None
) -> None:
    text = published(channels, size, blocks)
    if gigabytes is None:
        parse_config(text, "large.json")
        return
    with pytest.raises(ConfigError, match=rf"large\.json: .* needs {gigabytes} GB .*, more than 2\.1 GB; give fewer"):
        parse_config(text, "large.json")


def test_the_published_format_loads() -> None:
    config = parse_config(json.dumps(PUBLISHED_FORMAT), "tiny.json")
    assert config.strategy == "ca"
    assert config.input_size == 32
    assert config.stages[1].branches[1][0].expanded_channels == 24
    assert len(cut(config)) == 6


def test_the_published_base_format_loads() -> None:
    value = {k: v for k, v in PUBLISHED_FORMAT.items() if k != "sync"}
    value["0"], value["1"] = [[16, 3, 1, 8, 16, 16]], [[16, 5, 2, 16, 32, 16]]
    config = parse_config(json.dumps(value), "tiny.json")
    assert config.strategy is None and config.branch_count == 1


@pytest.mark.parametrize("more", [{"eps": 1e-5}, {"eps": 0.00001, "bn_momentum": 0.0003}, {"bn_momentum": 0.01}])
@pytest.mark.parametrize("name", ["mobilenet_v2", "mnasnet_b1", "fbnet_c_plain_e1", "syncnas_fbnet_c_100"])
def test_every_published_config_loads_whatever_it_says_of_batch_norms(name: str, more: dict[str, Any]) -> None:
    shipped = load_config(name)
    rows = [
        {
            str(b): [
                [x.input_size, x.kernels[0], x.stride, x.in_channels, x.expanded_channels, x.out_channels]
                for x in blocks
            ]
            for b, blocks in enumerate(stage.branches)
        }
        for stage in shipped.stages
    ]
    value = {
        "name": name,
        "act": {"relu": "ReLU", "relu6": "ReLU6"}[shipped.stem.activation],
        "stem": [3, shipped.stem.out_channels, 3, 2],
        "head": [shipped.head.in_channels, shipped.head.out_channels, 1, 1],
        **{str(s): row if shipped.strategy else row["0"] for s, row in enumerate(rows)},
        **({"sync": list(shipped.strategy)} if shipped.strategy else {}),
        **more,
    }
    found = parse_config(json.dumps(value), "published.json")
    same = dataclasses.replace(shipped, base=found.base, source=found.source, bn_momentum=found.bn_momentum)
    assert found == same
    assert found.bn_epsilon == 1e-5


def test_unknown_models_are_refused() -> None:
    with pytest.raises(UnknownModel, match="syncnas-deploy models"):
        load_config("no_such_model")


def changed(path: str, value: Any) -> str:
    """The shipped searched model's JSON with one place changed; `...` deletes it."""
    top = config_to_json(load_config("syncnas_mobilenet_v2_100"))
    at: Any = top
    *folders, last = path.split("/")
    for key in folders:
        at = at[int(key) if key.isdecimal() else key]
    if value is ...:
        del at[last]
    else:
        at[int(last) if last.isdecimal() else last] = value
    return json.dumps(top)


BLOCK = "stages/1/branches/0/blocks/0"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("[]", "expected an object, found a list"),
        ("{", "line 1"),
        ('{"a": 1, "a": 2}', "twice"),
        ("[" * 100_000, "deeply|not JSON"),
        ('{"schema": NaN}', "NaN"),
        ('{"schema": ' + "9" * 400 + "}", "400 digits"),
        (changed("schema", "syncnas-deploy/model-config/2"), "upgrade"),
        (changed("schema", "something/1"), "'schema' must be"),
        (changed("name", ...), "'name' is missing"),
        (changed("name", "a\nb"), "printable"),
        (changed("classes", -1), "'classes' must be between"),
        (changed("classes", 10.5), "'classes' must be an integer"),
        (changed("classes", True), "'classes' must be an integer"),
        (changed("bn_momentum", "0.1"), "'bn_momentum' must be a number"),
        (changed("bn_momentum", 1e999), "Infinity"),
        (changed("input_size", 10**9), "'input_size' must be between"),
        (changed("stages", []), "'stages' must have 1 to"),
        (changed("stages/1/branches", 5), r"stages\[1\]: 'branches' must be a list"),
        (changed(f"{BLOCK}/kernels", [4]), "odd"),
        (changed(f"{BLOCK}/kernels", []), "'kernels' must have"),
        (changed(f"{BLOCK}/stride", 3), "'stride' must be between"),
        (changed(f"{BLOCK}/expanded_channels", 0), "'expanded_channels' must be between"),
        (changed(f"{BLOCK}/expanded_channels", 10**12), "'expanded_channels' must be between"),
        (changed(f"{BLOCK}/in_channels", 17), "what comes before gives 16"),
        (changed(f"{BLOCK}/activation", "tanh"), "must be one of relu"),
        (changed(f"{BLOCK}/widht", 3), "'widht' is not a known field"),
        (changed("strategy", "annnan"), "6 letters"),
        (changed("strategy", "annnann"), "ends in n"),
        (changed("strategy", "annnanx"), "'x'"),
        (changed("strategy", ...), "needs a strategy"),
        (changed("trunk", 2), "'trunk' must be between"),
        (changed("head/in_channels", 64), "the last stage gives 320"),
        (changed("strategy", "annnanc"), "the last stage gives 640"),
    ],
)
def test_bad_configs_name_file_field_and_reason(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        read_config(path)
    assert "model.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("act", "Swish9", "must be one of"),
        ("stem", [3, 8, 5, 2], "kernel 3"),
        ("head", [16, 32, 3, 1], "1x1"),
        ("sync", ["c", "n"], "ends in n"),
        ("eps", 1e-3, "'eps' must be 1e-5, with which the published code computes"),
        ("eps", "1e-5", "'eps' must be a number"),
        ("0", [[16, 3, 1, 8, 16, 8]], "expected an object"),
        ("1", {"0": [[16, 4, 2, 16, 32, 16]], "1": [[16, 5, 2, 16, 24, 16]]}, "odd kernel"),
        ("1", {"0": [[16, 5, 2, 16, 32]], "1": [[16, 5, 2, 16, 24, 16]]}, "6 to 6 items"),
        ("1", {"0": [["a", 5, 2, 16, 32, 16]], "1": [[16, 5, 2, 16, 24, 16]]}, "integer"),
    ],
)
def test_bad_published_configs_are_refused(key: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_config(json.dumps({**PUBLISHED_FORMAT, key: value}), "published.json")


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_config(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "missing.json")


def test_branches_of_different_size_are_refused() -> None:
    config = parse_config(json.dumps(PUBLISHED_FORMAT), "tiny")
    first, second = config.stages[1].branches
    wrong = dataclasses.replace(config.stages[1], branches=(first, (dataclasses.replace(second[0], stride=1),)))
    with pytest.raises(ConfigError, match="differ in size"):
        dataclasses.replace(config, stages=(config.stages[0], wrong))


@pytest.mark.parametrize("length", [9, 120, 121, 128])
def test_what_is_made_of_a_network_has_a_name_that_can_be_read(length: int, tmp_path: Path) -> None:
    base = dataclasses.replace(load_config("mobilenet_v2"), name="é" * length)
    made = branched(base, "nnncnna")
    assert made.name.endswith("é_nnncnna") and made.base == base.name
    write_config(tmp_path / "made.json", made)
    assert read_config(tmp_path / "made.json") == made
    assert len(name_after(base.name, "x1.03")) <= 128
