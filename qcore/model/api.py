"""The methods of the API: for each its params, its result and whether it writes.

This table is what the server dispatches on and what documents of the API are made from. `read_params` turns the
params of a request into the typed record of its method.
"""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from qcore.model.errors import BadParams, ParseError, RequestError, TooLarge, UnknownMethod
from qcore.model.requests import commands, compound, queries, results
from qcore.model.requests.restore import Restored
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.wire import encode_json

__all__ = ["METHODS", "SUBPROTOCOL", "Method", "read_params"]

SUBPROTOCOL = "qcore.v1"


class Method(msgspec.Struct, frozen=True):
    """`params` is the typed record of the request, `result` the type of the answer.

    A method that `writes` is a command that goes through the log.
    """

    name: str
    params: type[Any]
    result: Any
    writes: bool = False

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "writes", issubclass(self.params, commands.Command))

    @property
    def summary(self) -> str:
        """One sentence on what the method does."""
        return (self.params.__doc__ or "").strip().splitlines()[0]


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("ping", queries.Ping, str),
        Method("info", queries.Info, results.InfoResult),
        Method("machine", queries.Machine, results.MachineResult),
        Method("session.open", commands.SessionOpen, results.SessionOpened),
        Method("create", commands.Create, results.Created),
        Method("delete", commands.Delete, results.Deleted),
        Method("exists", queries.Exists, bool),
        Method("get", queries.Get, results.Entity),
        Method("set", commands.SetFields, results.SetDone),
        Method("find", queries.Find, results.Page),
        Method("count", queries.Count, int),
        Method("types", queries.TypesList, results.TypesPage),
        Method("schema.get", queries.SchemaGet, EntitySchema),
        Method("schema.complete", queries.SchemaComplete, EntitySchema),
        Method("schema.set", commands.SchemaSet, results.SchemaDone),
        Method("schema.delete", commands.SchemaDelete, results.SchemaDone),
        Method("field.get", queries.FieldGet, FieldSchema),
        Method("field.set", commands.FieldSet, results.SchemaDone),
        Method("field.exists", queries.FieldExists, bool),
        Method("listen", queries.Listen, results.Listening),
        Method("unlisten", queries.Unlisten, results.Unlistened),
        Method("pipeline", compound.Pipeline, list[results.StepDone | results.StepFailed]),
        Method("transaction", compound.Transaction, results.TransactionDone),
        Method("digest", queries.Digest, results.DigestNow),
        Method("snapshot.take", queries.SnapshotTake, results.SnapshotTaken),
        Method("snapshot.export", queries.SnapshotExport, results.ExportPage),
        Method("snapshot.upload", queries.SnapshotUpload, results.Uploaded),
        Method("snapshot.plan", queries.SnapshotPlan, results.PlanResult),
        Method("snapshot.restore", commands.SnapshotRestore, Restored),
    )
}


class _WireStep(msgspec.Struct, forbid_unknown_fields=True):
    method: str
    params: msgspec.Raw = msgspec.Raw()


class _WireCompound(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
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
_STEPS = frozenset(name for name, method in METHODS.items() if method.params in get_args(compound.Step))


def read_params(method: str, text: bytes, max_steps: int) -> Any:
    """Turn the JSON of params, by name or by position, into the typed record of the method.

    Raises:
        UnknownMethod, BadParams, ParseError: name what is wrong.
        BadValue: a value that is nested.
        TooLarge: nested too deeply, or more than `max_steps` commands in a pipeline or transaction.
    """
    decode = _decode.get(method)
    if decode is None:
        raise UnknownMethod(f"unknown method {method[:80]!r}; there are {', '.join(sorted(METHODS))}")
    if not text or text == b"null":
        text = b"{}"
    try:
        if text[:1] == b"[":
            text = _named(method, text)
        if METHODS[method].params in compound.COMPOUND:
            return _read_compound(method, text, max_steps)
        params = decode(text)
        if isinstance(params, commands.Command):
            params.check_values()
        return params
    except RecursionError:
        raise TooLarge(f"params of {method} are nested too deeply") from None
    except msgspec.ValidationError as exc:
        raise BadParams(f"params of {method}: {exc}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ParseError(f"params of {method} are no JSON: {exc}") from None


def _named(method: str, text: bytes) -> bytes:
    """Turn params by position into params by name."""
    values = _decode_list(text)
    names = METHODS[method].params.__struct_fields__
    if len(values) > len(names):
        raise BadParams(f"{method} has at most {len(names)} params ({', '.join(names)}), {len(values)} given")
    return encode_json(dict(zip(names, values, strict=False)))


def _read_compound(method: str, text: bytes, max_steps: int) -> compound.Pipeline | compound.Transaction:
    wire = _decode_compound(text)
    for what, given in (("commands", len(wire.commands)), ("conditions", len(wire.conditions))):
        if given > max_steps:
            raise TooLarge(f"a {method} has at most {max_steps} {what}, {given} given (max_pipeline)")
    steps = [_read_step(number, step, max_steps) for number, step in enumerate(wire.commands, 1)]
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


def _read_step(number: int, step: _WireStep, max_steps: int) -> Any:
    try:
        if step.method not in _STEPS:
            raise UnknownMethod(f"{step.method[:80]!r} cannot stand in a pipeline or transaction")
        params = read_params(step.method, bytes(step.params), max_steps)
        if isinstance(params, commands.Command) and params.session:
            raise BadParams("a session numbers the pipeline or transaction, not its commands")
    except RequestError as exc:
        raise type(exc)(f"command {number}: {exc.message}", **exc.data) from None
    return params
