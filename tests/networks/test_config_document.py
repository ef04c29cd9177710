"""docs/config.md: its network is read, and so is the smallest one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from syncnas_bench import SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.errors import ConfigError
from syncnas_deploy.networks.config import branched
from syncnas_deploy.profiling.experiment import ProfileSettings
from tests.support.documents import document, steps

QUICK = ProfileSettings(launches=1, rounds=3, repeats=1, networks=1, points=20)


def smallest(out_channels: int = 2) -> dict[str, Any]:
    """The smallest base model, or one whose only block has other output channels."""
    block = {"kernels": [1], "stride": 1, "in_channels": 1, "expanded_channels": 1, "out_channels": out_channels}
    return {
        "schema": "syncnas-deploy/model-config/1", "name": "tiny", "input_size": 8, "classes": 1, "activation": "relu",
        "stem": {"out_channels": 1}, "stages": [{"branches": [{"blocks": [block]}]}],
        "head": {"in_channels": out_channels, "out_channels": 1},
    }  # fmt: skip


def test_the_network_of_the_document_is_read_and_two_branches_are_made_of_it() -> None:
    (step,) = (step for step in steps(document("docs/config.md")) if step.name)
    Path(step.name).write_text(step.text)
    network = pipeline.as_config(step.name)
    assert (network.name, network.classes, network.input_size, len(network.stages)) == ("mine", 10, 96, 3)
    assert pipeline.export(branched(network, "nca"), Path("b")).config.branch_count == 2


@pytest.mark.parametrize("out_channels", [2, 3])
def test_the_smallest_network_can_be_profiled(out_channels: int) -> None:
    Path("tiny.json").write_text(json.dumps(smallest(out_channels)))
    profile = pipeline.profile("tiny.json", SimDevice("phone"), settings=QUICK)
    assert profile.base.name == "tiny"


def test_one_channel_cannot_be_shared() -> None:
    Path("tiny.json").write_text(json.dumps(smallest(1)))
    network = pipeline.as_config("tiny.json")
    assert branched(network, "a").branch_count == 2
    with pytest.raises(ConfigError, match="give all blocks 2 or more"):
        branched(network, "c")
    with pytest.raises(ConfigError, match="give all blocks 2 or more"):
        pipeline.profile("tiny.json", SimDevice("phone"), settings=QUICK)
    assert [path.name for path in Path().iterdir()] == ["tiny.json"]


@pytest.mark.parametrize(
    ("stage", "block", "said"), [(0, 0, r"stages\[0\] branch 0 block 0"), (1, 1, r"stages\[1\] branch 0 block 1")]
)
def test_messages_count_as_json_does(stage: int, block: int, said: str) -> None:
    (step,) = (step for step in steps(document("docs/config.md")) if step.name)
    value = json.loads(step.text)
    value["stages"][stage]["branches"][0]["blocks"][block]["in_channels"] += 1
    Path("mine.json").write_text(json.dumps(value))
    with pytest.raises(ConfigError, match=said):
        pipeline.as_config("mine.json")
    assert "stages[2] branch 0 block 0" in document("docs/config.md")
