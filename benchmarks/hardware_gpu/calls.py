"""Step `calls`: where the time of a GPU call goes: submission, wait for the work, read-back by output size."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.hardware_gpu.budget import Size, Speed
from benchmarks.hardware_gpu.crossings import SIZES_BYTES, doubling
from benchmarks.hardware_gpu.session import OutOfTime, Session
from syncnas_bench import RunFailed, UnitUnavailable
from syncnas_bench.local import vulkan
from syncnas_deploy.networks.lowering import network_graph
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_exporters import write_tflite


def sizes(speed: Speed) -> list[Size]:
    """`count` is of milliseconds a model; a child process for both precisions."""
    models = len(SIZES_BYTES) + 1
    slowest_s = 10 * (speed.gpu_us + 10_000) / 1e6
    return [Size(2 * (2 * speed.setup_s + models * (ms / 1e3) + slowest_s), count=ms) for ms in (1000, 400, 100)]


def measure(session: Session, step: str, size: Size, folder: Path) -> None:
    """Time calls of the base and of graphs that do next to nothing, in both precisions."""
    weights = random_weights(parameter_shapes(session.base), 0)
    graphs = [network_graph(session.base, weights, "base"), *(doubling(n) for n in SIZES_BYTES)]
    files = []
    for graph in graphs:
        path = folder / f"{graph.name}.tflite"
        path.write_bytes(write_tflite([graph]))
        files.append(str(path))
    for precision in ("fp32", "fp16"):
        _child(session, step, precision, [str(size.count / 1e3), *files])


def selected_adapter(session: Session, step: str, folder: Path) -> str:
    """The GPU that LiteRT takes, in its own words; nothing where it does not tell."""
    path = folder / "probe.tflite"
    path.write_bytes(write_tflite([doubling(SIZES_BYTES[0])]))
    found = re.search(r"Selected adapter: (.+)", _child(session, step, "fp32", ["0", str(path)]))
    return found[1].strip() if found else ""


def _child(session: Session, step: str, precision: str, arguments: list[str]) -> str:
    """Have a child time calls; returns what LiteRT logged."""
    command = [sys.executable, "-m", f"{__package__}.call_times", precision, *arguments]
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            command, env=_environment(session), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        )
        try:
            # The lines end when the child does; a child that hangs is killed by its own time limit.
            lines, _ = child.communicate(timeout=session.deadline_s)
        except subprocess.TimeoutExpired:
            child.kill()
            lines, _ = child.communicate()
            _keep(session, step, precision, lines)
            raise OutOfTime(f"GPU calls in {precision} took longer than {session.deadline_s:.0f} s.") from None
        log.seek(0)
        text = log.read().decode("utf-8", "replace")
    _keep(session, step, precision, lines)
    if child.returncode != 0:
        last = text.strip().splitlines()[-1:] or ["it said nothing"]
        error = RunFailed(f"timing GPU calls in {precision} ended with code {child.returncode}: {last[0]}")
        error.log = text[-2000:]
        raise error
    return text


def _keep(session: Session, step: str, precision: str, lines: bytes) -> None:
    unit = str(session.gpu(precision))
    for line in lines.splitlines():
        values = json.loads(line)
        session.rows.add(step, "call", unit=unit, **values)
        if values["model"] != "base" and precision == "fp32" and values["output_bytes"] == SIZES_BYTES[0]:
            ns = values["ns"]
            call_us = (sorted(ns["run"])[len(ns["run"]) // 2] + sorted(ns["read"])[len(ns["read"]) // 2]) / 1e3
            session.learn(call_us=call_us)


def _environment(session: Session) -> dict[str, str]:
    """This process's, with its import path, and the software driver where that is asked for.

    Raises:
        UnitUnavailable: there is no software driver.
    """
    path = os.pathsep.join(entry for entry in (str(Path.cwd()), *sys.path) if entry)
    env = dict(os.environ) | {"PYTHONPATH": path}
    if not session.software:
        return env
    icd = vulkan.software_icd()
    if icd is None:
        raise UnitUnavailable("there is no software Vulkan driver here.")
    return env | {"VK_DRIVER_FILES": str(icd), "VK_ICD_FILENAMES": str(icd)}
