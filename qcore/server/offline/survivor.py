"""A node's directory as the recovery of a cluster sees it: how far its log reaches, and what the store is there.

Two of them compare by cluster and last log id (term first, then index), as in an election: of the disks that are left,
the one with the highest holds all that any of them is known to have acknowledged. Revisions say nothing of that.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec

from qcore.disk.directory import Directory
from qcore.disk.identity import Identity
from qcore.engine.committed import replay_committed
from qcore.model.entry import Entry, LogId, Membership, Vote, raft_node_id
from qcore.model.errors import ConfigError
from qcore.model.times import format_time
from qcore.server.recovery import load, replay_entry
from qcore.store.state.state import State

__all__ = ["Survivor", "read_survivor"]


class Survivor(msgspec.Struct, frozen=True):
    """What is in a directory, the tail of its log counted in.

    Attributes:
        last: log id of the last entry.
        membership: the last one in the log.
        tail: how many entries are not known to be committed.
        alone: no other node was ever a member, as far as the log goes.
        revision: of the state, the tail counted in.
        time: of the last entry known to be committed, ns since 1970; 0 where there is none.
    """

    path: Path
    identity: Identity
    vote: Vote | None
    last: LogId
    membership: Membership
    tail: int
    alone: bool
    revision: int
    time: int

    @property
    def node(self) -> int:
        """Raft NodeId."""
        return raft_node_id(self.identity.node, self.identity.generation)

    def belongs_to(self, membership: Membership) -> bool:
        """Whether a membership has this disk."""
        known = membership.nodes.get(self.node)
        return known is not None and known.incarnation == self.identity.incarnation

    @property
    def missing(self) -> str:
        """What may be missing, for the operator."""
        after = f"everything after {format_time(self.time)}" if self.time else "everything"
        return f"may be missing: {after}"

    def __str__(self) -> str:
        last, own = self.last, self.identity
        facts = [f"cluster {own.cluster}", f"term {last.term}", f"index {last.index}", f"revision {self.revision}"]
        if self.tail:
            facts.append(f"{self.tail} of its entries not known to be committed")
        if own.witness:
            facts.append("a witness")
        if not self.belongs_to(self.membership):
            facts.append("no member any more")
        elif not any(self.node in config for config in self.membership.configs):
            facts.append("without a vote")
        return f"{', '.join(facts)}; {'it is alone and needs no others' if self.alone else self.missing}"


def read_survivor(looked: Directory) -> tuple[Survivor, State]:
    """Read all of a directory, its whole log taken for committed. Blocking.

    Raises:
        ConfigError: there is nothing of a cluster in it.
        Damaged: it is damaged, or a newer version wrote it.
        Fatal: an entry cannot be applied.
    """
    looked.refuse_damaged()
    own = looked.identity
    if not own.cluster:
        raise ConfigError(f"{looked.path} belongs to no cluster: {_blank(own)}")
    state, snapshot = load(looked)
    replayed = replay_committed(looked, raft_node_id(own.node, own.generation), partial(replay_entry, state), snapshot)
    committed_until = state.time  # other leaders may have had entries acknowledged since that are older than the tail
    for entry in replayed.tail:
        replay_entry(state, entry)
    membership = _last_membership(replayed.membership, replayed.tail)
    last = replayed.tail[-1].id if replayed.tail else replayed.applied
    if last is None or membership is None:
        raise ConfigError(f"{looked.path} has nothing yet of cluster {own.cluster}, which has taken it in")
    survivor = Survivor(
        path=looked.path,
        identity=own,
        vote=looked.vote,
        last=last,
        membership=membership,
        tail=len(replayed.tail),
        alone=replayed.alone,
        revision=state.revision,
        time=committed_until,
    )
    return survivor, state


def _last_membership(known: tuple[Membership, LogId] | None, tail: list[Entry]) -> Membership | None:
    found = None if known is None else known[0]
    for entry in tail:
        found = entry.body.membership or found
    return found


def _blank(own: Identity) -> str:
    if own.promise is not None:
        return "it has only promised to form one, which qcore cluster forget-bootstrap takes back"
    return "there is nothing to recover in it"
