"""A disk that fails below a real node: it ends, and what it acknowledged is there."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

import pytest

from tests.faults import Faults, Rule
from tests.process import NodeProcess
from tests.system.load import Writer, run_writers
from tests.system.test_kill import prepare, settle_and_check, stop_when_busy

BROKEN = Rule("fsync", "fail", errno.EIO, times=1)
"""One flush fails and later ones succeed, as with a real disk, whose kernel reports a lost page once."""


@pytest.mark.parametrize("more", [1, 150])
def test_one_failed_fsync_ends_the_node_and_nothing_is_acknowledged_after_it(
    node_factory: Callable[..., NodeProcess], faults: Faults, more: int
) -> None:
    node = node_factory(name="failing", env=faults.env)
    node.start()
    writers = [Writer(number) for number in range(8)]
    asyncio.run(prepare(node.url, writers))
    breaker = stop_when_busy(node, writers, more, lambda: faults.set(BROKEN))
    asyncio.run(run_writers(writers, node.url))
    breaker.join()
    assert node.wait() == 74
    (fatal,) = node.events("fatal")
    assert "Input/output error" in fatal["message"]
    assert "/logs" in fatal["message"]
    assert not node.events("stopped")
    faults.clear()
    node.start()
    asyncio.run(settle_and_check(node.url, writers))
    assert node.stop() == 0


def test_a_disk_that_fails_at_start_is_named(node_factory: Callable[..., NodeProcess], faults: Faults) -> None:
    faults.set(BROKEN)
    node = node_factory(name="failing", env=faults.env)
    node.start(wait=False)
    assert node.wait() == 74
    assert f"cannot fsync the folder {node.folder.parent}" in node.log()
    faults.clear()
    node.start()
