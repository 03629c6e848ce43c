from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qcore.disk.files import Files
from qcore.disk.log.live_reader import RETRY, LiveReader, Sightings
from qcore.model.entry import Entry
from qcore.model.errors import Compacted, Damaged
from tests.disk.samples import append, body, filled, log_id, open_node, prepare, record_of, slow_of, work

WHOLE = record_of(log_id(7), body("x" * 1_500)).ljust(4096)
TORN = WHOLE[:512] + b" " * 512 + WHOLE[1024:]


def test_an_entry_being_written_is_not_there_yet_however_long_that_takes() -> None:
    seen = Sightings(7, "7.json")
    assert seen.look(None, 0) is None
    assert seen.look(b" " * 4096, 1) is None
    assert seen.look(b" " * 4096, 100) is None
    assert seen.look(TORN, 101) is None
    assert seen.look(WHOLE[:1024].ljust(4096), 103) is None
    assert seen.look(TORN, 104) is None
    found = seen.look(WHOLE, 104.9)
    assert found is not None
    assert found.id == log_id(7)


def test_a_file_that_stays_wrong_for_a_second_is_damaged() -> None:
    seen = Sightings(7, "logs/7.json")
    for tick in range(int(1 / RETRY)):
        assert seen.look(TORN, tick * RETRY) is None
    with pytest.raises(Damaged, match=r"logs/7\.json is damaged: expected checksum"):
        seen.look(TORN, 1.0)


def test_a_file_that_was_gone_meanwhile_begins_anew() -> None:
    seen = Sightings(7, "7.json")
    seen.look(TORN, 0)
    seen.look(None, 0.9)
    assert seen.look(TORN, 1.5) is None


def test_entries_of_a_stopped_node_are_read(tmp_path: Path) -> None:
    path = filled(tmp_path, 3, prepared=True)
    assert [read(path, index) for index in range(4)] == [0, 1, 2, None]


def read_live(path: Path, index: int) -> Entry | None:
    """One entry of the node in a directory, as soon as it is decided whether it is there."""
    reader = LiveReader(Files(), str(path))
    while True:
        found = reader.read(index, 1)
        if found or not reader.unsettled:
            return found[0] if found else None
        time.sleep(RETRY)


def read(path: Path, index: int) -> int | None:
    entry = read_live(path, index)
    return None if entry is None else entry.id.index


def test_a_purged_entry_is_said_to_be_purged_whatever_its_file_holds(tmp_path: Path) -> None:
    path = filled(tmp_path, 5, prepared=True)
    directory = open_node(tmp_path)
    directory.log.purge(log_id(2))
    directory.close()
    (path / "logs" / "1.json").write_bytes(b"rubbish")
    (path / "logs" / "2.json").unlink()
    for index in range(3):
        with pytest.raises(Compacted, match=f"entry {index} was purged"):
            read_live(path, index)
    assert read(path, 3) == 3


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    path = filled(tmp_path, 3)
    (path / "logs" / "1.json").write_bytes(b"rubbish")
    with pytest.raises(Damaged, match=r"logs/1\.json is damaged"):
        read_live(path, 1)


def follow(path: Path, count: int, writer: threading.Thread) -> Iterator[Entry | int]:
    """Poll for one entry after the other; the number of those that were purged before they were seen."""
    index = 0
    while index < count:
        alive = writer.is_alive()
        try:
            entry = read_live(path, index)
        except Compacted:
            yield index
            index += 1
            continue
        if entry is not None:
            yield entry
            index += 1
        elif not alive:
            return


def test_a_reader_beside_a_writer_that_purges_and_uses_files_again_sees_no_damage(tmp_path: Path) -> None:
    path = filled(tmp_path, 0)
    directory = open_node(tmp_path)
    slow = slow_of(directory)
    records: list[bytes] = []

    def write() -> None:
        for index in range(600):
            work(slow)
            records.append(append(directory, index, text=f"{index} " * 400))
            if index % 50 == 49:
                directory.log.purge(log_id(index - 20))

    writer = threading.Thread(target=write)
    writer.start()
    seen = list(follow(path, 600, writer))
    writer.join()
    directory.close()
    entries = [each for each in seen if isinstance(each, Entry)]
    assert entries, "everything was purged before it was seen: nothing was proved"
    assert [each.id.index if isinstance(each, Entry) else each for each in seen] == list(range(600))
    assert all(record_of(entry.id, entry.body) == records[entry.id.index] for entry in entries)


def test_a_file_that_lies_ready_is_no_entry(tmp_path: Path) -> None:
    path = filled(tmp_path, 1)
    directory = open_node(tmp_path)
    prepare(directory)
    assert read_live(path, 1) is None
    directory.close()


def test_as_many_entries_are_read_as_there_are_up_to_a_damaged_one(tmp_path: Path) -> None:
    path = filled(tmp_path, 5)
    (path / "logs" / "3.json").write_bytes(b"rubbish")
    reader = LiveReader(Files(), str(path))
    assert [entry.id.index for entry in reader.read(0, 2)] == [0, 1]
    assert [entry.id.index for entry in reader.read(0, 9)] == [0, 1, 2]
    assert reader.unsettled
    assert reader.read(5, 9) == []
    assert not reader.unsettled


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_what_is_no_file_is_neither_waited_for_nor_followed(tmp_path: Path, kind: str) -> None:
    path = filled(tmp_path, 2)
    file = path / "logs" / "1.json"
    file.rename(tmp_path / "elsewhere")
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "link":
        file.symlink_to(tmp_path / "elsewhere")
    else:
        file.mkdir()
    with pytest.raises(Damaged, match=r"logs/1\.json is damaged: expected a file, found a"):
        read_live(path, 1)
