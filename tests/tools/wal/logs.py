"""Logs made entry by entry, without a daemon, for the tests of wal-tool."""

from __future__ import annotations

from pathlib import Path

import msgspec

from qcore.disk.directory import Directory
from qcore.disk.snapshot_files import SnapshotHeader
from qcore.model.entry import FEATURE_LEVEL, Entry, EntryBody, Logged, Member, Membership, Vote
from qcore.model.leader_commands import OpenEpoch, RaiseLevel
from qcore.model.requests.commands import SchemaSet
from qcore.model.schema import EntitySchema
from qcore.store.apply import apply_entry
from qcore.store.state.snapshot_lines import StateSnapshot
from qcore.store.state.state import State
from tests.disk.samples import NODE, log_id, open_node, prepare, record_of, slow_of, work

__all__ = ["MEMBERS", "SECOND", "START", "USER", "LogWriter"]

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
"""Time of entry 0; each one after it is a second later."""

MEMBERS = Membership([[NODE]], {NODE: Member("127.0.0.1:8080", "ab" * 16)})

USER = {
    "entityType": "User",
    "inheritsFrom": ["Object"],
    "fields": [
        {"name": "Age", "dataType": "Int"},
        {"name": "Email", "dataType": "String"},
        {"name": "Boss", "dataType": "EntityReference"},
        {"name": "Friends", "dataType": "EntityList"},
        {"name": "Photo", "dataType": "Blob"},
        {"name": "Born", "dataType": "Timestamp"},
    ],
}


class LogWriter:
    """Writes the log of node 1 in `folder`, and applies it. Entries 0 and 1 are there: members, level and types."""

    def __init__(self, folder: Path) -> None:
        self.directory: Directory = open_node(folder)
        self.directory.save_vote(Vote(9, NODE, True))
        self.path = self.directory.path
        self.state = State()
        self.next = 0
        self.term = 1
        self.append(EntryBody(1, 0, "membership", membership=MEMBERS))
        schemas = [msgspec.convert(each, EntitySchema) for each in (USER, {"entityType": "Folder"})]
        schemas[1].inherits_from = ["Object"]
        self.write(RaiseLevel(FEATURE_LEVEL), OpenEpoch("0123456789abcdef"), SchemaSet(schemas=schemas))

    def append(self, body: EntryBody) -> None:
        """Store the next entry."""
        id = log_id(self.next, self.term)
        self.directory.log.append(id, record_of(id, body))
        for _ in apply_entry(self.state, Entry(id, body)):
            pass
        self.next += 1

    def write(self, *commands: Logged) -> int:
        """Store an entry with commands; returns its index."""
        self.append(EntryBody(self.state.level, START + self.next * SECOND, "commands", [*commands]))
        self.commit()
        return self.next - 1

    def blank(self, term: int) -> None:
        """Store the first entry of a term."""
        self.term = term
        self.append(EntryBody(self.state.level, 0, "blank"))
        self.commit()

    def commit(self) -> None:
        """Note that all is committed."""
        self.directory.save_committed(log_id(self.next - 1, self.term), sync=True)

    def uncommitted(self, *commands: Logged) -> int:
        """Store an entry that is not known to be committed."""
        self.append(EntryBody(self.state.level, START + self.next * SECOND, "commands", [*commands]))
        return self.next - 1

    def snapshot(self) -> int:
        """Take a snapshot; returns up to which index."""
        snapshot, last = StateSnapshot(self.state), log_id(self.next - 1, self.term)
        header = SnapshotHeader(
            last,
            MEMBERS,
            log_id(0),
            self.state.level,
            self.state.time,
            snapshot.revision,
            snapshot.digest,
            snapshot.counts,
        )
        writer = self.directory.snapshots.begin(header, 1_790_000_000 + self.next)
        for piece in snapshot.pieces():
            writer.write(piece)
        self.directory.snapshots.add(writer.finish())
        return last.index

    def purge(self, upto: int) -> None:
        """Let the entries up to `upto` go, files and all."""
        self.directory.log.purge(log_id(upto, self.term))
        work(slow_of(self.directory))

    def prepare(self) -> None:
        """Have files ready for the next entries."""
        prepare(self.directory)

    def close(self) -> Path:
        """Give the directory back; returns its path."""
        self.directory.close()
        return self.path
