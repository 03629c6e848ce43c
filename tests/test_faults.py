from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qcore.client import QcoreError, connect
from tests.faults import Call, Faults, Rule
from tests.process import NodeProcess

NodeFactory = Callable[..., NodeProcess]


def output(faults: Faults, folder: Path, *lines: str) -> list[str]:
    """What a short program prints that runs with these faults in this folder."""
    program = "import os, time\n" + "\n".join(lines)
    command = [sys.executable, "-S", "-c", program]
    found = subprocess.run(command, env=os.environ | faults.env, cwd=folder, capture_output=True, text=True, check=True)
    return found.stdout.splitlines()


OPEN = "fd = os.open('file.json', os.O_RDWR | os.O_CREAT)"
ATTEMPT = """
def attempt(call, *args, **more):
    try:
        call(*args, **more)
        print('done')
    except OSError as exc:
        print(exc.errno)
"""


@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        ("write", "os.write, fd, b'x'"),
        ("write", "os.pwrite, fd, b'x', 0"),
        ("write", "os.writev, fd, [b'x']"),
        ("write", "os.pwritev, fd, [b'x'], 0"),
        ("fsync", "os.fsync, fd"),
        ("fsync", "os.fdatasync, fd"),
    ],
)
def test_each_call_fails_as_often_as_was_said(faults: Faults, tmp_path: Path, name: Call, attempt: str) -> None:
    faults.set(Rule(name, "fail", errno.EIO, "*/file.json", 2))
    said = output(faults, tmp_path, OPEN, ATTEMPT, *[f"attempt({attempt})"] * 3)
    assert said == [str(errno.EIO), str(errno.EIO), "done"]
    assert faults.seen(name, "fail") == 2


@pytest.mark.parametrize(
    "attempt",
    [
        "os.rename, 'file.json', 'new.json'",
        "os.rename, 'file.json', 'new.json', src_dir_fd=folder, dst_dir_fd=folder",
        "os.link, 'file.json', 'new.json'",
        "os.link, 'file.json', 'new.json', src_dir_fd=folder, dst_dir_fd=folder",
    ],
)
def test_a_rename_fails_by_its_new_name(faults: Faults, tmp_path: Path, attempt: str) -> None:
    faults.set(Rule("rename", "fail", errno.EIO, f"{tmp_path}/new.*", 1))
    lines = [OPEN, ATTEMPT, "folder = os.open('.', os.O_RDONLY)", *[f"attempt({attempt})"] * 2]
    assert output(faults, tmp_path, *lines) == [str(errno.EIO), "done"]


def test_other_paths_sockets_and_pipes_are_left_alone(faults: Faults, tmp_path: Path) -> None:
    faults.set(Rule("write", "fail", errno.EIO, "*/other.json"))
    assert output(faults, tmp_path, OPEN, ATTEMPT, "attempt(os.write, fd, b'x')") == ["done"]
    faults.set(Rule("write", "fail", errno.EIO))
    assert output(faults, tmp_path, OPEN, ATTEMPT, "attempt(os.write, fd, b'x')") == [str(errno.EIO)]


def test_a_delay_takes_its_time_and_then_the_call_is_done(faults: Faults, tmp_path: Path) -> None:
    faults.set(Rule("fsync", "delay", 200))
    lines = ["begin = time.monotonic()", "os.fsync(fd)", "print(time.monotonic() - begin >= 0.2)"]
    assert output(faults, tmp_path, OPEN, *lines) == ["True"]


def test_a_process_dies_of_a_call_behind_those_that_were_let_through(faults: Faults, tmp_path: Path) -> None:
    faults.set(Rule("write", "kill", 2, "*/file.json"))
    with pytest.raises(subprocess.CalledProcessError) as caught:
        output(faults, tmp_path, OPEN, *["os.write(fd, b'x')"] * 3)
    assert caught.value.returncode == -signal.SIGKILL
    assert (tmp_path / "file.json").read_bytes() == b"xx"
    assert faults.seen("write", "kill") == 1


def test_a_process_dies_of_a_rename_that_is_done(faults: Faults, tmp_path: Path) -> None:
    faults.set(Rule("named", "kill", 0, "*/file.json"))
    with pytest.raises(subprocess.CalledProcessError):
        output(faults, tmp_path, OPEN, "os.rename('file.json', 'new.json')")
    assert [path.name for path in tmp_path.glob("*.json")] == ["new.json"]


def test_who_asks_for_the_time_waits(faults: Faults, tmp_path: Path) -> None:
    faults.set(Rule("clock", "delay", 50))
    lines = ["begin = time.monotonic()", "time.time()", "print(time.monotonic() - begin >= 0.05)"]
    assert output(faults, tmp_path, *lines) == ["True"]
    assert faults.seen("clock", "delay") == 1  # told once, as the clock is asked often


def test_the_wall_clock_is_shifted_and_the_monotonic_one_is_not(faults: Faults, tmp_path: Path) -> None:
    faults.set(Rule("clock", "shift", -86_400))
    wall, monotonic = output(faults, tmp_path, "print(time.time())", "print(time.monotonic())")
    assert float(wall) < time.time() - 80_000
    assert float(monotonic) > time.monotonic() - 1000
    assert faults.seen("clock", "shift") == 1


def test_rules_change_while_the_process_runs(faults: Faults, tmp_path: Path) -> None:
    file = faults.env["FAULTS"]
    lines = [
        "attempt(os.fsync, fd)",
        f"open({file!r} + '2', 'w').write('fsync fail 5 -1 *')",
        f"os.rename({file!r} + '2', {file!r})",
        "attempt(os.fsync, fd)",
        f"os.unlink({file!r})",
        "attempt(os.fsync, fd)",
    ]
    assert output(faults, tmp_path, OPEN, ATTEMPT, *lines) == ["done", "5", "done"]


async def create(url: str, name: str) -> str:
    """Create an entity; returns what came of it."""
    async with connect(url, timeout=30) as store:
        try:
            await store.create("Object", name)
        except QcoreError as exc:
            return exc.kind
    return "ok"


async def names(url: str) -> list[str]:
    async with connect(url) as store:
        return [item.name for item in (await store.find("Object")).items]


def test_a_disk_whose_fsync_takes_a_second_is_waited_for(node_factory: NodeFactory, faults: Faults) -> None:
    node = node_factory(env=faults.env)
    node.start()
    faults.set(Rule("fsync", "delay", 1000, "*/logs/*"))  # not the next one alone: files are made ready meanwhile
    begin = time.monotonic()
    assert asyncio.run(create(node.url, "slow")) == "ok"
    assert time.monotonic() - begin >= 1
    assert faults.seen("fsync", "delay") >= 1
    faults.clear()
    assert node.stop() == 0


def test_a_disk_that_fills_up_without_warning_ends_the_node(node_factory: NodeFactory, faults: Faults) -> None:
    node = node_factory(env=faults.env)
    node.start()

    async def lost() -> None:
        async with connect(node.url, timeout=0.5) as store:
            await store.create("Object", "before")
            faults.set(Rule("write", "fail", errno.ENOSPC, "*/logs/*"))
            with pytest.raises(QcoreError) as caught:
                await store.create("Object", "doubtful")
            assert caught.value.data["applied"] == "unknown"

    asyncio.run(lost())
    assert node.wait() == 74
    assert "the disk is full" in node.events("fatal")[0]["message"]
    faults.clear()
    node.start()
    assert asyncio.run(create(node.url, "after")) == "ok"
    assert set(asyncio.run(names(node.url))) - {"doubtful"} == {"Root", "before", "after"}
    assert node.stop() == 0


def test_a_full_disk_refuses_writes_and_takes_them_again(node_factory: NodeFactory, faults: Faults) -> None:
    node = node_factory(env=faults.env)
    node.start()

    async def until(kind: str) -> None:
        while await create(node.url, "one") != kind:
            pass

    faults.set(Rule("space", "left", 1 << 20))
    asyncio.run(asyncio.wait_for(until("disk_full"), 60))
    faults.clear()
    asyncio.run(asyncio.wait_for(until("ok"), 60))
    assert [event["level"] for event in node.events("disk_full")] == ["warning"]
    assert node.stop() == 0
