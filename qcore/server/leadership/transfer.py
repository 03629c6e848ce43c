"""How this node hands leadership to another voter: because it is asked to, or because it stops.

Meanwhile no write enters the log, so that the other one has all of it. Writes that come are held: they go on to the
new leader as soon as this node follows it, or into the log here where the transfer has failed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from qcore.engine.base import ChangeDone, Engine
from qcore.model.entry import Membership, public_id
from qcore.model.errors import Busy, RequestError
from qcore.server.leadership.successors import successors
from qcore.server.runtime import logs

__all__ = ["LeadershipTransfer", "WriteGate"]

log = logs.get("qcore.node")


class WriteGate(Protocol):
    """Keeps writes out of the log."""

    def hold(self) -> None:
        """Propose nothing until `release`, or until this node follows."""

    def release(self) -> None:
        """Propose again."""


class LeadershipTransfer:
    """Hands over the leadership of node `itself` (public id), one time after another. Needs the running loop.

    `membership` gives the last one applied, None before the first.
    """

    def __init__(
        self, itself: int, engine: Engine, gate: WriteGate, membership: Callable[[], Membership | None]
    ) -> None:
        self._self = itself
        self._engine = engine
        self._gate = gate
        self._membership = membership
        self._busy = False
        self._abandoned = False
        self._changed = asyncio.Event()

    def start(self, node: int, done: ChangeDone) -> None:
        """Hand leadership to a voter (Raft NodeId); `done` hears that it leads, or why it does not."""
        if self._busy:
            done(Busy("leadership is being handed over already"))
            return
        self._busy = True
        self._gate.hold()
        log.info("transferring", message=f"Handing leadership to node {public_id(node)}", to=public_id(node))

        def ended(error: RequestError | None) -> None:
            self._busy = False
            if error is not None:
                self._gate.release()
            done(error)
            self._changed.set()

        self._engine.transfer(node, ended)

    async def give_away(self, limit: float) -> None:
        """Have another voter lead, whichever can, in `limit` seconds at the most.

        Returns at once where this node does not lead, or nobody else could.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._try_each()

    def role_changed(self) -> None:
        """Another node leads, this one does, or nobody."""
        self._changed.set()

    def abandon(self) -> None:
        """The node ends at once."""
        self._abandoned = True
        self._changed.set()

    async def _try_each(self) -> None:
        tried: set[int] = set()
        while self._leads() and not self._abandoned:
            if self._busy:
                await self._change()
                continue
            left = [node for node in self._successors() if node not in tried]
            if not left:
                return
            tried.add(left[0])
            await self._try(left[0])

    async def _try(self, node: int) -> None:
        """Hand over to one; on return this node follows, or leads as before."""
        heard: list[RequestError | None] = []
        self.start(node, heard.append)
        while not heard and not self._abandoned:
            await self._change()
        if heard and heard[0] is not None:
            log.warning("transfer_failed", message=f"Node {public_id(node)} does not lead: {heard[0].message}")
        while not self._abandoned and (self._leader() is None or (heard[0] is None and self._leads())):
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _leader(self) -> int | None:
        return self._engine.status().leader

    def _leads(self) -> bool:
        return self._engine.status().role == "leader"

    def _successors(self) -> list[int]:
        return successors(self._self, self._membership(), self._engine.status().peers)
