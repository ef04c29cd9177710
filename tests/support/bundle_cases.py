"""Bundles for tests: written quickly, and with another manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from syncnas_deploy.bundle import Bundle, write_bundle
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.weights import parameter_shapes, random_weights


def seeded_bundle(folder: Path, config: ModelConfig, *, source: str = "a test", **options: Any) -> Bundle:
    """The files of a network with weights of seed 0."""
    return write_bundle(folder, config, random_weights(parameter_shapes(config), 0), source=source, **options)


@contextmanager
def manifest_of(folder: Path) -> Iterator[dict[str, Any]]:
    """What the manifest of a bundle says; changes are written back."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    yield manifest
    path.write_text(json.dumps(manifest))
