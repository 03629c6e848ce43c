"""Entries and directories for the tests of this room."""

from __future__ import annotations

from pathlib import Path

from qcore.disk.directory import Directory
from qcore.disk.files import Files
from qcore.disk.record import encode
from qcore.model.commands import Create
from qcore.model.entry import FEATURE_LEVEL, EntryBody, Logged, LogId, Vote

__all__ = ["NODE", "Unsynced", "append", "body", "filled", "log_id", "open_node"]

NODE = 65_536


class Unsynced(Files):
    """The real operations, but for the wait: tests that cut no power need no fsync."""

    def fsync(self, descriptor: int, path: str) -> None:
        pass

    def sync_folder(self, path: str) -> None:
        pass


def log_id(index: int, term: int = 1) -> LogId:
    return LogId(term, NODE, index)


def body(text: str = "") -> EntryBody:
    """A blank entry, or one that creates an entity called `text`."""
    commands: list[Logged] = [Create("Folder", text, parent=1)] if text else []
    return EntryBody(FEATURE_LEVEL, 1_700_000_000_000_000_000, "commands" if text else "blank", commands)


def append(directory: Directory, index: int, term: int = 1, text: str = "") -> bytes:
    """Append one entry and return its record."""
    data = encode(log_id(index, term), body(text or f"entry {index} of term {term}"))
    directory.log.append(log_id(index, term), data)
    return data


def open_node(folder: Path, **kwargs: str) -> Directory:
    return Directory.open(folder, 1, files=Unsynced(), **kwargs)


def filled(folder: Path, count: int) -> Path:
    """Make node 1's directory with `count` entries, closed again; return its path."""
    directory = open_node(folder)
    directory.save_vote(Vote(1, NODE, True))
    for index in range(count):
        append(directory, index)
    if count:
        directory.save_committed(directory.log.last, sync=True)
    directory.close()
    return directory.path
