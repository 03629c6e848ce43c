"""What an engine answers that has no other nodes: wishes that need some are refused, and nobody asks it anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qcore.disk.identity import Identity
from qcore.disk.snapshot_files import SnapshotFile
from qcore.engine.base import ChangeDone, RpcKind, RpcQueue
from qcore.model.entry import LogId, Member, Membership
from qcore.model.errors import Forbidden

__all__ = ["Alone"]


class Alone:
    """The cluster's half of `Engine` for one node alone."""

    def initialize(self, members: Membership, done: ChangeDone) -> None:
        """Refuse: this node has formed a cluster of one by itself."""
        done(_alone("formed"))

    def add_learner(self, node: int, member: Member, done: ChangeDone) -> None:
        """Refuse: there is no cluster to add to."""
        done(_alone("joined"))

    def set_address(self, node: int, addr: str, done: ChangeDone) -> None:
        """Refuse: nobody has to find this node."""
        done(_alone("changed"))

    def promote(self, node: int, done: ChangeDone) -> None:
        """Refuse: there is nobody to promote."""
        done(_alone("changed"))

    def remove(self, node: int, done: ChangeDone) -> None:
        """Refuse: there is nobody to remove."""
        done(_alone("changed"))

    def transfer(self, node: int, done: ChangeDone) -> None:
        """Refuse: there is nobody to lead instead."""
        done(_alone("led by another node"))

    def save_identity(self, identity: Identity, saved: Callable[[], None]) -> None:
        """Not called: who is alone has nothing to promise."""
        raise AssertionError("one node alone forms no cluster with others")

    def rpc_queue(self) -> RpcQueue:
        """Not called: there is no peer link."""
        raise AssertionError("one node alone has no peer link")

    def rpc_in(self, node: int, kind: RpcKind, call: int, body: bytes) -> None:
        """Not called: there is no peer link."""
        raise AssertionError("one node alone has no peer link")

    def snapshot_in(self, node: int, call: int, body: bytes, found: SnapshotFile) -> None:
        """Not called: there is no peer link."""
        raise AssertionError("one node alone has no peer link")

    def rpc_done(self, request: int, body: bytes | None) -> None:
        """Not called: nothing was asked."""
        raise AssertionError("one node alone has no peer link")

    def stored(self) -> Mapping[int, LogId]:
        """See `Engine.stored`."""
        return {}

    def probe_core(self, done: Callable[[], None]) -> None:
        """See `Engine.probe_core`: the loop decides by itself."""
        done()

    def set_link(self, node: int, up: bool) -> None:
        """Not called: there are no links."""
        raise AssertionError("one node alone has no peer link")


def _alone(what: str) -> Forbidden:
    return Forbidden(
        f"no cluster can be {what} here: this node runs alone on the embedded engine; "
        "a cluster needs --engine openraft and peers (--peers or --enable-discovery)"
    )
