"""Snapshots that a witness asks for, and those that a node with the data sends it for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from qcore.cluster.connections.asked import Done
from qcore.cluster.hub import PeerStatus
from qcore.cluster.traffic.questions import Question
from qcore.disk.snapshot_files import SnapshotFile, SnapshotFiles
from qcore.model.errors import RequestError
from qcore.server.runtime import budgets

__all__ = ["SNAPSHOT", "SnapshotRequests"]

SNAPSHOT = "snapshot"
"""The kind of question in which a witness asks for one: it says beyond which log index."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(int).decode


class SnapshotLink(Protocol):
    """What this needs of the link."""

    @property
    def status(self) -> tuple[PeerStatus, ...]:
        """The nodes that this one is linked with."""

    def ask(self, node: int, kind: str, body: bytes, limit: float, done: Done) -> None:
        """Ask a node."""

    def offer_snapshot(self, node: int, found: SnapshotFile) -> None:
        """Send a node a snapshot beside Raft."""


class SnapshotRequests:
    """Of a node with these `snapshots`, in the cluster that `cluster` gives; `leader` gives the public id of who leads.

    The leader, which has the most to do, is asked only where nobody else has the data.
    """

    def __init__(
        self,
        link: SnapshotLink,
        snapshots: SnapshotFiles,
        cluster: Callable[[], str],
        leader: Callable[[], int | None],
    ) -> None:
        self._link = link
        self._snapshots = snapshots
        self._cluster = cluster
        self._leader = leader

    def ask(self, beyond: int) -> None:
        """Ask a node with the data for its newest snapshot, if that goes beyond a log index."""
        found = self._with_data(self._link.status)
        if found:
            self._link.ask(found[0], SNAPSHOT, _encode(beyond), budgets.FORMATION_ANSWER_SECONDS, _ignore)

    def asked(self, question: Question) -> None:
        """A witness asks; what it gets comes by itself."""
        question.answer(b"")
        newest = self._snapshots.found[0] if self._snapshots.found else None
        if newest is None or question.asker.cluster != self._cluster():
            return
        try:
            beyond = _decode(question.body)
        except msgspec.DecodeError:  # of another version
            return
        if newest.header.last.index > beyond:
            self._link.offer_snapshot(question.asker.node, newest)

    def _with_data(self, linked: Sequence[PeerStatus]) -> list[int]:
        cluster, leader = self._cluster(), self._leader()
        fit = [each.hello for each in linked if each.up and each.hello.cluster == cluster and not each.hello.witness]
        return [hello.node for hello in sorted(fit, key=lambda hello: (hello.id == leader, hello.node))]


def _ignore(_body: bytes, _error: RequestError | None) -> None:
    """Who is not answered asks again."""
