"""The directory of a node that was one of several, as a daemon leaves it that was killed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from qcore.disk.directory import Directory
from qcore.disk.log.record import encode, encode_body
from qcore.model.entry import FEATURE_LEVEL, EntryBody, Logged, LogId, Member, Membership, Vote, raft_node_id
from qcore.model.leader_commands import OpenEpoch, RaiseLevel
from qcore.model.requests.commands import Create, SchemaSet, SessionOpen
from qcore.model.schema import EntitySchema

__all__ = ["CLUSTER", "EPOCH", "NS", "START", "disk_of", "member", "members"]

CLUSTER = "ab" * 16
EPOCH = "0123456789abcdef"
NS = 1_000_000_000
START = 1_700_000_000
"""Seconds since 1970 at which the first command was ordered; each entry comes a second later."""


def disk_of(id: int) -> str:
    """The incarnation of a member."""
    return f"{id:032x}"


def members(*ids: int, learners: Sequence[int] = ()) -> Membership:
    nodes = {raft_node_id(id, 0): Member(f"127.0.0.1:{8080 + id}", disk_of(id)) for id in (*ids, *learners)}
    return Membership([[raft_node_id(id, 0) for id in ids]], nodes)


def member(
    folder: Path,
    id: int = 1,
    *,
    users: int = 5,
    committed: int = 3,
    term: int = 4,
    membership: Membership | None = None,
    cluster: str = CLUSTER,
    level: int = FEATURE_LEVEL,
) -> Path:
    """Node `id` with so many users, each in an entry of its own; the hint says up to which index it is committed.

    Entry 0 is the membership, 1 the level, the epoch, the type and a session, and the users come behind.
    """
    first: list[Logged] = [RaiseLevel(level), OpenEpoch(EPOCH), SchemaSet(EntitySchema("User")), SessionOpen()]
    commands = [first]
    commands += [[Create("User", f"u{number}", parent=1)] for number in range(users)]
    bodies = [EntryBody(level, 0, "membership", membership=membership or members(1, 2, 3))]
    bodies += [EntryBody(level, (START + at) * NS, "commands", each) for at, each in enumerate(commands)]
    with closing(Directory.open(folder, id, machine=f"box-{id}")) as directory:
        own = msgspec.structs.replace(directory.identity, incarnation=disk_of(id), cluster=cluster)
        directory.save_identity(own)
        directory.save_vote(Vote(term, raft_node_id(2, 0), committed=True))
        for index, body in enumerate(bodies):
            log_id = LogId(term if index else 0, raft_node_id(2, 0), index)
            directory.log.append(log_id, encode(log_id, encode_body(body)))
        directory.save_committed(directory.log.log_id(committed), sync=True)
        return directory.path
