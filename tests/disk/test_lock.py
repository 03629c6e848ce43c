from __future__ import annotations

import os
from pathlib import Path

import pytest

from qcore.disk.lock import share_lock, take_lock
from qcore.model.errors import AlreadyRunning, DiskFailed


def test_one_process_holds_a_directory_alone(tmp_path: Path) -> None:
    lock = take_lock(tmp_path)
    for again in (take_lock, share_lock):
        with pytest.raises(AlreadyRunning, match=f"in use by the process with pid {os.getpid()}; stop it"):
            again(tmp_path)
    os.close(lock)
    os.close(take_lock(tmp_path))


def test_several_may_look_at_it_and_keep_a_daemon_out(tmp_path: Path) -> None:
    os.close(take_lock(tmp_path))
    (tmp_path / "lock").write_bytes(b"7\n")
    looking = [share_lock(tmp_path), share_lock(tmp_path)]
    with pytest.raises(AlreadyRunning):
        take_lock(tmp_path)
    for lock in looking:
        os.close(lock)
    assert (tmp_path / "lock").read_bytes() == b"7\n"


def test_looking_at_a_directory_makes_no_lock_file(tmp_path: Path) -> None:
    os.close(share_lock(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(DiskFailed, match=r"/lock: Is a directory"):
        take_lock(tmp_path)
