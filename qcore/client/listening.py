"""The events of one `listen`, for ``async for``."""

# ruff: noqa: ASYNC109 -- `next` takes a timeout as queues do

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from qcore.client.connection import GRACE, Connection
from qcore.client.results import Event
from qcore.client.subscription import Subscription
from qcore.model.errors import Timeout

__all__ = ["Events"]


class Events:
    """The changes that `Store.listen` tells of; ``async with`` begins it, and ends it with the block.

    Without ``async with`` it begins with the first event asked for, and goes on until `aclose`.
    """

    def __init__(self, connection: Connection, params: Mapping[str, Any], seconds: float) -> None:
        self._connection = connection
        self._subscription = Subscription({**params, "timeout": seconds})
        self._seconds = seconds
        self._news: asyncio.Event | None = None
        self._deadline = 0.0
        self._closed = False

    @property
    def revision(self) -> int | None:
        """Everything up to this revision has come, or is about to; None while initial events come."""
        return self._subscription.known

    @property
    def began(self) -> int | None:
        """The revision at which the server took it; None before."""
        return self._subscription.began

    @property
    def epoch(self) -> str | None:
        """The epoch that was current at `revision`: both together are a place in the history."""
        return self._subscription.epoch

    @property
    def token(self) -> int:
        """By which the server knows it; another one after a lost connection."""
        return self._subscription.token

    @property
    def closed(self) -> bool:
        """Whether the program has ended it."""
        return self._closed

    async def __aenter__(self) -> Events:
        try:
            await self._begin()
        except asyncio.CancelledError:
            await self.aclose()  # a block that is not entered is not left either
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        event = await self.next()
        if event is None:
            raise StopAsyncIteration
        return event

    @property
    def front(self) -> Event | None:
        """The event that `next` would give at once, None if it would wait."""
        return self._subscription.ready[0] if self._subscription.ready else None

    @property
    def catches_up(self) -> bool:
        """Whether it is told of the past, while others may be told of what happens."""
        return self._subscription.catches_up

    @property
    def ended(self) -> bool:
        """Whether nothing more comes, but for what is there."""
        return self._subscription.state == "ended"

    def take(self) -> Event | None:
        """The event at the `front`, taken."""
        event = self._subscription.pop()
        if event is not None:
            self._connection.taken(self._subscription)
        return event

    async def news(self) -> None:
        """Wait until anything has come, for this listener or another one of the connection; it has to be begun.

        Raises:
            RequestError: the server ended it, and why.
        """
        self._check()
        await self._wait()

    async def next(self, timeout: float | None = None) -> Event | None:
        """The next event; None where none comes within `timeout` seconds, or after `aclose`.

        Where a call ends early, by its timeout or cancelled, the next one goes on, also before the server has taken it.

        Raises:
            RequestError: the server ended it, and why.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                return await self._next()
        return None

    async def aclose(self) -> None:
        """End it; the server forgets it."""
        self._closed = True
        if self._news is not None:
            self._connection.unsubscribe(self._subscription)

    async def _next(self) -> Event | None:
        await self._begin()
        while not self._closed:
            event = self.take()
            if event is not None:
                return event
            self._check()
            await self._wait()
        return None

    async def _begin(self) -> None:
        """Listen; returns when the server has taken it, or after `aclose`. Any number of callers may wait here."""
        if self._subscription.started or self._closed:
            return
        subscription = self._subscription
        if self._news is None:
            self._news = self._connection.subscribe(subscription)
            self._deadline = asyncio.get_running_loop().time() + self._seconds + GRACE
        try:
            async with asyncio.timeout_at(self._deadline):
                while not subscription.started and subscription.state != "ended":
                    await self._wait()
        except TimeoutError:
            if not subscription.started and subscription.error is None:
                subscription.error = Timeout(f"listen: no answer within {self._seconds:g} s")
                self._connection.unsubscribe(subscription)
        if not subscription.started and not self._closed:
            self._check()

    def _check(self) -> None:
        """Raise why it ended, if it did."""
        subscription = self._subscription
        if subscription.state == "ended":
            self._connection.unsubscribe(subscription)
            assert subscription.error is not None
            raise subscription.error

    async def _wait(self) -> None:
        assert self._news is not None
        self._news.clear()
        await self._news.wait()
