"""`qcore recover` is killed before each of the calls that change the disk: what is left is the old directory or the
new one, each whole, and the way out is still there.

No power is cut, so that nothing waits for the disk.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from qcore.disk.directory import Directory
from qcore.server.main import main
from qcore.server.recovery import load
from tests.faults import Call, Faults, Rule
from tests.process import DEADLINE
from tests.server.offline.member import CLUSTER, member

KILLED_AT_EACH_STEP = """
import os, shutil, signal, sys
from pathlib import Path
from qcore.server.main import main

CALLS = ("mkdir", "write", "pwrite", "fsync", "fdatasync", "rename", "unlink", "rmdir", "ftruncate")

def kill_at(number):
    left = number
    def counting(call):
        def counted(*args, **kwargs):
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)
        return counted
    for name in CALLS:
        setattr(os, name, counting(getattr(os, name)))

os.fsync = os.fdatasync = lambda descriptor: None

def recover(folder):
    return main(["--data-dir", str(folder), "recover", "--force-new-cluster"])

source, room = Path(sys.argv[1]), Path(sys.argv[2])
shutil.copytree(source, room / "0")
assert recover(room / "0") == 0  # and what is imported on the way need not be again
number, ended = 0, False
while not ended:
    number += 1
    folder = room / str(number)
    shutil.copytree(source, folder)
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        kill_at(number)
        os._exit(recover(folder))
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL
"""
"""A process of its own that forks: nothing but this is in its memory, and no thread of another test."""


def contents(path: Path) -> dict[str, bytes]:
    files = (each for each in path.rglob("*") if each.is_file() and each.name != "lock")
    return {str(each.relative_to(path)): each.read_bytes() for each in files}


def facts(path: Path) -> tuple[str, str]:
    """The cluster and the digest of a directory that is in order."""
    with closing(Directory.look(path)) as looked:
        looked.refuse_damaged()
        return looked.identity.cluster, load(looked)[0].digest()


def test_a_kill_at_any_step_leaves_a_whole_directory_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _descriptor: None)
    source, room = tmp_path / "source", tmp_path / "room"
    old = contents(member(source))
    subprocess.run([sys.executable, "-c", KILLED_AT_EACH_STEP, source, room], check=True, timeout=DEADLINE)
    folders = sorted(room.iterdir(), key=lambda folder: int(folder.name))
    new = facts(folders[-1] / "node_1")
    assert new[0] != CLUSTER
    found = {"old": 0, "new": 0}
    for folder in folders:
        place = folder / "node_1"
        backups = list(folder.glob("node_1.bak-*"))
        if contents(place) == old:
            found["old"] += 1
            assert main(["--data-dir", str(folder), "recover", "--force-new-cluster"]) == 0
            assert not list(folder.glob(".node_1*")), "an attempt clears away what the one before has left"
        else:
            found["new"] += 1
            assert [contents(each) for each in backups] == [old]
        cluster, digest = facts(place)
        assert cluster != CLUSTER
        assert digest == new[1]
    assert found["old"] > 40, found
    assert found["new"] > 3, found


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_full_or_failing_disk_leaves_everything_as_it_was(tmp_path: Path, faults: Faults, call: Call) -> None:
    place = member(tmp_path / "data")
    old = contents(place)
    words = [sys.executable, "-m", "qcore.server.main", "--data-dir", str(tmp_path / "data")]
    words += ["recover", "--force-new-cluster"]
    faults.set(Rule(call, "fail", errno.ENOSPC, "*restoring*snapshot*"))
    done = subprocess.run(
        words, env={**os.environ, **faults.env}, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert faults.seen(call, "fail") == 1
    assert (done.returncode, done.stdout) == (74, "")
    assert "the disk is full; make room, then start again" in done.stderr
    assert contents(place) == old
    assert os.listdir(tmp_path / "data") == ["node_1"]
