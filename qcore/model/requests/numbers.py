"""Numbers on the wire that no field can hold, such as 1e400 or one of 5,000 digits, and whose they are.

Nothing here is read unless the params were refused for one.
"""

from __future__ import annotations

import msgspec

__all__ = ["field_out_of_range"]

_decode_any = msgspec.json.Decoder().decode


class _Property(msgspec.Struct):
    name: str = ""
    default: msgspec.Raw = msgspec.Raw()


class _Schema(msgspec.Struct, rename={"type": "entityType"}):
    type: str = ""
    fields: list[_Property] = []
    default: msgspec.Raw = msgspec.Raw()


class _Valued(msgspec.Struct):
    field: str | None = None
    value: msgspec.Raw = msgspec.Raw()


class _Params(_Valued):
    """Everything in params that holds values of fields."""

    type: str = ""
    fields: dict[str, msgspec.Raw] | None = None
    expect: _Valued | None = None
    conditions: list[_Valued] = []
    schema: _Schema | None = None
    schemas: list[_Schema] | None = None


_decode_params = msgspec.json.Decoder(_Params).decode


def field_out_of_range(text: bytes) -> tuple[str, str] | None:
    """The field that such a number is meant for, and the value as it was given, cut; None if it is for none.

    Args:
        text: JSON of the params of any method, by name.
    """
    try:
        params = _decode_params(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    for name, value in _values(params):
        if _is_out_of_range(value):
            given = bytes(value).decode()
            return name, given if len(given) <= 80 else f"{given[:77]}..."
    return None


def _values(params: _Params) -> list[tuple[str, msgspec.Raw]]:
    found = [(params.field or "", params.value), *(params.fields or {}).items()]
    if params.expect is not None:
        found.append(("expect", params.expect.value))
    found += [(condition.field or "", condition.value) for condition in params.conditions]
    for schema in [*(params.schemas or ()), *([params.schema] if params.schema else ())]:
        found.append((f"{params.type}.{params.field}", schema.default))
        found += [(f"{schema.type}.{each.name}", each.default) for each in schema.fields]
    return found


def _is_out_of_range(value: msgspec.Raw) -> bool:
    try:
        if value:
            _decode_any(value)
    except msgspec.DecodeError as exc:
        return "out of range" in str(exc)
    except RecursionError:
        return False
    return False
