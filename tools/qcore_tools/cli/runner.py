"""Carries commands out: connects when the first one comes, fills in what is in files, prints what comes back."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from qcore.client import Store, connect
from qcore.model.errors import BadSchema, ConnectionFailed, QcoreError
from qcore.model.wire import decode_json
from qcore_tools.cli.blobs import fill_blobs
from qcore_tools.cli.commands import Request, explain, parse
from qcore_tools.cli.views import Format, as_json, render
from qcore_tools.console import FileError

__all__ = ["Runner"]

LEADER_PAUSE = 0.1


class Runner:
    """Runs commands on one connection; `wait` is for how many seconds it looks for a server with a leader."""

    def __init__(
        self,
        urls: Sequence[str],
        format: Format = "human",
        *,
        wait: float = 0.0,
        timing: bool = False,
        on_lost: Callable[[str], None] | None = None,
        on_connected: Callable[[str], None] | None = None,
    ) -> None:
        self.format = format
        self._urls = urls
        self._wait = wait
        self._timing = timing
        self._on_lost = on_lost
        self._on_connected = on_connected
        self._stack = AsyncExitStack()
        self._store: Store | None = None

    async def __aenter__(self) -> Runner:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def store(self) -> Store:
        """The connection, made now if there is none yet.

        Raises:
            ConnectionFailed: no server answers, or none with a leader within `wait`.
        """
        if self._store is None:
            deadline = time.monotonic() + self._wait
            connecting = connect(
                self._urls,
                client="qcore-cli",
                wait=self._wait,
                on_lost=self._on_lost,
                on_connected=self._on_connected,
            )
            self._store = await self._stack.enter_async_context(connecting)
            if self._wait:
                await _leader(self._store, deadline, self._wait)
        return self._store

    async def run(self, words: Sequence[str]) -> QcoreError | None:
        """Run one command and print its result; an error is returned, and printed only where the format is JSON."""
        begin = time.perf_counter()
        try:
            error = await self._try(words)
        except QcoreError as failure:
            error = failure
            if self.format == "json":
                _print(as_json({"error": {"kind": error.kind, "message": error.message}}) + "\n")
        if self._timing:
            print(f"({(time.perf_counter() - begin) * 1000:.2f} ms)", file=sys.stderr)
        return error

    async def _try(self, words: Sequence[str]) -> QcoreError | None:
        """Run one command; raises what failed as a whole, returns what failed in part."""
        request = parse(words)
        result = await self._ask(request)
        view = request.command.view
        _print(render(view, result, request.params, self.format))
        if self.format in ("csv", "raw"):
            for note in view.notes(result):
                print(note, file=sys.stderr)
        return view.error(result)

    async def _ask(self, request: Request) -> Any:
        method, params = request.command.method, request.params
        if not method:
            return explain(params)
        if method == "schema.set":
            params = read_schemas(params["file"])
        store = await self.store()
        if method == "set":
            params = await fill_blobs(store, params)
        return await store.call(method, **params)


async def _leader(store: Store, deadline: float, wait: float) -> None:
    while (await store.info()).leader is None:
        if time.monotonic() > deadline:
            raise ConnectionFailed(f"no leader after {wait:g} s")
        await asyncio.sleep(LEADER_PAUSE)


def read_schemas(name: str) -> dict[str, Any]:
    """Read a schema, or a list of them, from a JSON file or standard input (`-`); returns params of `schema.set`.

    Raises:
        FileError: the file cannot be read.
        BadSchema: it is no JSON object or list.
    """
    try:
        text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as exc:
        raise FileError(f"cannot read {name}: {exc.strerror}") from None
    try:
        content = decode_json(text)
    except ValueError as exc:
        raise BadSchema(f"{name} is no JSON: {exc}") from None
    if isinstance(content, dict):
        return {"schema": content}
    if isinstance(content, list):
        return {"schemas": content}
    raise BadSchema(f"{name}: expected a schema or a list of schemas, given {as_json(content)[:40]}")


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
