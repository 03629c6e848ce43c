from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from qcore.disk.directory import Directory
from qcore.disk.files import Files
from qcore.model.entry import Vote
from qcore.model.errors import AlreadyRunning, Damaged, DiskFailed
from tests.disk.life import header_of
from tests.disk.samples import NODE, append, filled, log_id, open_node

HOLD_LOCK = """
import sys
from pathlib import Path
from qcore.disk.directory import Directory
directory = Directory.open(Path(sys.argv[1]), 1)
print("open", flush=True)
sys.stdin.read()
"""


def test_a_fresh_directory_has_its_files_and_nothing_in_them(tmp_path: Path) -> None:
    directory = Directory.open(tmp_path / "data" / "deep", 3)
    assert directory.path == tmp_path / "data" / "deep" / "node_3"
    assert sorted(os.listdir(directory.path)) == ["committed.json", "lock", "logs", "node.json", "snapshots"]
    assert (directory.vote, directory.committed, directory.stored, directory.purged) == (None, None, None, None)
    assert (directory.log.first, directory.log.last) == (None, None)
    assert (directory.path / "snapshots").is_dir()
    directory.close()


def test_everything_saved_is_there_after_reopening(tmp_path: Path) -> None:
    directory = Directory.open(tmp_path, 1, machine="press")
    directory.save_identity(msgspec.structs.replace(directory.identity, cluster="ab" * 16))
    directory.save_vote(Vote(2, NODE, True))
    for index in range(3):
        append(directory, index, term=min(index, 2))
    directory.save_committed(log_id(1, 1), sync=True)
    directory.close()
    again = Directory.open(tmp_path, 1)
    assert again.identity == directory.identity
    assert (again.vote, again.committed, again.stored) == (Vote(2, NODE, True), log_id(1, 1), log_id(2, 2))
    assert again.log.last == log_id(2, 2)
    again.close()


def test_the_machine_name_is_kept_until_another_is_given(tmp_path: Path) -> None:
    for given, expected in [("press", "press"), (None, "press"), ("saw", "saw"), (None, "saw")]:
        directory = open_node(tmp_path) if given is None else open_node(tmp_path, machine=given)
        assert directory.identity.machine == expected
        directory.close()


def test_a_second_process_is_refused_and_told_who_holds_the_directory(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(AlreadyRunning, match=f"node_1 is in use by the process with pid {holder.pid};"):
            open_node(tmp_path)
        holder.kill()
    open_node(tmp_path).close()


def test_two_openings_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    directory = open_node(tmp_path)
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        open_node(tmp_path)
    directory.close()
    directory.close()
    open_node(tmp_path).close()


def test_a_failed_opening_gives_the_lock_back(tmp_path: Path) -> None:
    path = filled(tmp_path, 1)
    vote = (path / "vote.json").read_bytes()
    (path / "vote.json").write_bytes(b"")
    with pytest.raises(Damaged):
        open_node(tmp_path)
    (path / "vote.json").write_bytes(vote)
    open_node(tmp_path).close()


def test_another_node_s_directory_is_refused(tmp_path: Path) -> None:
    filled(tmp_path, 1).rename(tmp_path / "node_2")
    with pytest.raises(Damaged, match=r"node_2/node\.json .*expected node 2 by the folder's name, found node 1"):
        Directory.open(tmp_path, 2)


def test_a_directory_without_its_identity_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path, 1)
    (path / "node.json").unlink()
    with pytest.raises(Damaged, match=r"node\.json is damaged: expected the identity"):
        open_node(tmp_path)


def test_a_directory_without_its_vote_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path, 1)
    (path / "vote.json").unlink()
    with pytest.raises(Damaged, match=r"vote\.json is damaged: expected a vote of at least term 1, found no such file"):
        open_node(tmp_path)


def test_only_temporary_files_are_removed_at_start(tmp_path: Path) -> None:
    path = filled(tmp_path, 2)
    for name in ["vote.json.tmp", "logs/2.json.tmp", "snapshots/snapshot_1.json.tmp", "notes.txt", "logs/notes.txt"]:
        (path / name).write_bytes(b"x")
    directory = open_node(tmp_path)
    directory.close()
    assert not list(path.rglob("*.tmp"))
    assert (path / "notes.txt").exists()
    assert (path / "logs" / "notes.txt").exists()
    assert any("logs/notes.txt is not named like an entry" in warning for warning in directory.warnings)


@pytest.mark.parametrize(("hint", "expected"), [(0, 1), (1, 1), (2, 2), (9, 3), (None, 1)])
def test_the_hint_is_moved_into_the_log(tmp_path: Path, hint: int | None, expected: int) -> None:
    filled(tmp_path, 4)
    directory = open_node(tmp_path)
    directory.log.purge(log_id(1))
    directory.save_committed(None if hint is None else log_id(hint))
    directory.close()
    again = open_node(tmp_path)
    assert again.committed == log_id(expected)
    again.close()


@pytest.mark.parametrize(
    ("hint", "expected"),
    [((1, 1), (1, 1)), ((3, 2), (3, 2)), ((9, 2), (4, 2)), ((3, 1), None), ((9, 1), None), ((9, 3), None)],
    ids=[
        "in the log",
        "in the log, of the last leader",
        "above it, of the last leader",
        "of an entry that was replaced",
        "above it, of an earlier leader",
        "above it, of a later leader",
    ],
)
def test_a_hint_that_is_not_in_the_log_is_ignored(
    tmp_path: Path, hint: tuple[int, int], expected: tuple[int, int] | None
) -> None:
    filled(tmp_path, 3)
    directory = open_node(tmp_path)
    directory.save_vote(Vote(2, NODE, True))
    for index in (3, 4):
        append(directory, index, term=2)
    directory.save_committed(log_id(*hint))
    directory.close()
    again = open_node(tmp_path)
    assert again.committed == (None if expected is None else log_id(*expected))
    again.close()


def test_a_log_shorter_than_what_was_stored_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path, 3)
    (path / "logs" / "2.json").unlink()
    with pytest.raises(Damaged, match=r"logs/2\.json is damaged: expected entries up to 2, which were stored"):
        open_node(tmp_path)


def test_a_clean_stop_makes_the_watermark_durable(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    directory = open_node(tmp_path)
    append(directory, 3)
    assert directory.stored == log_id(2)
    directory.save_committed(log_id(3), sync=True)
    assert directory.stored == log_id(3)
    directory.close()


@contextmanager
def without_permission(folder: Path) -> Iterator[None]:
    """Take the right to write away, also from root, who would keep it."""
    mode = folder.stat().st_mode
    folder.chmod(0o500)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(mode)


def test_missing_permission_is_said_plainly(tmp_path: Path) -> None:
    with without_permission(tmp_path), pytest.raises(DiskFailed, match=r"Permission denied \(the user qcore runs as"):
        open_node(tmp_path)


def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(DiskFailed, match=r"/data: File exists"):
        open_node(tmp_path / "data")


def test_a_file_system_in_memory_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qcore.disk.directory.mount_table", lambda: "tmpfs / tmpfs rw 0 0")
    directory = open_node(tmp_path)
    directory.close()
    assert any("lies on tmpfs" in warning for warning in directory.warnings)


@pytest.mark.parametrize("part", ["logs", "snapshots"])
def test_a_part_in_memory_is_warned_of(tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = f"/dev/sda1 / ext4 rw 0 0\ntmpfs {tmp_path.resolve()}/node_1/{part} tmpfs rw 0 0"
    monkeypatch.setattr("qcore.disk.directory.mount_table", lambda: mounts)
    directory = open_node(tmp_path)
    directory.close()
    assert [f"node_1/{part} lies on tmpfs" in warning for warning in directory.warnings] == [True]


@pytest.mark.parametrize(("kind", "whole"), [("ext4", True), ("fuse.sshfs", False)])
def test_what_is_flushed_as_a_whole_is_the_file_system_of_the_log(
    tmp_path: Path, kind: str, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the log's folder may be a mount of its own."""
    mounts = f"/dev/sda1 / ext4 rw 0 0\nhome {tmp_path.resolve()}/node_1/logs {kind} rw 0 0"
    monkeypatch.setattr("qcore.disk.directory.mount_table", lambda: mounts)
    monkeypatch.setattr("qcore.disk.directory.os.uname", lambda: os.uname_result(("", "", "6.1.0", "", "")))
    files = Files()
    Directory.open(tmp_path, 1, files=files).close()
    assert files.whole is whole


def test_a_second_daemon_is_refused_without_the_lock_file_too(tmp_path: Path) -> None:
    directory = open_node(tmp_path)
    (directory.path / "lock").unlink()
    with pytest.raises(AlreadyRunning, match="node_1 is in use"):
        open_node(tmp_path)
    directory.close()


def test_nothing_is_written_over_a_directory_that_was_put_in_the_place_of_this_one(tmp_path: Path) -> None:
    path = filled(tmp_path, 3)
    directory = open_node(tmp_path)
    append(directory, 3)
    path.rename(tmp_path / "away")
    shutil.copytree(tmp_path / "away", path)
    before = {each: each.read_bytes() for each in path.rglob("*.json")}
    snapshot = directory.snapshots.begin(header_of(3, 1), 1)
    append(directory, 4)
    directory.save_committed(log_id(3))
    with pytest.raises(DiskFailed, match="node_1 was moved away or replaced"):
        snapshot.write(b"{}")
    with pytest.raises(DiskFailed, match="node_1 was moved away or replaced"):
        directory.check_place()
    with pytest.raises(DiskFailed, match=r"refused to \w+ .* after an earlier failure"):
        append(directory, 5)
    assert {each: each.read_bytes() for each in path.rglob("*.json")} == before
    directory.close()
    path.rename(tmp_path / "instead")
    (tmp_path / "away").rename(path)
    again = open_node(tmp_path)
    assert again.log.last == log_id(4)
    again.close()


@pytest.mark.parametrize("instead", [False, True], ids=["moved away", "replaced"])
def test_a_log_that_was_moved_away_is_noticed(tmp_path: Path, instead: bool) -> None:
    directory = open_node(tmp_path)
    directory.check_place()
    (directory.path / "logs").rename(tmp_path / "away")
    if instead:
        (directory.path / "logs").mkdir()
    with pytest.raises(DiskFailed, match=r"node_1/logs was moved away or replaced while the node used it"):
        directory.check_place()
    directory.close()
