"""What OpenRaft asks of the peer link, for the thread that the link lives on."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from qcore.engine.base import Peers, RpcKind
from qcore.engine.openraft.snapshots import SnapshotKeys

if TYPE_CHECKING:
    from qcore_openraft import Border

__all__ = ["RaftRpcQueue"]


class RaftRpcQueue:
    """See `qcore.engine.base.RpcQueue`."""

    def __init__(self, border: Border, snapshots: SnapshotKeys) -> None:
        self._border = border
        self._snapshots = snapshots

    def fileno(self) -> int:
        """See `RpcQueue.fileno`."""
        return self._border.link_fd()

    def deliver(self, peers: Peers) -> None:
        """See `RpcQueue.deliver`."""
        self._border.deliver_link(_ToPeers(peers, self._border, self._snapshots))


class _ToPeers:
    """Hands to `peers` what the border says."""

    def __init__(self, peers: Peers, border: Border, snapshots: SnapshotKeys) -> None:
        self._peers = peers
        self._border = border
        self._snapshots = snapshots
        self.cancel = peers.cancel
        self.answer = peers.answer

    def send(self, node: int, kind: str, request: int, body: bytes, limit: float, /) -> None:
        self._peers.send(node, cast(RpcKind, kind), request, body, limit)

    def send_snapshot(self, node: int, request: int, body: bytes, snapshot: int, /) -> None:
        try:
            found = self._snapshots.file(snapshot)
        except LookupError:
            self._border.rpc_done(request, None)
        else:
            self._peers.send_snapshot(node, request, body, found)
