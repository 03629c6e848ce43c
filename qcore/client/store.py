"""The surface people program against: the methods of the API, typed, on a connection that heals itself."""

# ruff: noqa: ASYNC109 -- a timeout here is part of the request: the server is told it, and retries share it

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Any, TypeVar

import msgspec

from qcore.client.commands import AnyCommand, as_calls, read_pipeline, read_transaction, steps_of
from qcore.client.connection import Connection
from qcore.client.listening import Events
from qcore.client.request import Request, RequestGroup, as_arrays
from qcore.client.results import Entity, TransactionDone, read_result
from qcore.client.urls import DEFAULT_URL, parse_urls
from qcore.model.errors import BadParams, NotFound, QcoreError
from qcore.model.requests.cluster import ClusterFormed, ClusterState, ClusterTransferred, MemberState
from qcore.model.requests.commands import FieldChange, IdForm, Mode, When
from qcore.model.requests.compound import Condition
from qcore.model.requests.queries import Consistency
from qcore.model.requests.restore import Restored
from qcore.model.requests.results import (
    ClientList,
    ConnectedClient,
    Counted,
    Created,
    Deleted,
    DigestNow,
    ExportPage,
    InfoResult,
    MachineResult,
    Page,
    PlanResult,
    SchemaDone,
    SetDone,
    SlowRequest,
    SlowRequestList,
    SnapshotTaken,
    TypesPage,
    Uploaded,
)
from qcore.model.schema import EntitySchema, FieldSchema, Scope
from qcore.model.values import Kind
from qcore.model.wire import cut_text, decode_json

__all__ = ["DEFAULT_TIMEOUT", "Store", "connect"]

DEFAULT_TIMEOUT = 10.0
_UPLOADED = 512 * 1024
"""Bytes of a document that are handed in at a time."""

_UPLOAD_TRIES = 3
"""How often a document is handed in where the server that had it is gone."""

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
    those of JSON; text is parsed by the field's kind, bytes and datetimes may be given for Blob and Timestamp. NaN,
    infinities, bytes in place of text and datetimes without a time zone are `BadParams`, before anything is sent.
    `timeout` is in seconds and covers everything, retries over a lost connection too.

    Every method raises `RequestError` if the server refuses (the class says why), `Timeout` without an answer in
    time and `ConnectionFailed` without a server in that time. Such an error of a write has ``data["applied"]``,
    "no" or "unknown"; writes are otherwise done exactly once, however often the connection is lost.
    """

    def __init__(self, connection: Connection, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._connection = connection
        self._timeout = timeout

    @property
    def url(self) -> str:
        """The server that it is connected to, or tries next where the connection is lost: ``ws://host:port``."""
        return self._connection.url

    async def ping(self, *, timeout: float | None = None) -> str:
        """Return "PONG"."""
        return await self._ask("ping", {}, str, timeout)

    async def info(self, *, timeout: float | None = None) -> InfoResult:
        """What the node that answers is and how it fares."""
        return await self._ask("info", {}, InfoResult, timeout)

    async def machine(self, *, timeout: float | None = None) -> MachineResult:
        """Machine name and node id of the node that answers."""
        return await self._ask("machine", {}, MachineResult, timeout)

    async def clients(self, *, timeout: float | None = None) -> list[ConnectedClient]:
        """Who is connected to the node that answers; who came first stands first."""
        return (await self._ask("clients", {}, ClientList, timeout)).items

    async def slow_log(self, limit: int | None = None, *, timeout: float | None = None) -> list[SlowRequest]:
        """The last requests that took long on the node that answers, the newest first; at most `limit`."""
        return (await self._ask("slowlog", _given(limit=limit), SlowRequestList, timeout)).items

    async def digest(self, *, consistency: Consistency | None = None, timeout: float | None = None) -> DigestNow:
        """Revision and digest of the whole state: stores of equal revision hold the same if the digests are equal."""
        return await self._ask("digest", _given(consistency=consistency), DigestNow, timeout)

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
        is the write time (RFC 3339, or ns since 1970); `expect` is ``{"value": v}`` or ``{"revision": n}``, the
        latter with the ``"epoch"`` of the history it was read in, where that is known.

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
        order_by: Sequence[str] | None = None,
        total: bool = False,
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> Page:
        """One page of the entities of a type and its descendants (`exact`: without those).

        `filter` is a CEL expression such as ``"Age > 25"``. `cursor` is the one of the page before; the last page
        has none. `fields` are read for each item, `total` asks for the number of all. The order is by id, or by
        the fields in `order_by`: ``["Age:desc", "Name"]``.

        Raises:
            BadFilter: the filter is no CEL, or asks for what the type does not have.
            NotFound, WrongKind: a field in `order_by` that no type has, or that has no order.
        """
        params = _given(type=type, filter=filter, limit=limit, cursor=cursor, fields=fields, consistency=consistency)
        params |= _given(order_by=order_by, exact=exact or None, total=total or None)
        return await self._ask("find", params, Page, timeout)

    async def count(
        self,
        type: str,
        filter: str | None = None,
        *,
        exact: bool = False,
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> Counted:
        """How many entities `find` would give, and for how many the filter has no answer; the same errors."""
        params = _given(type=type, filter=filter, exact=exact or None, consistency=consistency)
        return await self._ask("count", params, Counted, timeout)

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

    async def schema_set(
        self, *schemas: Schema, dry_run: bool = False, reset: bool = False, timeout: float | None = None
    ) -> SchemaDone:
        """Set one schema or several, in any order, all or nothing; `dry_run` only says what would come of it.

        Raises:
            InUse: stored values would be reset, and `reset` is not given; ``data["reset"]`` counts them by field.
        """
        params = _given(schemas=list(schemas), dry_run=dry_run or None, reset=reset or None)
        return await self._ask("schema.set", params, SchemaDone, timeout)

    async def schema_delete(self, type: str, *, timeout: float | None = None) -> SchemaDone:
        """Delete a type.

        Raises:
            InUse: it has entities or descendants, or is built in.
        """
        return await self._ask("schema.delete", {"type": type}, SchemaDone, timeout)

    async def field_get(self, type: str, field: str, *, timeout: float | None = None) -> FieldSchema:
        """The schema of one field of a type, inherited ones too."""
        return await self._ask("field.get", {"type": type, "field": field}, FieldSchema, timeout)

    async def field_set(
        self,
        type: str,
        field: str,
        data_type: Kind | None = None,
        *,
        default: Any = msgspec.UNSET,
        rank: int | None = None,
        choices: Sequence[str] | None = None,
        storage_scope: Scope | None = None,
        dry_run: bool = False,
        reset: bool = False,
        timeout: float | None = None,
    ) -> SchemaDone:
        """Add a field to a type, or change the properties given of one it has; a new one needs a `data_type`.

        `dry_run` and `reset` are as for `schema_set`.
        """
        labels = None if choices is None else list(choices)
        change = FieldChange(data_type, default, rank, labels, storage_scope)
        params = {"type": type, "field": field, "schema": change}
        params |= _given(dry_run=dry_run or None, reset=reset or None)
        return await self._ask("field.set", params, SchemaDone, timeout)

    async def field_exists(self, type: str, field: str, *, timeout: float | None = None) -> bool:
        """Whether a type has a field, inherited ones too; False for an unknown type."""
        return await self._ask("field.exists", {"type": type, "field": field}, bool, timeout)

    async def pipeline(self, commands: Iterable[AnyCommand], *, timeout: float | None = None) -> list[Any]:
        """Run commands in order, with no other client's in between; returns a result, or the error, for each.

        A command is a record (`Create`, `SetFields`, `Get`, ...) or ``(method, params)``. A later one may refer to
        the entity that the n-th one created as ``"$n"``, from 1. A command that fails undoes nothing.

            user, _, entity = await store.pipeline(
                [Create("User", "ann"), SetFields("$1", "Age", 30), Get("$1", ["Age"])]
            )
        """
        calls = as_calls(commands)
        return read_pipeline(calls, await self._text("pipeline", {"commands": steps_of(calls)}, timeout))

    async def transaction(
        self,
        commands: Iterable[AnyCommand],
        conditions: Iterable[Condition | Mapping[str, Any]] = (),
        *,
        timeout: float | None = None,
    ) -> TransactionDone:
        """Run commands, written as for `pipeline`, all or none, if every condition holds.

        A condition is ``Condition(id, "Age", "<", 30)``, ``Condition(id, "Age", revision=7)`` or
        ``Condition(id, exists=True)``.

        Raises:
            Conflict: a condition does not hold; ``data["condition"]`` is its number.
            RequestError: a command failed, ``data["command"]`` is its number; nothing was done.
        """
        calls = as_calls(commands)
        params = {"conditions": list(conditions), "commands": steps_of(calls)}
        return read_transaction(calls, await self._text("transaction", params, timeout))

    def listen(
        self,
        target: IdForm,
        field: str | None = None,
        *,
        change: bool = False,
        context: Sequence[str] = (),
        filter: str | None = None,
        since: int | None = None,
        epoch: str | None = None,
        initial: bool = False,
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> Events:
        """Be told of changes of an entity (in any id form), or of a type and its descendants, as they are made.

            async with store.listen("User", "Age", initial=True) as events:
                async for event in events:
                    print(event.id, event.current.value)

        With a `field`, which may be a path such as ``"Department->Name"``, only its changes are told, and that
        entities are created and deleted. `change` leaves out writes of the same value; `context` are paths read with
        each event; a `filter` (CEL) must hold after the change. `since` is a revision after which to begin, `initial`
        begins with what is there now. A lost connection is made again, and goes on where it was; where that cannot be,
        an event of kind "lost" says so, and with `initial` the values of now follow. With the `epoch` that was current
        at `since`, that is also said where the server has another history by now, such as that of an older backup.

        `timeout` is for the server to take it. Entering the block, or the first event, raises what it says.

        Raises:
            Compacted: the server's history does not reach back to `since`; ``data["oldest"]`` is where it begins.
            BadFilter, NotFound: the filter, the target or the field cannot be.
        """
        params = _given(target=target, field=field, filter=filter, since=since, epoch=epoch, consistency=consistency)
        params |= _given(change=change or None, initial=initial or None, context=list(context) or None)
        return Events(self._connection, params, self._seconds(timeout))

    async def cluster_status(self, *, timeout: float | None = None) -> ClusterState:
        """Who is in the cluster, as the node that answers sees it, and what the next failure would do."""
        return await self._ask("cluster.status", {}, ClusterState, timeout)

    async def cluster_init(self, *ids: int, timeout: float | None = None) -> ClusterFormed:
        """Form a cluster of blank nodes, the one that answers among them: of these ids, or of all its peers.

        Raises:
            Forbidden: the node belongs to a cluster, or sees one; or it may only join one.
            Conflict: another one is being formed of some of these nodes.
            Timeout: some did not answer in time. With ``data["applied"]`` "unknown" it goes on by itself.
        """
        return await self._ask("cluster.init", _given(ids=list(ids) or None), ClusterFormed, timeout)

    async def cluster_transfer(self, id: int, *, timeout: float | None = None) -> ClusterTransferred:
        """Hand leadership to the voter with this id."""
        return await self._ask("cluster.transfer", {"id": id}, ClusterTransferred, timeout)

    async def cluster_add(self, id: int, *, timeout: float | None = None) -> MemberState:
        """Have a node be a member, once it is there; one that was removed is let in again.

        Raises:
            NotFound: the node is not there, and was not removed either.
        """
        return await self._ask("cluster.add", {"id": id}, MemberState, timeout)

    async def cluster_remove(self, id: int, *, timeout: float | None = None) -> MemberState:
        """Take a node out of the cluster, for good.

        Raises:
            NotFound: it is no member.
            Forbidden: without it no majority of the voters can be reached.
        """
        return await self._ask("cluster.remove", {"id": id}, MemberState, timeout)

    async def cluster_promote(self, id: int, *, timeout: float | None = None) -> MemberState:
        """Give a learner a vote once it has caught up.

        Raises:
            NotFound: it is no member.
        """
        return await self._ask("cluster.promote", {"id": id}, MemberState, timeout)

    async def snapshot_take(self, *, timeout: float | None = None) -> SnapshotTaken:
        """Write a snapshot beside the log of the node that answers; returns when it is durable."""
        return await self._ask("snapshot.take", {}, SnapshotTaken, timeout)

    async def snapshot_export(
        self,
        *,
        runtime: bool = False,
        ids: bool = True,
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[ExportPage]:
        """The JSON snapshot of the store at one revision, piece by piece; the `chunk`s together are the document.

        `runtime` takes Runtime fields too; without `ids` it can be compared with others and restored elsewhere.
        The last piece counts what the document holds and what was left out. `timeout` is for each piece.
        """
        given = _given(runtime=runtime or None, ids=None if ids else False, consistency=consistency)
        page = await self._ask("snapshot.export", given, ExportPage, timeout)
        while page.cursor is not None:
            yield page
            page = await self._ask("snapshot.export", {"cursor": page.cursor}, ExportPage, timeout)
        yield page

    async def snapshot_plan(
        self,
        document: str | bytes,
        *,
        prune: bool = False,
        limit: int | None = None,
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> PlanResult:
        """What restoring a JSON snapshot would do: how often each action, and the first `limit` of them in words.

        Raises:
            BadParams: the document has problems; ``data["problems"]`` has them as ``{"path", "message"}``.
        """
        params = _given(prune=prune or None, limit=limit, consistency=consistency)
        return await self._ask_of_document("snapshot.plan", document, params, PlanResult, timeout)

    async def snapshot_restore(
        self, document: str | bytes, *, prune: bool = False, reset: bool = False, timeout: float | None = None
    ) -> Restored:
        """Make the store what a JSON snapshot says, in one write; `prune` deletes what it does not list.

        `reset` lets values go that it does not mention and that its types have no place for.

        Raises:
            BadParams: the document has problems; ``data["problems"]`` has them as ``{"path", "message"}``.
            InUse: such values would go, and `reset` is not given; ``data["reset"]`` counts them by field.
        """
        params = _given(prune=prune or None, reset=reset or None)
        return await self._ask_of_document("snapshot.restore", document, params, Restored, timeout)

    async def _ask_of_document(
        self, method: str, document: str | bytes, params: dict[str, Any], result: type[T], timeout: float | None
    ) -> T:
        """Hand in a document and ask what is to be done with it; anew if the connection has moved in between.

        A node takes over what was handed in to another one, unless that is gone.
        """
        for moves_left in reversed(range(_UPLOAD_TRIES)):
            try:
                upload = await self._handed_in(method, document, timeout)
                return await self._ask(method, {"upload": upload, **params}, result, timeout)
            except NotFound as exc:
                if not moves_left or "upload" not in exc.data or exc.data.get("applied") == "unknown":
                    raise
        raise AssertionError("the last try returns or raises")

    async def _handed_in(self, method: str, document: str | bytes, timeout: float | None) -> str:
        """The name of the upload that a method is to use; where there is none, a restore was not applied."""
        try:
            return await self._upload(document, timeout)
        except QcoreError as exc:
            if method == "snapshot.restore":
                exc.data.setdefault("applied", "no")
            raise

    async def _upload(self, document: str | bytes, timeout: float | None) -> str:
        """Hand in a document; returns the name of the upload."""
        try:
            data = document.encode() if isinstance(document, str) else document
            chunks = list(cut_text(data, _UPLOADED)) or [""]
        except (UnicodeEncodeError, UnicodeDecodeError) as exc:
            raise BadParams(f"the document is no UTF-8 text: {exc.reason}") from None
        upload = token_hex(16)
        offset = 0
        for chunk in chunks:
            params = {"upload": upload, "offset": offset, "chunk": chunk}
            offset = (await self._ask("snapshot.upload", params, Uploaded, timeout)).size
        return upload

    async def call(self, method: str, /, **params: Any) -> Any:
        """Call any method of the API; returns its result as plain JSON types. `timeout` may be among `params`."""
        return decode_json(await self._text(method, params, params.get("timeout")))

    async def batch(self, commands: Iterable[AnyCommand], *, timeout: float | None = None) -> list[Any]:
        """Call many methods, in order and each on its own; returns a plain JSON result, or the error, for each.

        Others' calls may come in between. A long batch goes in several messages, each with its own `timeout`.
        """
        requests = [Request(method, self._timed(params, timeout)) for method, params in as_calls(commands)]
        for array in as_arrays(requests):
            await self._connection.send(array, self._seconds(timeout))
        return [decode_json(request.result) if request.error is None else request.error for request in requests]

    async def _ask(self, method: str, params: dict[str, Any], result: type[T], timeout: float | None) -> T:
        return read_result(await self._text(method, params, timeout), result)

    async def _text(self, method: str, params: dict[str, Any], timeout: float | None) -> bytes:
        """The JSON of a method's result."""
        request = Request(method, self._timed(params, timeout))
        await self._connection.send(RequestGroup([request], array=False), self._seconds(timeout))
        return _result(request)

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
