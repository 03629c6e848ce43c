"""A server that goes away while a tool works with it."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qcore.client.blocking import connect
from qcore.model.errors import ConnectionFailed
from qcore_tools.snapshot import lifeline
from qcore_tools.snapshot.lifeline import Lifeline
from qcore_tools.snapshot.main import main
from tests.process import DEADLINE, NodeProcess
from tests.tools.running import create


async def test_work_that_ends_gives_its_result() -> None:
    async def work() -> int:
        return 7

    assert await Lifeline(0.0).hold(work()) == 7


async def test_work_is_given_up_where_no_server_comes_back() -> None:
    line = Lifeline(0.0)
    ended = asyncio.Event()

    async def work() -> None:
        line.lost("gone")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(ConnectionFailed, match="gone; no server was there again for 0 s"):
        await line.hold(work())
    assert ended.is_set()


async def test_work_goes_on_where_one_comes_back() -> None:
    line = Lifeline(DEADLINE)

    async def work() -> str:
        line.lost("gone")
        line.lost("and again")
        line.found("ws://b:1")
        return "done"

    assert await line.hold(work()) == "done"
    assert line._timer is None


async def test_who_is_interrupted_is_told_of_that() -> None:
    line = Lifeline(DEADLINE)
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    holding = asyncio.create_task(line.hold(work()))
    await begun.wait()
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding


def connected_tool(node: NodeProcess) -> bool:
    with connect(node.url) as store:
        return any(client.name == "snapshot-tool" for client in store.clients())


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end


@pytest.fixture
def large(tmp_path: Path, node: NodeProcess) -> Path:
    """A snapshot that keeps the server busy for a moment."""
    file = tmp_path / "large.json"
    assert main(["take", "--output", str(file), "--url", node.url]) == 0
    document = json.loads(file.read_text())
    document["tree"]["Children"] += [{"entityType": "Folder", "Name": f"f{n}"} for n in range(30_000)]
    file.write_text(json.dumps(document))
    return file


class Tool:
    """snapshot-tool in a thread, connected to a node."""

    def __init__(self, node: NodeProcess, *words: str) -> None:
        self.codes: list[int] = []
        self._thread = threading.Thread(target=lambda: self.codes.append(main([*words, "--url", node.url])))
        self._thread.start()
        until(lambda: connected_tool(node))

    def join(self) -> int:
        """Wait for its end; returns its exit code."""
        self._thread.join(DEADLINE)
        return self.codes[0]


def test_a_server_that_goes_away_from_a_restore_is_3(
    node: NodeProcess, large: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lifeline, "PATIENCE", 0.0)
    capfd.readouterr()
    tool = Tool(node, "restore", "--input", str(large))
    node.kill()
    assert tool.join() == 3
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith(f"snapshot-tool: connection to {node.url} lost: ")


def test_a_server_that_goes_away_before_a_snapshot_is_taken_is_3(
    node: NodeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The tool waits for a reader of its output meanwhile."""
    monkeypatch.setattr(lifeline, "PATIENCE", 0.0)
    target = tmp_path / "fifo"
    os.mkfifo(target)
    tool = Tool(node, "take", "--output", str(target))
    node.kill()
    reader = os.open(target, os.O_RDONLY | os.O_NONBLOCK)
    assert tool.join() == 3
    os.close(reader)
    assert capfd.readouterr().err.startswith(f"snapshot-tool: connection to {node.url} lost: ")


def test_a_server_that_comes_back_is_used(node: NodeProcess, large: Path) -> None:
    tool = Tool(node, "restore", "--input", str(large), "--wait", str(DEADLINE))
    node.kill()
    node.start()
    assert tool.join() == 0
    create(node, "GET /Root/f29999")
