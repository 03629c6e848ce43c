from __future__ import annotations

import os
from pathlib import Path

import pytest

from qcore.disk.files import Files
from qcore.disk.received_snapshot import ReceivedSnapshot, checksum_of
from qcore.disk.snapshot_files import SnapshotFile, SnapshotFiles
from qcore.model.errors import Damaged, DiskFailed
from tests.disk.test_snapshot_files import LINES, take

SECONDS = 1_700_000_000


@pytest.fixture
def sent(tmp_path: Path) -> SnapshotFile:
    return take(SnapshotFiles(Files(), str(tmp_path / "sender")), 7)


@pytest.fixture
def folder(tmp_path: Path) -> SnapshotFiles:
    return SnapshotFiles(Files(), str(tmp_path / "receiver"))


def checksum(found: SnapshotFile) -> str:
    descriptor = os.open(found.path, os.O_RDONLY)
    try:
        size, checksum = checksum_of(descriptor)
    finally:
        os.close(descriptor)
    assert size == found.size
    return checksum


def names(folder: SnapshotFiles) -> list[str]:
    return sorted(os.listdir(folder.folder))


def receive(folder: SnapshotFiles, sent: SnapshotFile, data: bytes) -> ReceivedSnapshot:
    received = ReceivedSnapshot(folder, checksum(sent), sent.size, SECONDS)
    for start in range(0, len(data), 100):
        received.extend(data[start : start + 100])
    return received


def test_a_whole_snapshot_gets_its_name_and_reads_as_it_was_sent(sent: SnapshotFile, folder: SnapshotFiles) -> None:
    received = receive(folder, sent, Path(sent.path).read_bytes())
    assert names(folder) == [f"received_{checksum(sent)}.tmp"]
    found = received.finish()
    assert names(folder) == [f"snapshot_{SECONDS}.json"]
    assert (found.header, found.size) == (sent.header, sent.size)
    assert list(folder.lines(found)) == LINES


def test_no_name_is_given_twice(sent: SnapshotFile, folder: SnapshotFiles) -> None:
    own = folder.begin(sent.header, SECONDS)
    receive(folder, sent, Path(sent.path).read_bytes()).finish()
    own.write(b"{}\n")
    own.finish()
    assert names(folder) == [f"snapshot_{SECONDS}.json", f"snapshot_{SECONDS + 1}.json"]


@pytest.mark.parametrize("cut", [0, 1, 500])
def test_what_is_not_whole_gets_no_name(sent: SnapshotFile, folder: SnapshotFiles, cut: int) -> None:
    data = bytearray(Path(sent.path).read_bytes())
    if cut:
        del data[-cut:]
    else:
        data[200] ^= 1
    received = receive(folder, sent, bytes(data))
    with pytest.raises(Damaged, match=r"expected .* bytes with the sender's hash"):
        received.finish()
    received.abandon()
    assert names(folder) == []


def test_what_is_whole_but_no_snapshot_gets_no_name(tmp_path: Path, folder: SnapshotFiles) -> None:
    path = tmp_path / "junk"
    path.write_bytes(b"junk\n" * 100)
    descriptor = os.open(path, os.O_RDONLY)
    size, hash = checksum_of(descriptor)
    os.close(descriptor)
    received = ReceivedSnapshot(folder, hash, size, SECONDS)
    received.extend(path.read_bytes())
    with pytest.raises(Damaged):
        received.finish()
    received.abandon()
    assert names(folder) == []


def test_a_snapshot_that_would_leave_the_log_no_room_is_not_begun(sent: SnapshotFile, folder: SnapshotFiles) -> None:
    os.mkdir(folder.folder)
    received = ReceivedSnapshot(folder, checksum(sent), sent.size, SECONDS, left=1 << 62)
    with pytest.raises(DiskFailed, match="are the log's"):
        received.extend(b"x")
    received.abandon()
    assert names(folder) == []


def test_all_of_it_is_synced_before_it_gets_its_name(sent: SnapshotFile, tmp_path: Path) -> None:
    class Recorded(Files):
        def __init__(self) -> None:
            super().__init__()
            self.steps: list[str] = []

        def fsync(self, descriptor: int, path: str) -> None:
            self.steps.append("fsync")
            super().fsync(descriptor, path)

        def rename(self, source: str, target: str) -> None:
            self.steps.append("rename")
            super().rename(source, target)

        def sync_folder(self, path: str) -> None:
            self.steps.append("sync_folder")
            super().sync_folder(path)

    files = Recorded()
    folder = SnapshotFiles(files, str(tmp_path / "receiver"))
    received = receive(folder, sent, Path(sent.path).read_bytes())
    files.steps.clear()
    received.finish()
    assert files.steps == ["fsync", "rename", "sync_folder"]
