"""The cluster's half of the engine on OpenRaft: changes of membership and leadership, and what the peer link brings."""

from __future__ import annotations

from collections.abc import Callable

from qcore.disk.identity import Identity
from qcore.disk.snapshot_files import SnapshotFile
from qcore.disk.writer import DiskWriter
from qcore.engine.base import ChangeDone, RpcKind
from qcore.engine.openraft.entries import log_id_parts, member_parts, membership_parts
from qcore.engine.openraft.log_half import LogHalf
from qcore.engine.openraft.rpc_queue import RaftRpcQueue
from qcore.model.entry import Member, Membership

__all__ = ["ClusterHalf"]


class ClusterHalf(LogHalf):
    """See `LogHalf`."""

    _writer: DiskWriter
    _rpc_queue: RaftRpcQueue

    # -- the cluster ---------------------------------------------------------------------------------------

    def initialize(self, members: Membership, done: ChangeDone) -> None:
        """See `Engine.initialize`."""
        nodes = membership_parts(members)[1]
        self._change(lambda call: self._border.initialize(call, nodes), done)

    def add_learner(self, node: int, member: Member, done: ChangeDone) -> None:
        """See `Engine.add_learner`."""
        self._roles.alone = False  # before the core hears: from now on there is somebody who could lead
        self._change(lambda call: self._border.add_learner(call, member_parts(node, member)), done)

    def set_address(self, node: int, addr: str, done: ChangeDone) -> None:
        """See `Engine.set_address`."""
        self._change(lambda call: self._border.set_address(call, node, addr), done)

    def promote(self, node: int, done: ChangeDone) -> None:
        """See `Engine.promote`."""
        self._roles.alone = False
        self._change(lambda call: self._border.promote(call, node), done)

    def remove(self, node: int, done: ChangeDone) -> None:
        """See `Engine.remove`."""
        self._change(lambda call: self._border.remove(call, node), done)

    def transfer(self, node: int, done: ChangeDone) -> None:
        """See `Engine.transfer`."""
        self._change(lambda call: self._border.transfer(call, node), done)

    def save_identity(self, identity: Identity, saved: Callable[[], None]) -> None:
        """See `Engine.save_identity`."""
        self._writer.save_identity(identity, saved)

    def _change(self, ask: Callable[[int], None], done: ChangeDone) -> None:
        self._calls.begin(ask, lambda _index, error: done(error))

    # -- what the peer link brings -------------------------------------------------------------------------

    def rpc_queue(self) -> RaftRpcQueue:
        """See `Engine.rpc_queue`."""
        return self._rpc_queue

    def rpc_in(self, node: int, kind: RpcKind, call: int, body: bytes) -> None:
        """See `Engine.rpc_in`."""
        if kind == "heartbeat" or kind == "append":
            self._contacts.heard_leader()
        self._border.rpc_in(kind, call, body)

    def snapshot_in(self, node: int, call: int, body: bytes, found: SnapshotFile) -> None:
        """See `Engine.snapshot_in`."""
        header, key = found.header, self._snapshots.add(found)
        self._border.snapshot_in(call, body, key, log_id_parts(header.last), log_id_parts(header.membership_id))

    def rpc_done(self, request: int, body: bytes | None) -> None:
        """See `Engine.rpc_done`."""
        self._border.rpc_done(request, body)

    def set_link(self, node: int, up: bool) -> None:
        """See `Engine.set_link`."""
        self._contacts.set_link(node, up)
        self._border.set_link(node, up)
