"""The thread for blocking work."""

from __future__ import annotations

import subprocess
import sys
import threading
import weakref
from concurrent.futures import Future

import pytest

from qcore.server.runtime.worker import Worker


def test_it_does_one_thing_after_another_and_gives_back_results_and_errors() -> None:
    worker = Worker("test")
    done: list[int] = []
    futures: list[Future[None]] = [worker.submit(done.append, number) for number in range(100)]
    wrong = worker.submit(int, "x")
    assert [each.result(10) for each in futures] == [None] * 100
    assert done == list(range(100))
    with pytest.raises(ValueError, match="invalid literal"):
        wrong.result(10)
    worker.shutdown()


def test_what_is_cancelled_before_its_turn_is_not_done() -> None:
    worker, gate = Worker("test"), threading.Event()
    worker.submit(gate.wait, 10)
    done: list[int] = []
    future = worker.submit(done.append, 1)
    assert future.cancel()
    gate.set()
    worker.shutdown()
    assert done == []


def test_nothing_is_held_of_what_is_done() -> None:
    class Thing:
        pass

    worker, thing = Worker("test"), Thing()
    gone = weakref.ref(thing)
    worker.submit(id, thing).result(10)
    worker.submit(int).result(10)
    del thing
    assert gone() is None
    worker.shutdown()


def test_a_process_ends_though_its_worker_hangs() -> None:
    program = (
        "import time; from qcore.server.runtime.worker import Worker; Worker('test').submit(time.sleep, 600); print(1)"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=30, capture_output=True, check=True)
    assert done.stdout == b"1\n"
