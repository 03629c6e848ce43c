"""Carries commands out: connects when the first one comes, fills in what is in files, prints what comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any

from qcore.client import Store
from qcore.model.errors import QcoreError
from qcore_tools.cli.blobs import fill_blobs
from qcore_tools.cli.command import Params, Request
from qcore_tools.cli.commands import explain, parse
from qcore_tools.cli.listening import Listeners, Printer
from qcore_tools.cli.schemas import read_schemas
from qcore_tools.cli.views import Format, render
from qcore_tools.connecting import connected
from qcore_tools.forms import as_json
from qcore_tools.terminal import complain, note, write_result

__all__ = ["Runner", "complain_all"]


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
        self._printer = Printer(format, write_result)
        self.listeners = Listeners(self._printer)
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
            connecting = connected(
                self._urls, "qcore-cli", self._wait, on_lost=self._on_lost, on_connected=self._on_connected
            )
            self._store = await self._stack.enter_async_context(connecting)
        return self._store

    async def run(self, words: Sequence[str]) -> Sequence[QcoreError]:
        """Run one command and print its result; errors are returned, and printed only where the format is JSON."""
        begin = time.perf_counter()
        try:
            errors = await self._try(words)
        except QcoreError as failure:
            errors = [failure]
            if self.format == "json":
                write_result(as_json({"error": {"kind": failure.kind, "message": failure.message}}) + "\n")
        if self._timing:
            note(f"({(time.perf_counter() - begin) * 1000:.2f} ms)")
        return errors

    async def _try(self, words: Sequence[str]) -> Sequence[QcoreError]:
        """Run one command; raises what failed as a whole, returns what failed in part."""
        request = parse(words)
        if request.command.name in ("POLL", "WATCH"):
            await self._stream(request)
            return ()
        result = await self._ask(request)
        view = request.view
        write_result(render(view, result, request.params, self.format))
        notes = view.notes(result) if self.format in ("csv", "raw") else ()
        warnings = view.warnings(result) if self.format != "json" else ()
        for line in (*notes, *warnings):
            note(line)
        return view.errors(result)

    async def _stream(self, request: Request) -> None:
        self._printer.begin()
        if request.command.name == "POLL":
            await self.listeners.poll(**request.params)
        else:
            await self.listeners.watch(await self.store(), request.params)

    async def _ask(self, request: Request) -> Any:
        method = request.command.method
        if request.command.name == "LISTEN":
            return await self.listeners.listen(await self.store(), request.params)
        if request.command.name == "UNLISTEN":
            return await self.listeners.unlisten(request.params)
        if not method:
            return explain(request.params)
        params = await self._filled(request, {})
        return await (await self.store()).call(method, **params)

    async def _filled(self, request: Request, created: dict[str, str]) -> Params:
        """The params with what is in files; `created` has the type of what earlier commands create, by ``$n``."""
        method, params = request.command.method, request.params
        if method == "schema.set":
            return read_schemas(params)
        if method == "set":
            return await fill_blobs(await self.store(), params, created)
        if not request.steps:
            return params
        commands: list[Params] = []
        for number, step in enumerate(request.steps, 1):
            commands.append({"method": step.command.method, "params": await self._filled(step, created)})
            if step.command.method == "create":
                created[f"${number}"] = step.params["type"]
        return params | {"commands": commands}


def complain_all(errors: Sequence[QcoreError]) -> None:
    """Tell people what failed, a line for each."""
    for error in errors:
        complain(f"(error) {error.kind}: {error.message}")
