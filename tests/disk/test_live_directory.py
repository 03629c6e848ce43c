"""Looking at a directory beside whoever uses it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from qcore.disk.live_directory import LiveDirectory
from qcore.model.entry import Vote
from qcore.model.errors import Damaged, DiskFailed
from tests.disk.samples import NODE, filled, log_id, open_node, prepare


def test_it_is_read_while_a_daemon_holds_it_and_lets_one_in(tmp_path: Path) -> None:
    path = filled(tmp_path, 3)
    with closing(open_node(tmp_path)) as held, closing(LiveDirectory(path)) as live:
        prepare(held)
        assert live.identity() == held.identity
        assert live.marks().vote == Vote(1, NODE, True)
        assert live.committed() == log_id(2)
        assert [entry.id.index for entry in live.entries.read(0, 99)] == [0, 1, 2]
        assert live.numbers()[:4] == [0, 1, 2, 3]
        assert live.size(0) == (path / "logs" / "0.json").stat().st_size
        assert live.size(10_000) == 0
    with closing(LiveDirectory(path)):
        open_node(tmp_path).close()


def test_a_hint_that_is_being_written_over_is_not_known(tmp_path: Path) -> None:
    path = filled(tmp_path, 3)
    (path / "committed.json").write_bytes(b" " * 512)
    with closing(LiveDirectory(path)) as live:
        assert live.committed() is None
        assert live.marks().hint_problem is not None


def test_another_directory_in_its_place_is_noticed_and_never_read(tmp_path: Path) -> None:
    path = filled(tmp_path / "data", 3)
    other = filled(tmp_path / "other", 1)
    with closing(LiveDirectory(path)) as live:
        assert live.is_in_place()
        path.rename(tmp_path / "kept")
        assert not live.is_in_place()
        other.rename(path)
        assert not live.is_in_place()
        assert len(live.entries.read(0, 99)) == 3


def test_logs_that_come_later_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "node_1"
    path.mkdir()
    with closing(LiveDirectory(path)) as live:
        assert live.is_in_place()
        assert live.numbers() == []
        (path / "logs").mkdir()
        assert not live.is_in_place()


def test_logs_behind_a_link_are_not_opened(tmp_path: Path) -> None:
    path = filled(tmp_path, 1)
    (path / "logs").rename(tmp_path / "elsewhere")
    (path / "logs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Damaged, match="expected a folder, found a symbolic link"):
        LiveDirectory(path)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DiskFailed, match="node_1"):
        LiveDirectory(tmp_path / "node_1")
