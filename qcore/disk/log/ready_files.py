"""How many files lie ready for the next entries, and what the slow thread is to do about it. No I/O here.

The log's writer takes, the slow thread beside it makes; a lock is all that stands between them, and nobody waits
for a file: where none is ready, the entry is stored the slow way, which gives the file a new content under the
same name. So a file that the slow thread has made counts only if the writer has not come to its number meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from qcore.disk.log.blanks import SIZES, fitting_size

__all__ = ["GROUP", "Free", "GiveBack", "Make", "ReadyFiles"]

GROUP = (32, 64)
"""Fewest and most files of one order; as many as the fewest lie ready at first."""

_RECENT = 256
"""Entries whose sizes decide how big the next files are."""

_MOST = (16 << 20) // SIZES[-1]
"""Files that may lie ready: 16 MiB if all are of the largest size."""


class Make(msgspec.Struct, frozen=True):
    """Make blank files of `size` bytes for the entries `indices`."""

    indices: range
    size: int


class Free(msgspec.Struct, frozen=True):
    """The files `indices` hold nothing any more, and the purge mark above them is durable.

    Up to `spares` of these and earlier ones are kept to be used again.
    """

    indices: Sequence[int]
    spares: int


class GiveBack(msgspec.Struct, frozen=True):
    """Remove the ready files and all that is kept to be used again: the disk is short of room."""


class ReadyFiles:
    """The prepared files of a log whose next entry is `next_index`.

    How many are kept ready doubles each time the writer finds none.
    """

    def __init__(self, next_index: int) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._ready: dict[int, int] = {}
        self._highest = next_index - 1
        """Highest number the writer has come to."""
        self._end = next_index
        """Lowest number for which no file was ever asked."""
        self._making = False
        self._room: int | None = None
        """Bytes that files yet to be made may take, None if there is no bound."""
        self._give_back = False
        self._wanted = GROUP[0]
        self._used = 0
        """Entries stored since files were last given away."""
        self._recent: deque[int] = deque(maxlen=_RECENT)
        self._freed: deque[Free] = deque()

    @property
    def ready(self) -> int:
        """How many files lie ready."""
        return len(self._ready)

    # -- the writer ----------------------------------------------------------------------------------------

    def take(self, index: int, length: int) -> bool:
        """Tell whether entry `index`, of `length` bytes, has a prepared file that holds it; it is used up now."""
        with self._changed:
            self._highest = max(self._highest, index)
            self._recent.append(length)
            self._used += 1
            size = self._ready.pop(index, None)
            if size is None and not self._is_tight():
                self._wanted = min(2 * self._wanted, _MOST)
            if self._is_short():
                self._changed.notify()
            return size is not None and length <= size

    def add(self, index: int, size: int) -> None:
        """Count the file of `index` among the ready ones: the writer has blanked it."""
        with self._changed:
            self._ready[index] = size
            self._end = max(self._end, index + 1)

    def free(self, entries: range, upto: int, max_spares: int) -> None:
        """Give away the files of purged entries, and what lies ready up to the purge mark.

        As many files as entries were stored since the last time, but at most `max_spares`, will be used again.
        """
        with self._changed:
            self._highest = max(self._highest, upto)
            unused = sorted(index for index in self._ready if index <= upto)
            for index in unused:
                del self._ready[index]
            spares = 0 if self._is_tight() else min(self._used, max_spares)
            self._freed.append(Free([*entries, *unused], spares))
            self._used = 0
            self._changed.notify()

    def set_room(self, room: int) -> None:
        """Let what is made from now on take `room` bytes at most; with none, what is ready is given back."""
        with self._changed:
            before, self._room = self._room, room
            self._give_back = self._give_back or (room <= 0 and (bool(self._ready) or before is None or before > 0))
            if self._give_back or self._is_short():
                self._changed.notify()

    # -- the slow thread -----------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the slow thread is to end."""
        return self._closed

    def next_order(self, wait: bool = False) -> Make | Free | GiveBack | None:
        """Return what is to be done next; None if nothing is, with `wait` only once this is closed."""
        with self._changed:
            while True:
                order = None if self._closed else self._order()
                if order is not None or self._closed or not wait:
                    return order
                self._changed.wait()

    def made(self, indices: Sequence[int], size: int) -> None:
        """Count these files, durable and blank, among the ready ones, unless the writer has passed them."""
        with self._changed:
            self._making = False
            self._ready |= {index: size for index in indices if index > self._highest}

    def give_back(self, remove: Callable[[int], None]) -> None:
        """Have the ready files removed, from the highest down.

        The writer comes to none of their numbers meanwhile: it would store an entry under the name.
        """
        with self._changed:
            for index in sorted(self._ready, reverse=True):
                del self._ready[index]
                remove(index)
                self._end = min(self._end, index)

    def close(self) -> None:
        """Let the slow thread end."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _is_tight(self) -> bool:
        return self._room is not None and self._room <= 0

    def _is_short(self) -> bool:
        return not self._making and not self._is_tight() and 2 * len(self._ready) <= self._wanted

    def _order(self) -> Make | Free | GiveBack | None:
        if self._freed:
            return self._freed.popleft()
        if self._give_back:
            self._give_back = False
            return GiveBack()
        size = self._size() if self._is_short() else None
        if size is None:
            return None
        count = min(max(self._wanted - len(self._ready), GROUP[0]), GROUP[1])
        if self._room is not None:
            count = min(count, self._room // size)
            self._room -= count * size
        if not count:
            return None
        begin = max(self._end, self._highest + 1)
        self._end = begin + count
        self._making = True
        return Make(range(begin, self._end), size)

    def _size(self) -> int | None:
        """Return the size that holds 19 of 20 recent entries, the largest if it holds half of them, else None."""
        recent = sorted(self._recent) or [0]
        size = fitting_size(recent[len(recent) * 19 // 20])
        return size or (fitting_size(recent[len(recent) // 2]) and SIZES[-1])
