"""What msgspec found wrong with a document, as the sentence that a user reads.

msgspec names the place and one broken bound (``Expected `int` >= 4 - at `$.points[0].width` ``). The sentence adds the
whole range, what was found there, and what to do.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec.inspect as inspect

_PLACE = re.compile(r" - at (?P<key>`key` in )?`\$(?P<path>.*)`$", re.DOTALL)
_STEP = re.compile(r"\.(?P<field>[^.\[]+)|\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])")
_EXTRA = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(.*)`$", re.DOTALL)
_ABSENT = object()


def sentence(schema: Any, value: object, message: str) -> str:
    """The end of a sentence, from the field's name on.

    Args:
        schema: the type that `value` should have had.
        value: the JSON value.
        message: of the `msgspec.ValidationError`.
    """
    place = _PLACE.search(message)
    path = place["path"] if place else ""
    problem = message[: place.start()] if place else message
    if found := _MISSING.match(problem):
        return f"{_name(path, found[1])} is missing; add it."
    if found := _EXTRA.match(problem):
        return f"{_name(path, found[1])} is not a known field; remove it or correct its name."
    if not problem.startswith(("Expected ", "Invalid ", "Integer ")):  # a schema's own check
        return f"{_name(path)} {problem}." if path else f"{problem[:1].upper()}{problem[1:]}."
    kind, item = _look(inspect.type_info(schema), value, path)
    shown = "" if item is _ABSENT else f", found {_shown(item)}"
    if place and place["key"]:
        return f"{_name(path)}: a name in it must be {_described(_plain(kind).key_type)}; correct it."
    wanted = "another value" if kind is None else _described(kind)
    return f"{_name(path) if path else 'the document'} must be {wanted}{shown}; correct it."


def kind_of(value: object) -> str:
    """What a JSON value is, for messages."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def short(value: object) -> str:
    """A JSON value for messages: its text, cut after 40 characters."""
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):
        text = kind_of(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _name(path: str, field: str = "") -> str:
    whole = f"{path}.{field}" if field else path
    return repr(whole.removeprefix(".")[:120])


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return kind_of(value) if isinstance(value, dict) or value is None else short(value)


def _look(kind: Any, value: Any, path: str) -> tuple[Any, Any]:
    """Type and value at a path; None for a type that cannot be told, `_ABSENT` for a value."""
    for step in _STEP.finditer(path):
        kind = _inside(_plain(kind), step)
        if step["field"] is not None:
            value = value.get(step["field"], _ABSENT) if isinstance(value, dict) else _ABSENT
        elif step["index"] is not None and isinstance(value, list) and int(step["index"]) < len(value):
            value = value[int(step["index"])]
        else:
            value = _ABSENT
    return kind, value


def _plain(kind: Any) -> Any:
    """A type without its description, and of ``X | None`` the X."""
    if isinstance(kind, inspect.Metadata):
        return _plain(kind.type)
    if isinstance(kind, inspect.UnionType):
        others = [other for other in kind.types if not isinstance(other, inspect.NoneType)]
        return _plain(others[0]) if len(others) == 1 else kind
    return kind


def _inside(kind: Any, step: re.Match[str]) -> Any:
    if isinstance(kind, (inspect.StructType, inspect.DataclassType, inspect.TypedDictType, inspect.NamedTupleType)):
        return next((field.type for field in kind.fields if field.encode_name == step["field"]), None)
    if isinstance(kind, inspect.TupleType) and step["index"] is not None:
        position = int(step["index"])
        return kind.item_types[position] if position < len(kind.item_types) else None
    if isinstance(kind, inspect.DictType):
        return kind.value_type
    return getattr(kind, "item_type", None)


def _described(kind: Any) -> str:
    """What a value of this type is, its range included."""
    if isinstance(kind, inspect.Metadata):
        return str((kind.extra_json_schema or {}).get("description") or _described(kind.type))
    if isinstance(kind, inspect.UnionType):
        return " or ".join(_described(other) for other in kind.types)
    if isinstance(kind, inspect.LiteralType):
        return f"one of {', '.join(map(str, kind.values))}"
    if isinstance(kind, inspect.EnumType):
        return f"one of {', '.join(str(member.value) for member in kind.cls)}"
    if isinstance(kind, (inspect.IntType, inspect.FloatType)):
        noun = "an integer" if isinstance(kind, inspect.IntType) else "a number"
        return f"{noun}{_range(kind)}"
    if isinstance(kind, inspect.StrType):
        return f"a string{_lengths(kind, 'characters')}"
    if isinstance(kind, inspect.TupleType):
        return f"a list of {len(kind.item_types)} items"
    if isinstance(kind, inspect.CollectionType):
        return f"a list{_lengths(kind, 'items')}"
    if isinstance(kind, inspect.BoolType):
        return "true or false"
    return "null" if isinstance(kind, inspect.NoneType) else "an object"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge:g} to {kind.le:g}" if isinstance(kind.ge, float) else f" from {kind.ge} to {kind.le}"
    bounds = [
        f" {words} {bound}"
        for words, bound in (
            ("of at least", kind.ge),
            ("of at most", kind.le),
            ("above", kind.gt),
            ("below", kind.lt),
        )
        if bound is not None
    ]
    return " and".join(bounds)


def _lengths(kind: Any, noun: str) -> str:
    low, high = kind.min_length, kind.max_length
    if low is None and high is None:
        return ""
    if low == high:
        return f" of {low} {noun}"
    if low is None or high is None:
        return f" of at {'most' if low is None else 'least'} {high if low is None else low} {noun}"
    return f" of {low} to {high} {noun}"
