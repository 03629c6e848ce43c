"""CEL's library `strings`: positions count characters (code points) from 0, case is that of ASCII alone."""

from __future__ import annotations

from typing import Any

from qcore.store.cel.code import Function
from qcore.store.cel.libraries.formatting import formatted
from qcore.store.cel.texts import TEXT, charge_search, charge_text, take
from qcore.store.cel.values import FilterError, Frame, charge, no_overload

__all__ = ["FUNCTIONS"]

_BLANK = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""White space as Unicode has it, written out: it is the same in every version of Python."""


def _place(name: str, text: str, index: int) -> int:
    if not 0 <= index <= len(text):
        raise FilterError(f"{name}: {index} is out of range, the text has {len(text)} characters")
    return index


def _char_at(_frame: Frame, text: Any, index: Any) -> str:
    take("charAt", "ti", text, index)
    at = _place("charAt", text, index)
    return text[at : at + 1]  # type: ignore[no-any-return]


def _index_of(frame: Frame, text: Any, part: Any, first: Any = 0) -> int:
    take("indexOf", "tti", text, part, first)
    start = _place("indexOf", text, first)
    charge_search(frame, text, part)
    return text.find(part, start)  # type: ignore[no-any-return]


def _last_index_of(frame: Frame, text: Any, part: Any, last: Any = None) -> int:
    take("lastIndexOf", "tti", text, part, len(text) if last is None and type(text) in TEXT else last)
    start = len(text) if last is None else _place("lastIndexOf", text, last)
    charge_search(frame, text, part)
    # Python's own search from the end is not linear
    end = min(start + len(part), len(text))
    found: int = text[:end][::-1].find(part[::-1])
    return found if found < 0 else end - found - len(part)


def _replace(frame: Frame, text: Any, old: Any, new: Any, limit: Any = -1) -> str:
    take("replace", "ttti", text, old, new, limit)
    charge_search(frame, text, old)
    count = text.count(old)
    if limit >= 0:
        count = min(count, limit)
    charge(frame, count >> 5)
    charge_text(frame, len(text) + count * (len(new) - len(old)))
    return text.replace(old, new, count)  # type: ignore[no-any-return]


def _split(frame: Frame, text: Any, separator: Any, limit: Any = -1) -> list[str]:
    take("split", "tti", text, separator, limit)
    if limit == 0:
        return []
    charge_search(frame, text, separator)
    pieces = text.count(separator) + 1 if separator else len(text)
    pieces = pieces if limit < 0 else min(pieces, limit)
    charge(frame, pieces >> 2)
    charge_text(frame, len(text))
    if separator:
        return text.split(separator, pieces - 1)  # type: ignore[no-any-return]
    return [*text[: pieces - 1], text[pieces - 1 :]] if text else []


def _substring(frame: Frame, text: Any, first: Any, end: Any = None) -> str:
    take("substring", "tii", text, first, first if end is None else end)
    end = len(text) if end is None else _place("substring", text, end)
    start = _place("substring", text, first)
    if start > end:
        raise FilterError(f"substring: it would begin at {start} and end at {end}")
    charge_text(frame, end - start)
    return text[start:end]  # type: ignore[no-any-return]


def _join(frame: Frame, items: Any, separator: Any = "") -> str:
    if type(items) not in (list, tuple) or type(separator) not in TEXT:
        raise no_overload("join", items, separator)
    charge(frame, len(items) >> 2)
    for item in items:
        if type(item) not in TEXT:
            raise no_overload("join", items, item)
    charge_text(frame, sum(map(len, items)) + len(items) * len(separator))
    return separator.join(items)  # type: ignore[no-any-return]


def _trim(frame: Frame, text: Any) -> str:
    take("trim", "t", text)
    charge_text(frame, len(text))
    return text.strip(_BLANK)  # type: ignore[no-any-return]


def _lower(frame: Frame, text: Any) -> str:
    take("lowerAscii", "t", text)
    charge_text(frame, len(text))
    return text.encode().lower().decode()  # type: ignore[no-any-return]


def _upper(frame: Frame, text: Any) -> str:
    take("upperAscii", "t", text)
    charge_text(frame, len(text))
    return text.encode().upper().decode()  # type: ignore[no-any-return]


def _reverse(frame: Frame, text: Any) -> str:
    take("reverse", "t", text)
    charge_text(frame, len(text))
    return text[::-1]  # type: ignore[no-any-return]


_ESCAPES = dict(zip('\\"\a\b\f\n\r\t\v', '\\"abfnrtv', strict=True))


def _quote(frame: Frame, text: Any) -> str:
    take("strings.quote", "t", text)
    charge(frame, len(text) >> 4)
    for char, escape in _ESCAPES.items():  # the backslash first, as the others bring more of them
        text = text.replace(char, "\\" + escape)
    return f'"{text}"'


FUNCTIONS: dict[str, Function] = {
    "charAt": Function(_char_at, (2,), False, True, "other"),
    "indexOf": Function(_index_of, (2, 3), False, True, "other"),
    "lastIndexOf": Function(_last_index_of, (2, 3), False, True, "other"),
    "lowerAscii": Function(_lower, (1,), False, True, "other"),
    "upperAscii": Function(_upper, (1,), False, True, "other"),
    "replace": Function(_replace, (3, 4), False, True, "other"),
    "split": Function(_split, (2, 3), False, True, "other"),
    "substring": Function(_substring, (2, 3), False, True, "other"),
    "trim": Function(_trim, (1,), False, True, "other"),
    "join": Function(_join, (1, 2), False, True, "other"),
    "reverse": Function(_reverse, (1,), False, True, "other"),
    "format": Function(formatted, (2,), False, True, "other"),
    "strings.quote": Function(_quote, (1,), True, False, "other"),
}
"""By name, as `qcore.store.cel.functions` has its own."""
