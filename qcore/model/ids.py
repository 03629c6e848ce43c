"""Identity: entity ids, names and the forms in which people write them.

An id is one unsigned 64-bit counter of the whole store, from 1; 0 means none. Only ASCII rules here:
nothing that apply depends on may change with Python's Unicode tables.
"""

from __future__ import annotations

from qcore.model.errors import BadParams, BadValue
from qcore.model.quoting import quoted

__all__ = [
    "MAX_GIVEN_ID",
    "MAX_ID",
    "MAX_NAME",
    "ROOT_ID",
    "check_entity_name",
    "is_digits",
    "is_epoch",
    "is_identifier",
    "parse_id",
    "split_typed_id",
]

MAX_ID = 2**64 - 1
MAX_GIVEN_ID = 2**63 - 2
"""Highest id that a store gives out and a document may give: the next one is still a signed 64-bit number."""
ROOT_ID = 1
MAX_NAME = 255

_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_REST = _FIRST | frozenset("0123456789")
_HEX = frozenset("0123456789abcdef")


def is_identifier(name: str) -> bool:
    """Whether `name` matches ``[A-Za-z_][A-Za-z0-9_]*``: the rule for type and field names."""
    return bool(name) and name[0] in _FIRST and _REST.issuperset(name)


def is_epoch(text: str) -> bool:
    """Whether a text names an epoch: 16 lower hex digits."""
    return len(text) == 16 and _HEX.issuperset(text)


def is_digits(text: str) -> bool:
    """Whether `text` is ASCII digits and nothing else."""
    return text.isascii() and text.isdigit()


def parse_id(text: str) -> int | None:
    """Return the id that ``12345`` or ``@12345`` writes, None where it is neither."""
    digits = text.removeprefix("@")
    if not is_digits(digits) or len(digits) > 20:
        return None
    return int(digits)


def split_typed_id(text: str) -> tuple[str, int]:
    """Split ``Type$12345`` into type and id.

    Raises:
        BadParams: the text is no id in any form; names the likely slip.
    """
    kind, dollar, digits = text.partition("$")
    if dollar and is_identifier(kind) and is_digits(digits) and len(digits) <= 20:
        return kind, int(digits)
    raise BadParams(f"{quoted(text)} is no entity id; expected 123, @123, 'Type$123' or a path /Root/Name{_slip(text)}")


def _slip(text: str) -> str:
    stem = text.rstrip("0123456789")
    if stem != text and is_identifier(stem):
        return f" (a shell eats the $ in {stem}$... unless it stands in single quotes)"
    if text and is_identifier(text):
        return " (this looks like a type or name alone)"
    return ""


def check_entity_name(name: str) -> str:
    """Return `name` if an entity may bear it: 1..255 characters, no control characters.

    Raises:
        BadValue: says what is wrong with it.
    """
    if not 1 <= len(name) <= MAX_NAME:
        raise BadValue(f"an entity name has 1..{MAX_NAME} characters, {len(name)} given")
    if name.isascii() and name.isprintable():  # of ASCII the same in every Python
        return name
    for char in name:
        code = ord(char)
        if code < 32 or 127 <= code < 160 or code in (0x2028, 0x2029):
            raise BadValue(f"an entity name has no control characters; U+{code:04X} in {name!r}")
    return name
