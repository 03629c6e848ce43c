from __future__ import annotations

import json
from pathlib import Path

import pytest

from qcore.disk.checksummed import encode_checksummed
from qcore.disk.marks import Marks
from qcore.model.entry import Vote
from tests.disk.samples import NODE, Unsynced, log_id


@pytest.fixture
def files() -> Unsynced:
    return Unsynced()


def test_an_empty_folder_has_no_marks(files: Unsynced, tmp_path: Path) -> None:
    marks = Marks(files, str(tmp_path))
    assert (marks.vote, marks.purged, marks.committed, marks.stored) == (None, None, None, None)


def test_what_was_saved_is_there_again(files: Unsynced, tmp_path: Path) -> None:
    marks = Marks(files, str(tmp_path))
    marks.save_vote(Vote(3, NODE, False))
    marks.save_purged(log_id(4))
    marks.replace_committed(None, None)
    marks.save_committed(log_id(5), log_id(6), sync=False)
    again = Marks(files, str(tmp_path))
    assert again.vote == Vote(3, NODE, False)
    assert (again.purged, again.committed, again.stored) == (log_id(4), log_id(5), log_id(6))


def test_committed_json_is_one_sector_of_plain_json(files: Unsynced, tmp_path: Path) -> None:
    marks = Marks(files, str(tmp_path))
    marks.replace_committed(None, None)
    marks.save_committed(log_id(2**64 - 1, 2**64 - 1), log_id(2**64 - 1, 2**64 - 1), sync=False)
    data = (tmp_path / "committed.json").read_bytes()
    assert len(data) == 512
    assert json.loads(data)["stored"] == {"term": 2**64 - 1, "node": NODE, "index": 2**64 - 1}


def test_a_watermark_without_a_hint_is_kept(files: Unsynced, tmp_path: Path) -> None:
    Marks(files, str(tmp_path)).replace_committed(None, log_id(3))
    again = Marks(files, str(tmp_path))
    assert (again.committed, again.stored) == (None, log_id(3))


@pytest.mark.parametrize("content", [b"", b"\0" * 512, b"{}", encode_checksummed(log_id(1), 512).replace(b"1", b"2")])
def test_an_unreadable_hint_counts_as_absent(files: Unsynced, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "committed.json").write_bytes(content)
    marks = Marks(files, str(tmp_path))
    assert (marks.committed, marks.stored) == (None, None)


@pytest.mark.parametrize("name", ["vote.json", "purged.json"])
def test_an_unreadable_mark_is_damage(files: Unsynced, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    marks = Marks(files, str(tmp_path))
    (problem,) = marks.problems
    assert problem.data["path"] == str(tmp_path / name)
    assert marks.is_damaged(str(tmp_path / name))


class NoBlock(Unsynced):
    """A disk without a free block."""

    def write(self, path: str, data: bytes) -> None:
        raise AssertionError(f"{path} needs a block")


def test_the_purge_mark_takes_the_place_of_the_hint_where_no_block_is_free(files: Unsynced, tmp_path: Path) -> None:
    Marks(files, str(tmp_path)).replace_committed(log_id(5), log_id(6))
    marks = Marks(NoBlock(), str(tmp_path))
    marks.save_purged_without_room(log_id(4))
    assert [path.name for path in tmp_path.iterdir()] == ["purged.json"]
    again = Marks(files, str(tmp_path))
    assert (again.purged, again.committed, again.problems) == (log_id(4), None, [])


def test_without_a_hint_the_purge_mark_is_stored_as_ever(files: Unsynced, tmp_path: Path) -> None:
    Marks(files, str(tmp_path)).save_purged_without_room(log_id(4))
    assert Marks(files, str(tmp_path)).purged == log_id(4)
