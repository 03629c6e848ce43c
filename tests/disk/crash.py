"""Power cuts: what a disk may hold after one, from the trace of the file operations before it.

The rules are harsher than any one file system. The content of a new file that was not fsynced may be absent, cut
off, zeroed in part, or whole. Of what was written over an old content that was not synced, any sector of 512 bytes
may be there or not; where the file grew, also as zeros or not at all. A name that was created, replaced or removed
before its folder was fsynced may have changed or not, each independently of the others; a rename is two such
changes. What was synced stays.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qcore.disk.files import Files

__all__ = [
    "SECTOR",
    "AtOnce",
    "Image",
    "Killed",
    "Operation",
    "Recorder",
    "crash_states",
    "image_of",
    "materialise",
    "torn",
]

Image = dict[str, bytes | None]
"""Content by path below the root; None is a folder."""

SECTOR = 512

_ALL_SUBSETS = 6
_SAMPLED_SUBSETS = 48
_ALL_SECTORS = 4
_SAMPLED_SECTORS = 12
_ALL_PRODUCTS = 96
_SAMPLED_PRODUCTS = 48


@dataclass(frozen=True)
class Operation:
    """One step: mkdir, write, create, overwrite, extend, fsync, fdatasync, rename, unlink, sync_folder or sync_all.

    Paths are below the root. `inode` tells files apart that had the same name one after the other.
    """

    kind: str
    path: str
    data: bytes = b""
    target: str = ""
    inode: int = 0


class Killed(BaseException):
    """The process was killed here: the page cache lives on."""


class Recorder(Files):
    """Does every operation, waits for none, and writes down what a disk would have been told.

    `kill_at` ends the process after that many operations. `between` is called before each operation of the log's
    writer: what it does is done by another thread meanwhile.

    Attributes:
        flushes_whole: whether the file system can be flushed as a whole.
    """

    flushes_whole = False

    def __init__(self, root: Path, trace: list[Operation], kill_at: int | None = None) -> None:
        super().__init__()
        self.between: Callable[[], None] = lambda: None
        self.elsewhere = False
        """Whether an operation is one of the other thread's."""
        self._root = str(root)
        self._trace = trace
        self._kill_at = kill_at
        self._inode = 0

    def note(self, kind: str, path: str, data: bytes = b"", target: str = "", inode: int = 0) -> None:
        self._meet()
        relative = [os.path.relpath(each, self._root) if each else "" for each in (path, target)]
        if not relative[0].startswith(".."):
            self._trace.append(Operation(kind, relative[0], data, relative[1], inode))

    def _meet(self) -> None:
        if not self.elsewhere:
            self.elsewhere = True
            try:
                self.between()
            finally:
                self.elsewhere = False
        if len(self._trace) == self._kill_at:
            raise Killed

    def write(self, path: str, data: bytes) -> None:
        self.note("write", path, data)
        super().write(path, data)

    def overwrite(self, path: str, data: bytes, sync: bool) -> None:
        self.note("overwrite", path, data)
        super().overwrite(path, data, sync)

    def extend(self, path: str, data: bytes, sync: bool) -> None:
        self.note("extend", path, data)
        super().extend(path, data, sync)

    def create(self, path: str, data: bytes) -> int | None:
        self._meet()
        descriptor = super().create(path, data)
        if descriptor is not None:
            self._trace.append(
                Operation("create", os.path.relpath(path, self._root), data, "", os.fstat(descriptor).st_ino)
            )
        return descriptor

    def open_over(self, path: str, data: bytes) -> int:
        self.note("overwrite", path, data)
        return super().open_over(path, data)

    def finish(self, descriptor: int, path: str, *, grown: bool) -> None:
        self._inode = os.fstat(descriptor).st_ino if grown else 0
        super().finish(descriptor, path, grown=grown)

    def sync_all(self, folder: str) -> bool:
        if self.flushes_whole:
            self.note("sync_all", folder)
        return self.flushes_whole

    def fsync(self, descriptor: int, path: str) -> None:
        inode, self._inode = self._inode, 0
        self.note("fsync", path, inode=inode)

    def fdatasync(self, descriptor: int, path: str) -> None:
        self.note("fdatasync", path)

    def rename(self, source: str, target: str) -> None:
        self.note("rename", source, target=target)
        super().rename(source, target)

    def move(self, source: str, target: str) -> bool:
        self._meet()
        moved = super().move(source, target)
        if moved:
            relative = [os.path.relpath(each, self._root) for each in (source, target)]
            self._trace.append(Operation("rename", relative[0], target=relative[1]))
        return moved

    def unlink(self, path: str) -> None:
        self.note("unlink", path)
        super().unlink(path)

    def mkdir(self, path: str) -> None:
        self.note("mkdir", path)
        super().mkdir(path)

    def sync_folder(self, path: str) -> None:
        self.note("sync_folder", path)


class AtOnce(Recorder):
    """On a file system that can be flushed as a whole."""

    flushes_whole = True


@dataclass
class _Node:
    """A file or folder: what is durable, and what was written since, in whole or over the old."""

    folder: bool = False
    durable: bytes = b""
    written: list[tuple[bytes, bool]] = field(default_factory=list)

    @property
    def current(self) -> bytes:
        return self.written[-1][0] if self.written else self.durable

    def write(self, data: bytes) -> None:
        self.written.append((data, False))

    def overwrite(self, data: bytes) -> None:
        self.written.append((data + self.current[len(data) :], True))

    def extend(self, data: bytes) -> None:
        self.written.append((self.current + data, True))

    def contents(self) -> list[bytes]:
        """Return what may be found after a power cut, the durable content first, the newest second."""
        found = [self.durable, self.current]
        before = self.durable
        for data, over in self.written:
            if over:
                found += torn(before, data)
                before = data
            else:
                half = len(data) // 2
                old = self.durable.ljust(len(data), b"\0")
                found += [data, data[:half] + old[half:], old[:half] + data[half:], old]
                if not self.durable:
                    found.append(data[:half])
        return list(dict.fromkeys(found))


def torn(old: bytes, new: bytes) -> list[bytes]:
    """Return what a file may hold of which some sectors were written and some were not.

    Every subset of few changed sectors; of many, all prefixes and suffixes, all single ones, and a sample. Where the
    file grew, new sectors that were not written are zeros, or the file still has its old length.
    """
    before = old.ljust(len(new), b"\0")
    places = range(0, len(new), SECTOR)
    changed = [at for at in places if before[at : at + SECTOR] != new[at : at + SECTOR]]
    found = []
    for kept in _sector_subsets(changed):
        mixed = bytearray(before)
        for at in kept:
            mixed[at : at + SECTOR] = new[at : at + SECTOR]
        found.append(bytes(mixed))
        if len(old) < len(new):
            found.append(bytes(mixed[: len(old)]))
    if len(new) == SECTOR:
        found.append(new[: SECTOR // 2] + before[SECTOR // 2 :])
    return found


def _sector_subsets(changed: Sequence[int]) -> Iterator[Sequence[int]]:
    if len(changed) <= _ALL_SECTORS:
        yield from (kept for size in range(len(changed) + 1) for kept in itertools.combinations(changed, size))
        return
    for cut in range(len(changed) + 1):
        yield changed[:cut]
        yield changed[cut:]
        yield changed[cut : cut + 1]
    chance = random.Random(len(changed))
    for _ in range(_SAMPLED_SECTORS):
        yield [at for at in changed if chance.random() < 0.5]


class _Disk:
    """The names and nodes below the root, durable and pending."""

    def __init__(self, base: Image) -> None:
        self._names = {
            path: _Node(folder=data is None, durable=b"" if data is None else data) for path, data in base.items()
        }
        self._durable = dict(self._names)
        self._pending: list[tuple[str, _Node | None]] = []
        self._created: dict[int, _Node] = {}

    def apply(self, step: Operation) -> None:
        if step.kind == "mkdir":
            self._name(step.path, _Node(folder=True))
        elif step.kind in ("write", "create"):
            if step.path not in self._names:
                self._name(step.path, _Node())
            self._names[step.path].write(step.data)
            self._created[step.inode] = self._names[step.path]
        elif step.kind == "overwrite":
            self._names[step.path].overwrite(step.data)
        elif step.kind == "extend":
            self._names[step.path].extend(step.data)
        elif step.kind in ("fsync", "fdatasync"):
            node = self._created[step.inode] if step.inode else self._names[step.path]
            node.durable, node.written = node.current, []
        elif step.kind == "rename":
            self._name(step.target, self._names[step.path])
            self._name(step.path, None)
        elif step.kind == "unlink":
            self._name(step.path, None)
        elif step.kind == "sync_folder":
            self._sync(step.path)
        elif step.kind == "sync_all":
            self._sync_all()

    def images(self) -> Iterator[Image]:
        """Yield what a power cut now may leave: every state if they are few, else each change alone and a sample."""
        names = [self._with(kept) for kept in _subsets(len(self._pending))]
        nodes = list({id(node): node for each in names for node in each.values() if node.written}.values())
        for chosen in _choices([names, *(node.contents() for node in nodes)]):
            content = {id(node): data for node, data in zip(nodes, chosen[1:], strict=True)}
            yield _image(chosen[0], content)

    def _with(self, kept: Iterable[int]) -> dict[str, _Node]:
        names = dict(self._durable)
        for number in sorted(kept):
            _set(names, *self._pending[number])
        return names

    def _name(self, path: str, node: _Node | None) -> None:
        _set(self._names, path, node)
        self._pending.append((path, node))

    def _sync_all(self) -> None:
        """Everything is there now, also what had a name before and what never got one."""
        for node in (*self._names.values(), *self._durable.values(), *self._created.values()):
            node.durable, node.written = node.current, []
        self._durable = dict(self._names)
        self._pending = []

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


def image_of(root: Path) -> Image:
    """The files below `root`, all of them durable."""
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes()
        for path in root.rglob("*")
        if path.name != "lock"
    }


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
    """Yield none and all of the changes, then all other subsets of few; of many, only one, all but one, a sample."""
    everything = tuple(range(count))
    yield from [(), everything]
    if count <= _ALL_SUBSETS:
        yield from (kept for size in range(1, count) for kept in itertools.combinations(everything, size))
        return
    yield from itertools.combinations(everything, 1)
    yield from itertools.combinations(everything, count - 1)
    chance = random.Random(count)
    for _ in range(_SAMPLED_SUBSETS):
        yield tuple(number for number in everything if chance.random() < 0.5)


def _choices(lists: Sequence[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """Yield one of each list: all combinations if they are few; else each one beside the first or second, and a sample.

    The first of a list is what is durable, the second what was written last.
    """
    count = 1
    for each in lists:
        count *= len(each)
    if count <= _ALL_PRODUCTS:
        yield from itertools.product(*lists)
        return
    for others in (0, 1):
        rest = [each[min(others, len(each) - 1)] for each in lists]
        for place, each in enumerate(lists):
            yield from ([*rest[:place], one, *rest[place + 1 :]] for one in each)
    chance = random.Random(count)
    for _ in range(_SAMPLED_PRODUCTS):
        yield [chance.choice(each) for each in lists]


def _image(names: dict[str, _Node], content: dict[int, bytes]) -> Image:
    """Return the files under these names; what lies in a lost folder is lost."""
    return {
        path: None if node.folder else content.get(id(node), node.durable)
        for path, node in names.items()
        if all(str(above) in names for above in Path(path).parents if str(above) != ".")
    }
