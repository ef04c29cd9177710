"""An evaluator that a user wrote: has it all that a search asks of it?"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, cast

from syncnas_deploy.errors import UnknownEvaluator
from syncnas_deploy.search.evaluators.evaluation import Evaluator


def checked(found: object) -> Evaluator:
    """An object of the user's, as an evaluator.

    Raises:
        UnknownEvaluator: it is none; the sentence names all that is missing or wrong.
    """
    what = f"an object of {type(found).__name__}"
    if inspect.isroutine(found) or isinstance(found, type):
        kind = "class" if isinstance(found, type) else "function"
        what, found = f"the {kind} {found.__name__} in place of an object", None
    missing = [name for name in _RIGHT if not hasattr(found, name)]
    faults = [f"has no {', '.join(missing)}"] if missing else []
    for name, (right, is_right) in _RIGHT.items():
        if name not in missing and not is_right(getattr(found, name)):
            faults.append(f"its {name} is not {right}")
    if faults:
        raise UnknownEvaluator(
            f"No evaluator: {what}: {', and '.join(faults)}; docs/own-evaluator.md has a class to begin with."
        )
    return cast(Evaluator, found)


def _is_plain(key: object) -> bool:
    try:
        return isinstance(key, dict) and json.loads(json.dumps(key)) == key
    except (TypeError, ValueError):
        return False


def _is_spread(spread: object) -> bool:
    return spread is None or (isinstance(spread, Real) and 0 <= float(spread) < math.inf)


def _takes_two(evaluate: Callable[..., object]) -> bool:
    try:
        inspect.signature(evaluate).bind("config", 0)
    except (TypeError, ValueError):
        return False
    return True


_RIGHT: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "name": ("a text", lambda name: isinstance(name, str)),
    "key": ("a dictionary of plain JSON", _is_plain),
    "cost": ("a text", lambda cost: isinstance(cost, str)),
    "spread": ("a number of 0 or more, or None", _is_spread),
    "evaluate": ("a method that takes (config, seed)", _takes_two),
}
"""What an evaluator has, and what each must be."""
