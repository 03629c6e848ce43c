from __future__ import annotations

import inspect
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from qcore.client import Exists, blocking
from qcore.client.store import Store
from qcore.model.errors import ConnectionFailed, NotFound
from tests.process import DEADLINE, NodeProcess


def public(cls: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(cls, callable) if not name.startswith("_")}


def test_the_surface_is_that_of_the_asyncio_store() -> None:
    assert public(blocking.Store) == public(Store)
    assert blocking.Store.get.__doc__ == Store.get.__doc__


def test_it_reads_and_writes(node: NodeProcess) -> None:
    with blocking.connect(node.url) as store:
        user = store.create("User", "ann", fields={"Age": 30})
        assert store.get(user.id, "Age")["Age"] == 30
        with pytest.raises(NotFound):
            store.get(999_999)
        assert store.pipeline([Exists(user.id), Exists(999_999)]) == [True, False]
    assert "qcore.client" not in {thread.name for thread in threading.enumerate()}


def test_a_snapshot_comes_in_pieces(node: NodeProcess) -> None:
    with blocking.connect(node.url) as store:
        text = "".join(page.chunk for page in store.snapshot_export(ids=False))
        assert not store.snapshot_restore(text).changed


def test_threads_share_it(node: NodeProcess) -> None:
    with blocking.connect(node.url) as store, ThreadPoolExecutor(8) as threads:
        user = store.create("User", "counter")
        list(threads.map(lambda _: store.set(user.id, "Age", 1, mode="add"), range(100)))
        assert store.get(user.id, "Age")["Age"] == 100


class Interrupted(Exception):
    pass


def interrupt(_signal: int, _frame: object) -> None:
    raise Interrupted


def interrupted_wait(events: blocking.Events) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    events.next()


def test_an_interrupted_wait_leaves_nobody_behind_who_takes_the_next_event(node: NodeProcess) -> None:
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with blocking.connect(node.url) as store, store.listen("User") as events:
            with pytest.raises(Interrupted):
                interrupted_wait(events)
            user = store.create("User", "ann")
            event = events.next(DEADLINE)
            assert event is not None
            assert (event.kind, event.id) == ("created", user.id)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_without_a_server_it_says_so() -> None:
    with pytest.raises(ConnectionFailed, match="connection refused"), blocking.connect("127.0.0.1:1"):
        pass
