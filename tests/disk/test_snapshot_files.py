from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from qcore.disk.checksummed import _check
from qcore.disk.files import Files
from qcore.disk.snapshot_files import KEPT, SnapshotFile, SnapshotFiles, SnapshotHeader
from qcore.model.entry import LogId, Member, Membership
from qcore.model.errors import Damaged, DiskFailed, Newer

MEMBERSHIP = Membership([[65_536]], {65_536: Member("127.0.0.1:8080", "ab" * 16)})
LINES = [b'{"a":%d}\n' % number for number in range(100)]


def header(index: int) -> SnapshotHeader:
    return SnapshotHeader(LogId(1, 65_536, index), MEMBERSHIP, LogId(0, 65_536, 0), 1, 5, index, "00" * 16, {"Root": 1})


def take(folder: SnapshotFiles, index: int, seconds: int = 1_700_000_000) -> SnapshotFile:
    writer = folder.begin(header(index), seconds)
    writer.write(b"".join(LINES[:60]))
    writer.write(b"".join(LINES[60:]))
    found = writer.finish()
    folder.add(found)
    return found


def scanned(path: Path) -> SnapshotFiles:
    folder = SnapshotFiles(Files(), str(path))
    folder.scan()
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> SnapshotFiles:
    return scanned(tmp_path)


def test_a_folder_that_somebody_removed_is_made_again(folder: SnapshotFiles, tmp_path: Path) -> None:
    take(folder, 7)
    shutil.rmtree(tmp_path)
    assert scanned(tmp_path).found == []
    found = take(folder, 9)
    assert scanned(tmp_path).found == [found]


def test_a_snapshot_gives_back_its_header_and_its_lines(folder: SnapshotFiles, tmp_path: Path) -> None:
    written = take(folder, 7)
    (found,) = scanned(tmp_path).found
    assert found == written
    assert found.header == header(7)
    assert found.path == str(tmp_path / "snapshot_1700000000.json")
    assert found.size == os.path.getsize(found.path)
    assert list(folder.lines(found)) == LINES


def test_an_empty_one_is_one_too(folder: SnapshotFiles) -> None:
    writer = folder.begin(header(1), 5)
    writer.write(b"")
    assert list(folder.lines(writer.finish())) == []


def test_the_newest_is_the_one_with_the_highest_index_whatever_its_name(folder: SnapshotFiles, tmp_path: Path) -> None:
    for index, seconds in ((5, 300), (9, 100), (7, 200)):
        take(folder, index, seconds)
    assert [found.header.last.index for found in scanned(tmp_path).found] == [9, 7, 5]


def test_two_in_one_second_get_names_of_their_own(folder: SnapshotFiles) -> None:
    names = [os.path.basename(take(folder, index, 50).path) for index in range(3)]
    assert names == ["snapshot_50.json", "snapshot_51.json", "snapshot_52.json"]


def test_only_the_newest_are_kept(folder: SnapshotFiles, tmp_path: Path) -> None:
    for index in range(KEPT + 2):
        take(folder, index, index)
    old = folder.surplus()
    assert [found.header.last.index for found in old] == [1, 0]
    folder.remove(old)
    assert [found.header.last.index for found in scanned(tmp_path).found] == [6, 5, 4, 3, 2]
    folder.remove(folder.surplus())
    assert len(os.listdir(tmp_path)) == KEPT


def test_nothing_has_a_name_before_it_is_finished(folder: SnapshotFiles, tmp_path: Path) -> None:
    writer = folder.begin(header(1), 5)
    writer.write(LINES[0])
    assert os.listdir(tmp_path) == ["snapshot_5.json.tmp"]
    found = scanned(tmp_path)
    assert not found.found
    assert not found.problems
    writer.abandon()
    assert os.listdir(tmp_path) == []
    writer.abandon()


def test_other_files_are_left_alone(folder: SnapshotFiles, tmp_path: Path) -> None:
    for name in ("snapshot_.json", "snapshot_01.json", "snapshot_1.json.bak", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    found = scanned(tmp_path)
    assert not found.found
    assert not found.problems


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "a bit in the header": lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
    "an empty file": lambda _data: b"",
    "zeros": lambda data: bytes(len(data)),
    "another file": lambda _data: b'{"hello": 1}\n',
    "no end of the header": lambda data: data[:50],
}
SPOILED_LATER: dict[str, Callable[[bytes], bytes]] = {
    "a bit in a line": lambda data: data[:-200] + bytes([data[-200] ^ 1]) + data[-199:],
    "a bit in the footer": lambda data: data[:-20] + bytes([data[-20] ^ 1]) + data[-19:],
    "no footer": lambda data: data[: data.rindex(b'{"footer"')],
    "cut off": lambda data: data[:-500],
    "a line less": lambda data: data.replace(LINES[50], b""),
    "lines swapped": lambda data: data.replace(LINES[50] + LINES[51], LINES[51] + LINES[50]),
    "something behind": lambda data: data + b"x",
    "blanks behind": lambda data: data + b"\n",
    "only the header": lambda data: data[: data.index(b"\n") + 1],
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=list(SPOILED))
def test_a_damaged_header_is_named_and_the_file_left_alone(
    folder: SnapshotFiles, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    path = Path(take(folder, 7).path)
    path.write_bytes(spoil(path.read_bytes()))
    found = scanned(tmp_path)
    assert found.found == []
    (problem,) = found.problems
    assert str(path) in problem.message
    assert path.exists()


@pytest.mark.parametrize("spoil", SPOILED_LATER.values(), ids=list(SPOILED_LATER))
def test_a_damaged_line_or_footer_is_named_at_the_latest_at_the_end(
    folder: SnapshotFiles, spoil: Callable[[bytes], bytes]
) -> None:
    found = take(folder, 7)
    path = Path(found.path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(Damaged, match=r"snapshot_1700000000\.json is damaged: expected a footer"):
        list(folder.lines(found))


def test_a_newer_format_is_refused_as_such(folder: SnapshotFiles, tmp_path: Path) -> None:
    path = Path(take(folder, 7).path)
    head, _, rest = path.read_bytes().partition(b"\n")
    text = head[len(b'{"check":"') + 16 :].replace(b'"format":1', b'"format":2') + b"\n"
    path.write_bytes(b'{"check":"' + _check(text) + text + rest)
    with pytest.raises(Newer, match="newer qcore"):
        scanned(tmp_path)


def test_one_that_turned_out_bad_is_used_no_more(folder: SnapshotFiles) -> None:
    good, bad = take(folder, 5, 1), take(folder, 9, 2)
    folder.discard(bad, Damaged("bad"))
    assert folder.found == [good]
    assert [problem.message for problem in folder.problems] == ["bad"]


class Full(Files):
    """A disk that is full for the log and for everything else."""

    def extend(self, path: str, data: bytes, sync: bool) -> None:
        with self._writing("write", path):
            raise OSError(28, "No space left on device")


def test_one_that_is_given_up_after_all_leaves_nothing(folder: SnapshotFiles, tmp_path: Path) -> None:
    writer = folder.begin(header(1), 5)
    writer.write(b"".join(LINES))
    writer.finish()
    writer.abandon()
    assert os.listdir(tmp_path) == []
    writer.abandon()


def test_a_failure_is_the_snapshots_alone(tmp_path: Path) -> None:
    files = Full()
    folder = SnapshotFiles(files, str(tmp_path))
    writer = folder.begin(header(1), 5)
    with pytest.raises(DiskFailed, match="disk is full"):
        writer.write(LINES[0])
    writer.abandon()
    assert os.listdir(tmp_path) == []
    files.store(str(tmp_path / "other"), b"x")


def test_two_that_are_under_way_have_names_of_their_own(folder: SnapshotFiles, tmp_path: Path) -> None:
    given_up, kept = folder.begin(header(1), 5), folder.begin(header(2), 5)
    for writer in (given_up, kept):
        writer.write(b"".join(LINES))
    given_up.abandon()
    folder.add(kept.finish())
    assert list(folder.lines(folder.found[0])) == LINES
    assert len(list(tmp_path.iterdir())) == 1
