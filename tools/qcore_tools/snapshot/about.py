"""Where a snapshot comes from, and how it stands to a store, in words. No I/O."""

from __future__ import annotations

from collections.abc import Iterator

from qcore.model.documents.origin import Origin, Snapshot
from qcore.model.requests.results import InfoResult

__all__ = ["about", "beside"]


def about(snapshot: Snapshot) -> str:
    """Of which store and moment it is, and whether it is complete."""
    origin = snapshot.origin
    if origin is None:
        return "it does not say where it comes from"
    whole = "complete" if snapshot.is_complete else f"without {' and '.join(_missing(snapshot, origin))}"
    return f"revision {origin.revision} of {origin.time}, cluster {origin.cluster}, {whole}"


def _missing(snapshot: Snapshot, origin: Origin) -> Iterator[str]:
    if not origin.all:
        yield "Runtime fields"
    if not snapshot.has_ids:
        yield "ids"


def beside(snapshot: Snapshot, store: InfoResult) -> Iterator[str]:
    """What to know before it is restored into a store that has gone its own way."""
    origin = snapshot.origin
    if origin is None:
        return
    now = Origin(store.cluster, store.revision, origin.time, store.version, True, store.epoch)
    if not origin.is_compatible_with(now):
        yield f"the store is of another cluster, {store.cluster}, at revision {store.revision}"
    elif origin.revision < store.revision:
        yield f"the store has gone on since, to revision {store.revision}"
    elif origin.revision > store.revision:
        yield f"the store is only at revision {store.revision}: it lacks something, or has another history"
