"""A disk that fails below a real node: it ends, and what it acknowledged is there."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process import NodeProcess
from tests.system.load import Writer, run_writers
from tests.system.test_kill import prepare, settle_and_check, stop_when_busy

SOURCE = Path(__file__).with_name("failing_fsync.c")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library to preload, which lets a flush fail once the file `broken` beside it exists."""
    target = tmp_path / "failing_fsync.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", target, SOURCE, "-ldl"], check=True)
    return target


@pytest.mark.parametrize("more", [1, 150])
def test_one_failed_fsync_ends_the_node_and_nothing_is_acknowledged_after_it(
    node_factory: Callable[..., NodeProcess], library: Path, more: int
) -> None:
    broken = library.with_name("broken")
    node = node_factory(name="failing", env={"LD_PRELOAD": str(library), "FAIL_FSYNC_WHEN": str(broken)})
    node.start()
    writers = [Writer(number) for number in range(8)]
    asyncio.run(prepare(node.url, writers))
    breaker = stop_when_busy(node, writers, more, broken.touch)
    asyncio.run(run_writers(writers, node.url))
    breaker.join()
    assert node.wait() == 74
    (fatal,) = node.events("fatal")
    assert "Input/output error" in fatal["message"]
    assert "/logs" in fatal["message"]
    assert not node.events("stopped")
    broken.unlink()
    node.start()
    asyncio.run(settle_and_check(node.url, writers))
    assert node.stop() == 0


def test_a_disk_that_fails_at_start_is_named(node_factory: Callable[..., NodeProcess], library: Path) -> None:
    broken = library.with_name("broken")
    broken.touch()
    node = node_factory(name="failing", env={"LD_PRELOAD": str(library), "FAIL_FSYNC_WHEN": str(broken)})
    node.start(wait=False)
    assert node.wait() == 74
    assert f"cannot fsync the folder {node.folder.parent}" in node.log()
    broken.unlink()
    node.start()
