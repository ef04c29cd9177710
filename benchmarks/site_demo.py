"""The files of the report on the site: a simulated phone, assessed.

python -m benchmarks.site_demo

It replaces docs/demo. `syncnas-deploy assess --device sim:shared --base mobilenet_v2 --evaluator zen` makes the
same, and `profile --device sim:shared --base mobilenet_v2 --unit sim:gpu --probe 7.1@704` the probe.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from syncnas_bench import SimDevice
from syncnas_deploy import pipeline

DEMO = Path(__file__).parents[1] / "docs" / "demo"
FILES = (
    "profile.json",
    "probe.json",
    "bench.json",
    "search/best.json",
    "search/history.csv",
    "search/front.csv",
    "search/verdict.json",
    "search/search.json",
)


def main() -> None:
    """Assess it, and keep what a page is made of."""
    with tempfile.TemporaryDirectory() as folder:
        settings = pipeline.AssessSettings(evaluator="zen")
        pipeline.assess(SimDevice("shared"), "mobilenet_v2", Path(folder), settings)
        pipeline.probe_widths("mobilenet_v2", SimDevice("shared"), "7.1@704", out=Path(folder) / "probe.json")
        shutil.rmtree(DEMO, ignore_errors=True)
        for name in FILES:
            (DEMO / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(folder) / name, DEMO / name)


if __name__ == "__main__":
    main()
