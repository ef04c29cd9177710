"""What the documents say of installing is true: extras, their packages, and the lines to give."""

from __future__ import annotations

import re
import shlex
import sys

import pytest

from syncnas_deploy.cli.exit_codes import EXTRAS
from syncnas_deploy.pipeline import toolchain
from tests.support.documents import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WHEEL = r"dist/syncnas_deploy-[\d.]+-py3-none-any\.whl"


def test_all_is_every_extra_and_each_package_has_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    (all_of_them,) = extras["all"]
    named = set(re.findall(r"\w+", all_of_them.partition("[")[2]))
    assert named == extras.keys() - {"all", "dev", "docs"}
    assert set(EXTRAS.values()) | {"bench"} == named == {*toolchain.EXTRAS, "bench"}


@pytest.mark.parametrize("name", ["README.md", "docs/install.md", "docs/notebook.ipynb"])
def test_install_lines_name_what_is_there(name: str) -> None:
    """A checkout (``.``), its wheel, or this package where it is installed already: it is on no index."""
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = re.findall(r"pip install ([^`\n]+)", text)
    assert lines or name.endswith(".ipynb")
    for words in (shlex.split(line) for line in lines):
        target, _, extras = words[-1].rstrip("]").partition("[")
        assert target in (".", "syncnas-deploy") or re.fullmatch(
            r"dist/syncnas_deploy-[*\d.]+-py3-none-any\.whl", target
        )
        assert set(filter(None, extras.split(","))) <= {*toolchain.EXTRAS, "all", "bench"}
