"""What a bundle is written in: segments or one graph, .tflite or .onnx, and the text that apps read."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from syncnas_deploy import bundle as bundles
from syncnas_deploy import pipeline
from syncnas_deploy.bundle import Bundle, read_bundle
from syncnas_deploy.bundle_formats import FORMATS
from syncnas_deploy.cli import cli
from syncnas_deploy.errors import BundleError, OutputError
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import config_text, load_config
from syncnas_deploy.networks.lowering import network_graph
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_exporters import TfliteRunner, UnknownOpset, difference, nchw, run_onnx
from tests.support.bundle_cases import manifest_of, seeded_bundle
from tests.support.configs import parse_config
from tests.support.picture_cases import small_branched, small_config

CONFIG = small_branched()


def deep() -> ModelConfig:
    """With squeeze-and-excitation, kernels that share channels, groups, and partial residuals."""
    return parse_config(config_text(load_config("mixnet_m")).replace('"input_size": 224', '"input_size": 32'), "deep")


@pytest.mark.parametrize(
    ("network", "strategy"),
    [(small_config(), "nca"), (small_config(), "acc"), (small_config(), "nna"), (deep(), "cannaac")],
)
@pytest.mark.parametrize("placement", [Placement(), Placement(1), Placement(0, True), Placement(1, True)])
def test_two_branches_as_one_graph_compute_what_the_segments_do(
    network: ModelConfig, strategy: str, placement: Placement, tmp_path: Path
) -> None:
    config = branched(network, strategy, placement=placement)
    made = seeded_bundle(tmp_path / "b", config, formats=("tflite", "onnx"), whole=True)
    image, logits = made.reference()
    assert {"whole.tflite", "whole.onnx"} <= made.files.keys()
    (found,) = TfliteRunner(made.folder / "whole.tflite").run("whole", {"image": image}).values()
    assert difference(found, logits).max_rel <= 1e-5
    (found,) = run_onnx((made.folder / "whole.onnx").read_bytes(), {"image": nchw(image)}).values()
    assert difference(found, logits).max_rel <= 1e-3
    graph = onnx.load(made.folder / "whole.onnx").graph
    assert [value.name for value in graph.input] == ["image"] and len(graph.output) == 1


def test_a_base_model_is_one_graph_anyway(tmp_path: Path) -> None:
    made = seeded_bundle(tmp_path / "b", small_config(), formats=("tflite", "onnx"), whole=True)
    assert sorted(made.files) == ["branch0.tflite", "network.txt", "reference.npz", "whole.onnx"]


def test_a_whole_graph_that_computes_something_else_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = random_weights(parameter_shapes(CONFIG), 1)
    monkeypatch.setattr(bundles, "network_graph", lambda config, _, name: network_graph(config, other, name))
    with pytest.raises(BundleError, match="as one graph it computes something else than its segments"):
        seeded_bundle(tmp_path / "b", CONFIG, whole=True)
    assert not (tmp_path / "b").exists()


def test_an_opset_can_be_chosen_or_is_refused(tmp_path: Path) -> None:
    for opset in (14, 17, 21):
        made = seeded_bundle(tmp_path / str(opset), CONFIG, formats=("onnx",), opset=opset)
        files = [onnx.load(path) for path in made.folder.glob("*.onnx")]
        assert files and all(file.opset_import[0].version == opset for file in files)
    with pytest.raises(UnknownOpset, match="there is no opset 12 here; choose one from 14 to"):
        seeded_bundle(tmp_path / "b", CONFIG, formats=("onnx",), opset=12)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(("formats", "found"), [(("bogus",), "bogus"), (("tflite", "caffe"), "caffe"), ((), "none")])
def test_an_unknown_format_is_refused_with_the_known_ones(formats: tuple[str, ...], found: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"--format is any of tflite, onnx, found '{found}'; give one of them"):
        pipeline.export("mobilenet_v2", tmp_path / "b", formats=formats)
    assert not list(tmp_path.iterdir())


def test_the_command_offers_the_formats_of_the_table() -> None:
    option = next(p for p in cli.commands["export"].params if p.name == "formats")
    assert list(option.type.choices) == list(FORMATS)  # type: ignore[attr-defined]


def test_each_format_writes_its_files(tmp_path: Path) -> None:
    onnx = seeded_bundle(tmp_path / "onnx", CONFIG, formats=("onnx",))
    assert sorted(onnx.files) == sorted([*(f"{s.name}.onnx" for s in onnx.segments), "reference.npz"])
    with pytest.raises(BundleError, match="--format tflite"):
        onnx.tflite(0)


def test_network_txt_is_what_the_library_for_apps_reads(bundle: Bundle) -> None:
    lines = bundle.network().read_text(encoding="ascii").splitlines()
    assert lines[:3] == ["syncnas-network 1", "input 1 32 32 3", "output 1 4"]
    assert lines[3:5] == [f"file branch{b}.tflite {bundle.files[f'branch{b}.tflite']}" for b in (0, 1)]
    calls = [line.split()[1:4] for line in lines if line.startswith("call ")]
    assert sorted(calls) == sorted([str(s.phase), str(s.branch), s.name] for s in bundle.segments)


@pytest.mark.parametrize("formats", [("tflite",), ("onnx",)])
def test_a_bundle_without_network_txt_is_read_and_told_to_be_exported_again(
    formats: tuple[str, ...], tmp_path: Path
) -> None:
    older = seeded_bundle(tmp_path / "b", CONFIG, formats=formats)
    with manifest_of(older.folder) as manifest:
        if manifest["files"].pop("network.txt", None):
            (older.folder / "network.txt").unlink()
    with pytest.raises(BundleError, match=r"holds no network\.txt; export it again with --format tflite"):
        read_bundle(older.folder).network()
