"""The surface people program against: the methods of the API, typed, on a connection that heals itself."""

# ruff: noqa: ASYNC109 -- a timeout here is part of the request: the server is told it, and retries share it

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from qcore.client.connection import Connection
from qcore.client.protocol import Request, RequestGroup, as_arrays
from qcore.client.results import Entity
from qcore.client.urls import DEFAULT_URL, parse_urls
from qcore.model.commands import IdForm, Mode, When
from qcore.model.errors import BadParams
from qcore.model.queries import Consistency
from qcore.model.results import Created, Deleted, InfoResult, MachineResult, Page, SchemaDone, SetDone, TypesPage
from qcore.model.schema import EntitySchema
from qcore.model.wire import decode_json

__all__ = ["DEFAULT_TIMEOUT", "Store", "connect"]

DEFAULT_TIMEOUT = 10.0

T = TypeVar("T")
Schema = EntitySchema | Mapping[str, Any]


@asynccontextmanager
async def connect(
    urls: str | Iterable[str] = DEFAULT_URL,
    *,
    client: str = "python",
    timeout: float = DEFAULT_TIMEOUT,
    wait: float = 0.0,
    on_lost: Callable[[str], None] | None = None,
    on_connected: Callable[[str], None] | None = None,
) -> AsyncIterator[Store]:
    """Connect to the first of `urls` that answers: ``ws://host:port``, ``wss://...`` or ``host:port``.

    Several may be in a list or separated by commas; a lost connection is made again to the next one. `client` is
    the name servers show for it, `timeout` the seconds each request has unless it says otherwise, `wait` for how
    many seconds all URLs are tried again at first. `on_lost(reason)` and `on_connected(url)` are told about
    connections lost and made again.

    Raises:
        ConnectionFailed: no server answered; names each URL and why.
        BadParams: a URL that is none.
    """
    connection = Connection(parse_urls(urls), client, on_lost, on_connected)
    await connection.open(wait)
    try:
        yield Store(connection, timeout)
    finally:
        await connection.close()


class Store:
    """A qcore store, from `connect`; any number of tasks may use it at the same time.

    An id may be written as ``12345``, ``"@12345"``, ``"Type$12345"`` or ``"/Root/Folder/Name"``. Values are
    those of JSON; text is parsed by the field's kind, bytes and datetimes may be given for Blob and Timestamp.
    `timeout` is in seconds and covers everything, retries over a lost connection too.

    Every method raises `RequestError` if the server refuses (the class says why), `Timeout` without an answer in
    time and `ConnectionFailed` without a server in that time. Such an error of a write has ``data["applied"]``,
    "no" or "unknown"; writes are otherwise done exactly once, however often the connection is lost.
    """

    def __init__(self, connection: Connection, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._connection = connection
        self._timeout = timeout

    async def ping(self, *, timeout: float | None = None) -> str:
        """Return "PONG"."""
        return await self._ask("ping", {}, str, timeout)

    async def info(self, *, timeout: float | None = None) -> InfoResult:
        """What the node that answers is and how it fares."""
        return await self._ask("info", {}, InfoResult, timeout)

    async def machine(self, *, timeout: float | None = None) -> MachineResult:
        """Machine name and node id of the node that answers."""
        return await self._ask("machine", {}, MachineResult, timeout)

    async def create(
        self,
        type: str,
        name: str,
        parent: IdForm | None = None,
        fields: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> Created:
        """Create an entity, last among the children of `parent`; returns its id and the revision."""
        params = _given(type=type, name=name, parent=parent, fields=fields)
        return await self._ask("create", params, Created, timeout)

    async def get(
        self, id: IdForm, *fields: str, consistency: Consistency | None = None, timeout: float | None = None
    ) -> Entity:
        """Read fields of an entity, all of them in rank order if none is named; a path is ``"A->B->C"``.

        A path that cannot be read has its error in its place: ``entity["A->B"]`` raises it.
        """
        params = _given(id=id, fields=list(fields) or None, consistency=consistency)
        return await self._ask("get", params, Entity, timeout)

    async def set(
        self,
        id: IdForm,
        field: str | None = None,
        value: Any = msgspec.UNSET,
        *,
        fields: Mapping[str, Any] | None = None,
        mode: Mode | None = None,
        when: When | None = None,
        time: int | str | None = None,
        expect: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> SetDone:
        """Write one field (`field`, `value`), or several of one entity at once (`fields`), all or nothing.

        `mode` is "set", "add" or "subtract"; `when="changes"` writes nothing where the value would stay; `time`
        is the write time (RFC 3339, or ns since 1970); `expect` is ``{"value": v}`` or ``{"revision": n}``.

        Raises:
            Conflict: the field is not as expected; carries what it is.
            Stale: the stored value is newer than `time`; carries the same.
        """
        params = _given(id=id, field=field, fields=fields, mode=mode, when=when, time=time, expect=expect)
        if value is not msgspec.UNSET:
            params["value"] = value
        return await self._ask("set", params, SetDone, timeout)

    async def delete(self, id: IdForm, *, timeout: float | None = None) -> Deleted:
        """Delete an entity and everything below it; returns how many were deleted."""
        return await self._ask("delete", {"id": id}, Deleted, timeout)

    async def exists(self, id: IdForm, *, consistency: Consistency | None = None, timeout: float | None = None) -> bool:
        """Whether there is such an entity."""
        return await self._ask("exists", _given(id=id, consistency=consistency), bool, timeout)

    async def find(
        self,
        type: str,
        filter: str | None = None,
        *,
        exact: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
        fields: Sequence[str] | None = None,
        total: bool = False,
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> Page:
        """One page of the entities of a type and its descendants (`exact`: without those), by id ascending.

        `cursor` is the one of the page before; the last page has none. `fields` are read for each item, `total`
        asks for the number of all.
        """
        params = _given(type=type, filter=filter, limit=limit, cursor=cursor, fields=fields, consistency=consistency)
        params |= {name: True for name, asked in (("exact", exact), ("total", total)) if asked}
        return await self._ask("find", params, Page, timeout)

    async def types(
        self, limit: int | None = None, cursor: str | None = None, *, timeout: float | None = None
    ) -> TypesPage:
        """The names of all types, sorted; with `limit` one page of them."""
        return await self._ask("types", _given(limit=limit, cursor=cursor), TypesPage, timeout)

    async def schema_get(self, type: str, *, timeout: float | None = None) -> EntitySchema:
        """A type's own schema."""
        return await self._ask("schema.get", {"type": type}, EntitySchema, timeout)

    async def schema_complete(self, type: str, *, timeout: float | None = None) -> EntitySchema:
        """A type's schema with everything it inherits."""
        return await self._ask("schema.complete", {"type": type}, EntitySchema, timeout)

    async def schema_set(self, *schemas: Schema, timeout: float | None = None) -> SchemaDone:
        """Set one schema or several, in any order, all or nothing."""
        return await self._ask("schema.set", {"schemas": list(schemas)}, SchemaDone, timeout)

    async def call(self, method: str, /, **params: Any) -> Any:
        """Call any method of the API; returns its result as plain JSON types. `timeout` may be among `params`."""
        request = Request(method, self._timed(params, None))
        await self._connection.send(RequestGroup([request], array=False), self._seconds(params.get("timeout")))
        return decode_json(_result(request))

    async def batch(self, calls: Iterable[tuple[str, Mapping[str, Any]]], *, timeout: float | None = None) -> list[Any]:
        """Call many methods, in order and each on its own; returns a result, or the error itself, for each.

        Others' calls may come in between. A long batch goes in several messages, each with its own `timeout`.
        """
        requests = [Request(method, self._timed(params, timeout)) for method, params in calls]
        for array in as_arrays(requests):
            await self._connection.send(array, self._seconds(timeout))
        return [decode_json(request.result) if request.error is None else request.error for request in requests]

    async def _ask(self, method: str, params: dict[str, Any], result: type[T], timeout: float | None) -> T:
        request = Request(method, self._timed(params, timeout))
        await self._connection.send(RequestGroup([request], array=False), self._seconds(timeout))
        return msgspec.json.decode(_result(request), type=result)

    def _timed(self, params: Mapping[str, Any], timeout: float | None) -> dict[str, Any]:
        return {"timeout": self._seconds(timeout), **params}

    def _seconds(self, timeout: float | None) -> float:
        seconds = self._timeout if timeout is None else timeout
        if not 0 < seconds < float("inf"):
            raise BadParams(f"timeout: expected seconds above 0, given {seconds!r}")
        return seconds


def _given(**params: Any) -> dict[str, Any]:
    """The params a caller gave: None stands for the server's default."""
    return {name: value for name, value in params.items() if value is not None}


def _result(request: Request) -> bytes:
    if request.error is not None:
        raise request.error
    return request.result
