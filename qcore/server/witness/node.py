"""The node of a witness: the same parts as any node, but those that need a state.

It stores the log and takes part in elections; committed entries are passed over. Where it alone has the newest ones it
leads until a node with the data has them, too, and hands over; it proposes nothing meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qcore.disk.snapshot_files import SnapshotFile
from qcore.engine.base import LoadDone
from qcore.server.node import Node
from qcore.server.runtime import logs
from qcore.server.snapshots.base import AskSnapshot
from qcore.server.witness.applier import WitnessApplier
from qcore.server.witness.hand_over import HandOver
from qcore.server.witness.service import WitnessService
from qcore.server.witness.snapshots import WitnessSnapshots
from qcore.server.writes.inline_reads import InlineReads

__all__ = ["WitnessNode"]

log = logs.get("qcore.node")


class WitnessNode(Node):
    """A running witness."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        node = self._directory.identity.node
        self.service = WitnessService(node, self.router)
        self._hand_over = HandOver(node, self.engine, self._transfer, self.membership)

    def _make_snapshots(self) -> WitnessSnapshots:
        self._kept = WitnessSnapshots(self.settings, self.engine, self._directory)
        return self._kept

    def _make_applier(self, reads: InlineReads) -> WitnessApplier:
        return WitnessApplier(self.settings, self.state, self.scheduler, reads, self)

    def has_cluster(self, has: bool) -> None:
        """Nothing waits here for what others know."""

    def ask_snapshots_by(self, ask: AskSnapshot) -> None:
        """See `Node.ask_snapshots_by`."""
        self._kept.ask = ask

    def offered(self, found: SnapshotFile, done: Callable[[], None]) -> None:
        """See `Node.offered`."""
        self._kept.offered(found, done)

    def leading(self, term: int) -> None:
        """See `Host.leading`: writes that come go to whoever leads next."""
        self.role_changes += 1
        logs.note_role("leader", term)
        log.info("leading", message=f"This witness leads in term {term}, until a node with the data can", term=term)
        if self.forwarding is not None:
            self.forwarding.follow(None, term)
        self._transfer.role_changed()
        if not self.stopping:
            self._hand_over.begin()

    def load(self, found: SnapshotFile, done: LoadDone) -> None:
        """See `Host.load`: it was checked when it came, and is not read."""
        done(None)

    def install(self, found: SnapshotFile, done: Callable[[], None]) -> None:
        """See `Host.install`."""

        def installed() -> None:
            self._kept.installed(found)
            done()

        self._applier.install(found, self.state, installed)

    def _stops(self) -> None:
        super()._stops()
        self._hand_over.stop()
