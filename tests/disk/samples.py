"""Entries and directories for the tests of this room."""

from __future__ import annotations

from pathlib import Path

from qcore.disk.directory import Directory
from qcore.disk.files import Files
from qcore.disk.log.preallocator import Preallocator
from qcore.disk.log.record import encode, encode_body
from qcore.model.entry import FEATURE_LEVEL, EntryBody, Logged, LogId, Vote
from qcore.model.requests.commands import Create

__all__ = [
    "NODE",
    "Unsynced",
    "append",
    "body",
    "entries",
    "filled",
    "log_id",
    "names",
    "open_node",
    "prepare",
    "record_of",
    "slow_of",
    "work",
]

NODE = 65_536


class Unsynced(Files):
    """The real operations, but for the wait: tests that cut no power need no fsync."""

    def fsync(self, descriptor: int, path: str) -> None:
        pass

    def fdatasync(self, descriptor: int, path: str) -> None:
        pass

    def sync_folder(self, path: str) -> None:
        pass

    def sync_all(self, folder: str) -> bool:
        return True


def log_id(index: int, term: int = 1) -> LogId:
    return LogId(term, NODE, index)


def body(text: str = "") -> EntryBody:
    """A blank entry, or one that creates an entity called `text`."""
    commands: list[Logged] = [Create("Folder", text, parent=1)] if text else []
    return EntryBody(FEATURE_LEVEL, 1_700_000_000_000_000_000, "commands" if text else "blank", commands)


def record_of(id: LogId, body: EntryBody) -> bytes:
    """The record of an entry."""
    return encode(id, encode_body(body))


def append(directory: Directory, index: int, term: int = 1, text: str = "") -> bytes:
    """Append one entry and return its record."""
    data = record_of(log_id(index, term), body(text or f"entry {index} of term {term}"))
    directory.log.append(log_id(index, term), data)
    return data


def entries(directory: Directory) -> list[tuple[int, int]]:
    """Index and term of everything in the log, read from the files."""
    first = directory.log.first
    return [(each.id.index, each.id.term) for each in directory.log.read(first.index if first else 0, 1_000)]


def names(path: Path) -> list[str]:
    """The names in a node's logs/."""
    return sorted(each.name for each in (path / "logs").iterdir())


def slow_of(directory: Directory, files: Files | None = None) -> Preallocator:
    """The slow thread's work of a directory, without the thread."""
    return Preallocator(files or Unsynced(), str(directory.path / "logs"), directory.log.ready_files)


def work(slow: Preallocator) -> None:
    """Do all that the slow thread has to do now."""
    for _ in slow.steps():
        pass


def prepare(directory: Directory, files: Files | None = None) -> None:
    """Have files ready for the next entries."""
    work(slow_of(directory, files))


def open_node(folder: Path, machine: str | None = None) -> Directory:
    return Directory.open(folder, 1, files=Unsynced(), machine=machine)


def filled(folder: Path, count: int, text: str = "", prepared: bool = False) -> Path:
    """Make node 1's directory with `count` entries, perhaps in prepared files, closed again; return its path."""
    directory = open_node(folder)
    directory.save_vote(Vote(1, NODE, True))
    for index in range(count):
        if prepared:
            prepare(directory)
        append(directory, index, text=text)
    if count:
        directory.save_committed(directory.log.last, sync=True)
    directory.close()
    return directory.path
