"""From JSON to dataclasses, tolerantly.

A newer server may say more than we know: unknown fields are passed over. What we need must be
there and of its type; else `UnreadableAnswer` names the field.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from functools import cache

from .errors import UnreadableAnswer

T = typing.TypeVar("T")


def read(kind: type[T], data: object, where: str = "") -> T:
    """A dataclass from a JSON object.

    Args:
        kind: A dataclass whose fields are JSON's types, dataclasses, tuples, lists, mappings, or
            a union of one of them with None.
        data: As `json.loads` gives it.
        where: Name of the place, for messages.

    Raises:
        UnreadableAnswer: A field is missing or of another type.
    """
    if not isinstance(data, dict):
        raise _misfit(where or kind.__name__, "an object", data)
    values: dict[str, typing.Any] = {}
    for field, hint in _fields(typing.cast(typing.Hashable, kind)):
        place = f"{where}.{field.name}" if where else field.name
        if field.name in data:
            values[field.name] = _value(hint, data[field.name], place)
        elif _required(field):
            raise UnreadableAnswer(
                f"The server's answer lacks {place!r}.",
                "Install the module and the server in versions that belong together.",
            )
    return kind(**values)


@cache
def _fields(kind: typing.Any) -> tuple[tuple[dataclasses.Field[typing.Any], typing.Any], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((field, hints[field.name]) for field in dataclasses.fields(kind) if field.init)


def _required(field: dataclasses.Field[typing.Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _value(hint: typing.Any, data: typing.Any, where: str) -> typing.Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if data is None:
            return None
        (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
        return _value(hint, data, where)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return read(hint, data, where)
    if origin in (tuple, list):
        return _sequence(origin, typing.get_args(hint), data, where)
    return _scalar(origin or hint, data, where)


def _sequence(
    origin: type, items: tuple[typing.Any, ...], data: typing.Any, where: str
) -> typing.Any:
    if not isinstance(data, list):
        raise _misfit(where, "a list", data)
    if origin is tuple and Ellipsis not in items:
        if len(data) != len(items):
            raise _misfit(where, f"a list of {len(items)}", data)
        kinds = items
    else:
        kinds = (items[0],) * len(data)
    return origin(
        _value(kind, entry, f"{where}[{number}]")
        for number, (kind, entry) in enumerate(zip(kinds, data, strict=True))
    )


def _scalar(kind: typing.Any, data: typing.Any, where: str) -> typing.Any:
    if kind is typing.Any or kind is object:
        return data
    is_number = isinstance(data, (int, float)) and not isinstance(data, bool)
    if kind is float and is_number:
        return float(data)
    if isinstance(data, kind) and (kind is not int or is_number):
        return data
    raise _misfit(where, _NAMES.get(kind, kind.__name__), data)


_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _misfit(where: str, expected: str, data: object) -> UnreadableAnswer:
    return UnreadableAnswer(
        f"The server's answer has {str(data)[:40]!r} for {where!r}, where {expected} belongs.",
        "Install the module and the server in versions that belong together.",
    )
