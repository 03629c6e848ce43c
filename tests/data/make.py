"""Make the directories of this folder: ``python -m tests.data.make FOLDER``. README.md says when, and when never.

The node is a real one, in this process, with a clock and a source of chance of its own: the same code writes the
same bytes again.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from typing import Any, get_args
from unittest.mock import patch

import msgspec

from qcore.disk.directory import Directory
from qcore.engine.base import Proposal
from qcore.model.entry import EntryBody, Logged
from qcore.model.requests.restore import Restore
from qcore.model.schema_file.reader import SchemaFile, parse_schema_file
from qcore.store.state.state import State
from qcore.version import VERSION
from tests.data.life import TERMS
from tests.server.running import Client, Running, running, until

__all__ = ["DATA", "SCHEMA_FILE", "contents", "facts", "make"]

DATA = Path(__file__).parent
SCHEMA_FILE = DATA / "schemas.yaml"

_SEED = 20_231_114
_START = 1_700_000_000_000_000_000
_SECOND = 1_000_000_000

Ask = Callable[..., Awaitable[Any]]
"""`await ask(method, **params)` is the result."""


def facts(state: State) -> dict[str, Any]:
    """What can be said of a state at one log index, in JSON."""
    counts = {name: count for name, count in sorted(state.counts.items()) if count}
    sessions = [
        [id, used, low, [[seq, hash, failed, raw.decode()] for seq, hash, failed, raw in answers]]
        for id, used, low, answers in state.sessions.dump()
    ]
    return {
        "applied": state.applied,
        "revision": state.revision,
        "digest": state.digest(),
        "time": state.time,
        "level": state.level,
        "next_id": state.next_id,
        "next_session": state.sessions.next_number,
        "mark": state.mark,
        "counts": counts,
        "sessions": sessions,
        "staged": {stage: parts.texts for stage, parts in state.staged.open.items()},
        "checks": msgspec.to_builtins(list(state.checks.last)),
        "rest": msgspec.to_builtins(state.rest().digest()),
        "epochs": [list(each) for each in state.epochs.all],
        "removed": [list(each) for each in state.removed.all],
    }


async def contents(ask: Ask) -> dict[str, Any]:
    """What clients see of a store: its revision, its types and all its entities."""
    names = (await ask("types"))["items"]
    items = (await ask("find", type="Object", limit=10_000))["items"]
    digest = await ask("digest")
    return {
        "revision": digest["revision"],
        "digest": digest["digest"],
        "types": {name: await ask("schema.get", type=name) for name in names},
        "entities": [await ask("get", id=item["id"]) for item in items],
    }


class _Driver:
    """See `tests.data.life.Driver`; without `snapshots` none are taken."""

    def __init__(self, folder: Path, schema_file: SchemaFile, *, snapshots: bool) -> None:
        self.chance = Random(_SEED)
        self.schema_file = schema_file
        self.now = _START
        self._folder = folder
        self._snapshots = snapshots
        self._running: Running
        self._client: Client
        self._sessions: list[int] = []
        self._numbered: dict[tuple[int, int], dict[str, Any]] = {}
        """Writes that were sent together, by session and number, with their answers."""

    async def run(self) -> dict[str, Any]:
        """Go through all terms; returns what whoever opens the directory later must find."""
        expected: dict[str, Any] = {}
        for seconds, term in TERMS:
            self.pass_time(seconds)
            async with running(self._folder) as self._running:
                self._client = self._running.client()
                await term(self)
                expected = {"state": facts(self.state), "contents": await contents(self._client.result)}
        kept = [(id, answer[0]) for id, _, _, answers in expected["state"]["sessions"] for answer in answers]
        return {**expected, "retries": [self._numbered[write] for write in kept if write in self._numbered]}

    @property
    def state(self) -> State:
        return self._running.state

    def pass_time(self, seconds: float) -> None:
        self.now += round(seconds * _SECOND)

    def session(self, number: int) -> int:
        return self._sessions[number - 1]

    async def done(self, method: str, **params: Any) -> Any:
        self.pass_time(1)
        result = await self._client.result(method, **self._named(params))
        if method == "session.open":
            self._sessions.append(result["session"])
        return result

    async def refused(self, kind: str, method: str, **params: Any) -> None:
        self.pass_time(1)
        found = await self._client.kind(method, **self._named(params))
        assert found == kind, (method, params, found)

    async def together(self, *requests: tuple[str, dict[str, Any]]) -> None:
        self.pass_time(1)
        answers = self._client.answers
        named = [(method, self._named(params)) for method, params in requests]
        ids = [self._client.send(method, **params) for method, params in named]
        await until(lambda: all(id in answers for id in ids))
        for id, (method, params) in zip(ids, named, strict=True):
            if method == "session.open":
                self._sessions.append(answers[id]["result"]["session"])
            elif "session" in params:
                answer = {key: value for key, value in answers[id].items() if key in ("result", "error")}
                write = {"method": method, "params": params, "answer": answer}
                self._numbered[params["session"], params["seq"]] = write

    def _named(self, params: dict[str, Any]) -> dict[str, Any]:
        """Params with the id of a session in place of its number."""
        return {**params, "session": self.session(params["session"])} if "session" in params else params

    async def propose(self, *commands: Any) -> None:
        self.pass_time(1)
        index = self.state.applied + 1
        body = EntryBody(self.state.level, self.now, "commands", list(commands))
        self._running.engine.propose(Proposal(body, None))
        await until(lambda: self.state.applied == index and self._running.engine.accepts_proposals())

    async def snapshot(self) -> None:
        self.pass_time(1)
        if self._snapshots:
            first = not self._running.directory.snapshots.found
            await self._client.result("snapshot.take")
            await until(lambda: first or self._running.directory.log.purged is not None)


def make(folder: Path) -> None:
    """Make `log`, `snapshots` and expected.json in a new folder."""
    folder.mkdir(parents=True)
    schema_file = parse_schema_file(SCHEMA_FILE.read_text(encoding="utf-8"), SCHEMA_FILE.name)
    found = []
    for name in ("log", "snapshots"):
        driver = _Driver(folder / name, schema_file, snapshots=name == "snapshots")
        with _as_seeded(driver):
            found.append(asyncio.run(driver.run()))
        _trim(folder / name / "node_1")
    assert found[0] == found[1], "the two directories hold different stores"
    _require_everything(folder)
    text = json.dumps({"version": VERSION, **found[0]}, indent=1, ensure_ascii=False)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")


def _as_seeded(driver: _Driver) -> ExitStack:
    """For the block, the driver's clock is everybody's, and what is random comes from the seed."""
    ids, salts = Random(_SEED), Random(_SEED)
    stack = ExitStack()
    stack.enter_context(patch("time.time_ns", lambda: driver.now))
    stack.enter_context(patch("time.time", lambda: driver.now / _SECOND))
    stack.enter_context(patch("secrets.token_hex", lambda size: ids.randbytes(size).hex()))
    stack.enter_context(patch("os.urandom", salts.randbytes))
    return stack


def _trim(path: Path) -> None:
    """Leave out what a start makes anew: the lock, an empty folder, files that lie ready, blanks behind entries."""
    (path / "lock").unlink()
    if not any((path / "snapshots").iterdir()):
        (path / "snapshots").rmdir()  # git keeps no empty folders
    for entry in (path / "logs").iterdir():
        data = entry.read_bytes().rstrip(b" ")
        if data:
            entry.write_bytes(data)
        else:
            entry.unlink()


def _require_everything(folder: Path) -> None:
    """Fail if what the directories are for is not in them."""
    with closing(Directory.look(folder / "log" / "node_1")) as looked:
        entries = list(looked.log.read(0, 1_000_000))
        assert not looked.snapshots.found
    missing = set(get_args(Logged)) - {type(command) for entry in entries for command in entry.body.commands}
    assert missing == {Restore}, "a restore travels in parts, everything else must be there"
    times = [entry.body.time for entry in entries if entry.body.kind == "commands"]
    assert times != sorted(times), "the clock never stepped back"
    with closing(Directory.look(folder / "snapshots" / "node_1")) as looked:
        assert looked.log.first is not None
        assert looked.log.first.index > 0
        assert len(looked.snapshots.found) == 2


if __name__ == "__main__":
    make(Path(sys.argv[1]))
