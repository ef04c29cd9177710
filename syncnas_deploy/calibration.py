"""Calibration: the ranges of a network's tensors over some pictures, which int8 files are made with.

A calibration is a small JSON document. It is of one network: its config and its weights.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

import syncnas_deploy
from syncnas_deploy.errors import CalibrationError
from syncnas_deploy.files.documents import Schema, Sha256, Text, decode_document, read_json
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_to_json
from syncnas_deploy.networks.weights import Weights
from syncnas_exporters.ranges import Ranges

SCHEMA = "syncnas-deploy/calibration"
VERSION = 1

_Value = Annotated[float, Meta(ge=-1e30, le=1e30)]
"""A tensor's value; scales of a range beyond that are no float32."""
TensorRange = tuple[_Value, _Value]


class Calibrated(Schema, frozen=True):
    """What calibrated: how many pictures, the name of their folder, the seed that chose them, their pixels' sha256."""

    pictures: Annotated[int, Meta(ge=2, le=1_000_000)]
    folder: Text
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    sha256: Sha256


class Calibration(Schema, frozen=True):
    """Smallest and largest value of every computed tensor, by segment and tensor.

    Attributes:
        network: sha256 of the config and weights that ran, see `network_digest`.
        by: the pictures.
    """

    schema: Text
    made_by: Text
    network: Sha256
    by: Calibrated
    ranges: dict[Text, dict[Text, TensorRange]]

    def __post_init__(self) -> None:
        if not self.ranges:
            raise ValueError("there are no ranges in it; calibrate again")
        for name, ranges in self.ranges.items():
            for tensor, (low, high) in ranges.items():
                if low > high:
                    raise ValueError(f"the range of {name}/{tensor} is {low:g} to {high:g}; calibrate again")

    def check(self, network: str, where: str) -> None:
        """Refuse to be used for another network.

        Raises:
            CalibrationError: it is of another one.
        """
        if self.network != network:
            raise CalibrationError(f"{where}: is the calibration of another network or other weights; calibrate again.")


def new_calibration(network: str, by: Calibrated, ranges: dict[str, Ranges]) -> Calibration:
    """A calibration that was just made."""
    made_by = f"syncnas-deploy {syncnas_deploy.__version__}"
    return Calibration(f"{SCHEMA}/{VERSION}", made_by, network, by, {name: dict(r) for name, r in ranges.items()})


def network_digest(config: ModelConfig, weights: Weights) -> str:
    """sha256 of a network: its config, and names and values of its weights."""
    digest = hashlib.sha256(json.dumps(config_to_json(config), sort_keys=True).encode())
    for name in sorted(weights):
        digest.update(f"\n{name} {weights[name].shape} {weights[name].dtype}\n".encode())
        digest.update(weights[name].tobytes())
    return digest.hexdigest()


def read_calibration(path: Path) -> Calibration:
    """Read a calibration.

    Raises:
        CalibrationError: naming file, field and remedy.
    """
    try:
        value = read_json(path, CalibrationError)
    except CalibrationError as error:
        if isinstance(error.__context__, OSError):
            raise
        value = None
    if not isinstance(value, dict) or not str(value.get("schema")).startswith(f"{SCHEMA}/"):
        raise CalibrationError(f"{path}: is no calibration; give a folder of pictures or a bundle's calibration.json.")
    return decode_document(Calibration, value, str(path), CalibrationError, version=(SCHEMA, VERSION))


def calibration_to_json(calibration: Calibration) -> object:
    """A JSON value that `read_calibration` reads."""
    return msgspec.to_builtins(calibration)
