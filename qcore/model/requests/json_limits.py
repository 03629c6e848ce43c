"""How many values, keys and containers the JSON of a request may have: counted in its text, before they are made.

A decoder makes an object of each before anybody can count them, and nobody else is served meanwhile. What is counted
first is a bound, as commas and brackets stand in texts, too; where it is too high, those are left out.
"""

from __future__ import annotations

from typing import NamedTuple

from qcore.model.errors import TooLarge
from qcore.model.schema import MAX_COMPLETE

__all__ = ["SIZED_JSON", "JsonLimits", "check_array", "check_params", "check_request"]

SIZED_JSON = 256 << 10
"""Bytes up to which a text has no more of anything than `check_params` lets pass."""

_VALUES = 2_000_000
_VALUES_PER_REQUEST = 200
_BESIDE_PARAMS = 10_000

_PUNCTUATION = b",:[{"
_BUT_PUNCTUATION = bytes(byte for byte in range(256) if byte not in _PUNCTUATION)
_BUT_MARKS = bytes(byte for byte in _BUT_PUNCTUATION if byte != ord('"'))


class JsonLimits(NamedTuple):
    """How many elements and members there are or may be, how many keys, and how many lists and objects."""

    values: int
    keys: int
    containers: int

    def holds(self, other: JsonLimits) -> bool:
        """Whether nothing of the other is more."""
        return self.values >= other.values and self.keys >= other.keys and self.containers >= other.containers


_FEW = JsonLimits(250_000, 250_000, 250_000)
_LISTS = JsonLimits(_VALUES, 250_000, 250_000)
_SCHEMAS = JsonLimits(_VALUES, 6 * MAX_COMPLETE + 10_000, 2 * MAX_COMPLETE + 10_000)
"""All properties of as many fields as all types may have, each with a list of labels."""

_MOST = {
    "set": _LISTS,
    "create": _LISTS,
    "field.set": _LISTS,
    "schema.set": _SCHEMAS,
    "pipeline": _SCHEMAS,
    "transaction": _SCHEMAS,
}
"""By method; all others have `_FEW`."""


def check_request(text: bytes, params: bytes) -> None:
    """Refuse a request with too much beside its params, which are looked at by themselves.

    Raises:
        TooLarge: names what there is too much of.
    """
    if len(text) - len(params) <= 2 * _BESIDE_PARAMS:  # each takes two bytes at least
        return
    most = JsonLimits(*(count + _BESIDE_PARAMS for count in _bound(params)))
    if not most.holds(_bound(text)) and not most.holds(_counted(_outside_texts(text))):
        raise TooLarge(f"a request has at most {_BESIDE_PARAMS} values, keys and containers beside its params")


def check_params(method: str, text: bytes, max_list: int) -> None:
    """Refuse params that would be too many objects in memory; a list may always have twice `max_list` elements.

    Raises:
        TooLarge: names what there is too much of.
    """
    most = _MOST.get(method, _FEW)
    if most is not _FEW:
        most = most._replace(values=max(most.values, 2 * max_list))
    _check(f"params of {method}", text, most)


def check_array(text: bytes, max_batch: int, max_list: int) -> None:
    """Refuse a batch array that nobody could take apart in short time; its requests are looked at one by one.

    Raises:
        TooLarge: names what there is too much of.
    """
    values = max(_VALUES, _VALUES_PER_REQUEST * max_batch, 2 * max_list)
    _check("a batch array", text, JsonLimits(values, len(text), len(text)))


def _check(what: str, text: bytes, most: JsonLimits) -> None:
    if most.holds(_bound(text)):
        return
    given = _counted(_outside_texts(text))
    for name, limit, count in zip(JsonLimits._fields, most, given, strict=True):
        if count > limit:
            raise TooLarge(f"{what}: at most {limit} {name}, {count} given")


def _bound(text: bytes) -> JsonLimits:
    return _counted(text.translate(None, _BUT_PUNCTUATION))


def _counted(marks: bytes) -> JsonLimits:
    return JsonLimits(marks.count(b","), marks.count(b":"), marks.count(b"[") + marks.count(b"{"))


def _outside_texts(text: bytes) -> bytes:
    """The punctuation that does not stand in texts."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = text.translate(None, _BUT_MARKS)
    marks = marks.replace(b'""', b"")  # most texts have none: what is left to take apart are the others
    return b"".join(marks.split(b'"')[::2])
