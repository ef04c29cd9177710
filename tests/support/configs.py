"""Configs that tests write as text."""

from __future__ import annotations

from syncnas_deploy.errors import ConfigError
from syncnas_deploy.files.documents import parse_json
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_from_json


def parse_config(text: str, where: str) -> ModelConfig:
    """A config from text; `where` names it in messages."""
    return config_from_json(parse_json(text, where, ConfigError), where)
