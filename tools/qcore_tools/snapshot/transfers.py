"""Takes documents from a server and restores them to it."""

from __future__ import annotations

from collections.abc import Callable

from qcore.client import Store
from qcore.model.requests.results import ExportPage
from qcore_tools.files import Sink

__all__ = ["LONG", "plan_lines", "take"]

LONG = 600.0
"""Seconds for what a server does with a whole document."""


async def take(store: Store, write: Sink, runtime: bool, advance: Callable[[int], None]) -> ExportPage:
    """Write the document of the store at one revision; returns the last piece, which has the counts."""
    pages = store.snapshot_export(runtime=runtime, timeout=LONG)
    last: ExportPage | None = None
    async for page in pages:
        write(page.chunk)
        advance(len(page.chunk))
        last = page
    assert last is not None  # an export has one page at least
    return last


def plan_lines(counts: dict[str, int], reset: dict[str, int]) -> list[str]:
    """The numbers of a plan for people."""
    lines = [f"{action}: {count:,}" for action, count in counts.items() if count] or ["nothing to do"]
    return lines + [f"values reset of {field}: {count:,}" for field, count in reset.items()]
