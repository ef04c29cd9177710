"""Drawings as they are read: what is said, where it stands, and whether it can be read in light and in dark."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from syncnas_bench import UnitError
from syncnas_deploy.errors import MissingDependency, OutputError, OutputExists, ProfileMismatch
from syncnas_deploy.networks.config import (
    BlockSpec,
    HeadSpec,
    ModelConfig,
    SqueezeExcite,
    StageSpec,
    StemSpec,
    SyncOp,
    branched,
)
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.segments import cut
from syncnas_deploy.networks.weights import parameter_count
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.prediction.predict import predict
from syncnas_deploy.prediction.profile_files import load_profile
from syncnas_deploy.report.drawing import png
from syncnas_deploy.report.drawing.architecture import draw
from syncnas_deploy.report.drawing.shares import HEAD, part_times_us, shares
from syncnas_deploy.report.drawing.svg import CHARACTER_EM, PALETTE, WIDE_EM, fit, text_width
from tests.support.latency_cases import law_profile

SVG = "{http://www.w3.org/2000/svg}"
SHELL = shutil.which("sh")
HOSTILE = "<b>&\"'</svg>\x00\u202e" + "W" * 200 + "網"

Box = tuple[float, float, float, float]


def tower(
    name: str, counts: tuple[int, ...], *, kernels: tuple[int, ...] = (5,), se: bool = False, wide: int = 1
) -> ModelConfig:
    """A base model of that many blocks a stage; odd stages halve the size."""
    width, size, stages = 16 * wide, 112, []
    for s, count in enumerate(counts):
        blocks = []
        for i in range(count):
            out = wide * (16 + 24 * s)
            stride = 2 if i == 0 and s % 2 else 1
            gate = SqueezeExcite(max(1, width // 4)) if se and s > 1 else None
            spec = BlockSpec(
                kernels if s else (3,), stride, width, 6 * width, out, size, "relu", None, gate, partial_residual=se
            )
            blocks.append(spec)
            width, size = out, spec.output_size
        stages.append(StageSpec((tuple(blocks),)))
    head = HeadSpec(width, 1984, "relu", post_pool_channels=1280 if se else None)
    return ModelConfig(name, StemSpec(16 * wide, "relu"), tuple(stages), head)


def uneven(config: ModelConfig) -> ModelConfig:
    """The same with one block less in a stage of branch 1."""
    first, second = config.stages[2].branches
    stages = list(config.stages)
    stages[2] = StageSpec((first, second[:-1]))
    return dataclasses.replace(config, stages=tuple(stages))


def model(name: str) -> ModelConfig:
    """The drawings that are looked at."""
    deep = tower("deep", (1, 4, 4, 4, 4, 3, 1))
    if name == "deep":
        return branched(deep, "nacncac", placement=Placement(1))
    if name == "uneven":
        return uneven(branched(deep, "nacncac"))
    if name == "six":
        return branched(tower("six", (1, 2, 3, 4, 2, 3), kernels=(3, 5, 7, 9), se=True), "ccanna")
    if name == "huge":
        base = tower(HOSTILE, (1, 2, 2), kernels=(3, 5, 7, 9, 11, 13, 15, 17), se=True, wide=200)
        return branched(base, "cac", name=HOSTILE)
    if name == "base":
        return tower("base", (1, 4, 4, 4, 4, 3, 1), se=True)
    return load_config(name)


NAMES = ("syncnas_mobilenet_v2_100", "mobilenet_v2", "deep", "uneven", "six", "huge", "base")
DRAWINGS = [(name, False) for name in NAMES] + [("syncnas_mobilenet_v2_100", True), ("mobilenet_v2", True)]


def narrow(base: ModelConfig) -> ModelConfig:
    """Two branches within the measured widths, with an ADD and two CONCATs."""
    half = [[16], *([max(16, b.expanded_channels // 2) for b in st.branches[0]] for st in base.stages[1:])]
    widths = Widths.of([half, half])
    return branched(base, "nanncnc", widths)


def drawing(name: str, timed: bool) -> ET.Element:
    """Parsed."""
    profile = load_profile("mobilenet_v2-sim-phone") if timed else None
    return ET.fromstring(draw(model(name), profile=profile))


@pytest.fixture(params=DRAWINGS, ids=[f"{name}{'+profile' if timed else ''}" for name, timed in DRAWINGS])
def root(request: pytest.FixtureRequest) -> ET.Element:
    """Each of the drawings."""
    return drawing(*request.param)


def groups(root: ET.Element, kind: str) -> list[ET.Element]:
    return [g for g in root.iter(f"{SVG}g") if kind in g.get("class", "").split()]


def title(group: ET.Element) -> str:
    return group.findtext(f"{SVG}title") or ""


def texts(element: ET.Element) -> list[str]:
    return [t.text or "" for t in element.iter(f"{SVG}text")]


def rect_box(rect: ET.Element) -> Box:
    x, y, width, height = (float(rect.get(key, "0")) for key in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def text_box(text: ET.Element) -> Box:
    """By the widest common monospace font, and ems for everything that is not ASCII."""
    size, content = float(text.get("font-size", "")), text.text or ""
    width = size * sum(0.61 if c.isascii() or c in "·…" else 1.0 for c in content)
    x, middle = float(text.get("x", "")), float(text.get("y", "")) - 0.35 * size
    x -= {"start": 0.0, "middle": width / 2, "end": width}[text.get("text-anchor", "start")]
    return x, middle - size / 2, x + width, middle + size / 2


def apart(a: Box, b: Box) -> bool:
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def inside(a: Box, b: Box) -> bool:
    return b[0] <= a[0] and b[1] <= a[1] and a[2] <= b[2] and a[3] <= b[3]


def strokes(path: ET.Element) -> Iterator[Box]:
    points = [tuple(map(float, pair)) for pair in re.findall(r"([-0-9.]+) ([-0-9.]+)", path.get("d", ""))]
    for (x1, y1), (x2, y2) in pairwise(points):
        yield min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def test_says_every_block_with_its_numbers(root: ET.Element, request: pytest.FixtureRequest) -> None:
    config = model(request.node.callspec.params["root"][0])
    found = {title(g): g for g in groups(root, "block")}
    assert len(found) == sum(1 for _ in config.blocks())
    for branch, stage, index, block in config.blocks():
        numbers = f"({block.in_channels}, {block.expanded_channels}, {block.out_channels})"
        kernels = "+".join(map(str, block.kernels))
        head = f"branch {branch}, stage {stage + 1}, block {index + 1}: {numbers}, k {kernels}, s {block.stride}"
        (group,) = (g for text, g in found.items() if text == head or text.startswith(head + ","))
        said = texts(group)
        assert [str(block.in_channels), str(block.expanded_channels), str(block.out_channels)] == [
            text for text in said if text.isdecimal()
        ]
        shown, _, stride = said[0].partition(" ")
        assert stride == f"s{block.stride}"
        assert shown == f"k{kernels}" or (len(block.kernels) > 5 and f"k{kernels}".startswith(shown.removesuffix("…")))
        se = block.squeeze_excite
        assert (f"SE {se.channels}" in said) if se else not any(text.startswith("SE") for text in said)
        assert ("residual" in title(group)) == block.adds_input
        assert (len(list(group.iter(f"{SVG}path"))) > 0) == block.adds_input
    stages = [title(g) for g in groups(root, "stage")]
    sizes = [stage.branches[0][-1].output_size for stage in config.stages]
    wanted = [f"stage {s + 1}: {size} px" for s, size in enumerate(sizes)]
    assert stages == [f"stem: {config.stem_size} px", *wanted, f"head: {config.classes} classes"]


def test_says_every_crossing_with_its_bytes(root: ET.Element, request: pytest.FixtureRequest) -> None:
    config = model(request.node.callspec.params["root"][0])
    found = groups(root, "crossing")
    if config.branch_count == 1:
        assert not found
        assert len(groups(root, "segment")) == 1
        return
    segments = cut(config)
    assert len(groups(root, "segment")) == len(segments)
    kinds = [op.name.lower() for op in config.sync_ops if op is not SyncOp.NONE]
    assert [g.get("class", "").split()[1] for g in found] == ["fork", *kinds]
    for phase, group in enumerate(found):
        said = texts(group)
        assert group.get("class", "").split()[1] in said
        members = [s for s in segments if s.phase == phase]
        # Only what the other branch needs crosses: the stem's output one way, the last features to the trunk alone.
        last = phase == segments[-1].phase - 1
        sent = [s for s in members if not (last and s.branch == config.trunk)]
        arrows = [f"← {s.output_bytes:,} B" if s.branch else f"{s.output_bytes:,} B →" for s in sent]
        assert [text for text in said if " B" in text] == arrows
        assert len(list(group.iter(f"{SVG}circle"))) == (0 if phase == 0 else 1 if last else 2)


def test_boxes_and_texts_keep_apart(root: ET.Element) -> None:
    boxes = []
    panels = [rect_box(next(g.iter(f"{SVG}rect"))) for g in groups(root, "segment")]
    for kind in ("block", "stem", "head"):
        for group in groups(root, kind):
            box = rect_box(next(group.iter(f"{SVG}rect")))
            boxes.append(box)
            assert sum(inside(box, panel) for panel in panels) == 1
            for text in group.iter(f"{SVG}text"):
                assert inside(text_box(text), box), text.text
    for several in (boxes, panels):
        assert all(apart(a, b) for a, b in combinations(several, 2))
    placed = [(text_box(text), text.text) for text in root.iter(f"{SVG}text")]
    for (a, said), (b, other) in combinations(placed, 2):
        assert apart(a, b), (said, other)
    for text, said in placed:
        assert all(apart(text, panel) or inside(text, panel) for panel in panels), said


def test_everything_is_on_the_page(root: ET.Element) -> None:
    _, _, width, height = map(float, root.get("viewBox", "").split())
    page = (0.0, 0.0, width, height)
    for rect in root.iter(f"{SVG}rect"):
        assert inside(rect_box(rect), page)
    for text in root.iter(f"{SVG}text"):
        assert inside(text_box(text), page), text.text
    for path in root.iter(f"{SVG}path"):
        assert all(inside(piece, page) for piece in strokes(path))


def test_no_line_runs_through_a_text(root: ET.Element) -> None:
    painted = list(root.iter())
    lines = [(at, piece) for at, e in enumerate(painted) if e.tag == f"{SVG}path" for piece in strokes(e)]
    rects = [(at, rect_box(e)) for at, e in enumerate(painted) if e.tag == f"{SVG}rect"]
    for text in root.iter(f"{SVG}text"):
        box = text_box(text)
        covers = [at for at, rect in rects if inside(box, rect)]
        for at, piece in lines:
            assert apart(box, piece) or any(cover > at for cover in covers), text.text


def luminance(colour: str) -> float:
    """Source: WCAG 2.1, relative luminance."""
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return sum(weight * v for weight, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_is_legible(root: ET.Element, theme: str) -> None:
    style = root.findtext(f"{SVG}style") or ""
    assert style.startswith("@media (prefers-color-scheme:dark){")
    dark = dict(re.findall(r"\.(f-\w+)\{fill:(#[0-9a-f]{6})\}", style))

    def fill(element: ET.Element) -> str:
        (role,) = (c for c in element.get("class", "").split() if c.startswith("f-"))
        return dark[role] if theme == "dark" else element.get("fill", "")

    painted: list[tuple[Box, str]] = []
    for element in root.iter():
        if element.tag == f"{SVG}rect":
            painted.append((rect_box(element), fill(element)))
        elif element.tag == f"{SVG}text":
            behind = [colour for box, colour in painted if inside(text_box(element), box)][-1]
            assert contrast(fill(element), behind) >= 4.5, (element.text, fill(element), behind)


def test_two_themes_differ_and_are_whole() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    for light, dark in PALETTE.values():
        assert re.fullmatch("#[0-9a-f]{6}", light)
        assert re.fullmatch("#[0-9a-f]{6}", dark)
        assert light != dark


def test_header_says_what_the_model_is(mobilenet: ModelConfig) -> None:
    config = load_config("syncnas_mobilenet_v2_100")
    found = texts(ET.fromstring(draw(config, units=("cpu:4", "gpu:fp16"))))
    assert config.name in found
    facts = " ".join(found)
    for fact in ("strategy annnana", f"{parameter_count(config):,} params", f"{config.macs() / 1e6:.1f} M MACs"):
        assert fact in facts
    assert "branch 0 on cpu:4" in found
    assert "branch 1 on gpu:fp16" in found
    assert not any("us" in text.split() for text in found)


def test_times_are_the_predicted_ones(mobilenet: ModelConfig) -> None:
    config = narrow(mobilenet)
    profile = law_profile(mobilenet)
    prediction = predict(config, profile)
    root = ET.fromstring(draw(config, profile=profile))
    found = texts(root)
    assert f"predicted latency {prediction.makespan_us:,.0f} us" in found
    assert any(text.startswith("SIMULATED") for text in found)
    assert "branch 1 on sim:right" in found
    said = {title(g).split(",")[0]: texts(g) for g in groups(root, "segment")}
    for phase in prediction.phases:
        for segment in phase.segments:
            wanted = f"{segment.solo_us:,.0f} us"
            if segment.solo_us != segment.concurrent_us:
                wanted += f" alone · {segment.concurrent_us:,.0f} us beside the other"
            assert wanted in said[segment.name]
    for group, phase in zip(groups(root, "crossing"), prediction.phases[:-1], strict=True):
        assert f"{phase.sync_us:,.1f} us" in texts(group)
    assert len(groups(root, "share")) == 2 + sum(1 for _ in config.blocks())


def test_parts_and_invocations_make_a_segment(mobilenet: ModelConfig) -> None:
    config = narrow(mobilenet)
    profile = law_profile(mobilenet)
    table, rows = profile.table, {}
    for phase in predict(config, profile).phases:
        rows |= {row.name: row for row in phase.segments}
    for segment in cut(config):
        unit = segment.branch
        whole = sum(part_times_us(segment, table, unit).values())
        whole += 0.0 if segment.stem else table.invocation_us(unit)
        if segment.sync is not SyncOp.NONE:
            assert segment.sync_stage is not None
            whole += table.fixed_us(unit, "sync", segment.sync_stage, segment.sync) - table.invocation_us(unit)
        assert whole == pytest.approx(rows[segment.name].solo_us)
    found = shares(config, profile)
    for branch in (0, 1):
        assert 0.7 < sum(share for (of, _), share in found.parts.items() if of == branch) < 1.0


def test_bars_are_as_long_as_shares() -> None:
    profile, config = load_profile("mobilenet_v2-sim-phone"), load_config("syncnas_mobilenet_v2_100")
    found = shares(config, profile)
    bars = groups(ET.fromstring(draw(config, profile=profile)), "share")
    lengths = sorted(float(next(g.iter(f"{SVG}rect")).get("width", "")) for g in bars)
    wanted = sorted(found.parts.values())
    assert [a / lengths[-1] for a in lengths] == pytest.approx([b / wanted[-1] for b in wanted], abs=1e-3)
    assert f"{100 * found.parts[0, HEAD]:.1f}%" in [text for g in bars for text in texts(g)]


def test_a_base_is_shown_on_the_faster_or_the_named_unit(mobilenet: ModelConfig) -> None:
    profile = load_profile("mobilenet_v2-sim-phone")
    times = [profile.table.network_us(unit) for unit in (0, 1)]
    faster = profile.units[times.index(min(times))]
    found = texts(ET.fromstring(draw(mobilenet, profile=profile)))
    assert f"one branch on {faster}" in found
    assert f"latency {min(times):,.0f} us, measured as one graph" in found
    for unit, us in zip(profile.units, times, strict=True):
        root = ET.fromstring(draw(mobilenet, profile=profile, units=(unit,)))
        assert f"latency {us:,.0f} us, measured as one graph" in texts(root)
        panel = next(groups(root, "segment")[0].iter(f"{SVG}rect"))
        assert panel.get("class") == f"f-tint{profile.units.index(unit)}"
        percents = [float(text.rstrip("%")) for g in groups(root, "share") for text in texts(g)]
        assert sum(percents) == pytest.approx(100.0, abs=0.05 * len(percents))


def test_what_does_not_fit_is_refused(mobilenet: ModelConfig) -> None:
    profile = law_profile(mobilenet)
    config = load_config("syncnas_mobilenet_v2_100")
    with pytest.raises(ProfileMismatch, match="differs from base"):
        draw(model("deep"), profile=profile)
    with pytest.raises(ProfileMismatch, match="measured for base"):
        draw(model("base"), profile=profile)
    with pytest.raises(ProfileMismatch, match="measured on sim:left and sim:right, not on cpu:1 and gpu"):
        draw(config, profile=profile, units=("cpu:1", "gpu"))
    with pytest.raises(ProfileMismatch, match="not on cpu:9"):
        draw(mobilenet, profile=profile, units=("cpu:9",))
    with pytest.raises(UnitError, match="has 2 branches, and units were named for 1"):
        draw(config, units=("cpu:1",))
    with pytest.raises(UnitError, match="has 1 branch, and units were named for 2"):
        draw(mobilenet, units=("cpu:1", "gpu"))


def test_software_gpu_is_labelled(mobilenet: ModelConfig) -> None:
    profile = msgspec.structs.replace(law_profile(mobilenet), kind="measured", units=("cpu:1", "gpu:software"))
    found = texts(ET.fromstring(draw(branched(mobilenet, "nnnnnna"), profile=profile)))
    assert any(text.startswith("SOFTWARE GPU") for text in found)
    assert not any(text.startswith("SIMULATED") for text in found)


def test_hostile_names_are_text_and_nothing_else() -> None:
    svg = draw(dataclasses.replace(model("six"), name=HOSTILE), units=("<script>", "]]>&amp;"))
    root = ET.fromstring(svg)
    assert {e.tag.removeprefix(SVG) for e in root.iter()} == {
        *("svg", "title", "desc", "style", "g", "rect", "circle", "path", "text")
    }
    assert root.findtext(f"{SVG}title") == HOSTILE.replace("\x00", "\ufffd").replace("\u202e", "\ufffd")
    assert "branch 0 on <script>" in texts(root)
    assert any(text.startswith("<b>&") and text.endswith("…") for text in texts(root))


def test_the_same_every_time() -> None:
    code = "import sys; from syncnas_deploy.report.drawing.architecture import draw; "
    code += "from syncnas_deploy.networks.formats import load_config; "
    code += "sys.stdout.write(draw(load_config('syncnas_mobilenet_v2_100')))"
    command = [sys.executable, "-c", code]
    there = subprocess.run(command, check=True, capture_output=True, encoding="utf-8", env={"PYTHONHASHSEED": "7"})
    assert there.stdout == draw(load_config("syncnas_mobilenet_v2_100"))


def test_texts_are_shortened_to_their_room() -> None:
    assert fit("abc", 10.0, 3 * 10 * CHARACTER_EM + 0.01) == "abc"
    assert fit("abcdef", 10.0, 3 * 10 * CHARACTER_EM + 0.01) == "ab…"
    assert text_width("網", 10.0) == pytest.approx(10 * WIDE_EM)
    assert text_width(fit("網" * 50, 12.0, 100.0), 12.0) <= 100.0


# PNG


def size_of_png(data: bytes) -> tuple[int, int]:
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def converter(folder: Path, name: str, script: str) -> None:
    """A program of that name that stands for the real one."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!{SHELL}\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No converter but those that a test puts into the folder."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setitem(sys.modules, "cairosvg", None)
    return tmp_path / "bin"


def test_png_by_an_installed_converter(tmp_path: Path) -> None:
    try:
        png.find_converter()
    except MissingDependency as e:
        pytest.skip(str(e))
    svg = draw(load_config("syncnas_mobilenet_v2_100"))
    png.render_png(svg, tmp_path / "a.png")
    _, _, width, height = map(float, ET.fromstring(svg).get("viewBox", "").split())
    assert size_of_png((tmp_path / "a.png").read_bytes()) == pytest.approx((2 * width, 2 * height), abs=2)
    with pytest.raises(OutputExists):
        png.render_png(svg, tmp_path / "a.png", force=False)


def test_png_without_a_converter_says_what_to_install(tmp_path: Path, nothing_installed: Path) -> None:
    with pytest.raises(MissingDependency, match=r"librsvg2-bin.*cairosvg"):
        png.render_png("<svg/>", tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_rsvg_convert_is_told_where_and_how_large(tmp_path: Path, nothing_installed: Path) -> None:
    script = f'for a in "$@"; do echo "$a"; done > "{tmp_path}/said"\nprintf done > drawing.png'
    converter(nothing_installed, "rsvg-convert", script)
    png.render_png(draw(load_config("mobilenet_v2")), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == "done"
    zoom, scale, output, target, source = (tmp_path / "said").read_text().splitlines()
    assert (zoom, scale, output) == ("--zoom", "2", "--output")
    assert target.endswith("drawing.png") and source.endswith("drawing.svg")


def test_cairosvg_is_told_where_and_how_large(
    tmp_path: Path, nothing_installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def svg2png(*, url: str, write_to: str, scale: float) -> None:
        Path(write_to).write_text(f"{Path(url).name} {scale:g}")

    monkeypatch.setitem(sys.modules, "cairosvg", SimpleNamespace(svg2png=svg2png))
    png.render_png(draw(load_config("mobilenet_v2")), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == "drawing.svg 2"


def test_a_failing_converter_is_named_and_leaves_nothing(tmp_path: Path, nothing_installed: Path) -> None:
    converter(nothing_installed, "rsvg-convert", "echo no more paint >&2; exit 3")
    with pytest.raises(OutputError, match=r"rsvg-convert could not convert the drawing \(no more paint\)"):
        png.render_png(draw(load_config("mobilenet_v2")), tmp_path / "a.png")
    converter(nothing_installed, "rsvg-convert", "exit 0")
    with pytest.raises(OutputError, match="No such file"):
        png.render_png(draw(load_config("mobilenet_v2")), tmp_path / "a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["bin"]


def test_a_drawing_too_large_for_converters_is_scaled_down(tmp_path: Path, nothing_installed: Path) -> None:
    converter(nothing_installed, "rsvg-convert", f'echo "$2" > "{tmp_path}/said"\nprintf done > drawing.png')
    png.render_png('<svg viewBox="0 0 100 60000"/>', tmp_path / "a.png")
    assert float((tmp_path / "said").read_text()) == pytest.approx(0.5)
