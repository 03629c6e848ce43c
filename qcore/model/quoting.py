"""What was given, quoted in a message: cut before it is written, as a value may have many megabytes.

The message of an answer is cut to `qcore.model.errors.MAX_MESSAGE` anyway. What is left of it is the same as if the
value had been quoted whole, to the character: answers are kept in sessions, on every replica.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from qcore.model.errors import MAX_MESSAGE

__all__ = ["listed", "quoted", "shown"]

_SHOWN = 80


def quoted(value: Any) -> str:
    """The value as Python writes it; of a long one what is left when a message is cut: its beginning and its end."""
    if type(value) is str:
        return _text(value)
    if type(value) is list or type(value) is tuple:
        return _list(value)
    return repr(value)


def shown(value: Any) -> str:
    """The value as Python writes it, in at most 80 characters."""
    text = quoted(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def listed(texts: Sequence[str]) -> str:
    """The texts with commas between them; of many what is left when a message is cut."""
    if len(texts) <= MAX_MESSAGE and sum(map(len, texts)) <= 2 * MAX_MESSAGE:
        return ", ".join(texts)
    head = [text[:MAX_MESSAGE] for text in texts[:MAX_MESSAGE]]
    tail = [text[-MAX_MESSAGE:] for text in texts[-MAX_MESSAGE:]]
    return ", ".join([*head, *tail])


def _text(text: str) -> str:
    if len(text) <= 2 * MAX_MESSAGE:
        return repr(text)
    quote = '"' if "'" in text and '"' not in text else "'"
    head, tail = _escaped(text[:MAX_MESSAGE], quote), _escaped(text[-MAX_MESSAGE:], quote)
    return f"{quote}{head}{tail}{quote}"


def _escaped(part: str, quote: str) -> str:
    """A part of a text, written as Python does between such quotes."""
    if quote == '"':
        return repr("'" + part)[2:-1]
    return repr("'\"" + part)[4:-1]


def _list(items: list[Any] | tuple[Any, ...]) -> str:
    if len(items) <= 2 * MAX_MESSAGE and not any(type(item) is str and len(item) > MAX_MESSAGE for item in items):
        return repr(items)
    head, tail = _joined(items), _joined(reversed(items))
    opening, closing = "[]" if type(items) is list else "()"
    if len(head) == len(items):  # all of them are as much as is left
        return f"{opening}{', '.join(head)}{',' * (closing == ')' and len(items) == 1)}{closing}"
    return f"{opening}{', '.join(head)}, {', '.join(reversed(tail))}{closing}"


def _joined(items: Iterable[Any]) -> list[str]:
    """The first items, until they are as long as a message."""
    found: list[str] = []
    size = 0
    for item in items:
        if size > MAX_MESSAGE:
            break
        found.append(quoted(item))
        size += len(found[-1]) + 2
    return found
