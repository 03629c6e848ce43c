"""Every kind of damage is found and named, beside a daemon or without one."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from qcore.disk.directory import Directory
from qcore.disk.files import Files
from qcore.disk.snapshot_files import SnapshotHeader
from qcore.disk.verification import Verified, verify
from qcore.model.entry import Membership, Vote
from tests.disk.samples import NODE, append, filled, log_id, open_node, slow_of, work


def header(index: int, term: int = 1) -> SnapshotHeader:
    id = log_id(index, term)
    return SnapshotHeader(id, Membership([[NODE]], {}), log_id(0), 1, 1, 1, "0" * 32, {})


def add_snapshot(directory: Directory, index: int, term: int = 1) -> None:
    writer = directory.snapshots.begin(header(index, term), 1_700_000_000 + index)
    writer.write(b'{"line":"state"}\n')
    directory.snapshots.add(writer.finish())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Ten entries, three of them purged, two snapshots."""
    filled(tmp_path, 10, prepared=True)
    directory = open_node(tmp_path)
    add_snapshot(directory, 2)
    add_snapshot(directory, 7)
    directory.log.purge(log_id(2))
    work(slow_of(directory))
    directory.close()
    return directory.path


def look(path: Path) -> Verified:
    return verify(path, Files(), pause=lambda _seconds: None)


def wrong(path: Path) -> dict[str, str]:
    """What is wrong, by the files' names within the directory."""
    return {
        os.path.relpath(problem.data["path"], path): str(problem.data.get("problem", problem.message))
        for problem in look(path).problems
    }


def link_to_zero(file: Path) -> None:
    file.symlink_to("/dev/zero")


def flip(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


def test_a_sound_directory_has_no_problems(path: Path) -> None:
    found = look(path)
    assert found.problems == []
    assert (found.entries, found.first, found.last) == (7, log_id(3), log_id(9))
    assert found.snapshots == [log_id(7), log_id(2)]
    assert found.committed == log_id(9)


@pytest.mark.parametrize("place", [20, 200])
def test_a_flipped_bit_of_an_entry_is_found(path: Path, place: int) -> None:
    flip(path / "logs" / "5.json", place)
    assert list(wrong(path)) == ["logs/5.json"]


@pytest.mark.parametrize("name", ["node.json", "vote.json", "purged.json", "committed.json"])
def test_a_flipped_bit_of_a_small_file_is_found(path: Path, name: str) -> None:
    flip(path / name, 40)
    assert wrong(path)[name].startswith("expected one line of JSON that matches its check")


@pytest.mark.parametrize("place", [30, -60, -10])
def test_a_flipped_bit_of_a_snapshot_is_found(path: Path, place: int) -> None:
    flip(path / "snapshots" / "snapshot_1700000007.json", place)
    assert list(wrong(path)) == ["snapshots/snapshot_1700000007.json"]


def test_missing_entries_are_found(path: Path) -> None:
    (path / "logs" / "4.json").unlink()
    (path / "logs" / "6.json").unlink()
    assert wrong(path) == {
        "logs/4.json": "expected this entry below entry 5, found no such file",
        "logs/6.json": "expected this entry below entry 7, found no such file",
    }


def test_a_missing_last_entry_is_found_by_the_watermark(path: Path) -> None:
    (path / "logs" / "9.json").unlink()
    assert wrong(path) == {"logs/9.json": "expected entries up to 9, which were stored, found no such file"}


@pytest.mark.parametrize(("name", "problem"), [("vote.json", "a vote of at least term 1"), ("purged.json", "the mark")])
def test_a_missing_small_file_is_found(path: Path, name: str, problem: str) -> None:
    (path / name).unlink()
    assert problem in wrong(path)[name], wrong(path)


@pytest.mark.parametrize(
    ("size", "problem"), [(0, "an empty file"), (60, "an entry's head"), (250, "bytes by its head")]
)
def test_a_truncated_entry_is_found(path: Path, size: int, problem: str) -> None:
    os.truncate(path / "logs" / "5.json", size)
    assert problem in wrong(path)["logs/5.json"]


@pytest.mark.parametrize("size", [0, 100, -5])
def test_a_truncated_snapshot_is_found(path: Path, size: int) -> None:
    file = path / "snapshots" / "snapshot_1700000007.json"
    os.truncate(file, size if size >= 0 else file.stat().st_size + size)
    assert list(wrong(path)) == ["snapshots/snapshot_1700000007.json"]


def test_an_entry_of_another_index_is_found(path: Path) -> None:
    shutil.copy(path / "logs" / "5.json", path / "logs" / "6.json")
    assert wrong(path) == {"logs/6.json": "expected entry 6 by its name, found entry 5"}


def test_an_entry_of_another_log_is_found(path: Path, tmp_path: Path) -> None:
    other = open_node(tmp_path / "other")
    for index in range(7):
        append(other, index, term=9)
    other.close()
    shutil.copy(other.path / "logs" / "6.json", path / "logs" / "6.json")
    assert "logs/6.json" in wrong(path) or "logs/7.json" in wrong(path)


def test_files_that_no_node_puts_there_are_found(path: Path) -> None:
    for name in ("logs/007.json", "logs/notes.txt", "snapshots/copy.json"):
        (path / name).write_text("{}")
    (path / "logs" / "11.json.tmp").write_text("left by a crash")
    assert {name: problem.partition(",")[0] for name, problem in wrong(path).items()} == {
        "logs/007.json": "expected nothing but entries here",
        "logs/notes.txt": "expected nothing but entries here",
        "snapshots/copy.json": "expected nothing but snapshots here",
    }


def test_an_identity_of_another_node_is_found(path: Path, tmp_path: Path) -> None:
    with closing(Directory.open(tmp_path / "other", 2)):
        pass
    shutil.copy(tmp_path / "other" / "node_2" / "node.json", path / "node.json")
    assert wrong(path) == {"node.json": "expected node 1 by the folder's name, found node 2"}


def test_a_log_that_is_gone_above_all_good_snapshots_is_found(path: Path) -> None:
    for file in (path / "snapshots").iterdir():
        file.unlink()
    assert "expected a good snapshot at log index 2 or above" in wrong(path)["snapshots"]


def test_a_snapshot_of_a_term_that_was_never_voted_in_is_found(path: Path, tmp_path: Path) -> None:
    with closing(open_node(tmp_path)) as directory:
        add_snapshot(directory, 8, term=5)
    assert list(wrong(path)) == ["snapshots/snapshot_1700000008.json"]


def test_a_hint_that_names_another_entry_is_found(path: Path, tmp_path: Path) -> None:
    with closing(open_node(tmp_path)) as directory:
        directory.save_committed(log_id(9, term=7), sync=True)
    assert list(wrong(path)) == ["committed.json"]


@pytest.mark.parametrize("kind", [os.mkfifo, link_to_zero, os.mkdir])
def test_what_is_no_file_is_found_and_not_opened(path: Path, kind: Callable[[Path], None]) -> None:
    for name in ("logs/5.json", "vote.json", "snapshots/snapshot_1700000007.json"):
        (path / name).unlink()
        kind(path / name)
    found = wrong(path)
    assert set(found) >= {"logs/5.json", "vote.json", "snapshots/snapshot_1700000007.json"}
    assert all(problem.startswith("expected a file, found a") for problem in found.values()), found


def test_a_directory_in_use_is_looked_at_without_a_lock(path: Path, tmp_path: Path) -> None:
    with closing(open_node(tmp_path)):
        assert look(path).problems == []


def test_only_what_is_wrong_twice_is_wrong(path: Path) -> None:
    file = path / "logs" / "5.json"
    data = file.read_bytes()
    flip(file, 200)

    def mend(_seconds: float) -> None:
        file.write_bytes(data)

    assert verify(path, Files(), pause=mend).problems == []


def test_beside_a_writer_that_purges_nothing_looks_wrong(tmp_path: Path) -> None:
    directory = open_node(tmp_path)
    directory.save_vote(Vote(1, NODE, True))
    append(directory, 0)
    slow, done = slow_of(directory), threading.Event()

    def write() -> None:
        for index in range(1, 400):
            work(slow)
            append(directory, index)
            if index % 40 == 0:
                add_snapshot(directory, index - 5)
                directory.log.purge(log_id(index - 10))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert verify(directory.path, Files()).problems == []
    writer.join()
    directory.close()
