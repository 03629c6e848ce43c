"""The slow thread beside the log's writer: it makes files ready for the entries to come, and takes purged ones away.

A file purged by this process is blanked and used again if it can be, which spares the file system most of the work.
A group is flushed at once where the file system can: each flush makes the writer's next one wait, and wears flash.
Every file made gets a name that was free, so it can never replace an entry that the writer has stored meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence

from qcore.disk.files import Files
from qcore.disk.log.blanks import blanks, reusable_size
from qcore.disk.log.ready_files import Free, GiveBack, Make, ReadyFiles
from qcore.disk.log.survey import entry_path
from qcore.model.errors import Fatal

__all__ = ["Preallocator"]

_PATIENCE = 1.0
"""Seconds that `stop` waits for a disk that does not answer."""


class Preallocator:
    """Keeps `ready_files` filled with files in `folder`."""

    def __init__(self, files: Files, folder: str, ready_files: ReadyFiles) -> None:
        self._files = files
        self._folder = folder
        self._ready_files = ready_files
        self._spares: deque[int] = deque()
        """Numbers of purged files, under their old names, that may be used again."""
        self._thread: threading.Thread | None = None

    def start(self, failed: Callable[[Fatal], None]) -> None:
        """Begin; `failed` hears, on the slow thread, why it ended: nothing may be written any more."""
        self._thread = threading.Thread(target=self._run, args=(failed,), name="qcore-prepare", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the file operation under way; half-made files are no entries and go at the next start."""
        self._ready_files.close()
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def steps(self, wait: bool = False) -> Generator[None, None, None]:
        """Do all that is to be done, or with `wait` all that ever will be; yields after each file operation."""
        while (order := self._ready_files.next_order(wait)) is not None:
            match order:
                case Make():
                    yield from self._make(order)
                case Free():
                    yield from self._free(order)
                case GiveBack():
                    yield from self._give_back()

    def _run(self, failed: Callable[[Fatal], None]) -> None:
        try:
            for _ in self.steps(wait=True):
                if self._ready_files.closed:
                    return
        except Fatal as exc:
            failed(exc)
        except Exception as exc:
            failed(Fatal(f"preparing files for the log failed: {exc!r}"))

    def _path(self, index: int) -> str:
        return entry_path(self._folder, index)

    def _make(self, order: Make) -> Generator[None, None, None]:
        made = yield from self._lay(order.indices, order.size, spares=len(order.indices))
        left = [index for index in order.indices if index not in made]
        if left and not self._files.links:  # the spares could not be moved
            made += yield from self._lay(left, order.size, spares=0)
        self._ready_files.made(made, order.size)
        yield

    def _lay(self, indices: Sequence[int], size: int, spares: int) -> Generator[None, None, list[int]]:
        """Make blank files under these names, of up to `spares` spares and new ones; returns those that were free.

        All content is durable before a spare gets its new name, and all names are at the end.
        """
        old: dict[int, int] = {}
        new: dict[int, int] = {}
        try:
            yield from self._blank_spares(old, spares, size)
            yield from self._create(new, indices[len(old) :], size)
            names_too = yield from self._sync(old, new)
        finally:
            for descriptor in (*old.values(), *new.values()):
                os.close(descriptor)
        made = [*new, *(yield from self._move(old, indices))]
        if old or not names_too:
            self._files.sync_folder(self._folder)
        return made

    def _blank_spares(self, blanked: dict[int, int], most: int, size: int) -> Generator[None, None, None]:
        """Write blanks over up to `most` spares of exactly `size` bytes, which stay open; others are removed."""
        while self._spares and len(blanked) < most:
            index = self._spares.popleft()
            path = self._path(index)
            if reusable_size(self._files.shape(path)) == size:
                blanked[index] = self._files.open_over(path, blanks(size))
            else:
                self._files.unlink(path)
            yield

    def _create(self, made: dict[int, int], indices: Sequence[int], size: int) -> Generator[None, None, None]:
        """Create blank files, which stay open; names that are taken are left."""
        for index in indices:
            descriptor = self._files.create(self._path(index), blanks(size))
            if descriptor is not None:
                made[index] = descriptor
            yield

    def _sync(self, spares: dict[int, int], new: dict[int, int]) -> Generator[None, None, bool]:
        """Make open files durable, all at once where the file system can; tell if new names are, too."""
        if self._files.sync_all(self._folder):
            yield
            return True
        for files, grown in ((spares, False), (new, True)):
            for index, descriptor in files.items():
                self._files.finish(descriptor, self._path(index), grown=grown)
                yield
        return False

    def _move(self, spares: Iterable[int], indices: Sequence[int]) -> Generator[None, None, list[int]]:
        """Give blanked spares their new names and return these; whose name is taken is removed."""
        moved: list[int] = []
        for spare, index in zip(spares, indices, strict=False):
            if self._files.move(self._path(spare), self._path(index)):
                moved.append(index)
            else:
                self._files.unlink(self._path(spare))
            yield
        return moved

    def _free(self, order: Free) -> Generator[None, None, None]:
        """Keep the spares that are wanted, remove the others from the lowest; without second names, all."""
        spares = order.spares if self._files.links else 0
        for index in order.indices:
            if reusable_size(self._files.shape(self._path(index))) is not None:
                self._spares.append(index)
            else:
                self._files.unlink(self._path(index))
                yield
        yield from self._drop_spares(spares)

    def _give_back(self) -> Generator[None, None, None]:
        self._ready_files.give_back(lambda index: self._files.unlink(self._path(index)))
        yield
        yield from self._drop_spares(0)
        self._files.sync_folder(self._folder)
        yield

    def _drop_spares(self, kept: int) -> Generator[None, None, None]:
        while len(self._spares) > kept:
            self._files.unlink(self._path(self._spares.popleft()))
            yield
