"""Entities as a table, JSON Lines, CSV or ids. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from qcore.client import Item
from qcore_tools.forms import as_json, bare, cell, columns, csv_line
from qcore_tools.select.finding import failure_of

__all__ = ["Format", "Layout"]

Format = Literal["table", "json", "csv", "ids", "count"]


@dataclass(frozen=True)
class Layout:
    """What stands in a row: the id and the type if they are to be shown, then `fields`, in their order."""

    format: Format
    fields: Sequence[str]
    ids: bool = False
    types: bool = False

    @property
    def header(self) -> list[str]:
        """What the columns are called."""
        return [*(["id"] if self.ids else []), *(["type"] if self.types else []), *self.fields]

    def begin(self) -> str:
        """What stands before all entities."""
        return csv_line(self.header) + "\n" if self.format == "csv" else ""

    def page(self, items: Iterable[Item]) -> str:
        """The text of a page; a table has none, as its columns are as wide as the widest row."""
        if self.format == "table":
            return ""
        return "".join(f"{self._line(item)}\n" for item in items)

    def table(self, items: Iterable[Item]) -> str:
        """The table of all entities."""
        rows = ([*self._about(item), *(_shown(item.fields[path]) for path in self.fields)] for item in items)
        return "".join(f"{line}\n" for line in columns(self.header, rows))

    def _line(self, item: Item) -> str:
        if self.format == "ids":
            return str(item.id)
        if self.format == "json":
            return as_json(msgspec.to_builtins(item))
        return csv_line([*self._about(item), *(_cell(item.fields[path]) for path in self.fields)])

    def _about(self, item: Item) -> list[str]:
        return [*([str(item.id)] if self.ids else []), *([item.type] if self.types else [])]


def _shown(value: Any) -> str:
    failure = failure_of(value)
    if failure is not None:
        return f"({failure['kind']})"
    if isinstance(value, dict) and "missing" in value:
        return f"(missing) {value['missing']}"
    return "-" if value is None else bare(value)


def _cell(value: Any) -> str:
    return "" if failure_of(value) is not None else cell(value)
