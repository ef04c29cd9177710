"""Where shipped data is: in the installed package, or in the checkout of an editable install."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """The folder `model_configs` or `device_profiles`, wherever this installation keeps it.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"{name} is missing from this installation; reinstall syncnas-deploy")


def shipped(name: str) -> dict[str, Path]:
    """Shipped JSON files of a folder by their stem, in name order."""
    return {path.stem: path for path in sorted(data_folder(name).glob("*.json"))}
