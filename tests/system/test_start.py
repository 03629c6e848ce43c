"""Starting and refusing to start: exit codes and messages a person can act on."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from qcore.server.main import main
from tests.process import NodeProcess
from tests.system.load import call

NodeFactory = Callable[..., NodeProcess]


def refused(node: NodeProcess, code: int) -> str:
    """Start a node that must not start; returns what it said."""
    node.start(wait=False)
    assert node.wait() == code
    return node.log()


async def fill(url: str, count: int) -> None:
    async with connect(url) as ws:
        for number in range(count):
            await call(ws, "create", type="Folder", name=f"folder {number}")


def filled(node_factory: NodeFactory, count: int = 5) -> NodeProcess:
    node = node_factory("--config-file", "schemas.yaml", name="filled")
    node.start()
    asyncio.run(fill(node.url, count))
    node.kill()
    return node


def logs_of(node: NodeProcess) -> Path:
    return node.data_dir / "logs"


def holds_an_entry(path: Path) -> bool:
    try:
        return bool(path.read_bytes().strip(b" "))
    except FileNotFoundError:  # purged and taken away just now
        return False


@pytest.mark.parametrize("entries", [1_100, 5_000])
def test_a_node_starts_again_after_many_entries_with_all_of_them(node_factory: NodeFactory, entries: int) -> None:
    """With the limits of the log as they are: snapshots are taken, and old entries go."""
    node = filled(node_factory, entries)
    for end in (node.kill, node.stop):
        node.start()
        assert sum(map(holds_an_entry, logs_of(node).iterdir())) < entries
        assert asyncio.run(counted(node.url)) == entries
        end()


async def counted(url: str) -> int:
    async with connect(url) as ws:
        return int((await call(ws, "count", type="Folder", filter="Name.startsWith('folder ')"))["count"])


@pytest.mark.parametrize("name", ["4.json", "7.json"])
def test_a_flipped_bit_is_named_and_refused(node_factory: NodeFactory, name: str) -> None:
    node = filled(node_factory)
    path = logs_of(node) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    assert f"logs/{name}" in refused(node, 65)


def test_a_missing_entry_is_named_and_refused(node_factory: NodeFactory) -> None:
    node = filled(node_factory)
    (logs_of(node) / "3.json").unlink()
    assert "logs/3.json" in refused(node, 65)


def test_check_refuses_a_running_node_and_then_agrees_with_its_start(node_factory: NodeFactory) -> None:
    node = node_factory("--config-file", "schemas.yaml", name="checked")
    node.start()
    asyncio.run(fill(node.url, 5))
    assert main(["check", str(node.data_dir)]) == 73
    node.kill()
    assert main(["check", str(node.data_dir)]) == 0
    path = logs_of(node) / "4.json"
    path.write_bytes(path.read_bytes()[:-3] + b"xyz")
    assert main(["check", str(node.folder)]) == 65
    assert "logs/4.json" in refused(node, 65)


def test_a_second_daemon_on_the_same_directory_is_refused(node_factory: NodeFactory) -> None:
    first = node_factory(name="shared")
    first.start()
    assert str(first.pid) in refused(node_factory(name="shared"), 73)


def test_an_address_in_use_is_named(node_factory: NodeFactory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        addr = f"127.0.0.1:{taken.getsockname()[1]}"
        assert addr in refused(node_factory("--ws-addr", addr), 73)


def test_a_bad_schema_file_is_refused_with_its_lines(node_factory: NodeFactory, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("schemas:\n  - entity_type: A\n    inherit: Nothing\n  - entity_type: 7up\n")
    said = refused(node_factory("--config-file", str(path)), 2)
    assert "bad.yaml:3:" in said
    assert "bad.yaml:4:" in said


@pytest.mark.parametrize(
    "flags",
    [
        ["--engine", "openraft"],
        ["--engine", "auto", "--enable-discovery"],
        ["--engine", "auto", "--peers", "127.0.0.1:9"],
    ],
)
def test_a_cluster_is_refused_while_the_extension_is_missing(
    node_factory: NodeFactory, flags: list[str], tmp_path: Path
) -> None:
    (tmp_path / "qcore_openraft.py").write_text("raise ModuleNotFoundError('gone', name='qcore_openraft')\n")
    assert "qcore_openraft" in refused(node_factory(*flags, env={"PYTHONPATH": str(tmp_path)}), 71)


def test_a_file_that_differs_later_is_told_and_changes_nothing(node_factory: NodeFactory, tmp_path: Path) -> None:
    path = tmp_path / "schemas.yaml"
    shutil.copy("schemas.yaml", path)
    node = node_factory("--config-file", str(path), name="once")
    node.start()
    node.stop()
    path.write_text(path.read_text() + "\n# changed\n")
    node.start()
    assert node.events("schema_file_differs")


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True)
    return folder


def test_a_full_disk_ends_the_node_and_loses_nothing_acknowledged(node_factory: NodeFactory, small_disk: Path) -> None:
    node = node_factory("--disk-reserve-mb", "0", name="small/data")
    try:
        node.start()
        made = asyncio.run(create_until_gone(node.url))
        assert node.wait() == 74
        assert "disk is full" in node.log()
        subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
        node.start()
        assert made <= asyncio.run(count_of(node.url)) <= made + 1
    finally:
        node.kill()
        subprocess.run(["umount", "-l", str(small_disk)], check=True)


async def create_until_gone(url: str) -> int:
    made = 0
    async with connect(url) as ws:
        try:
            while True:
                await call(ws, "create", type="Object", name="x" * 200)
                made += 1
        except Exception:
            return made


async def count_of(url: str) -> int:
    async with connect(url) as ws:
        return int((await call(ws, "count", type="Object", exact=True))["count"])
