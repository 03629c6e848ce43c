"""The events of the last revisions, in chunks; the oldest chunk goes when there are too many events or bytes.

The newest revision stays whatever its size. A chunk has an index by entity and field, made when somebody looks back
(`qcore.store.watch.past`) and kept until nobody does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter

from qcore.model.schema import Types
from qcore.model.work import Pace, Work, emptying, run_whole
from qcore.store.state.draft import Draft
from qcore.store.state.journal import Change
from qcore.store.state.state import Observed, State
from qcore.store.watch.events import CHANGED, CREATED, DELETED, RETYPED, Event, by_revision
from qcore.store.watch.retyped import retyped
from qcore.store.watch.revision_events import events_of, reading_events

__all__ = ["Chunk", "History"]

_CHUNKS = 16
"""Chunks in a full history at least: the bounds are kept up to one of them."""

_CHUNK = 4096
"""Events in a chunk, or little more: so many are indexed in one go."""

_SLICE = 500
"""Events between two pauses."""

_last = attrgetter("last")

Index = dict[int, dict[str, list[Event]]]
"""Entity -> field -> its changes, oldest first."""


class Chunk:
    """Some revisions in a row, each whole. `first` and `last` are revisions, `size` is in bytes."""

    __slots__ = ("events", "first", "index", "indexed", "last", "size")

    def __init__(self, revision: int) -> None:
        self.first = self.last = revision
        self.events: list[Event] = []
        self.size = 0
        self.index: Index = {}
        self.indexed = 0

    def index_more(self, most: int) -> bool:
        """Index up to so many events; whether all are."""
        end = min(self.indexed + most, len(self.events))
        for event in self.events[self.indexed : end]:
            if event.kind == CHANGED:
                self.index.setdefault(event.id, {}).setdefault(event.name, []).append(event)
        self.indexed = end
        return end == len(self.events)


class History:
    """Fed by the state from the moment it is made; `head` is the revision of the state.

    Args:
        most: events kept at least, up to the last sixteenth.
        most_bytes: bytes they may take in memory.
    """

    def __init__(self, state: State, most: int, most_bytes: int) -> None:
        self._state = state
        self._most = most
        self._most_bytes = most_bytes
        self._begin()
        state.observer, state.observe_ahead = self._finished, self._ahead

    def _begin(self) -> None:
        self.head = self._state.revision
        self.gone = self.head
        """Events up to this revision are not here."""
        self.retyped = 0
        """The last revision that altered types, 0: none did."""
        self.births: dict[int, int] = {}
        """Entity -> the revision that created it; an id is given once."""
        self.deaths: dict[int, Event] = {}
        """Entity -> its DELETED event."""
        self._types: Types = self._state.types
        self._chunks: list[Chunk] = []
        self._dropped: deque[Chunk] = deque()
        self._retypings: deque[Event] = deque()
        self._count = 0
        self._size = 0

    def __len__(self) -> int:
        return self._count

    @property
    def oldest(self) -> int:
        """The oldest revision whose events are all here."""
        return self.gone + 1

    def _finished(self, changes: list[Change]) -> None:
        state = self._state
        revision = state.revision
        if revision == self.head:  # nothing was written
            return
        self.head = revision
        types = state.types
        events = events_of(changes, revision, types is not self._types)
        if types is not self._types:
            self._types, altered = types, run_whole(retyped(self._types, types, state.counts))
            if altered:
                events.insert(0, Event(RETYPED, revision, 0, None, value=altered))
                self._note_retyped(events[0])
        size = 0
        for event in events:
            size += event.weight
            if event.kind == CREATED:
                self.births[event.id] = revision
            elif event.kind == DELETED:
                self.deaths[event.id] = event
        if events:
            self._append(events, revision, size)
            self._free(2 * len(events) + _SLICE)

    def _ahead(self, draft: Draft) -> Work[Observed]:
        """Make the events of a draft, all but swap them in."""
        types, revision = draft.types, self.head + 1
        events = yield from reading_events(draft.journal, revision)
        altered = (yield from retyped(self._types, types, draft.counts)) if types is not self._types else None
        if altered:
            events.insert(0, Event(RETYPED, revision, 0, None, value=altered))
        births: dict[int, int] = {}
        deaths: dict[int, Event] = {}
        size, pace = 0, Pace()
        for event in events:
            size += event.weight
            if event.kind == CREATED:
                births[event.id] = revision
            elif event.kind == DELETED:
                deaths[event.id] = event
            if pace.is_due():
                yield

        def observed() -> Work[None]:
            self.head, self._types = revision, types
            self.births.update(births)
            self.deaths.update(deaths)
            if altered:
                self._note_retyped(events[0])
            if events:
                self._append(events, revision, size)
            return self._freeing(births, deaths)

        return observed

    def _note_retyped(self, event: Event) -> None:
        self.retyped = event.revision
        self._retypings.append(event)

    def _append(self, events: list[Event], revision: int, size: int) -> None:
        chunks = self._chunks
        if not chunks or self._is_full(chunks[-1]) or len(events) >= _CHUNK:
            chunks.append(Chunk(revision))
        chunk = chunks[-1]
        chunk.events += events
        chunk.last = revision
        chunk.size += size
        self._count += len(events)
        self._size += size
        while len(chunks) > 1 and (self._count > self._most or self._size > self._most_bytes):
            self._drop(chunks.pop(0))

    def _is_full(self, chunk: Chunk) -> bool:
        count = len(chunk.events)
        return count >= _CHUNK or count * _CHUNKS >= self._most or chunk.size * _CHUNKS >= self._most_bytes

    def _drop(self, chunk: Chunk) -> None:
        self._count -= len(chunk.events)
        self._size -= chunk.size
        self.gone = self._chunks[0].first - 1
        while self._retypings and self._retypings[0].revision <= self.gone:
            self._retypings.popleft()
        self._dropped.append(chunk)

    def _free(self, most: int) -> None:
        """Take up to so many dropped events apart, as one revision may have made a million."""
        while self._dropped and most > 0:
            chunk = self._dropped[0]
            count = min(most, len(chunk.events))
            for _ in range(count):
                event = chunk.events.pop()
                if event.kind == CREATED:
                    del self.births[event.id]
                elif event.kind == DELETED:
                    del self.deaths[event.id]
                if chunk.index:
                    chunk.index.popitem()
            most -= count
            if not chunk.events:
                self._dropped.popleft()

    def _freeing(self, births: dict[int, int], deaths: dict[int, Event]) -> Work[None]:
        """Free what was dropped, and what was only for the swap."""
        yield from emptying(births, deaths)
        while self._dropped:
            self._free(_SLICE)
            yield

    def reset(self) -> Work[None]:
        """Begin anew with the state as it is now, another one having been adopted: all events before are gone.

        Returns the work of freeing those that were there.
        """
        chunks = [*self._dropped, *self._chunks]
        ends = self.births, self.deaths
        self._begin()
        return _take_apart(chunks, *ends)

    # -- reading -------------------------------------------------------------------------------------------

    def following(self, revision: int) -> list[Event]:
        """All events of the first revision after this one that has any; empty at the head."""
        for chunk in self.after(revision):
            events = chunk.events
            if len(events) >= _CHUNK and chunk.first == chunk.last:
                return events  # nothing is added to it, and many may be reading it
            begin = bisect_right(events, revision, key=by_revision)
            end = bisect_right(events, events[begin].revision, begin, key=by_revision)
            return events[begin:end]
        return []

    def after(self, revision: int) -> Iterator[Chunk]:
        """The chunks that hold anything after a revision, oldest first."""
        if revision < self.head:
            place = bisect_right(self._chunks, revision, key=_last)
            yield from islice(self._chunks, place, None)

    def retypings(self, revision: int) -> list[Event]:
        """The RETYPED events after a revision."""
        return [event for event in self._retypings if event.revision > revision]

    def prepare(self, revision: int) -> Work[None]:
        """Index everything after a revision, pausing; whoever looks back without it waits for it in one go."""
        for chunk in list(self.after(revision)):
            while not chunk.index_more(_SLICE):
                yield

    def forget_indexes(self) -> None:
        """Free the indexes; they are made again for whoever looks back."""
        for chunk in self._chunks:
            chunk.index, chunk.indexed = {}, 0


def _take_apart(chunks: list[Chunk], births: dict[int, int], deaths: dict[int, Event]) -> Work[None]:
    """Free everything in pieces."""
    deaths.clear()  # the events themselves are in the chunks
    for chunk in chunks:
        while chunk.events:
            del chunk.events[-_SLICE:]
            for _ in range(min(_SLICE, len(chunk.index))):
                chunk.index.popitem()
            yield
    births.clear()
