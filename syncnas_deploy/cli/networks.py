"""Commands on networks: models, weights, draw."""

from __future__ import annotations

from pathlib import Path

import click

from syncnas_deploy.cli.next_step import suggest
from syncnas_deploy.cli.options import (
    FiniteRange,
    base_option,
    epilog,
    file_name,
    force_option,
    json_option,
    profile_option,
    read_profile,
    seed_option,
)
from syncnas_deploy.cli.suggestions import complete_model
from syncnas_deploy.cli.terminal import emit, note, say, say_page


@click.command(
    epilog=epilog(
        "syncnas-deploy models",
        "syncnas-deploy models mobilenet_v2",
        "syncnas-deploy models mobilenet_v2 --classes 10 --input-size 160 --width 0.75 --out my.json",
        "syncnas-deploy models mobilenet_v2 --json > my.json",
    )
)
@click.argument("name", required=False, shell_complete=complete_model)
@click.option("--classes", type=click.IntRange(1, 1_000_000), help="Another number of classes.")
@click.option("--input-size", type=click.IntRange(8, 4_096), help="Another height and width of its images, pixels.")
@click.option(
    "--width",
    type=FiniteRange(0.05, 20.0),
    default=1.0,
    show_default=True,
    help="So many times as many channels, in multiples of 8.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the config there.")
@force_option
@json_option
def models(
    name: str | None,
    classes: int | None,
    input_size: int | None,
    width: float,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """List the shipped models, or show one (NAME, or a config file) and make one of your own of it.

    The config that --out writes, or that --json prints, is taken wherever a model is asked for.
    """
    from syncnas_deploy import pipeline
    from syncnas_deploy.files.output import check_output
    from syncnas_deploy.networks.formats import config_to_json, write_config
    from syncnas_deploy.networks.weights import parameter_count
    from syncnas_deploy.report import tables

    if name is None and (out or classes or input_size or width != 1.0):
        raise click.UsageError("Name the model that is to be changed, such as mobilenet_v2.")
    if name is not None:
        config = pipeline.variant(name, classes=classes, input_size=input_size, width=width)
        if out is not None:
            check_output(out, force=force)
            write_config(out, config, force=force)
        if as_json:
            emit({**config_to_json(config), "params": parameter_count(config), "macs": config.macs()})
        else:
            say_page(tables.config_page(config))
            if out is not None:
                say("", f"written to {out}")
        named = out or name
        if config.branch_count == 1:
            suggest("measure a device for it", "profile", "--base", named)
        else:
            suggest("draw it", "draw", named, "--out", f"{config.name}.svg")
        return
    configs = list(pipeline.models())
    if as_json:
        emit(
            [
                {
                    "name": c.name,
                    "base": c.base,
                    "stages": len(c.stages),
                    "strategy": c.strategy,
                    "params": parameter_count(c),
                    "macs": c.macs(),
                    "source": c.source,
                }
                for c in configs
            ]
        )
    else:
        say_page(tables.models_table(configs))
    suggest("show the blocks of one", "models", configs[0].name)


@click.group(epilog=epilog("syncnas-deploy weights convert model.pth --config mobilenet_v2 --out model.safetensors"))
def weights() -> None:
    """Convert weights, or make a branched model's initial weights from its base's."""


@weights.command(
    epilog=epilog(
        "syncnas-deploy weights convert model.pth --config mobilenet_v2 --out model.safetensors",
        "syncnas-deploy weights convert timm:mobilenetv2_100 --config mobilenet_v2 --out model.safetensors",
    )
)
@click.argument("source")
@click.option(
    "--config", required=True, shell_complete=complete_model, help="The network: a shipped name or a config file."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .safetensors file.")
@force_option
@json_option
def convert(source: str, config: str, out: Path, force: bool, as_json: bool) -> None:
    """Write SOURCE (a checkpoint or timm:NAME) as safetensors, checked against the network."""
    from syncnas_deploy import pipeline

    count = pipeline.convert_weights(source, config, out, force=force, on_notice=note)
    if as_json:
        emit({"out": str(out), "tensors": count})
    else:
        say(f"{count} tensors of {config} written to {out}")
    suggest("write the network's files", "export", config, "--weights", out, "--out", "bundle")


@weights.command(
    epilog=epilog(
        "syncnas-deploy weights inherit base.pth --config syncnas_mobilenet_v2_100 --out start.safetensors",
        "syncnas-deploy weights inherit my_base.pth --config best.json --base my_base.json --out start.safetensors",
    )
)
@click.argument("source")
@click.option(
    "--config",
    required=True,
    shell_complete=complete_model,
    help="The branched network: a shipped name, a config file or a search's folder.",
)
@base_option("The network that SOURCE is of, or a profile of it. Default: the shipped one that the config names.")
@seed_option("For what is new.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .safetensors file.")
@force_option
@json_option
def inherit(source: str, config: str, base: str | None, seed: int, out: Path, force: bool, as_json: bool) -> None:
    """Make initial weights of a branched network from SOURCE, weights of its base model."""
    from syncnas_deploy import pipeline

    count = pipeline.inherit_weights(source, config, out, base=base, seed=seed, force=force, on_notice=note)
    if as_json:
        emit({"out": str(out), "tensors": count})
    else:
        say(f"{count} tensors of {config} written to {out}; train them before use")
    suggest("train it on your pictures", "train", config, "--weights", out, "--path", "pictures", "--out", "run")


@click.command(
    epilog=epilog(
        "syncnas-deploy draw syncnas_mobilenet_v2_100 --out searched.svg",
        "syncnas-deploy draw found/best.json --profile host.json --out best.png",
        "syncnas-deploy draw syncnas_mobilenet_v2_100 --unit cpu:4 --unit gpu --out searched.svg",
    )
)
@click.argument("config", shell_complete=complete_model)
@profile_option("Show its predicted times, and bars of them.")
@click.option(
    "--unit",
    "units",
    multiple=True,
    metavar="UNIT",
    help="What each branch runs on, once per branch. Default: the profile's units (a base model: the faster one).",
)
@click.option("--out", type=click.Path(path_type=Path), help="FILE.svg or FILE.png. Default: NAME.svg.")
@force_option
@json_option
def draw(
    config: str, profile_path: Path | None, units: tuple[str, ...], out: Path | None, force: bool, as_json: bool
) -> None:
    """Draw CONFIG (a file, a shipped name, a search's folder): blocks, segments and what crosses between the units."""
    from syncnas_deploy import pipeline

    measured, model = read_profile(profile_path) if profile_path else None, pipeline.as_config(config)
    out = out or Path(f"{file_name(model.name)}.svg")
    pipeline.draw(model, out, units=units, profile=measured, force=force)
    if as_json:
        emit({"config": config, "out": str(out), "profile": str(profile_path) if profile_path else None})
    else:
        say(f"drawn in {out}")
    if measured is not None and (doubt := measured.doubt):
        note(f"Doubt the times in the drawing, since {doubt}.")
    suggest("write its files", "export", config)
