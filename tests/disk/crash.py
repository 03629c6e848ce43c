"""Power cuts: what a disk may hold after one, from the trace of the file operations before it.

The rules are harsher than any one file system. A file's content that was not fsynced may be absent, cut off,
zeroed in part, or whole. A name that was created, replaced or removed before its folder was fsynced may have
changed or not, each independently of the others; a rename is two such changes. What was synced stays.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from qcore.disk.files import Files

__all__ = ["Image", "Killed", "Operation", "Recorder", "crash_states", "materialise"]

Image = dict[str, bytes | None]
"""Content by path below the root; None is a folder."""

_ALL_SUBSETS = 6
_SAMPLED_SUBSETS = 48


@dataclass(frozen=True)
class Operation:
    """One step: mkdir, write, overwrite, fsync, rename, unlink or sync_folder; paths below the root."""

    kind: str
    path: str
    data: bytes = b""
    target: str = ""


class Killed(BaseException):
    """The process was killed here: the page cache lives on."""


class Recorder(Files):
    """Does every operation, waits for none, and writes down what a disk would have been told.

    `kill_at` ends the process after that many operations.
    """

    def __init__(self, root: Path, trace: list[Operation], kill_at: int | None = None) -> None:
        super().__init__()
        self._root = str(root)
        self._trace = trace
        self._kill_at = kill_at

    def note(self, kind: str, path: str, data: bytes = b"", target: str = "") -> None:
        if len(self._trace) == self._kill_at:
            raise Killed
        relative = [os.path.relpath(each, self._root) if each else "" for each in (path, target)]
        if not relative[0].startswith(".."):
            self._trace.append(Operation(kind, relative[0], data, relative[1]))

    def write(self, path: str, data: bytes) -> None:
        self.note("write", path, data)
        super().write(path, data)

    def overwrite(self, path: str, data: bytes, sync: bool) -> None:
        self.note("overwrite", path, data)
        super().overwrite(path, data, sync)

    def fsync(self, descriptor: int, path: str) -> None:
        self.note("fsync", path)

    def rename(self, source: str, target: str) -> None:
        self.note("rename", source, target=target)
        super().rename(source, target)

    def unlink(self, path: str) -> None:
        self.note("unlink", path)
        super().unlink(path)

    def mkdir(self, path: str) -> None:
        self.note("mkdir", path)
        super().mkdir(path)

    def sync_folder(self, path: str) -> None:
        self.note("sync_folder", path)


@dataclass
class _Node:
    """A file or folder: what is durable, and what was written since."""

    folder: bool = False
    durable: bytes = b""
    written: list[bytes] = field(default_factory=list)

    @property
    def current(self) -> bytes:
        return self.written[-1] if self.written else self.durable

    def contents(self) -> list[bytes]:
        """Return what may be found after a power cut."""
        found = [self.durable]
        for data in self.written:
            half = len(data) // 2
            old = self.durable.ljust(len(data), b"\0")
            found += [data, data[:half] + old[half:], old[:half] + data[half:], old]
            if not self.durable:
                found.append(data[:half])
        return list(dict.fromkeys(found))


class _Disk:
    """The names and nodes below the root, durable and pending."""

    def __init__(self, base: Image) -> None:
        self._names = {
            path: _Node(folder=data is None, durable=b"" if data is None else data) for path, data in base.items()
        }
        self._durable = dict(self._names)
        self._pending: list[tuple[str, _Node | None]] = []

    def apply(self, step: Operation) -> None:
        if step.kind == "mkdir":
            self._name(step.path, _Node(folder=True))
        elif step.kind == "write":
            if step.path not in self._names:
                self._name(step.path, _Node())
            self._names[step.path].written.append(step.data)
        elif step.kind == "overwrite":
            node = self._names[step.path]
            node.written.append(step.data + node.current[len(step.data) :])
        elif step.kind == "fsync":
            node = self._names[step.path]
            node.durable, node.written = node.current, []
        elif step.kind == "rename":
            self._name(step.target, self._names[step.path])
            self._name(step.path, None)
        elif step.kind == "unlink":
            self._name(step.path, None)
        elif step.kind == "sync_folder":
            self._sync(step.path)

    def images(self) -> Iterator[Image]:
        """Yield every state a power cut now may leave."""
        for kept in _subsets(len(self._pending)):
            names = dict(self._durable)
            for number in sorted(kept):
                _set(names, *self._pending[number])
            yield from _contents(names)

    def _name(self, path: str, node: _Node | None) -> None:
        _set(self._names, path, node)
        self._pending.append((path, node))

    def _sync(self, folder: str) -> None:
        waiting = self._pending
        self._pending = []
        for path, node in waiting:
            if (os.path.dirname(path) or ".") == folder:
                _set(self._durable, path, node)
            else:
                self._pending.append((path, node))


def crash_states(base: Image, trace: Iterable[Operation], start: int = 0) -> Iterator[tuple[int, Image]]:
    """Yield each state after a power cut and the number of operations before it, from `start` on."""
    disk = _Disk(base)
    if start == 0:
        yield from ((0, image) for image in disk.images())
    for count, step in enumerate(trace, 1):
        disk.apply(step)
        if count >= start:
            yield from ((count, image) for image in disk.images())


def materialise(image: Image, root: Path) -> None:
    """Make the files of an image below `root`, which is created."""
    root.mkdir()
    for path, data in sorted(image.items()):
        if data is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(data)


def _set(names: dict[str, _Node], path: str, node: _Node | None) -> None:
    if node is None:
        names.pop(path, None)
    else:
        names[path] = node


def _subsets(count: int) -> Iterator[tuple[int, ...]]:
    """Yield all subsets of few changes; of many, none, all, all but one, only one, and a sample."""
    everything = range(count)
    if count <= _ALL_SUBSETS:
        for size in range(count + 1):
            yield from itertools.combinations(everything, size)
        return
    yield from [(), tuple(everything)]
    yield from itertools.combinations(everything, 1)
    yield from itertools.combinations(everything, count - 1)
    chance = random.Random(count)
    for _ in range(_SAMPLED_SUBSETS):
        yield tuple(number for number in everything if chance.random() < 0.5)


def _contents(names: dict[str, _Node]) -> Iterator[Image]:
    """Yield the images of these names with each choice of contents; what lies in a lost folder is lost."""
    there = {
        path: node
        for path, node in names.items()
        if all(str(above) in names for above in Path(path).parents if str(above) != ".")
    }
    choices = [[None] if node.folder else node.contents() for node in there.values()]
    for chosen in itertools.product(*choices):
        yield dict(zip(there, chosen, strict=True))
