"""Commands that go out together: how a pipeline, a transaction and a batch are written, and their answers read.

A command is a record of `qcore.model` (`Create("User", "ann")`, `Get("$1", ["Age"])`) or the method's name with its
params. Whatever was asked, an outcome is the method's own result, or the error itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import msgspec

from qcore.client.params import as_builtins
from qcore.client.results import Entity, TransactionDone, read_result
from qcore.model.api import METHODS
from qcore.model.errors import BadParams, error_from_wire
from qcore.model.requests import results
from qcore.model.requests.compound import Step

__all__ = ["AnyCommand", "as_calls", "read_pipeline", "read_transaction", "steps_of"]

AnyCommand = Step | tuple[str, Mapping[str, Any]]
"""A record, or ``("create", {"type": "User", "name": "ann"})``."""

Call = tuple[str, Mapping[str, Any]]


class _Outcome(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: dict[str, Any] | None = None


class _Transaction(msgspec.Struct):
    revision: int
    results: list[_Outcome]


_decode_pipeline = msgspec.json.Decoder(list[_Outcome]).decode
_decode_transaction = msgspec.json.Decoder(_Transaction).decode
_results = {
    name: Entity if method.result is results.Entity else method.result
    for name, method in METHODS.items()
    if method.params in get_args(Step)
}


def as_calls(commands: Iterable[AnyCommand]) -> list[Call]:
    """Method and params of each command.

    Raises:
        BadParams: a value that JSON cannot hold.
    """
    return [command if isinstance(command, tuple) else _as_call(command) for command in commands]


def _as_call(command: Step) -> Call:
    try:
        params = as_builtins(command)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise BadParams(f"{type(command).__name__} cannot be written as JSON: {exc}") from None
    return params.pop("method"), params


def steps_of(calls: Iterable[Call]) -> list[dict[str, Any]]:
    """The param `commands` of a pipeline or transaction."""
    return [{"method": method, "params": params} for method, params in calls]


def read_pipeline(calls: Sequence[Call], text: bytes) -> list[Any]:
    """The outcome of each command of a pipeline."""
    return _outcomes(calls, _decode_pipeline(text))


def read_transaction(calls: Sequence[Call], text: bytes) -> TransactionDone:
    """The outcome of each command of a transaction, and its revision."""
    done = _decode_transaction(text)
    return TransactionDone(done.revision, _outcomes(calls, done.results))


def _outcomes(calls: Sequence[Call], outcomes: list[_Outcome]) -> list[Any]:
    return [
        read_result(bytes(outcome.result), _results.get(method, Any))
        if outcome.error is None
        else error_from_wire(outcome.error)
        for (method, _), outcome in zip(calls, outcomes, strict=True)
    ]
