"""What commands are given is found in one way, and what does not fit a profile is refused with both values."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from syncnas_deploy import pipeline
from syncnas_deploy.errors import ABSENT, ConfigError, DocumentError, ProfileError, ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import config_from_json, config_to_json, load_config, write_config
from syncnas_deploy.networks.scaling import divisible, variant
from syncnas_deploy.prediction.profile_files import write_profile
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import small_branched
from tests.support.program import Program


@pytest.fixture
def places(mobilenet: ModelConfig) -> ModelConfig:
    """Folders of a search, a training, a bundle and an assessment with the same network; the network."""
    network = small_branched(8)
    for name in ("found/best.json", "run/config.json", "all/search/best.json", "net.json"):
        write_config(Path(name), network)
    Path("run/best.pth").write_text("")
    for name in ("bundle", "all/bundle"):
        pipeline.export(network, Path(name))
    write_profile(Path("all/profile.json"), law_profile(mobilenet))
    write_profile(Path("one/mobilenet_v2-law.profile.json"), law_profile(mobilenet))
    return network


@pytest.mark.parametrize("place", ["net.json", "./net.json", "found", "run", "bundle", "all"])
def test_a_network_is_found_in_each_place(places: ModelConfig, place: str) -> None:
    assert pipeline.as_config(place) == pipeline.as_config(Path(place)) == places


@pytest.mark.parametrize("place", ["all", "all/profile.json", "one", "one/mobilenet_v2-law.profile.json"])
def test_a_profile_is_found_in_each_place(places: ModelConfig, place: str, mobilenet: ModelConfig) -> None:
    assert pipeline.as_profile(place).base == mobilenet
    assert Path(place).is_dir() or pipeline.base_model(place) == mobilenet


@pytest.mark.parametrize("place", ["bundle", "bundle/manifest.json", "all", "all/bundle"])
def test_a_bundle_is_found_in_each_place(places: ModelConfig, place: str) -> None:
    assert pipeline.as_bundle(place).config == places


def test_weights_are_those_of_a_training_alone(places: ModelConfig) -> None:
    assert pipeline.weights_in("run") == Path("run/best.pth")
    assert [pipeline.weights_in(place) for place in ("found", "bundle", "net.json", places)] == [None] * 4


def test_a_report_shows_what_is_in_a_folder(places: ModelConfig) -> None:
    assert pipeline.documents_in(["all"]) == [Path("all/profile.json"), Path("all/search")]
    assert pipeline.documents_in(["run", "bundle"]) == [Path("run/config.json"), Path("bundle")]
    named = pipeline.documents_in(["mobilenet_v2-sim-phone", "mobilenet_v2"])
    assert [path.stem for path in named] == ["mobilenet_v2-sim-phone", "mobilenet_v2"]


def test_what_is_not_there_has_the_code_for_that(places: ModelConfig) -> None:
    for find in (pipeline.as_profile, pipeline.as_bundle, lambda name: pipeline.documents_in([name])):
        with pytest.raises(DocumentError) as caught:
            find("nowhere")
        assert caught.value.code == ABSENT
    with pytest.raises(ConfigError, match="holds no network"):
        pipeline.as_config("one")
    shutil.copy("one/mobilenet_v2-law.profile.json", "one/other.profile.json")
    with pytest.raises(ProfileError, match="holds 2 profiles"):
        pipeline.as_profile("one")


@pytest.mark.needs("POSIX shell")
@pytest.mark.parametrize(
    "form", ["{make} | {run} models /dev/stdin", "{run} models <({make})", "{run} models /dev/fd/0 < m"]
)
def test_a_config_comes_from_a_stream(form: str, mobilenet: ModelConfig) -> None:
    write_config(Path("m"), mobilenet)
    run = f"{sys.executable} -c 'from syncnas_deploy.cli import main; main()'"
    command = form.format(make=f"{run} models mobilenet_v2 --json", run=run)
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "mobilenet_v2" in done.stdout, done.stderr


@pytest.mark.parametrize("name", ["mobilenet_v2", "syncnas_fbnet_c_100", "mixnet_m"])
def test_every_config_that_json_prints_reads_back(program: Program, name: str) -> None:
    printed = json.loads(program("models", name, "--json").out)
    assert config_from_json(printed, "x") == load_config(name)
    shown = json.loads(program("report", name, "--json").out)
    assert config_from_json(shown["configs"][0], "x") == load_config(name)


@pytest.mark.parametrize(("multiplier", "macs_m"), [(0.5, 97.1), (0.75, 209.1), (1.4, 582.2)])
def test_a_width_multiplier_gives_the_published_networks(
    mobilenet: ModelConfig, multiplier: float, macs_m: float
) -> None:
    made = variant(mobilenet, width=multiplier)
    assert made.macs() / 1e6 == pytest.approx(macs_m, abs=0.06)
    assert all(block.out_channels % 8 == 0 for *_, block in made.blocks())


@pytest.mark.parametrize(("channels", "rounded"), [(1, 8), (8, 8), (18, 24), (24.4, 24), (11.9, 16), (100, 104)])
def test_channels_are_multiples_of_8_no_more_than_a_tenth_below(channels: float, rounded: int) -> None:
    assert divisible(channels) == rounded


@pytest.mark.parametrize("name", ["mobilenet_v3_large", "mixnet_m", "rexnet_100", "syncnas_mnasnet_b1_100"])
def test_a_variant_of_any_model_is_a_network(name: str) -> None:
    made = variant(load_config(name), classes=10, input_size=160, width=0.75)
    assert (made.classes, made.input_size) == (10, 160) and made.name == f"{name}_w0.75_160px_10c"
    assert config_from_json(config_to_json(made), "x") == made
    assert variant(load_config(name)) == load_config(name)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"classes": 10}, "10 classes instead of 1000"),
        ({"input_size": 160}, "an input of 160 pixels instead of 224"),
        ({"width": 0.75}, "base mobilenet_v2_w0.75 instead of mobilenet_v2"),
        ({"classes": 2, "input_size": 96}, "2 classes instead of 1000, an input of 96 pixels instead of 224"),
    ],
)
def test_a_mismatch_names_both_values_wherever_a_profile_is_given(
    mobilenet: ModelConfig, changes: dict[str, float], says: str
) -> None:
    measured = law_profile(mobilenet)
    base, network = variant(mobilenet, **changes), variant(branched(mobilenet, "nnnnnna"), **changes)  # type: ignore[arg-type]
    for refused in (
        lambda: pipeline.predict(network, measured),
        lambda: pipeline.draw(network, Path("x.svg"), profile=measured),
        lambda: pipeline.draw(base, Path("x.svg"), profile=measured),
        lambda: pipeline.search(measured, base, evaluator="capacity"),
    ):
        with pytest.raises(ProfileMismatch) as caught:
            refused()
        assert says in str(caught.value)


def test_a_profiles_own_base_need_not_be_named_again(mobilenet: ModelConfig) -> None:
    own = variant(mobilenet, classes=10)
    found = pipeline.search(law_profile(own), own.name, evaluator="capacity", settings=_two_trials())
    assert found.config.classes == 10


def _two_trials():  # type: ignore[no-untyped-def]
    from syncnas_deploy.search.loop import SearchSettings

    return SearchSettings(trials=2)
