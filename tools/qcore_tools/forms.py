"""How values, rows and columns are written by every tool. No I/O."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from qcore.model.wire import encode_json
from qcore_tools.terminal import visible

__all__ = ["as_json", "bare", "cell", "columns", "csv_line", "csv_lines", "literal", "padded", "width"]

SOFT_HYPHEN = "\u00ad"
"""The one format character that terminals show."""


def as_json(value: Any) -> str:
    """JSON in one line."""
    return encode_json(value).decode()


def literal(value: Any) -> str:
    """A value for people: strings in quotes, ``(missing) 17`` for a reference to a deleted entity."""
    if isinstance(value, dict) and "missing" in value:
        return f"(missing) {value['missing']}"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return as_json(value)


def bare(value: Any) -> str:
    """A value for programs: text as it is, ids alone, ``null``, lists as ``[1,2]``."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and "missing" in value:
        return str(value["missing"])
    if isinstance(value, list):
        return f"[{','.join(map(bare, value))}]"
    return as_json(value)


def cell(value: Any) -> str:
    """A cell of CSV: nothing for None, JSON for what has parts."""
    if value is None:
        return ""
    return as_json(value) if isinstance(value, dict | list) else bare(value)


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A header and rows as CSV, each with the end of its line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def csv_line(cells: Sequence[Any]) -> str:
    """One row, without the end of its line."""
    return csv_lines(cells, ())[:-1]


def columns(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with aligned columns; what a terminal would obey is escaped, as escapes are wider than what they show."""
    cells = [list(header), *([visible(text) for text in row] for row in rows)]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(padded(text, most) for text, most in zip(row, widths, strict=True)).rstrip() for row in cells]


def padded(text: str, columns: int) -> str:
    """A text with the blanks that fill so many columns."""
    return text + " " * (columns - width(text))


def width(text: str) -> int:
    """Columns of a text on a terminal: marks that combine with a letter have none, East Asian wide ones two."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    if (unicodedata.category(char) in ("Mn", "Me", "Cf") and char != SOFT_HYPHEN) or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
