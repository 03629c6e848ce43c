"""Tells the other nodes when this one's disk is below its reserve, and takes what they say of theirs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import msgspec

from qcore.server.runtime import budgets
from qcore.server.runtime.timers import Periodic
from qcore.server.writes.full_disks import DiskReport, FullDisks

__all__ = ["DiskReports"]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DiskReport).decode


class DiskReports:
    """Reports to all nodes that are `linked`: while the disk is below its reserve, and once when it has room again.

    `look` sees how the own disk is, `send` sends; nodes are named by Raft NodeId.
    """

    def __init__(
        self,
        look: Callable[[], DiskReport],
        others: FullDisks,
        linked: Callable[[], Iterable[int]],
        send: Callable[[int, bytes], None],
    ) -> None:
        self._look = look
        self._others = others
        self._linked = linked
        self._send = send
        self._told = False
        self._timer = Periodic(budgets.DISK_REPORT_SECONDS, self._report)

    def start(self) -> None:
        """Look and report from now on."""
        self._timer.start()

    def stop(self) -> None:
        """Report nothing more."""
        self._timer.stop()

    def take(self, node: int, body: bytes) -> None:
        """Take what another node reports.

        Raises:
            ValueError: it is no report.
        """
        self._others.note(node, _decode(body), time.monotonic())

    def _report(self) -> bool:
        report = self._look()
        if report.full or self._told:
            body = _encode(report)
            for node in self._linked():
                self._send(node, body)
        self._told = bool(report.full)
        return True
