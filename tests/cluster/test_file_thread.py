from __future__ import annotations

import threading

import pytest

from qcore.cluster.file_thread import FileThread
from tests.cluster.linked import DEADLINE


def test_work_is_done_in_its_order_and_ends_with_a_result_or_an_error() -> None:
    files = FileThread("files")
    done: list[int] = []
    futures = [files.submit(done.append, number) for number in range(100)]
    failing = files.submit(int, "no number")
    assert [future.result(DEADLINE) for future in futures] == [None] * 100
    assert done == list(range(100))
    with pytest.raises(ValueError, match="no number"):
        failing.result(DEADLINE)
    assert files.stop(DEADLINE)


def test_a_disk_that_hangs_holds_nobody_up() -> None:
    files = FileThread("files")
    hangs = threading.Event()
    files.submit(hangs.wait)
    assert not files.stop(0.0)
    hangs.set()
    assert files.stop(DEADLINE)
