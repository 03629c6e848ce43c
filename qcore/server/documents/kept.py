"""What this node keeps for clients between two of their requests: uploads and exports, by name.

A client that connects again within moments may go on with its own. One that does not leaves nothing behind.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from qcore.model.errors import Busy
from qcore.server.client import Client
from qcore.server.runtime import budgets
from qcore.server.runtime.timers import Periodic

__all__ = ["Keepable", "Kept"]


class Keepable(Protocol):
    """What is kept until it is let go."""

    @property
    def finished(self) -> bool:
        """Whether it has served its purpose, so that it makes room for another."""

    def let_go(self) -> None:
        """Free what it holds: nobody can ask for it any more."""


K = TypeVar("K", bound=Keepable)


class _Item(Generic[K]):
    def __init__(self, kept: K, client: Client) -> None:
        self.kept = kept
        self.client = client
        self.used = time.monotonic()
        """Monotonic time of its last use."""


class Kept(Generic[K]):
    """Kept things, each until nobody has used it for `idle` seconds, or its client is gone."""

    def __init__(self, idle: float) -> None:
        self._idle = idle
        self._items: dict[str, _Item[K]] = {}
        self._expiry = Periodic(min(idle / 4, budgets.ORPHAN_SECONDS), self._expire)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def find(self, name: str) -> K | None:
        """What is kept under a name, for another node whose client it is now; used, it stays for a moment."""
        item = self._items.get(name)
        if item is None:
            return None
        item.used = max(item.used, time.monotonic() - self._idle + budgets.ORPHAN_SECONDS)
        return item.kept

    def all(self) -> list[K]:
        """What is kept now, in the order in which it came."""
        return [item.kept for item in self._items.values()]

    def keep(self, name: str, make: Callable[[], K], client: Client) -> K:
        """Keep something new under a name, in place of what was there.

        Raises:
            Busy: the client is gone; nothing is made then.
        """
        if client.closed:
            raise Busy("the connection is closed")
        self.drop(name)
        self._items[name] = item = _Item(make(), client)
        self._expiry.start()
        return item.kept

    def use(self, name: str, client: Client) -> K | None:
        """What is kept under a name, for a client that goes on with it, maybe over another connection than before."""
        item = self._items.get(name)
        if item is None:
            return None
        item.used = time.monotonic()
        if item.client.closed:
            item.client = client
        return item.kept

    def drop(self, name: str, only: K | None = None) -> None:
        """Let go of what is kept under a name, if anything is; `only` if it is that."""
        item = self._items.get(name)
        if item is not None and only in (None, item.kept):
            del self._items[name]
            item.kept.let_go()

    def disconnected(self, client: Client) -> None:
        """What is a client's goes in a moment, unless it is used over another connection."""
        latest = time.monotonic() - self._idle + budgets.ORPHAN_SECONDS
        for item in self._items.values():
            if item.client is client:
                item.used = min(item.used, latest)

    def drop_orphans(self, enough: Callable[[], bool]) -> None:
        """Let go of what belongs to clients that are gone until there is `enough` room, the longest unused first."""
        self._expire()
        self._drop_until(enough, [name for name, item in self._items.items() if item.client.closed])

    def drop_finished(self, enough: Callable[[], bool]) -> None:
        """The same for what has served its purpose."""
        self._drop_until(enough, [name for name, item in self._items.items() if item.kept.finished])

    def _drop_until(self, enough: Callable[[], bool], names: list[str]) -> None:
        for name in sorted(names, key=lambda name: self._items[name].used):
            if enough():
                return
            self.drop(name)

    def again(self) -> str:
        """When the next of what is in the way goes if nobody uses it any more: ``try again in 17 s``."""
        used = (item.used for item in self._items.values() if not item.kept.finished)
        return f"try again in {max(math.ceil(min(used, default=0.0) + self._idle - time.monotonic()), 1)} s"

    def stop(self) -> None:
        """Let go of everything."""
        self._expiry.stop()
        for name in list(self._items):
            self.drop(name)

    def _expire(self) -> bool:
        latest = time.monotonic() - self._idle
        for name in [name for name, item in self._items.items() if item.used <= latest]:
            self.drop(name)
        return bool(self._items)
