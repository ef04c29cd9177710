"""ModelConfig as a file: our own versioned JSON, and the format in which SyncNAS was published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from syncnas_bench.errors import nearest
from syncnas_deploy.errors import ConfigError, UnknownModel
from syncnas_deploy.files.documents import Fields, read_json
from syncnas_deploy.files.output import write_text
from syncnas_deploy.files.places import is_document, neighbours
from syncnas_deploy.networks.config import (
    ACTIVATIONS,
    GATES,
    MAX_BLOCKS,
    MAX_CHANNELS,
    MAX_NAME,
    MAX_SIZE,
    MAX_STAGES,
    BlockSpec,
    HeadSpec,
    ModelConfig,
    SqueezeExcite,
    StageSpec,
    StemSpec,
)
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.weights import network_bytes
from syncnas_deploy.resources import shipped

SCHEMA = "syncnas-deploy/model-config"
VERSION = 1
DERIVED = ("params", "macs")
"""Fields that `models NAME --json` adds. They follow from the others and are not looked at when read."""
MAX_KERNEL = 31
MAX_NETWORK_BYTES = 2 << 30
"""A TFLite file cannot be larger."""
_MAX_FILE_BYTES = 4 << 20
_PUBLISHED_EPSILON = 1e-5
_PUBLISHED_ACTIVATIONS = {"ReLU": "relu", "ReLU6": "relu6", "Hardswish": "hswish", "SiLU": "silu"}


def load_config(source: str | Path) -> ModelConfig:
    """A ModelConfig from a file (our format or the published one) or by the name of a shipped model.

    Raises:
        UnknownModel: neither a file nor a shipped name.
        ConfigError: the file is not a valid config.
    """
    names = shipped("model_configs")
    path = names.get(str(source), Path(source))
    if not is_document(path):
        raise UnknownModel(
            f"{source}: neither a config file nor a shipped model; `syncnas-deploy models` lists {len(names)} names."
            + nearest(source, [*names, *neighbours(path)])
        )
    return read_config(path)


def read_config(path: Path) -> ModelConfig:
    """Read one config file, of either format.

    Raises:
        ConfigError: naming file, field and remedy.
    """
    return config_from_json(read_json(path, ConfigError, max_bytes=_MAX_FILE_BYTES), str(path), default_name=path.stem)


def config_from_json(value: object, where: str, *, default_name: str = "model") -> ModelConfig:
    """A config from a JSON value of either format; `where` names it in messages.

    Raises:
        ConfigError: naming place, field and remedy.
    """
    if isinstance(value, dict) and "schema" not in value and "0" in value:
        return _published(Fields(value, where, ConfigError), where, default_name)
    return config_from_fields(Fields(value, where, ConfigError), where)


def config_from_fields(top: Fields, where: str) -> ModelConfig:
    """Our own format, from an object being read.

    Raises:
        ConfigError: naming field and remedy.
    """
    top.schema(SCHEMA, VERSION)
    stem, head = top.fields("stem"), top.fields("head")
    activation = top.choice("activation", ACTIVATIONS)
    input_size = top.integer("input_size", 8, MAX_SIZE)
    stem_spec = StemSpec(
        out_channels=stem.integer("out_channels", 1, MAX_CHANNELS),
        activation=_activation(stem, "activation", activation),
    )
    stem.done()
    stages = []
    size = (input_size - 1) // stem_spec.stride + 1
    for stage in top.each("stages", MAX_STAGES):
        branches = []
        for branch in stage.each("branches", 2):
            at, blocks = size, []
            for fields in branch.each("blocks", MAX_BLOCKS):
                blocks.append(_block(fields, at, activation))
                at = blocks[-1].output_size
            branch.done()
            branches.append(tuple(blocks))
        stage.done()
        size = at
        stages.append(StageSpec(tuple(branches)))
    head_spec = HeadSpec(
        in_channels=head.integer("in_channels", 1, MAX_CHANNELS),
        out_channels=head.integer("out_channels", 1, MAX_CHANNELS),
        activation=_activation(head, "activation", activation),
        post_pool_channels=(
            head.integer("post_pool_channels", 1, MAX_CHANNELS) if head.has("post_pool_channels") else None
        ),
    )
    head.done()
    rest: dict[str, Any] = {
        "name": top.text("name", max_length=MAX_NAME),
        "strategy": top.text("strategy", max_length=MAX_STAGES) if top.has("strategy") else None,
        "base": top.text("base", max_length=MAX_NAME) if top.has("base") else None,
        "placement": Placement(
            top.integer("trunk", 0, 1) if top.has("trunk") else 0,
            top.flag("twin_stem") if top.has("twin_stem") else False,
        ),
        "classes": top.integer("classes", 1, 1_000_000) if top.has("classes") else 1000,
        "bn_momentum": top.number("bn_momentum", 0.0, 1.0) if top.has("bn_momentum") else 0.1,
        "bn_epsilon": top.number("bn_epsilon", 1e-9, 1.0) if top.has("bn_epsilon") else 1e-5,
        "source": top.text("source", max_length=512) if top.has("source") else "",
    }
    for derived in DERIVED:
        top.has(derived)
    top.done()
    return _checked(where, stem=stem_spec, stages=tuple(stages), head=head_spec, input_size=input_size, **rest)


def _checked(where: str, **fields: Any) -> ModelConfig:
    try:
        config = ModelConfig(**fields)
    except ConfigError as e:
        raise ConfigError(f"{where}: {e}") from None
    needed = network_bytes(config)
    if needed > MAX_NETWORK_BYTES:
        raise ConfigError(
            f"{where}: {config.name} needs {needed / 1e9:.1f} GB for weights and features, more than "
            f"{MAX_NETWORK_BYTES / 1e9:.1f} GB; give fewer channels or a smaller input_size."
        )
    return config


def _activation(fields: Fields, key: str, default: str) -> str:
    return fields.choice(key, ACTIVATIONS) if fields.has(key) else default


def _block(fields: Fields, input_size: int, activation: str) -> BlockSpec:
    se = None
    if fields.has("squeeze_excite"):
        of = fields.fields("squeeze_excite")
        se = SqueezeExcite(
            channels=of.integer("channels", 1, MAX_CHANNELS),
            activation=_activation(of, "activation", "relu"),
            gate=of.choice("gate", GATES) if of.has("gate") else "sigmoid",
            batch_norm=of.flag("batch_norm") if of.has("batch_norm") else False,
            before_activation=of.flag("before_activation") if of.has("before_activation") else False,
        )
        of.done()
    kernels = fields.integers("kernels", (1, 8), 1, MAX_KERNEL)
    if any(k % 2 == 0 for k in kernels):
        fields.fail("kernels", "must be odd, so that padding is symmetric")
    block = BlockSpec(
        kernels=kernels,
        stride=fields.integer("stride", 1, 2),
        in_channels=fields.integer("in_channels", 1, MAX_CHANNELS),
        expanded_channels=fields.integer("expanded_channels", 1, MAX_CHANNELS),
        out_channels=fields.integer("out_channels", 1, MAX_CHANNELS),
        input_size=input_size,
        activation=_activation(fields, "activation", activation),
        depthwise_activation=(
            fields.choice("depthwise_activation", ACTIVATIONS) if fields.has("depthwise_activation") else None
        ),
        squeeze_excite=se,
        always_expand=fields.flag("always_expand") if fields.has("always_expand") else False,
        expand_groups=fields.integer("expand_groups", 1, 64) if fields.has("expand_groups") else 1,
        project_groups=fields.integer("project_groups", 1, 64) if fields.has("project_groups") else 1,
        residual=fields.flag("residual") if fields.has("residual") else None,
        partial_residual=fields.flag("partial_residual") if fields.has("partial_residual") else False,
    )
    fields.done()
    return block


def _published(top: Fields, where: str, default_name: str) -> ModelConfig:
    """The published format: "0".."6" -> rows [size, kernel, stride, in, expanded, out], by branch where "sync" is."""
    activation = _PUBLISHED_ACTIVATIONS[top.choice("act", tuple(_PUBLISHED_ACTIVATIONS))]
    stem, head = (top.integers(key, (4, 4), 1, MAX_CHANNELS) for key in ("stem", "head"))
    if (stem[0], stem[2], stem[3]) != (3, 3, 2):
        top.fail("stem", "must be [3, channels, 3, 2]: three input channels, kernel 3, stride 2")
    if head[2:] != (1, 1):
        top.fail("head", "must be [in, out, 1, 1]: a 1x1 convolution")
    strategy = None
    if top.has("sync"):
        strategy = "".join(str(letter) for letter in top.items("sync", 1, MAX_STAGES))
    count = len(strategy) if strategy is not None else 0
    while strategy is None and top.has(str(count)):
        count += 1
    stages = []
    for s in range(count):
        if strategy is None:
            stages.append(StageSpec((_published_rows(top, str(s), activation),)))
        else:
            stage = top.fields(str(s))
            stages.append(StageSpec(tuple(_published_rows(stage, b, activation) for b in ("0", "1"))))
            stage.done()
    name = top.text("name", max_length=MAX_NAME) if top.has("name") else default_name
    momentum = top.number("bn_momentum", 0.0, 1.0) if top.has("bn_momentum") else 0.1
    if top.has("eps") and top.number("eps", 0.0, 1.0) != _PUBLISHED_EPSILON:
        top.fail("eps", "must be 1e-5, with which the published code computes whatever stands here")
    top.done()
    if not stages:
        top.fail("0", 'is missing; a published config has its stages under "0", "1" and so on')
    return _checked(
        where,
        name=name,
        stem=StemSpec(out_channels=stem[1], activation=activation),
        stages=tuple(stages),
        head=HeadSpec(in_channels=head[0], out_channels=head[1], activation=activation),
        strategy=strategy,
        input_size=stages[0].branches[0][0].input_size * 2,
        bn_momentum=momentum,
        bn_epsilon=_PUBLISHED_EPSILON,
        source="published SyncNAS config",
    )


def _published_rows(fields: Fields, key: str, activation: str) -> tuple[BlockSpec, ...]:
    blocks = []
    for i, row in enumerate(fields.items(key, 1, MAX_BLOCKS)):
        cells = Fields({"row": row}, f"{fields.where}: {key}[{i}]", ConfigError).integers(
            "row", (6, 6), 1, MAX_CHANNELS
        )
        size, kernel, stride, width, expanded, out = cells
        if kernel % 2 == 0 or kernel > MAX_KERNEL or stride > 2 or size > MAX_SIZE:
            fields.fail(f"{key}[{i}]", "needs an odd kernel up to 31, stride 1 or 2, and a size up to 4096")
        blocks.append(BlockSpec((kernel,), stride, width, expanded, out, size, activation))
    return tuple(blocks)


def config_to_json(config: ModelConfig) -> dict[str, Any]:
    """Our format as a JSON value; defaults are left out."""
    value: dict[str, Any] = {"schema": f"{SCHEMA}/{VERSION}", "name": config.name}
    if config.base:
        value["base"] = config.base
    if config.source:
        value["source"] = config.source
    value["input_size"] = config.input_size
    value["classes"] = config.classes
    activation = config.stem.activation
    value["activation"] = activation
    value["bn_momentum"] = config.bn_momentum
    value["bn_epsilon"] = config.bn_epsilon
    if config.strategy is not None:
        value["strategy"] = config.strategy
        value["trunk"] = config.trunk
        if config.twin_stem:
            value["twin_stem"] = True
    value["stem"] = {"out_channels": config.stem.out_channels}
    value["stages"] = [
        {"branches": [{"blocks": [_block_json(b, activation) for b in blocks]} for blocks in stage.branches]}
        for stage in config.stages
    ]
    head: dict[str, Any] = {"in_channels": config.head.in_channels, "out_channels": config.head.out_channels}
    if config.head.activation != activation:
        head["activation"] = config.head.activation
    if config.head.post_pool_channels:
        head["post_pool_channels"] = config.head.post_pool_channels
    value["head"] = head
    return value


def _block_json(block: BlockSpec, activation: str) -> dict[str, Any]:
    value: dict[str, Any] = {
        "kernels": list(block.kernels),
        "stride": block.stride,
        "in_channels": block.in_channels,
        "expanded_channels": block.expanded_channels,
        "out_channels": block.out_channels,
    }
    if block.activation != activation:
        value["activation"] = block.activation
    se = block.squeeze_excite
    if se is not None:
        value["squeeze_excite"] = {"channels": se.channels, "activation": se.activation, "gate": se.gate}
        for key in ("batch_norm", "before_activation"):
            if getattr(se, key):
                value["squeeze_excite"][key] = True
    for key, default in (
        ("depthwise_activation", None),
        ("always_expand", False),
        ("expand_groups", 1),
        ("project_groups", 1),
        ("residual", None),
        ("partial_residual", False),
    ):
        if getattr(block, key) != default:
            value[key] = getattr(block, key)
    return value


def config_text(config: ModelConfig) -> str:
    """The file's text: one block per line, so that two configs can be compared by eye and by diff."""
    value = config_to_json(config)
    stages = value.pop("stages")
    lines = [f" {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items()]
    rows = []
    for stage in stages:
        branches = []
        for branch in stage["branches"]:
            blocks = ",\n".join("    " + json.dumps(block) for block in branch["blocks"])
            branches.append('   {"blocks": [\n' + blocks + "\n   ]}")
        rows.append('  {"branches": [\n' + ",\n".join(branches) + "\n  ]}")
    lines.append(' "stages": [\n' + ",\n".join(rows) + "\n ]")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_config(path: Path, config: ModelConfig, *, force: bool = True) -> None:
    """Write a config file, whole or not at all.

    Raises:
        OutputError: it cannot be written, or exists and `force` is false.
    """
    write_text(path, config_text(config), force=force)
