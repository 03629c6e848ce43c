"""The nine kinds of values: how they are stored, parsed from JSON and text, and written as JSON.

Stored forms, chosen to be small and immutable:

=================  ==============================  =======================================
kind               stored as                       JSON out
=================  ==============================  =======================================
Blob               bytes                           padded base64
Bool               bool                            true, false
Choice             the label, str                  label
EntityList         tuple of ids                    [id or {"missing": id}, ...]
EntityReference    id, 0 = null                    id, null or {"missing": id}
Float              float, finite                   shortest form that round-trips
Int                int, signed 64-bit              number
String             str                             string
Timestamp          int, ns since 1970              RFC 3339 UTC
=================  ==============================  =======================================

`None` is never a stored value: the store uses it for "unset, reads as the default". A JSON string is
parsed by the field's kind, any other JSON value must have the kind itself (an Int may go into a Float).
Ids inside references are turned into numbers by a resolver that the store gives, as only it knows paths.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from qcore.model.errors import BadParams, BadValue, RequestError, TooLarge
from qcore.model.ids import is_digits
from qcore.model.quoting import listed, shown
from qcore.model.times import format_time, parse_time

__all__ = [
    "INT_MAX",
    "INT_MIN",
    "MAX_SIZE",
    "PLAIN",
    "ZEROS",
    "Kind",
    "Labels",
    "Resolve",
    "Stored",
    "check_size",
    "parse_value",
    "value_to_json",
]

T = TypeVar("T", str, bytes)

Stored = bytes | bool | str | tuple[int, ...] | float | int
"""A value as the store holds it."""

Resolve = Callable[[Any], int]
"""Turns any id form into the id of an entity that exists, or raises."""

INT_MIN, INT_MAX = -(2**63), 2**63 - 1


class Kind(StrEnum):
    """The kind of a field."""

    Blob = "Blob"
    Bool = "Bool"
    Choice = "Choice"
    EntityList = "EntityList"
    EntityReference = "EntityReference"
    Float = "Float"
    Int = "Int"
    String = "String"
    Timestamp = "Timestamp"


MAX_SIZE = 8 << 20
"""Characters of a String, bytes of a Blob: what one answer can carry, however it has to be escaped."""

ZEROS: dict[Kind, Stored] = {
    Kind.Blob: b"",
    Kind.Bool: False,
    Kind.EntityList: (),
    Kind.EntityReference: 0,
    Kind.Float: 0.0,
    Kind.Int: 0,
    Kind.String: "",
    Kind.Timestamp: 0,
}
"""What an unset field without default reads as; a Choice reads as its first label."""


class Labels(tuple[str, ...]):
    """The labels of a Choice, in their order; there may be many."""

    _places: dict[str, str]

    def find(self, text: str) -> str | None:
        """The label that is this text, always the same object."""
        try:
            places = self._places
        except AttributeError:
            places = self._places = {label: label for label in self}
        return places.get(text)


def _fail(field: str, expected: str, given: object) -> BadValue:
    return BadValue(f"field {field}: expected {expected}, given {shown(given)}", field=field)


def check_size(field: str, value: T) -> T:
    """Return a String or Blob.

    Raises:
        TooLarge: it has more than `MAX_SIZE` characters or bytes.
    """
    if len(value) > MAX_SIZE:
        raise TooLarge(f"field {field}: a String has at most {MAX_SIZE} characters, a Blob as many bytes", field=field)
    return value


def _blob(field: str, value: Any) -> bytes:
    if isinstance(value, str):
        try:
            found = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            found = b""
        # decoders differ in what they overlook; what would be written the same is the same to all of them
        if base64.b64encode(found).decode("ascii") == value:
            return check_size(field, found)
    elif isinstance(value, bytes):
        return check_size(field, value)
    raise _fail(field, "a Blob as padded base64", value)


_BOOLS = {"true": True, "1": True, "false": False, "0": False}


def _bool(field: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _BOOLS:
        return _BOOLS[value]
    raise _fail(field, "a Bool (true, false, 1 or 0)", value)


def _integer(text: str) -> int | None:
    digits = text[1:] if text[:1] in ("-", "+") else text
    return int(text) if is_digits(digits) and len(digits) <= 40 else None


def _int(field: str, value: Any) -> int:
    number = _integer(value) if isinstance(value, str) else value
    if type(number) is int and INT_MIN <= number <= INT_MAX:
        return number
    raise _fail(field, "an Int (signed 64-bit)", value)


_FLOAT_CHARS = frozenset("0123456789+-.eE")


def _float(field: str, value: Any) -> float:
    if isinstance(value, str):
        number: Any = None
        if value and _FLOAT_CHARS.issuperset(value):
            try:
                number = float(value)
            except ValueError:
                number = None
    else:
        number = value
    if type(number) is int:
        try:
            number = float(number)
        except OverflowError:
            number = None
    if type(number) is float and math.isfinite(number):
        return number
    raise _fail(field, "a finite Float", value)


def _string(field: str, value: Any) -> str:
    if isinstance(value, str):
        return check_size(field, value)
    raise _fail(field, "a String", value)


def _timestamp(field: str, value: Any) -> int:
    number: Any = value
    if isinstance(value, str):
        number = _integer(value)
        if number is None:
            number = parse_time(value)
    if type(number) is int and INT_MIN <= number <= INT_MAX:
        return number
    raise _fail(field, "a Timestamp (RFC 3339, or integer nanoseconds since 1970, of the years 1677-2262)", value)


def _choice(field: str, value: Any, labels: Sequence[str]) -> str:
    if isinstance(value, str):
        label = labels.find(value) if isinstance(labels, Labels) else Labels(labels).find(value)
        if label is not None:
            return label
        value_index = _integer(value)
    else:
        value_index = value if type(value) is int else None
    if value_index is not None and 0 <= value_index < len(labels):
        return labels[value_index]
    raise _fail(field, f"one of the labels {listed(labels)} or an index 0..{len(labels) - 1}", value)


def _reference(field: str, value: Any, resolve: Resolve) -> int:
    if value is None or value == "null":
        return 0
    if type(value) is int or isinstance(value, str):
        return _resolved(field, value, resolve)
    raise _fail(field, "an EntityReference (an entity id in any form, or null)", value)


def _resolved(field: str, form: int | str, resolve: Resolve) -> int:
    try:
        return resolve(form)
    except RequestError as exc:
        refused = BadValue if isinstance(exc, BadParams) else type(exc)
        text = f"field {field}: expected an entity that exists, given {shown(form)} ({exc.message})"
        raise refused(text, field=field) from None


def _list(field: str, value: Any, resolve: Resolve, max_list: int | None) -> tuple[int, ...]:
    items = value
    if isinstance(value, str):
        try:
            items = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            items = None
    if not isinstance(items, list) or not all(type(item) is int or isinstance(item, str) for item in items):
        raise _fail(field, "an EntityList such as [1,2]", value)
    if max_list is not None and len(items) > max_list:
        raise TooLarge(f"field {field}: a list has at most {max_list} elements, {len(items)} given", field=field)
    return tuple([_resolved(field, item, resolve) for item in items])


def parse_value(
    kind: Kind, field: str, value: Any, labels: Sequence[str], resolve: Resolve, max_list: int | None = None
) -> Stored:
    """Turn a JSON value into the stored form of `kind`.

    Duplicates in a list are kept: whether they are an error depends on the mode of the write.

    Raises:
        BadValue: names field, expected and given.
        NotFound, WrongKind: what `resolve` says, and the same.
        TooLarge: a list of more than `max_list` elements; none of them is resolved then.
    """
    plain = PLAIN.get(kind)
    if plain is not None:
        return plain(field, value)
    if kind is Kind.Choice:
        return _choice(field, value, labels)
    if kind is Kind.EntityReference:
        return _reference(field, value, resolve)
    return _list(field, value, resolve, max_list)


PLAIN: dict[Kind, Callable[[str, Any], Stored]] = {
    Kind.Blob: _blob,
    Kind.Bool: _bool,
    Kind.Float: _float,
    Kind.Int: _int,
    Kind.String: _string,
    Kind.Timestamp: _timestamp,
}
"""Parsers of the kinds that need nothing but the field's name and the value."""


def value_to_json(kind: Kind, value: Any, exists: Callable[[int], bool]) -> Any:
    """Turn a stored value into what goes out as JSON; `exists` tells missing references apart."""
    match kind:
        case Kind.Int | Kind.String | Kind.Float | Kind.Bool | Kind.Choice:
            return value
        case Kind.EntityReference:
            if value == 0:
                return None
            return value if exists(value) else {"missing": value}
        case Kind.EntityList:
            return [item if exists(item) else {"missing": item} for item in value]
        case Kind.Timestamp:
            return format_time(value)
        case Kind.Blob:
            return base64.b64encode(value).decode("ascii")
