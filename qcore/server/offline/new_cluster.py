"""Making a cluster of one of what a lost majority has left, offline: `qcore recover --force-new-cluster`.

The store goes on where the directory's log ends: entities, ids, revisions, sessions and epochs stay, and the next
leadership opens an epoch, by which clients see whether what they know was lost. Cluster and disk have new ids, and the
disks of all members before are removed ones, so that the new cluster says of any that comes back what it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from qcore.disk.directory import Directory
from qcore.disk.report import node_directory
from qcore.model.entry import Entry, EntryBody, Logged, LogId, Member, Membership
from qcore.model.errors import ConfigError
from qcore.model.leader_commands import RemoveDisk
from qcore.server.config.settings import Settings
from qcore.server.offline.new_directory import NewDirectory, alone, identity_of_new_cluster, put_new_directory
from qcore.server.offline.survivor import Survivor, read_survivor
from qcore.server.recovery import replay_entry
from qcore.store.state.removed_disks import REMOVED_LEVEL
from qcore.store.state.state import State

__all__ = ["NewCluster", "force_new_cluster"]


class NewCluster(msgspec.Struct, frozen=True):
    """What was made of a directory, and where that is now.

    Attributes:
        cluster: id of the new one.
        before: what was there.
        backup: where that lies now.
        others: the other members before, by Raft NodeId.
    """

    cluster: str
    before: Survivor
    backup: Path
    entities: int

    @property
    def others(self) -> dict[int, Member]:
        """The other members of the cluster before, by Raft NodeId."""
        return {
            node: member for node, member in sorted(self.before.membership.nodes.items()) if node != self.before.node
        }


def force_new_cluster(settings: Settings) -> NewCluster:
    """Make the directory of node `settings.id` a cluster of one that nobody else is a member of. Blocking.

    Raises:
        ConfigError: there is no such directory, or nothing in it that has to be recovered.
        AlreadyRunning: a process uses it.
        Damaged: it is damaged, or a newer version wrote it.
        DiskFailed: the new one cannot be written; everything is as it was.
    """
    place = node_directory(settings.directory)
    with closing(Directory.look(place, alone=True)) as looked:
        before, state = read_survivor(looked)
        if before.alone:
            raise ConfigError(
                f"node {before.identity.node} is alone in cluster {before.identity.cluster} and needs no others: "
                "start it, there is nothing to recover"
            )
        own = before.identity
        identity = identity_of_new_cluster(own.node, settings.machine or own.machine, own.generation)
        membership = alone(identity, settings.advertise or settings.ws_addr)
        last = _take_over(state, before, membership)
        backup = put_new_directory(place, NewDirectory(identity, state, last, membership, last))
    assert backup is not None
    return NewCluster(identity.cluster, before, backup, len(state.entities))


def _take_over(state: State, before: Survivor, membership: Membership) -> LogId:
    """Apply what the first leader of the new cluster would have ordered; returns the log id of its membership.

    The state's time stays what it is: nothing expires because of a long outage.
    """
    term = max(before.last.term, 0 if before.vote is None else before.vote.term) + 1
    last = before.last
    for body in (*_removals(state, before), EntryBody(state.level, 0, "membership", membership=membership)):
        last = LogId(term, before.node, last.index + 1)
        replay_entry(state, Entry(last, body))
    return last


def _removals(state: State, before: Survivor) -> Iterator[EntryBody]:
    """The entry that lists the disks of all members, if the state has such a list."""
    disks = {member.incarnation: node for node, member in before.membership.nodes.items()}
    disks[before.identity.incarnation] = before.node
    if state.level >= REMOVED_LEVEL:
        commands: list[Logged] = [RemoveDisk(node, incarnation) for incarnation, node in disks.items()]
        yield EntryBody(state.level, state.time, "commands", commands)
