"""The slow thread beside the log's writer: it makes files ready for the entries to come, and takes purged ones away.

A file purged by this process is blanked and used again if it can be, which spares the file system most of the work.
Every file made gets a name that was free, so it can never replace an entry that the writer has stored meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence

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
        spares = yield from self._blank_spares(len(order.indices), order.size)
        made = yield from self._create(order.indices[len(spares) :], order.size)
        for spare, index in zip(spares, order.indices, strict=False):
            if self._files.move(self._path(spare), self._path(index)):
                made.append(index)
            else:
                self._files.unlink(self._path(spare))
            yield
        if not self._files.links:
            made += yield from self._create([each for each in order.indices if each not in made], order.size)
        self._files.sync_folder(self._folder)
        self._ready_files.made(made, order.size)
        yield

    def _blank_spares(self, most: int, size: int) -> Generator[None, None, list[int]]:
        """Blank up to `most` spares of exactly `size` bytes, durably, and return them; others are removed."""
        blanked: list[int] = []
        while self._spares and len(blanked) < most:
            index = self._spares.popleft()
            path = self._path(index)
            if reusable_size(self._files.shape(path)) == size:
                self._files.overwrite(path, blanks(size), sync=True)
                blanked.append(index)
            else:
                self._files.unlink(path)
            yield
        return blanked

    def _create(self, indices: Sequence[int], size: int) -> Generator[None, None, list[int]]:
        """Create blank files, durable but for their names, and return their numbers; names that are taken are left."""
        made: dict[int, int] = {}
        try:
            for index in indices:
                descriptor = self._files.create(self._path(index), blanks(size))
                if descriptor is not None:
                    made[index] = descriptor
                yield
            for index, descriptor in made.items():
                self._files.finish(descriptor, self._path(index))
                yield
        finally:
            for descriptor in made.values():
                os.close(descriptor)
        return list(made)

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
