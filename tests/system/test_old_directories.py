"""Directories that earlier versions wrote (tests/data) are opened, and hold the same state as ever."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from qcore.disk.directory import Directory
from qcore.model.entry import FEATURE_LEVEL
from qcore.server.main import main
from qcore.server.recovery import load
from qcore.store.apply import apply_entry
from qcore.store.state.state import State
from tests.data.make import DATA, SCHEMA_FILE, contents, facts
from tests.process import NodeProcess
from tests.server.running import running
from tests.system.load import call

VERSIONS = sorted(path.parent.name for path in DATA.glob("*/expected.json"))
FOLDERS = [f"{version}/{name}" for version in VERSIONS for name in ("log", "snapshots")]


class Old:
    """A copy of an old data directory, and what must be found in it."""

    def __init__(self, folder: Path, expected: dict[str, Any]) -> None:
        self.folder = folder
        self.path = folder / "node_1"
        self.state = expected["state"]
        self.contents = expected["contents"]
        self.retries = expected["retries"]

    def facts(self) -> dict[str, Any]:
        """Those of the state that snapshot and log lead to, as far as that version knew them."""
        found = facts(replayed(self.path))
        return {name: found[name] for name in self.state}


def copied(name: str, folder: Path) -> Old:
    shutil.copytree(DATA / name, folder)
    return Old(folder, json.loads((DATA / name).with_name("expected.json").read_text(encoding="utf-8")))


@pytest.fixture(params=FOLDERS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    return copied(request.param, tmp_path / "data")


@pytest.fixture(params=VERSIONS)
def old_with_snapshots(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    return copied(f"{request.param}/snapshots", tmp_path / "data")


def replayed(path: Path) -> State:
    """The state a start would have before it writes anything; nothing is changed."""
    with closing(Directory.look(path)) as looked:
        state, snapshot = load(looked)
        for entry in looked.log.replay(None if snapshot is None else snapshot.header.last, looked.log.last):
            for _ in apply_entry(state, entry):
                pass
        return state


def test_there_are_directories_of_the_first_format() -> None:
    assert "0.1.0-6f7acd2" in VERSIONS


def test_there_is_one_of_the_present_feature_level() -> None:
    expected = (json.loads((DATA / version / "expected.json").read_text(encoding="utf-8")) for version in VERSIONS)
    assert max(each["state"]["level"] for each in expected) == FEATURE_LEVEL


def test_snapshot_and_log_lead_to_the_same_state(old: Old) -> None:
    assert old.facts() == old.state


def test_the_older_snapshot_and_the_log_lead_there_too(old_with_snapshots: Old) -> None:
    snapshots = sorted((old_with_snapshots.path / "snapshots").iterdir())
    snapshots[-1].unlink()
    assert old_with_snapshots.facts() == old_with_snapshots.state


def test_check_finds_everything_in_order(old: Old, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(old.folder)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"OK: {old.path}\n")
    assert f"{len(old.contents['entities'])} entities at revision {old.state['revision']}\n" in out
    assert "at start" not in out
    assert str(old.path) not in err


async def test_a_node_goes_on_from_there(old: Old) -> None:
    async with running(old.folder) as run:
        client = run.client()
        assert await contents(client.result) == old.contents
        made = await client.result("create", type="Place", name="new", parent=1)
        assert made == {"id": old.state["next_id"], "revision": old.state["revision"] + 1}
        await client.result("snapshot.take")
        await client.result("delete", id=made["id"])
        after = await contents(client.result)
    async with running(old.folder) as run:
        assert await contents(run.client().result) == after


async def test_a_write_sent_again_is_answered_as_it_was(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: old.state["time"])  # no session is too old
    async with running(old.folder) as run:
        client = run.client()
        for write in old.retries:
            answer = await client.ask(write["method"], **write["params"])
            assert {key: answer[key] for key in write["answer"]} == write["answer"]
        assert await contents(client.result) == old.contents


def test_a_daemon_starts_on_it_and_stops(old: Old, node_factory: Callable[..., NodeProcess]) -> None:
    node = node_factory("--config-file", str(SCHEMA_FILE), name=old.folder.name)
    for _ in range(2):
        node.start()
        assert not node.events("schema_file_differs")
        assert asyncio.run(contents_at(node.url)) == old.contents
        assert node.stop() == 0
    assert main(["check", str(old.folder)]) == 0


async def contents_at(url: str) -> dict[str, Any]:
    async with connect(url, max_size=None) as ws:
        return await contents(partial(call, ws))
