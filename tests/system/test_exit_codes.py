"""The exit codes that no other test of a real daemon sees: each says to systemd whether starting again may help."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import closing

import msgspec

from qcore.disk.directory import Directory
from qcore.disk.log.record import RawEntry, encode_body
from qcore.disk.writer import Completion, DiskWriter
from qcore.model.entry import FEATURE_LEVEL, EntryBody
from qcore.model.leader_commands import CheckDigest
from tests.process import NodeProcess

NodeFactory = Callable[..., NodeProcess]

BROKEN = (
    "import sys; from qcore.server import daemon; from qcore.server.main import main; "
    "daemon.load = lambda *given: 1 / 0; sys.exit(main())"
)
"""A daemon with a defect."""


def test_something_unexpected_ends_with_1_and_its_traceback(node_factory: NodeFactory) -> None:
    node = node_factory(command=(sys.executable, "-c", BROKEN))
    node.start(wait=False)
    assert node.wait() == 1
    assert "ZeroDivisionError" in node.log()


def test_a_replica_that_differs_ends_with_70(node_factory: NodeFactory) -> None:
    node = node_factory("--engine", "embedded")
    node.start()
    assert node.stop() == 0
    append_wrong_check(node)
    node.start(wait=False)
    assert node.wait() == 70
    assert "0" * 32 in node.log()


def append_wrong_check(node: NodeProcess) -> None:
    """Have the node's log say that its state should be another one."""
    with closing(Directory.open(node.folder, node.node)) as directory:
        last = directory.log.last
        assert last is not None
        writer = DiskWriter(directory, ignore)
        body = EntryBody(FEATURE_LEVEL, 0, "commands", [CheckDigest(last.index, "0" * 32)])
        writer.append([RawEntry(msgspec.structs.replace(last, index=last.index + 1), encode_body(body))], None)
        writer.run_pending()


def ignore(_completions: Sequence[Completion]) -> None:
    """Nobody waits for it."""
