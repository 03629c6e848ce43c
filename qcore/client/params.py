"""Params as JSON. What JSON would turn into something else is refused here, before anything is sent.

JSON has no NaN and no infinity: they would become null, which clears a reference. Bytes become base64, which is right
for the value of a Blob and wrong for a name. A datetime without a time zone is no moment.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from qcore.model.errors import BadParams
from qcore.model.wire import encode_json

__all__ = ["as_builtins", "encode_params"]

_BYTES = (bytes, bytearray, memoryview)
_HARMLESS = frozenset({str, int, bool, type(None)})

_VALUES = ("value", "default")
"""Names of params that hold a value, which may be a Blob's; the members of `fields` are values, too."""

_QUOTED = 100
"""Bytes or characters that are quoted of what was given."""


def as_builtins(record: Any) -> Any:
    """A record and all it holds as dicts, lists and plain values; bytes and datetimes stay what they are.

    Raises:
        TypeError: it holds what JSON has no form for.
    """
    return msgspec.to_builtins(record, builtin_types=(*_BYTES, datetime, Decimal))


def encode_params(method: str, params: Mapping[str, Any]) -> bytes:
    """The JSON of a method's params.

    Raises:
        BadParams: a number that is not finite, bytes that are no value, half a surrogate pair, a datetime without a
            time zone, or what cannot be written as JSON at all; quotes what was given.
    """
    try:
        plain = as_builtins(dict(params))
        for name, given in plain.items():
            if type(given) not in _HARMLESS:
                _check(given, f"params of {method}: {name}", _holds_value(name, given))
        return encode_json(plain)
    except UnicodeEncodeError as exc:
        raise BadParams(
            f"params of {method}: expected text, given {_cut(exc.object)}, in which {exc.object[exc.start]!r} stands "
            "for a byte that is not UTF-8, or is half a surrogate pair"
        ) from None
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise BadParams(f"params of {method} cannot be written as JSON: {exc}") from None


def _check(given: Any, where: str, is_value: bool) -> None:
    if isinstance(given, dict):
        _check_members(given, where, is_value)
    elif isinstance(given, list | tuple):
        if not _HARMLESS.issuperset(map(type, given)):
            for place, item in enumerate(given):
                _check(item, f"{where}[{place}]", is_value)
    elif isinstance(given, float | Decimal):
        if not (math.isfinite(given) if isinstance(given, float) else given.is_finite()):
            raise BadParams(f"{where}: expected a finite number, given {given!r}")
    elif isinstance(given, datetime):
        if given.utcoffset() is None:
            raise BadParams(f"{where}: expected a datetime with a time zone, given {given!r}")
    elif isinstance(given, _BYTES) and not is_value:
        raise BadParams(f"{where}: expected text, given {_quoted(given)}")


def _check_members(given: dict[Any, Any], where: str, is_value: bool) -> None:
    for name, item in given.items():
        if type(name) is not str:
            _check(name, f"{where}: a name", False)
        if type(item) not in _HARMLESS:
            _check(item, f"{where}.{name}", is_value or _holds_value(name, item))


def _holds_value(name: str, given: Any) -> bool:
    return name in _VALUES or (name == "fields" and isinstance(given, dict))


def _cut(text: str) -> str:
    return repr(text[:_QUOTED]) + (f"... ({len(text)} characters)" if len(text) > _QUOTED else "")


def _quoted(given: bytes | bytearray | memoryview) -> str:
    size = memoryview(given).nbytes
    return repr(bytes(given[:_QUOTED])) + (f"... ({size} bytes)" if size > _QUOTED else "")
