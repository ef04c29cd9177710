"""Placement: where stem and head run."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class Placement(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the parts run that both branches share.

    Attributes:
        trunk: the branch that runs stem and head, 0 or 1; always 0 in a base model.
        twin_stem: whether both branches compute the stem, each for itself. That is more work, but the stem's output
            does not have to cross.
    """

    trunk: Annotated[int, Meta(ge=0, le=1)] = 0
    twin_stem: bool = False
