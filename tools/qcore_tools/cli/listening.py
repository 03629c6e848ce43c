"""Listening: the words of LISTEN, UNLISTEN, POLL and WATCH, what is open between them, and how events look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from qcore.client import Event, Events, Store
from qcore.client.merging import MergedEvents
from qcore.model.errors import NotFound
from qcore.model.wire import encode_json
from qcore_tools.cli.command import Params
from qcore_tools.cli.views import Format, as_text
from qcore_tools.console import UsageError
from qcore_tools.forms import as_json, bare, cell, csv_line, literal

__all__ = ["Listeners", "Printer", "human", "read_listen", "read_poll", "read_unlisten"]

ANY = "*"
"""Stands for a field, and means every one of them."""

_HEADER = ("revision", "kind", "id", "type", "field", "value", "previous", "time", "writer", "context", "reason")


def read_listen(args: Sequence[str]) -> Params:
    """Read ``<target> <field> [CHANGE] [ctx...] [WHERE cel] [SINCE n]``.

    Raises:
        UsageError: WHERE or SINCE without what follows them, or twice; a filter that is not quoted.
    """
    target, field, *rest = args
    params: Params = {"target": target} | ({} if field == ANY else {"field": field})
    if rest and rest[0].upper() == "CHANGE":
        params["change"] = True
        del rest[0]
    context: list[str] = []
    while rest:
        word = rest.pop(0)
        if word.upper() not in ("WHERE", "SINCE"):
            if "filter" in params:
                raise UsageError(
                    f"expected nothing but SINCE after the filter, given {word!r}; one with spaces is quoted"
                )
            context.append(word)
            continue
        name = "filter" if word.upper() == "WHERE" else "since"
        if not rest or name in params:
            raise UsageError(f"{word.upper()} {'stands there twice' if name in params else 'needs a word after it'}")
        params[name] = rest.pop(0) if name == "filter" else _revision(rest.pop(0))
    return params | ({"context": context} if context else {})


def read_unlisten(args: Sequence[str]) -> Params:
    """Read the words of the LISTEN that is to end; where it began does not matter."""
    params = read_listen(args)
    params.pop("since", None)
    return params


def read_poll(args: Sequence[str]) -> Params:
    """Read ``[interval_ms]``."""
    if not args:
        return {}
    if not (args[0].isascii() and args[0].isdigit() and len(args[0]) < 10):
        raise UsageError(f"interval_ms: expected milliseconds, given {args[0]!r}")
    return {"interval": int(args[0]) / 1000}


def _revision(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise UsageError(f"SINCE: expected a revision, given {text!r}")
    return int(text)


class Listeners:
    """What is listened to, by the words that began it; `emit` prints one event."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._open: dict[bytes, Events] = {}
        self.interrupted = False
        """Whether a POLL was ended by Ctrl-C."""

    def __bool__(self) -> bool:
        return bool(self._open)

    async def listen(self, store: Store, params: Params) -> dict[str, Any]:
        """Begin to listen; again where it was begun already.

        Raises:
            RequestError: the server refuses.
        """
        await self._end(params)
        events = store.listen(**params)
        await events.__aenter__()
        self._open[_key(params)] = events
        return {"token": events.token, "revision": events.began}

    async def unlisten(self, params: Params) -> dict[str, Any]:
        """End what the same words began.

        Raises:
            NotFound: nothing was.
        """
        token = await self._end(params)
        if token is None:
            raise NotFound("nothing is listened to by these words")
        return {"token": token}

    async def poll(self, interval: float = 0.0) -> None:
        """Print events as they come, or every `interval` seconds, until cancelled.

        Raises:
            UsageError: nothing is listened to.
            RequestError: the server ended one of them.
        """
        if not self._open:
            raise UsageError("nothing is listened to; LISTEN first")
        try:
            await self._print(self._open.values(), interval)
        finally:
            self._open = {key: events for key, events in self._open.items() if not events.ended}

    async def watch(self, store: Store, params: Params) -> None:
        """Print the events of one listener, which is none of the others, until cancelled.

        Raises:
            RequestError: the server refuses, or ended it.
        """
        async with store.listen(**params) as events:
            await self._print([events])

    async def _print(self, listeners: Iterable[Events], interval: float = 0.0) -> None:
        self.interrupted = False
        merged = MergedEvents(listeners)
        try:
            while (event := await merged.next()) is not None:
                while event is not None:
                    self._emit(event)
                    await asyncio.sleep(0)  # a lot may have come: Ctrl-C and the connection have their turn
                    event = merged.pop()
                if interval:
                    await asyncio.sleep(interval)
        except asyncio.CancelledError:
            self.interrupted = True

    async def _end(self, params: Params) -> int | None:
        events = self._open.pop(_key(params), None)
        if events is None:
            return None
        await events.aclose()
        return events.token


def _key(params: Params) -> bytes:
    return encode_json({name: value for name, value in sorted(params.items()) if name != "since"})


class Printer:
    """Events as text, in a format; the header of CSV comes before the first."""

    def __init__(self, format: Format, write: Callable[[str], None]) -> None:
        self._format = format
        self._write = write
        self._begun = False

    def __call__(self, event: Event) -> None:
        """Print one event."""
        self._write(as_text(self._lines(event), self._format))

    def begin(self) -> None:
        """A new stream begins."""
        self._begun = False

    def _lines(self, event: Event) -> Iterable[str]:
        if self._format == "json":
            yield as_json(event)
        elif self._format == "csv":
            if not self._begun:
                self._begun = True
                yield csv_line(_HEADER)
            yield csv_line(_cells(event))
        else:
            yield human(event) if self._format == "human" else _raw(event)


def human(event: Event) -> str:
    """``12 Age: 29 -> 30``."""
    if event.kind == "lost":
        return f"(lost) {event.reason}: changes up to revision {event.revision} may be missing"
    context = ", ".join(f"{path}: {_read(value)}" for path, value in event.context.items())
    return f"{event.id} {_what(event)}" + (f"  [{context}]" if context else "")


def _read(value: Any) -> str:
    failed = value.get("error") if isinstance(value, dict) else None
    return f"(error) {failed['kind']}" if failed else literal(value)


def _what(event: Event) -> str:
    if event.field is None:
        return f"{event.kind} ({event.type})"
    if event.error is not None:
        now = f"(error) {event.error.kind}: {event.error.message}"
    elif event.current is None or event.field.rpartition("->")[2] == "Children":  # whose values are not told
        return f"{event.field} changed"
    else:
        now = literal(event.current.value)
    if event.kind == "initial" or event.previous is None:
        return f"{event.field}: {now}"
    return f"{event.field}: {literal(event.previous.value)} -> {now}"


def _raw(event: Event) -> str:
    if event.kind == "lost":
        return f"lost {event.revision} {event.reason}"
    if event.field is None:
        return f"{event.kind} {event.id}"
    return f"{event.id} {event.field} {'' if event.current is None else bare(event.current.value)}".rstrip()


def _cells(event: Event) -> list[str]:
    now, before = event.current, event.previous
    return [
        str(event.revision),
        event.kind,
        cell(event.id),
        cell(event.type),
        cell(event.field),
        "" if now is None else bare(now.value),
        "" if before is None else bare(before.value),
        "" if now is None else cell(now.time),
        "" if now is None else cell(now.writer),
        cell(event.context) if event.context else "",
        cell(event.reason if event.error is None else event.error.kind),
    ]
