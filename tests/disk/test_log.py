from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from qcore.disk.directory import Directory
from qcore.disk.record import decode, encode
from qcore.model.entry import Vote
from qcore.model.errors import Compacted, Damaged
from tests.disk.samples import NODE, append, body, filled, log_id, open_node


def entries(directory: Directory) -> list[tuple[int, int]]:
    """Index and term of everything in the log, read from the files."""
    first = directory.log.first
    return [(each.id.index, each.id.term) for each in directory.log.read(first.index if first else 0, 1_000)]


def names(path: Path) -> list[str]:
    return sorted(each.name for each in (path / "logs").iterdir())


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
    assert names(path) == []
    again = open_node(tmp_path)
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
    assert names(path) == []
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


@pytest.mark.parametrize("content", [b"", b" " * 4096, b"\0" * 100])
def test_blank_files_above_the_last_entry_are_no_entries(tmp_path: Path, content: bytes) -> None:
    path = filled(tmp_path, 2)
    for index in (2, 3, 7):
        (path / "logs" / f"{index}.json").write_bytes(content)
    directory = open_node(tmp_path)
    assert directory.log.last == log_id(1)
    assert names(path) == ["0.json", "1.json"]
    directory.close()


def test_blanks_behind_a_record_are_accepted(tmp_path: Path) -> None:
    path = filled(tmp_path, 3)
    for index in range(3):
        file = path / "logs" / f"{index}.json"
        file.write_bytes(file.read_bytes().ljust(4096))
    directory = open_node(tmp_path)
    assert entries(directory) == [(0, 1), (1, 1), (2, 1)]
    directory.close()


def test_a_blank_file_below_an_entry_is_damage(tmp_path: Path) -> None:
    path = filled(tmp_path, 3)
    (path / "logs" / "1.json").write_bytes(b" " * 4096)
    with pytest.raises(Damaged, match=r"logs/1\.json is damaged: expected an entry, found blanks"):
        open_node(tmp_path)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_flipped_bit_is_refused_by_name(tmp_path: Path, index: int) -> None:
    path = filled(tmp_path, 3) / "logs" / f"{index}.json"
    data = bytearray(path.read_bytes())
    data[-20] ^= 4
    path.write_bytes(data)
    with pytest.raises(Damaged, match=rf"logs/{index}\.json is damaged: expected checksum"):
        open_node(tmp_path)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, index: int) -> None:
    path = filled(tmp_path, 3) / "logs" / f"{index}.json"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(Damaged, match=rf"logs/{index}\.json is damaged: expected at least"):
        open_node(tmp_path)


@pytest.mark.parametrize("index", [0, 1])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, index: int) -> None:
    path = filled(tmp_path, 3)
    (path / "logs" / f"{index}.json").unlink()
    with pytest.raises(Damaged, match=rf"logs/{index}\.json is damaged: expected this entry below entry {index + 1}"):
        open_node(tmp_path)


def test_an_entry_in_another_s_place_is_refused_by_name(tmp_path: Path) -> None:
    path = filled(tmp_path, 3) / "logs"
    shutil.copy(path / "1.json", path / "3.json")
    with pytest.raises(Damaged, match=r"logs/3\.json is damaged: expected entry 3 by its name, found entry 1"):
        open_node(tmp_path)


def test_an_entry_older_than_the_one_before_is_refused_by_name(tmp_path: Path) -> None:
    path = filled(tmp_path, 3) / "logs"
    (path / "3.json").write_bytes(encode(log_id(3, term=0), body("old")))
    with pytest.raises(Damaged, match=r"logs/3\.json is damaged: expected an entry that follows"):
        open_node(tmp_path)


def test_a_damaged_directory_is_left_as_it_was_found(tmp_path: Path) -> None:
    path = filled(tmp_path, 3) / "logs"
    (path / "1.json").write_bytes(b"{}")
    (path / "3.json").write_bytes(b" " * 4096)
    with pytest.raises(Damaged):
        open_node(tmp_path)
    assert names(path.parent) == ["0.json", "1.json", "2.json", "3.json"]


@pytest.mark.parametrize("name", ["1 (copy).json", "01.json", "-1.json", "1.json.bak", "one.json", "１.json"])
def test_a_stray_file_is_never_taken_for_an_entry(tmp_path: Path, name: str) -> None:
    path = filled(tmp_path, 2) / "logs"
    shutil.copy(path / "1.json", path / name)
    directory = open_node(tmp_path)
    assert entries(directory) == [(0, 1), (1, 1)]
    assert any(name in warning for warning in directory.warnings)
    assert (path / name).exists()
    directory.close()


def test_damage_that_comes_after_the_start_is_found_while_reading(tmp_path: Path) -> None:
    path = filled(tmp_path, 3) / "logs"
    directory = open_node(tmp_path)
    (path / "1.json").write_bytes(encode(log_id(1, term=0), body("other")))
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
