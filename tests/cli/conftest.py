"""The program, and a profile to give it."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction.profile_files import write_profile
from tests.support.latency_cases import law_profile


@pytest.fixture
def law(mobilenet: ModelConfig, tmp_path: Path) -> Path:
    """A profile file."""
    write_profile(tmp_path / "law.json", law_profile(mobilenet))
    return tmp_path / "law.json"
