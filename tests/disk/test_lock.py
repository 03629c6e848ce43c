from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import NoReturn

import pytest

from qcore.disk.lock import share_lock, take_lock
from qcore.model.errors import AlreadyRunning, DiskFailed


def test_one_process_holds_a_directory_alone(tmp_path: Path) -> None:
    lock = take_lock(tmp_path)
    for again in (take_lock, share_lock):
        with pytest.raises(AlreadyRunning, match=f"in use by the process with pid {os.getpid()}; stop it"):
            again(tmp_path)
    lock.close()
    take_lock(tmp_path).close()


def test_removing_the_lock_file_lets_nobody_in(tmp_path: Path) -> None:
    lock = take_lock(tmp_path)
    (tmp_path / "lock").unlink()
    for again in (take_lock, share_lock):
        with pytest.raises(AlreadyRunning, match="in use by the process with pid unknown"):
            again(tmp_path)
    lock.close()


def test_a_holder_that_knows_the_file_alone_is_seen(tmp_path: Path) -> None:
    """As versions before the folder was locked."""
    (tmp_path / "lock").write_bytes(b"77\n")
    with (tmp_path / "lock").open("rb") as earlier:
        fcntl.flock(earlier, fcntl.LOCK_EX)
        for again in (take_lock, share_lock):
            with pytest.raises(AlreadyRunning, match="in use by the process with pid 77"):
                again(tmp_path)
    take_lock(tmp_path).close()


def test_several_may_look_at_it_and_keep_a_daemon_out(tmp_path: Path) -> None:
    take_lock(tmp_path).close()
    (tmp_path / "lock").write_bytes(b"7\n")
    looking = [share_lock(tmp_path), share_lock(tmp_path)]
    (tmp_path / "lock").unlink()
    with pytest.raises(AlreadyRunning):
        take_lock(tmp_path)
    for lock in looking:
        lock.close()
    take_lock(tmp_path).close()


def test_looking_at_a_directory_makes_no_lock_file(tmp_path: Path) -> None:
    share_lock(tmp_path).close()
    assert not list(tmp_path.iterdir())


def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(DiskFailed, match=r"/lock: Is a directory"):
        take_lock(tmp_path)


def test_a_lock_that_is_a_link_or_a_fifo_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    for each in (take_lock, share_lock):
        with pytest.raises(DiskFailed, match="/lock: Too many levels of symbolic links"):
            each(tmp_path)
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "lock").unlink()
    os.mkfifo(tmp_path / "lock")
    share_lock(tmp_path).close()


def test_a_file_system_without_locks_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(_descriptor: int, _operation: int) -> NoReturn:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    lock = take_lock(tmp_path)
    assert len(lock.warnings) == 2
    assert f"{tmp_path} cannot be locked on this file system (No locks available)" in lock.warnings[0]
    lock.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_leaves_the_file_to_whom_the_directory_belongs(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 2345)
    take_lock(tmp_path).close()
    found = (tmp_path / "lock").stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)
