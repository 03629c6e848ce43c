"""What the functions of text share: which values they take, and what going through a text costs."""

from __future__ import annotations

from typing import Any

from qcore.store.cel.values import Choice, FilterError, Frame, charge, no_overload

__all__ = ["TEXT", "charge_search", "charge_text", "decoded", "take"]

TEXT = frozenset({str, Choice})
_KINDS = {"t": TEXT, "i": frozenset({int})}


def take(name: str, kinds: str, *values: Any) -> None:
    """Raise `FilterError` for operands of a function that are not of these kinds: `t` is text, `i` an int."""
    for kind, value in zip(kinds, values, strict=True):
        if type(value) not in _KINDS[kind]:
            raise no_overload(name, *values)


def charge_text(frame: Frame, length: int) -> None:
    """Take the steps of reading or writing so many characters once."""
    charge(frame, length >> 6)


def charge_search(frame: Frame, text: str, part: str) -> None:
    """Take the steps of looking for one text in another.

    Python's search is linear where both are long; in short texts, and for short parts of up to 30,000 characters, it
    may compare each character of the part at each place.
    """
    length, size = len(text), len(part)
    if length < 64:
        return
    compared = min(length, 30_000) * (size if length < 2_500 else min(size, 100)) if size < length else size
    charge(frame, (length >> 6) + (compared >> 10))


def decoded(frame: Frame, value: bytes) -> str:
    """The text that bytes are in UTF-8; raises `FilterError` where they are none."""
    charge_text(frame, len(value))
    try:
        return value.decode()
    except UnicodeDecodeError as exc:
        raise FilterError(f"the bytes are no UTF-8 text (byte {exc.start})") from None
