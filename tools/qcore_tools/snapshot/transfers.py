"""Takes documents from a server and tells what restoring one does."""

from __future__ import annotations

import time
from collections.abc import Callable

from qcore.client import Store
from qcore.model.documents.origin import Origin
from qcore.model.requests.results import ExportPage
from qcore.model.times import NS, format_time
from qcore.model.wire import encode_json
from qcore.version import VERSION
from qcore_tools.files import Sink

__all__ = ["LONG", "leads", "plan_lines", "take"]

LONG = 600.0
"""Seconds for what a server does with a whole document."""


async def leads(store: Store) -> bool:
    """Whether the node that answers leads its cluster, as one does that is alone."""
    info = await store.info()
    return info.leader == info.node


async def take(store: Store, write: Sink, advance: Callable[[int], None], *, runtime: bool, ids: bool) -> ExportPage:
    """Write the document of the store at one revision, and where it comes from; returns the last piece, which has the
    counts."""
    before = (await store.info()).epoch
    last: ExportPage | None = None
    async for page in store.snapshot_export(runtime=runtime, ids=ids, timeout=LONG):
        if last is None:
            write(await _head(store, page.revision, before, runtime) + page.chunk.removeprefix("{"))
        else:
            write(page.chunk)
        advance(len(page.chunk))
        last = page
    assert last is not None  # an export has one page at least
    return last


async def _head(store: Store, revision: int, before: str | None, runtime: bool) -> str:
    """The beginning of the document, up to where its own keys follow."""
    info = await store.info()
    epoch = info.epoch if info.epoch == before else None  # of which of the two the revision is, nobody can tell
    origin = Origin(info.cluster, revision, format_time(int(time.time()) * NS), VERSION, runtime, epoch)
    return f'{{"origin":{encode_json(origin).decode()},'


def plan_lines(counts: dict[str, int], reset: dict[str, int]) -> list[str]:
    """The numbers of a plan for people."""
    lines = [f"{action}: {count:,}" for action, count in counts.items() if count] or ["nothing to do"]
    return lines + [f"values reset of {field}: {count:,}" for field, count in reset.items()]
