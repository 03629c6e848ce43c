"""wal-tool --follow beside a node that writes, purges and restarts."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qcore.client.blocking import connect
from tests.conftest import NodeFactory
from tests.process import DEADLINE, SCHEMA_FILE, NodeProcess
from tests.tools.running import command, environment


@pytest.fixture
def purging(node_factory: NodeFactory) -> NodeProcess:
    """A node that takes a snapshot every sixty entries, and purges what the one before holds."""
    node = node_factory("--config-file", str(SCHEMA_FILE), "--max-log-files", "120", "--log-cleanup-interval", "1")
    node.start()
    return node


@pytest.fixture
def followed(purging: NodeProcess) -> Iterator[subprocess.Popen[str]]:
    args = ["--data-dir", str(purging.folder), "--follow", "--format", "json", "--kind", "set", "--index", "0.."]
    running = subprocess.Popen(
        [*command("wal"), *args], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    alarm = threading.Timer(2 * DEADLINE, running.kill)  # whoever waits for a line in vain reads the end
    alarm.start()
    with running:
        yield running
        running.kill()
    alarm.cancel()


def ages(running: subprocess.Popen[str], upto: int) -> list[tuple[int, int]]:
    """Alice's old and new age in each line, up to one that sets it to `upto`."""
    assert running.stdout is not None
    found: list[tuple[int, int]] = []
    for line in running.stdout:
        record: dict[str, Any] = json.loads(line)
        age = record["changes"][0]["fields"]["Age"]
        found.append((age["old"], age["new"]))
        if age["new"] == upto:
            break
    return found


def write(node: NodeProcess, numbers: range) -> None:
    with connect(node.url) as store:
        for number in numbers:
            store.set("/Root/Organization/Alice", "Age", number)


def purge_mark(folder: Path) -> int:
    try:
        return int(json.loads((folder / "purged.json").read_text())["index"])
    except FileNotFoundError:
        return -1


def test_every_write_is_told_once_while_the_node_writes_purges_and_restarts(
    purging: NodeProcess, followed: subprocess.Popen[str]
) -> None:
    write(purging, range(1_000, 1_001))
    assert ages(followed, 1_000) == [(34, 1_000)]
    begin = 1_000
    while purge_mark(purging.data_dir) < 50:
        write(purging, range(begin + 1, begin + 51))
        assert ages(followed, begin + 50) == [(age - 1, age) for age in range(begin + 1, begin + 51)]
        begin += 50
    assert purging.stop() == 0
    purging.start()
    write(purging, range(begin + 1, begin + 21))
    purging.kill()
    purging.start()
    write(purging, range(begin + 21, begin + 41))
    assert ages(followed, begin + 40) == [(age - 1, age) for age in range(begin + 1, begin + 41)]
    followed.send_signal(signal.SIGINT)
    assert followed.communicate(timeout=60) == ("", "")
    assert followed.returncode == 130
