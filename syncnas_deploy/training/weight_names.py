"""Which tensors of a file are a network's weights, and what they are called here. torch is not needed.

Training programs wrap a network, and each wrapper leaves its name in front of the weights' names or in the middle:
``module.`` (DataParallel), ``_orig_mod.`` (torch.compile), ``model.`` or another attribute (Lightning), and the keys of
a checkpoint around the state dict. Beside the weights there may be a moving average of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from syncnas_deploy.errors import WeightsError
from syncnas_deploy.files.npz import Headers

OnNotice = Callable[[str], None]
"""Called with sentences for the user."""

_WRAPPER = re.compile(r"(?<![^.])(?:module|_orig_mod)\.")
_OURS = re.compile(r"(?:(?P<owner>.*?)\.)?(?P<name>(?:stem_conv|stages|stage\d+|head_conv|post_pool|classifier)\..+)")
_AVERAGE = re.compile(r"(?<![a-z])(?:ema|swa|averaged?)(?![a-z])")
_COUNTERS = ("num_batches_tracked", "n_averaged")
_FLOATS = ("float16", "bfloat16", "float32", "float64")
_REMEDIES = {
    "sparse": "save it with .to_dense()",
    "quantized": "save the weights from before the quantization",
    "complex": "save real numbers",
}


def is_ours(name: str) -> bool:
    """Whether a name ends as one of our weights' names does."""
    return _OURS.fullmatch(_WRAPPER.sub("", name)) is not None


def plain_names(headers: Headers, where: str, on_notice: OnNotice) -> dict[str, str]:
    """Our names of a file's weights, by the file's names.

    Counters are left out, and so is a moving average beside the weights; `on_notice` is told which of the two is taken.

    Raises:
        WeightsError: two weights have the same name.
    """
    names, owners = {}, {}
    for raw, header in headers.items():
        if raw.endswith(_COUNTERS) and math.prod(header.shape) == 1:
            continue
        bare = _WRAPPER.sub("", raw)
        found = _OURS.fullmatch(bare)
        names[raw] = found["name"] if found else bare
        if found:
            owners[raw] = found["owner"] or ""
    averages = {owner for owner in owners.values() if _AVERAGE.search(owner.lower())}
    if averages and averages >= set(owners.values()):
        on_notice(f"{where}: the moving average {min(averages)!r} is taken; there are no other weights.")
    elif averages:
        on_notice(f"{where}: the weights themselves are taken, not their moving average {min(averages)!r}.")
        names = {raw: name for raw, name in names.items() if owners.get(raw) not in averages}
    seen: dict[str, str] = {}
    for raw, name in names.items():
        if name in seen:
            raise WeightsError(f"{where}: has {name} twice, as {seen[name]} and as {raw}; save one network alone.")
        seen[name] = raw
    return names


def check_kinds(headers: Headers, names: dict[str, str], where: str) -> None:
    """Refuse tensors that are no plain floating-point numbers.

    Raises:
        WeightsError: naming the first such tensor and its kind.
    """
    for raw, name in names.items():
        kind = headers[raw].kind
        if kind not in _FLOATS:
            remedy = _REMEDIES.get(kind.split()[0].rstrip("0123456789"), "save the weights as float32")
            raise WeightsError(f"{where}: {name} is a tensor of kind {kind}, not of plain float numbers; {remedy}.")
