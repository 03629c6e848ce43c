"""The methods of the API: one record each, which says everything that the server has to know before it carries one out.

This table is what the server routes by and what documents of the API are made from. `read_params` turns the params of
a request into the typed record of its method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

import msgspec

from qcore.model.errors import BadParams, BadValue, ParseError, RequestError, TooLarge, UnknownMethod
from qcore.model.requests import cluster, commands, compound, queries, results
from qcore.model.requests.commands import DEFAULT_MAX_LIST
from qcore.model.requests.json_limits import SIZED_JSON, check_params
from qcore.model.requests.numbers import field_out_of_range
from qcore.model.requests.restore import Restored
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.wire import COLON, encode_json, repeated_key

__all__ = ["METHODS", "SUBPROTOCOL", "Method", "Route", "read_params"]

SUBPROTOCOL = "qcore.v1"

Route = Literal["write", "read", "local", "watch", "transfer", "document", "snapshot", "cluster"]
"""The part of a node that carries a request out:

- ``write``: proposed to the log; the answer is made where it is applied
- ``read``: evaluated against the applied state
- ``local``: answered from what this node alone knows
- ``watch``: begins or ends a listener of this connection
- ``transfer``: takes in or hands out a piece of a document that this node keeps for the client
- ``document``: works on a whole uploaded document, which takes threads and slices
- ``snapshot``: writes a snapshot of the state beside the log of this node
- ``cluster``: asks about the cluster, or asks it for something
"""

_Filters = Callable[[Any], Iterable[str]]
_Revision = Callable[[Any], int]
_Cursor = Callable[[Any], str | None]
_Claim = Callable[[Any], tuple[str, int] | None]


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to know of a method.

    `params` is the typed record of the request, `result` the type of the answer.
    """

    name: str
    params: type[Any]
    result: Any
    route: Route
    writes: bool = False
    """Whether it is a command, which goes through the log and is answered with whether it was applied."""
    barrier: bool = False
    """Whether it reads the state, so that it waits for a read barrier unless its `consistency` is ``local``: a write
    that looks up whether it was answered before."""
    filters: _Filters | None = None
    """The texts of the filters in params, which are to be parsed before; None where there never is one."""
    revision: _Revision | None = None
    """The revision that the node must have applied before, 0 for any; None where a request cannot name one."""
    claim: _Claim | None = None
    """Epoch and revision of the history that params go on in, None where they name none; None where they never do."""
    cursor: _Cursor | None = None
    """The cursor of the page before, None where params name none; None where its pages hold no epoch."""
    elsewhere: bool = True
    """Whether any other node of a cluster can carry it out as well: it is neither about this node nor about what this
    node keeps for the client (its listeners, uploads and exports)."""
    dry_run: Route | None = None
    """The route where params say `dry_run`; None where they cannot."""

    @property
    def summary(self) -> str:
        """One sentence on what the method does."""
        return (self.params.__doc__ or "").strip().splitlines()[0]


def _min_revision(query: queries.StoreQuery) -> int:
    return query.min_revision


def _since(query: queries.Listen) -> int:
    return max(query.min_revision, query.since or 0)


def _history_of(query: queries.Listen) -> tuple[str, int] | None:
    return None if query.epoch is None or query.since is None else (query.epoch, query.since)


def _cursor(query: queries.Find | queries.TypesList) -> str | None:
    return query.cursor


def _filter(query: queries.Find | queries.Count | queries.Listen) -> tuple[str, ...]:
    return () if query.filter is None else (query.filter,)


def _filters_of_steps(command: compound.Pipeline | compound.Transaction) -> list[str]:
    return [
        step.filter
        for step in command.commands
        if isinstance(step, queries.Find | queries.Count) and step.filter is not None
    ]


def _write(
    name: str,
    params: type[commands.Command],
    result: Any,
    route: Route = "write",
    filters: _Filters | None = None,
    barrier: bool = False,
    elsewhere: bool = True,
    dry_run: Route | None = None,
) -> Method:
    return Method(
        name=name,
        params=params,
        result=result,
        route=route,
        writes=True,
        barrier=barrier,
        filters=filters,
        elsewhere=elsewhere,
        dry_run=dry_run,
    )


def _read(
    name: str,
    params: type[queries.StoreQuery],
    result: Any,
    route: Route = "read",
    filters: _Filters | None = None,
    revision: _Revision = _min_revision,
    claim: _Claim | None = None,
    cursor: _Cursor | None = None,
    elsewhere: bool = True,
) -> Method:
    return Method(
        name=name,
        params=params,
        result=result,
        route=route,
        barrier=True,
        filters=filters,
        revision=revision,
        claim=claim,
        cursor=cursor,
        elsewhere=elsewhere,
    )


def _here(name: str, params: type[queries.Query], result: Any, route: Route = "local") -> Method:
    return Method(name=name, params=params, result=result, route=route, elsewhere=False)


def _order(name: str, params: type[queries.Query]) -> Method:
    return Method(name=name, params=params, result=cluster.MemberState, route="cluster")


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        _here("ping", queries.Ping, str),
        _here("info", queries.Info, results.InfoResult),
        _here("machine", queries.Machine, results.MachineResult),
        _here("clients", queries.Clients, results.ClientList),
        _here("slowlog", queries.SlowLog, results.SlowRequestList),
        _write("session.open", commands.SessionOpen, results.SessionOpened),
        _write("create", commands.Create, results.Created),
        _write("delete", commands.Delete, results.Deleted),
        _read("exists", queries.Exists, bool),
        _read("get", queries.Get, results.Entity),
        _write("set", commands.SetFields, results.SetDone),
        _read("find", queries.Find, results.Page, filters=_filter, cursor=_cursor),
        _read("count", queries.Count, results.Counted, filters=_filter),
        _read("types", queries.TypesList, results.TypesPage, cursor=_cursor),
        _read("schema.get", queries.SchemaGet, EntitySchema),
        _read("schema.complete", queries.SchemaComplete, EntitySchema),
        _write("schema.set", commands.SchemaSet, results.SchemaDone, dry_run="read"),
        _write("schema.delete", commands.SchemaDelete, results.SchemaDone),
        _read("field.get", queries.FieldGet, FieldSchema),
        _write("field.set", commands.FieldSet, results.SchemaDone, dry_run="read"),
        _read("field.exists", queries.FieldExists, bool),
        _read(
            "listen",
            queries.Listen,
            results.Listening,
            route="watch",
            filters=_filter,
            revision=_since,
            claim=_history_of,
        ),
        _here("unlisten", queries.Unlisten, results.Unlistened, route="watch"),
        _write("pipeline", compound.Pipeline, list[results.StepDone | results.StepFailed], filters=_filters_of_steps),
        _write("transaction", compound.Transaction, results.TransactionDone, filters=_filters_of_steps),
        _read("digest", queries.Digest, results.DigestNow),
        _here("snapshot.take", queries.SnapshotTake, results.SnapshotTaken, route="snapshot"),
        _read("snapshot.export", queries.SnapshotExport, results.ExportPage, route="transfer", elsewhere=False),
        _here("snapshot.upload", queries.SnapshotUpload, results.Uploaded, route="transfer"),
        _read("snapshot.plan", queries.SnapshotPlan, results.PlanResult, route="document", elsewhere=False),
        _here("cluster.status", cluster.ClusterStatus, cluster.ClusterState, route="cluster"),
        _here("cluster.init", cluster.ClusterInit, cluster.ClusterFormed, route="cluster"),
        Method(
            name="cluster.transfer",
            params=cluster.ClusterTransfer,
            result=cluster.ClusterTransferred,
            route="cluster",
        ),
        _order("cluster.add", cluster.ClusterAdd),
        _order("cluster.remove", cluster.ClusterRemove),
        _order("cluster.promote", cluster.ClusterPromote),
        _write("snapshot.restore", commands.SnapshotRestore, Restored, route="document", barrier=True, elsewhere=False),
    )
}


class _WireStep(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    method: str
    params: msgspec.Raw = msgspec.Raw()


class _WireCompound(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Params of `pipeline` and `transaction` as they come in, their steps not read yet."""

    commands: list[_WireStep]
    conditions: list[compound.Condition] = []
    timeout: float | None = None
    session: int = 0
    seq: int = 0
    acked: int = 0


_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_compound = msgspec.json.Decoder(_WireCompound).decode
_decode = {name: msgspec.json.Decoder(method.params).decode for name, method in METHODS.items()}


def _of_set(params: commands.SetFields) -> int:
    own = 1 + (params.field is not None) + (params.value is not msgspec.UNSET)
    return own + (params.timeout is not None) + (3 if params.session and params.seq and params.acked else 0)


def _of_create(params: commands.Create) -> int:
    own = 2 + (params.parent is not None) + (1 + len(params.fields) if params.fields else 0)
    return own + (params.timeout is not None) + (3 if params.session and params.seq and params.acked else 0)


_GIVEN: dict[str, Callable[[Any], int]] = {
    "get": lambda params: 1 + (params.fields is not None),
    "set": _of_set,
    "create": _of_create,
}
"""How many keys were given at least, of what clients ask for most: counted faster than by writing it once more."""


_STEPS = frozenset(name for name, method in METHODS.items() if method.params in get_args(compound.Step))


def read_params(method: str, text: bytes, max_steps: int, max_list: int = DEFAULT_MAX_LIST) -> Any:
    """Turn the JSON of params, by name or by position, into the typed record of the method.

    Raises:
        UnknownMethod, BadParams, ParseError: name what is wrong, such as a key that stands twice.
        BadValue: a value that is nested, or a number that no field can hold.
        TooLarge: nested too deeply, more than `max_steps` commands in a pipeline or transaction, or more of anything
            than `check_params` allows.
    """
    decode = _decode.get(method)
    if decode is None:
        raise UnknownMethod(f"unknown method {method[:80]!r}; there are {', '.join(sorted(METHODS))}")
    if not text or text == b"null":
        text = b"{}"
    if len(text) > SIZED_JSON:
        check_params(method, text, max_list)
    try:
        if text[:1] == b"[":
            text = _named(method, text)
        if METHODS[method].params in compound.COMPOUND:
            return _read_compound(method, text, max_steps, max_list)
        params = decode(text)
        if isinstance(params, commands.Command):
            params.check_values()
        colons = text.count(COLON)
        if colons > 1 and ((given := _GIVEN.get(method)) is None or colons != given(params)):
            _check_keys(method, text, params, own=1)
        return params
    except RecursionError:
        raise TooLarge(f"params of {method} are nested too deeply") from None
    except msgspec.ValidationError as exc:
        raise _unfit(method, text, str(exc)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ParseError(f"params of {method} are no JSON: {exc}") from None


def _check_keys(method: str, text: bytes, read: Any, own: int) -> None:
    """Refuse a key that stands twice in an object of the params.

    What was `read` of them is written without what was not given, and with `own` keys of ours. If the text has no more
    colons than that, no key was lost; a whole look at the text is for the others.
    """
    counted = type(read) is not commands.SchemaSet and b"\\u003" not in text  # which may be a colon, too
    if counted and text.count(COLON) == encode_json(read).count(COLON) - own:
        return
    key = repeated_key(text)
    if key is not None:
        raise BadParams(f"params of {method}: the key {key!r} stands twice in one object")


def _unfit(method: str, text: bytes, problem: str) -> RequestError:
    field = field_out_of_range(text) if "out of range" in problem else None
    if field is None:
        return BadParams(f"params of {method}: {problem}")
    name, given = field
    return BadValue(f"field {name}: expected a number of at most 64 bits, given {given}", field=name)


def _named(method: str, text: bytes) -> bytes:
    """Turn params by position into params by name."""
    values = _decode_list(text)
    names = METHODS[method].params.__struct_fields__
    if len(values) > len(names):
        raise BadParams(f"{method} has at most {len(names)} params ({', '.join(names)}), {len(values)} given")
    return encode_json(dict(zip(names, values, strict=False)))


def _read_compound(method: str, text: bytes, max_steps: int, max_list: int) -> compound.Pipeline | compound.Transaction:
    wire = _decode_compound(text)
    _check_keys(method, text, wire, own=0)
    for what, given in (("commands", len(wire.commands)), ("conditions", len(wire.conditions))):
        if given > max_steps:
            raise TooLarge(f"a {method} has at most {max_steps} {what}, {given} given (max_pipeline)")
    steps = [_read_step(number, step, max_steps, max_list) for number, step in enumerate(wire.commands, 1)]
    numbered: dict[str, Any] = {
        "timeout": wire.timeout,
        "session": wire.session,
        "seq": wire.seq,
        "acked": wire.acked,
    }
    if METHODS[method].params is compound.Transaction:
        transaction = compound.Transaction(steps, wire.conditions, **numbered)
        transaction.check_values()
        return transaction
    if wire.conditions:
        raise BadParams("a pipeline has no conditions; a transaction does")
    return compound.Pipeline(steps, **numbered)


def _read_step(number: int, step: _WireStep, max_steps: int, max_list: int) -> Any:
    try:
        if step.method not in _STEPS:
            raise UnknownMethod(f"{step.method[:80]!r} cannot stand in a pipeline or transaction")
        params = read_params(step.method, bytes(step.params), max_steps, max_list)
        if isinstance(params, commands.Command) and params.session:
            raise BadParams("a session numbers the pipeline or transaction, not its commands")
    except RequestError as exc:
        raise type(exc)(f"command {number}: {exc.message}", **exc.data) from None
    return params
