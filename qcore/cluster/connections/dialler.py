"""Dials every address that is known, for ever, and keeps one connection of each channel to the node behind it.

Each address has a task of its own. It asks who is there on the urgent channel; if nobody else has linked that node yet,
the other channels follow at the same address, and all live as long as the urgent one does.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterable
from typing import Protocol

from qcore.cluster import budgets
from qcore.cluster.connections.addresses import Addresses, split_address
from qcore.cluster.connections.backoff import Backoff
from qcore.cluster.connections.connection import Connection
from qcore.cluster.connections.websocket import dialled
from qcore.cluster.handshake.hello import CHANNELS, Channel, Refusal

__all__ = ["Dialler", "Dials"]


class Dials(Protocol):
    """What is needed of the link to dial."""

    def make_connection(self, channel: Channel, address: str) -> Connection:
        """A connection to an address, as it was named, of which this side is the dialler."""

    def max_frame(self) -> int:
        """Bytes of the largest frame that may come."""

    def may_dial(self, address: str) -> Refusal | None:
        """Why whoever is at the other end of a socket is not talked to, before a word is said."""

    def take_over(self, connection: Connection) -> bool:
        """Use an urgent connection for its node; False if that node has one already."""

    def note_failure(self, address: str, connection: Connection | None, why: str) -> None:
        """An attempt was in vain, or a connection was lost."""


class Dialler:
    """One task for each address; all on the loop's thread."""

    def __init__(self, dials: Dials) -> None:
        self._dials = dials
        self._addresses = Addresses(budgets.ADDRESSES)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self._chance = random.Random().random

    def name(self, source: str, addresses: Iterable[str]) -> None:
        """Replace the addresses that a source names; see `Addresses.name`."""
        self._addresses.name(source, addresses)
        wanted = self._addresses.all()
        for address in self._tasks.keys() - wanted:
            self._wakes[address].set()
        for address in wanted:
            if address not in self._tasks:
                self._wakes[address] = asyncio.Event()
                self._tasks[address] = asyncio.ensure_future(self._keep(address))

    def wake(self, address: str | None = None) -> None:
        """Try an address at once, all without one: its node is known to be there, or it may not be linked any more."""
        for found, wake in self._wakes.items():
            if address is None or address == found:
                wake.set()

    async def stop(self) -> None:
        """Dial no more."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- one address ---------------------------------------------------------------------------------------

    async def _keep(self, address: str) -> None:
        backoff = Backoff(budgets.FIRST_PAUSE_SECONDS, budgets.LONGEST_PAUSE_SECONDS, self._chance)
        loop = asyncio.get_running_loop()
        while address in self._addresses.all():
            begun = loop.time()
            pause = await self._attempt(address)
            if loop.time() - begun >= budgets.STEADY_SECONDS:
                backoff.reset()
            await self._sleep(address, backoff.pause() if pause is None else backoff.spread(pause))
        self._tasks.pop(address, None)
        self._wakes.pop(address, None)

    async def _sleep(self, address: str, seconds: float) -> None:
        wake = self._wakes[address]
        wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # `wait_for` may lose a cancellation
                await wake.wait()

    async def _attempt(self, address: str) -> float | None:
        """Link whoever is there until that ends; the pause to make then, None for the next one of the back-off."""
        urgent = await self._open(address, "urgent")
        if urgent is None:
            return None
        if urgent.hello is None:
            return self._refused(address, urgent)
        if not self._dials.take_over(urgent):
            urgent.close(1000, "the node is linked by another address")
            return budgets.SPARE_PAUSE_SECONDS
        others = [asyncio.ensure_future(self._keep_channel(address, urgent, channel)) for channel in CHANNELS[1:]]
        try:
            await urgent.gone.wait()
        finally:
            for other in others:
                other.cancel()
            urgent.abort("dialling was given up")
        self._dials.note_failure(address, urgent, urgent.why)
        return None

    async def _keep_channel(self, address: str, urgent: Connection, channel: Channel) -> None:
        """Keep one of the other channels to the same run of the same node."""
        backoff = Backoff(budgets.FIRST_PAUSE_SECONDS, budgets.LONGEST_PAUSE_SECONDS, self._chance)
        connection: Connection | None = None
        try:
            while not urgent.gone.is_set():
                connection = await self._open(address, channel)
                if connection is not None and connection.hello is not None:
                    if urgent.hello is None or connection.hello.run != urgent.hello.run:
                        urgent.close(1000, "another process has taken its address")
                        return
                    await connection.gone.wait()
                    self._dials.note_failure(address, connection, connection.why)
                await asyncio.sleep(backoff.pause())
        finally:
            if connection is not None:
                connection.abort(urgent.why or "the urgent connection to the node is gone")

    async def _open(self, address: str, channel: Channel) -> Connection | None:
        """Dial; None if there is no socket, else a connection whose handshake has ended, well or not."""
        loop = asyncio.get_running_loop()
        host, port = split_address(address) or ("", 0)
        connection = self._dials.make_connection(channel, address)
        socket = dialled(connection, self._dials.max_frame(), host, port)
        connection.speaks_over(socket)
        try:
            async with asyncio.timeout(budgets.HANDSHAKE_SECONDS):
                await loop.create_connection(lambda: socket, host, port)
        except (OSError, TimeoutError, UnicodeError) as exc:  # the last one: a name that cannot be one of DNS
            why = "no answer" if isinstance(exc, TimeoutError) else getattr(exc, "strerror", None) or str(exc)
            connection.lost(why, None)
            self._dials.note_failure(address, None, why)
            return None
        except asyncio.CancelledError:
            connection.lost("dialling was given up", None)
            raise
        closed = self._dials.may_dial(socket.address)
        if closed is not None:
            connection.refuse(closed)
        try:
            await connection.settled.wait()
        except asyncio.CancelledError:
            connection.abort("dialling was given up")
            raise
        if connection.hello is None and channel != "urgent":
            self._dials.note_failure(address, connection, connection.why)
        return connection

    def _refused(self, address: str, connection: Connection) -> float | None:
        self._dials.note_failure(address, connection, connection.why)
        refusal = connection.refusal
        if refusal is None:
            return None
        return budgets.SPARE_PAUSE_SECONDS if refusal.reason == "itself" else budgets.REFUSED_PAUSE_SECONDS
