from __future__ import annotations

from pathlib import Path

import pytest

from qcore.disk.log.record import decode
from qcore.model.entry import Vote
from qcore.model.errors import Compacted, Damaged
from tests.disk.samples import NODE, append, body, entries, filled, log_id, names, open_node, prepare, record_of


def test_appended_entries_are_read_back_in_order(tmp_path: Path) -> None:
    filled(tmp_path, 12)
    directory = open_node(tmp_path)
    assert entries(directory) == [(index, 1) for index in range(12)]
    assert (directory.log.first, directory.log.last) == (log_id(0), log_id(11))
    assert [each.id.index for each in directory.log.read(3, 6)] == [3, 4, 5]
    assert next(directory.log.read(4, 5)).body == body("entry 4 of term 1")
    directory.close()


def test_an_entry_is_one_file_named_by_its_index(tmp_path: Path) -> None:
    directory = open_node(tmp_path)
    data = append(directory, 0, term=0)
    assert (directory.path / "logs" / "0.json").read_bytes() == data
    assert names(directory.path) == ["0.json"]
    directory.close()


@pytest.mark.parametrize(("index", "term"), [(0, 2), (1, 2), (3, 2), (2, 0)])
def test_an_entry_that_does_not_follow_the_last_is_refused(tmp_path: Path, index: int, term: int) -> None:
    filled(tmp_path, 2)
    directory = open_node(tmp_path)
    with pytest.raises(ValueError, match="cannot follow"):
        append(directory, index, term)
    assert names(directory.path) == ["0.json", "1.json"]
    directory.close()


def test_truncate_removes_an_entry_and_all_above(tmp_path: Path) -> None:
    filled(tmp_path, 5)
    directory = open_node(tmp_path)
    directory.log.truncate(3)
    assert (directory.log.last, directory.stored) == (log_id(2), log_id(2))
    directory.log.truncate(3)
    append(directory, 3, term=1, text="other")
    assert entries(directory) == [(0, 1), (1, 1), (2, 1), (3, 1)]
    directory.log.truncate(0)
    assert (directory.log.first, directory.log.last, directory.stored) == (None, None, None)
    directory.close()
    again = open_node(tmp_path)
    assert entries(again) == []
    again.close()


def test_purge_drops_entries_up_to_the_mark(tmp_path: Path) -> None:
    filled(tmp_path, 5)
    directory = open_node(tmp_path)
    directory.log.purge(log_id(2))
    directory.log.purge(log_id(1))
    assert (directory.purged, directory.log.first, directory.log.last) == (log_id(2), log_id(3), log_id(4))
    assert directory.log.log_id(2) == log_id(2)
    assert directory.log.log_id(1) is None
    with pytest.raises(Compacted, match="entry 2 was purged; the log begins at 3"):
        next(directory.log.read(2, 9))
    with pytest.raises(ValueError, match="cannot truncate at 2: entries up to 2 are purged"):
        directory.log.truncate(2)
    directory.close()
    again = open_node(tmp_path)
    assert entries(again) == [(3, 1), (4, 1)]
    assert again.purged == log_id(2)
    again.close()


@pytest.mark.parametrize("mark", [4, 9])
def test_a_mark_at_or_above_the_end_empties_the_log_and_it_goes_on_after_it(tmp_path: Path, mark: int) -> None:
    path = filled(tmp_path, 5)
    directory = open_node(tmp_path)
    directory.log.purge(log_id(mark))
    assert (directory.log.first, directory.log.last) == (None, log_id(mark))
    directory.close()
    again = open_node(tmp_path)
    assert names(path) == []
    assert (again.log.first, again.log.last) == (None, log_id(mark))
    append(again, mark + 1)
    assert entries(again) == [(mark + 1, 1)]
    again.close()


def test_an_append_at_or_below_the_mark_writes_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path, 5)
    directory = open_node(tmp_path)
    directory.log.purge(log_id(6))
    append(directory, 5)
    append(directory, 6)
    assert names(path) == [f"{index}.json" for index in range(5)]
    assert directory.log.last == log_id(6)
    directory.close()


def test_files_at_or_below_the_mark_are_removed_unread_at_start(tmp_path: Path) -> None:
    path = filled(tmp_path, 5)
    directory = open_node(tmp_path)
    directory.log.purge(log_id(2))
    directory.close()
    (path / "logs" / "0.json").write_bytes(b"anything")
    (path / "logs" / "2.json").write_bytes(b"")
    again = open_node(tmp_path)
    again.close()
    assert names(path) == ["3.json", "4.json"]


def test_damage_that_comes_after_the_start_is_found_while_reading(tmp_path: Path) -> None:
    path = filled(tmp_path, 3) / "logs"
    directory = open_node(tmp_path)
    (path / "1.json").write_bytes(record_of(log_id(1, term=0), body("other")))
    with pytest.raises(Damaged, match=r"logs/1\.json"):
        list(directory.log.read(0, 3))
    (path / "1.json").unlink()
    with pytest.raises(Damaged, match=r"logs/1\.json .*found no such file"):
        list(directory.log.read(0, 3))
    directory.close()


def test_the_last_entry_is_stored_anew_at_start(tmp_path: Path) -> None:
    path = filled(tmp_path, 2) / "logs"
    before = [(path / name).stat().st_ino for name in ("0.json", "1.json")]
    open_node(tmp_path).close()
    after = [(path / name).stat().st_ino for name in ("0.json", "1.json")]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_log_ids_of_many_terms_are_known_after_a_start(tmp_path: Path) -> None:
    directory = open_node(tmp_path)
    directory.save_vote(Vote(9, NODE, True))
    terms = [0, 1, 1, 4, 4, 4, 9]
    for index, term in enumerate(terms):
        data = append(directory, index, term)
        assert decode(data, index, "x").id == log_id(index, term)
    directory.close()
    again = open_node(tmp_path)
    assert [again.log.log_id(index) for index in range(8)] == [log_id(*each) for each in enumerate(terms)] + [None]
    again.close()


def test_truncated_entries_leave_prepared_files_where_they_can(tmp_path: Path) -> None:
    path = filled(tmp_path, 0)
    directory = open_node(tmp_path)
    directory.save_vote(Vote(2, NODE, True))
    for index in range(4):
        if index != 2:
            prepare(directory)
        append(directory, index, text="x" * 6_000 if index == 2 else "")
    sizes = [(path / "logs" / f"{index}.json").stat().st_size for index in range(4)]
    directory.log.truncate(1)
    assert [(path / "logs" / f"{index}.json").exists() for index in range(4)] == [True, True, sizes[2] == 4096, True]
    assert (path / "logs" / "1.json").read_bytes() == b" " * sizes[1]
    for index in range(1, 4):
        append(directory, index, term=2)
    assert entries(directory) == [(0, 1), (1, 2), (2, 2), (3, 2)]
    directory.close()
    again = open_node(tmp_path)
    assert entries(again) == [(0, 1), (1, 2), (2, 2), (3, 2)]
    again.close()


def test_a_file_with_a_second_name_is_never_written_over(tmp_path: Path) -> None:
    path = filled(tmp_path, 3, prepared=True)
    backup = tmp_path / "backup.json"
    backup.hardlink_to(path / "logs" / "1.json")
    kept = backup.read_bytes()
    directory = open_node(tmp_path)
    directory.log.truncate(1)
    append(directory, 1, term=2)
    assert backup.read_bytes() == kept
    directory.close()


def test_reading_on_while_entries_are_purged_says_so(tmp_path: Path) -> None:
    path = filled(tmp_path, 6, prepared=True)
    directory = open_node(tmp_path)
    reading = directory.log.read(0, 6)
    assert [next(reading).id.index for _ in range(2)] == [0, 1]
    directory.log.purge(log_id(3))
    (path / "logs" / "2.json").write_bytes(b" " * 4096)
    with pytest.raises(Compacted, match="entry 2 was purged; the log begins at 4"):
        next(reading)
    with pytest.raises(Compacted, match="entry 3 was purged"):
        next(directory.log.read(3, 6))
    assert [entry.id.index for entry in directory.log.read(4, 6)] == [4, 5]
    directory.close()


def test_ready_files_outlive_a_restart(tmp_path: Path) -> None:
    path = filled(tmp_path, 2)
    directory = open_node(tmp_path)
    prepare(directory)
    directory.close()
    again = open_node(tmp_path)
    assert again.log.ready_files.ready == 8
    (path / "logs" / "2.json").stat()
    append(again, 2)
    assert (path / "logs" / "2.json").stat().st_size == 4096
    assert entries(again) == [(0, 1), (1, 1), (2, 1)]
    again.close()


@pytest.mark.parametrize("kept", [0, 600, 1 << 20])
def test_what_a_start_found_is_replayed_however_much_of_it_stayed_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr("qcore.disk.log.survey._KEPT", kept)
    filled(tmp_path, 6, prepared=True)
    directory = open_node(tmp_path)
    assert list(directory.log.replay(log_id(1), log_id(9))) == list(directory.log.read(2, 6))
    assert [entry.id.index for entry in directory.log.replay(None, log_id(5))] == list(range(6))
    directory.close()


@pytest.mark.parametrize(
    ("after", "upto", "replayed"),
    [(None, None, []), (None, 2, [0, 1, 2]), (1, 3, [2, 3]), (3, 3, []), (4, 2, []), (2, 9, [3, 4, 5]), (7, 9, [])],
)
def test_a_replay_goes_up_to_what_is_committed_and_not_beyond(
    tmp_path: Path, after: int | None, upto: int | None, replayed: list[int]
) -> None:
    filled(tmp_path, 6)
    directory = open_node(tmp_path)
    ids = [None if index is None else log_id(index) for index in (after, upto)]
    assert [entry.id.index for entry in directory.log.replay(*ids)] == replayed
    directory.close()


def test_a_replay_begins_above_the_purge_mark(tmp_path: Path) -> None:
    filled(tmp_path, 6)
    directory = open_node(tmp_path)
    directory.log.purge(log_id(3))
    directory.close()
    again = open_node(tmp_path)
    assert [entry.id.index for entry in again.log.replay(None, again.log.last)] == [4, 5]
    again.close()


def test_the_leaders_of_the_log_are_told_by_their_first_entries(tmp_path: Path) -> None:
    filled(tmp_path, 0)
    directory = open_node(tmp_path)
    directory.save_vote(Vote(9, NODE, True))
    assert directory.log.leaders() == []
    for index, term in enumerate([0, 1, 1, 1, 4, 4, 9]):
        append(directory, index, term)
    assert directory.log.leaders() == [log_id(0, 0), log_id(1, 1), log_id(4, 4), log_id(6, 9)]
    directory.log.purge(log_id(1, 1))
    assert directory.log.leaders() == [log_id(2, 1), log_id(4, 4), log_id(6, 9)]
    directory.log.truncate(5)
    assert directory.log.leaders() == [log_id(2, 1), log_id(4, 4)]
    directory.log.purge(log_id(4, 4))
    assert directory.log.leaders() == []
    directory.close()


def test_a_truncate_takes_the_hint_along(tmp_path: Path) -> None:
    filled(tmp_path, 5)
    directory = open_node(tmp_path)
    directory.save_committed(log_id(4))
    directory.log.truncate(3)
    assert (directory.committed, directory.stored) == (log_id(2), log_id(2))
    directory.save_committed(log_id(1))
    directory.log.truncate(2)
    assert (directory.committed, directory.stored) == (log_id(1), log_id(1))
    directory.close()


def test_what_was_checked_at_start_is_not_read_again_to_be_replayed(tmp_path: Path) -> None:
    path = filled(tmp_path, 6)
    directory = open_node(tmp_path)
    for file in (path / "logs").iterdir():
        file.unlink()
    assert [entry.id.index for entry in directory.log.replay(None, directory.log.last)] == list(range(6))
    directory.close()
