"""The surface of `store` for programs without asyncio: a loop in a thread of its own does the work.

    with connect("ws://127.0.0.1:8080") as store:
        store.set(12, "Age", 30)

Any number of threads may use one store.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar

from qcore.client import store as asynchronous
from qcore.client.listening import Events as AsyncEvents
from qcore.client.results import Event
from qcore.client.urls import DEFAULT_URL

__all__ = ["Store", "connect"]

P = ParamSpec("P")
R = TypeVar("R")


def _blocking(
    method: Callable[Concatenate[asynchronous.Store, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Store, P], R]:
    def call(self: Store, /, *args: P.args, **kwargs: P.kwargs) -> R:
        answer: R = self._run(method(self._store, *args, **kwargs))
        return answer

    update_wrapper(call, method)
    return call


def _iterating(
    method: Callable[Concatenate[asynchronous.Store, P], AsyncIterator[R]],
) -> Callable[Concatenate[Store, P], Iterator[R]]:
    def call(self: Store, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        items = method(self._store, *args, **kwargs)
        while True:
            try:
                item: R = self._run(_next(items))
            except StopAsyncIteration:
                return
            yield item

    update_wrapper(call, method)
    return call


async def _next(items: AsyncIterator[R]) -> R:
    return await anext(items)


class Events:
    """The changes that `listen` tells of, for ``for``; inside ``with`` it ends with the block. See `qcore.client`."""

    def __init__(self, events: AsyncEvents, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._events = events
        self._run = run

    def __enter__(self) -> Events:
        self._run(self._events.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> Event:
        event = self.next()
        if event is None:
            raise StopIteration
        return event

    def next(self, timeout: float | None = None) -> Event | None:
        """The next event; None where none comes within `timeout` seconds, or after `close`."""
        event: Event | None = self._run(self._events.next(timeout))
        return event

    def close(self) -> None:
        """End it."""
        self._run(self._events.aclose())


def _listening(
    method: Callable[Concatenate[asynchronous.Store, P], AsyncEvents],
) -> Callable[Concatenate[Store, P], Events]:
    async def begin(store: asynchronous.Store, *args: P.args, **kwargs: P.kwargs) -> AsyncEvents:
        return method(store, *args, **kwargs)  # on the loop, where it belongs

    def call(self: Store, /, *args: P.args, **kwargs: P.kwargs) -> Events:
        return Events(self._run(begin(self._store, *args, **kwargs)), self._run)

    update_wrapper(call, method)
    return call


class Store:
    """A qcore store, from `connect`; each method waits for its answer. See `qcore.client.Store`."""

    def __init__(self, store: asynchronous.Store, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._store = store
        self._run = run

    @property
    def url(self) -> str:
        """See `qcore.client.Store.url`."""
        return self._store.url

    ping = _blocking(asynchronous.Store.ping)
    info = _blocking(asynchronous.Store.info)
    machine = _blocking(asynchronous.Store.machine)
    clients = _blocking(asynchronous.Store.clients)
    slow_log = _blocking(asynchronous.Store.slow_log)
    digest = _blocking(asynchronous.Store.digest)
    create = _blocking(asynchronous.Store.create)
    get = _blocking(asynchronous.Store.get)
    set = _blocking(asynchronous.Store.set)
    delete = _blocking(asynchronous.Store.delete)
    exists = _blocking(asynchronous.Store.exists)
    find = _blocking(asynchronous.Store.find)
    count = _blocking(asynchronous.Store.count)
    types = _blocking(asynchronous.Store.types)
    schema_get = _blocking(asynchronous.Store.schema_get)
    schema_complete = _blocking(asynchronous.Store.schema_complete)
    schema_set = _blocking(asynchronous.Store.schema_set)
    schema_delete = _blocking(asynchronous.Store.schema_delete)
    field_get = _blocking(asynchronous.Store.field_get)
    field_set = _blocking(asynchronous.Store.field_set)
    field_exists = _blocking(asynchronous.Store.field_exists)
    pipeline = _blocking(asynchronous.Store.pipeline)
    transaction = _blocking(asynchronous.Store.transaction)
    listen = _listening(asynchronous.Store.listen)
    cluster_status = _blocking(asynchronous.Store.cluster_status)
    cluster_init = _blocking(asynchronous.Store.cluster_init)
    cluster_transfer = _blocking(asynchronous.Store.cluster_transfer)
    cluster_add = _blocking(asynchronous.Store.cluster_add)
    cluster_remove = _blocking(asynchronous.Store.cluster_remove)
    cluster_promote = _blocking(asynchronous.Store.cluster_promote)
    snapshot_take = _blocking(asynchronous.Store.snapshot_take)
    snapshot_export = _iterating(asynchronous.Store.snapshot_export)
    snapshot_plan = _blocking(asynchronous.Store.snapshot_plan)
    snapshot_restore = _blocking(asynchronous.Store.snapshot_restore)
    call = _blocking(asynchronous.Store.call)
    batch = _blocking(asynchronous.Store.batch)


@contextmanager
def connect(
    urls: str | Iterable[str] = DEFAULT_URL,
    *,
    client: str = "python",
    timeout: float = asynchronous.DEFAULT_TIMEOUT,
    wait: float = 0.0,
) -> Iterator[Store]:
    """Connect as `qcore.client.connect` does; the same errors."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="qcore.client", daemon=True)
    thread.start()

    def run(coroutine: Coroutine[Any, Any, R]) -> R:
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result()
        finally:
            future.cancel()  # of no effect but where Ctrl-C ended the wait: nobody would take what it brings

    try:
        connecting = asynchronous.connect(urls, client=client, timeout=timeout, wait=wait)
        store = run(connecting.__aenter__())
        try:
            yield Store(store, run)
        finally:
            run(connecting.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
